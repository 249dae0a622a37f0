/* cli: see cli.h. Composition, and the one place where an error becomes text and an exit status. */
#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/versions.h"
#include "cli/cli_lua.h"
#include "cli/edit.h"
#include "cli/options.h"
#include "cli/out.h"
#include "cli/prompt.h"
#include "cli/signals.h"
#include "cli/tty.h"
#include "cli/view.h"
#include "run/run.h"
#include "vm/luaerr.h"
#include "vm/task.h"

#ifndef PGSH_VERSION
#define PGSH_VERSION "0.1.0"
#endif

/* A procedure that needs more has a defect; what is large streams through C. */
#define CLI_MEMORY_BYTES ((size_t)1 << 30)
#define CLI_CPU_SECONDS 10
#define CLI_PIPE_STATUS 141 /* as if SIGPIPE had ended it */

typedef struct Cli {
  Invocation invocation;
  Loop *loop;
  Redact *redact;
  Vm *vm;
  Run *run;
  View *view;
  Prompt *prompt;
  Task *task;
  CliExit leave; /* os.exit of `pgsh lua` */
  Edit *edit;
  bool lua;   /* the command is `lua` */
  bool shell; /* the command is `shell` */
  Err err;    /* what ended it */
  int status;
} Cli;

static void cli_print_version(bool verbose) {
  int pg = PQlibVersion();
  Buf text = {0};
  if (verbose)
    versions_add(&text);
  else
    buf_printf(&text, "pgsh %s (%s, libpq %d.%d, libcurl %s)\n", PGSH_VERSION, LUA_VERSION, pg / 10000, pg % 10000,
               curl_version_info(CURLVERSION_NOW)->version);
  out_write(STDOUT_FILENO, buf_str(&text), text.len);
  buf_fini(&text);
}

/* Commands whose output is the answer to a question: it is given as it is, also as JSON. */
static bool cli_is_query(const char *command) {
  static const char *const queries[] = {"runs", "show", "status", "report", "help", "completion", "checklist"};
  for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
    if (strcmp(queries[i], command) == 0) return true;
  return false;
}

static ViewSetup cli_view_setup(const Cli *cli) {
  const Invocation *in = &cli->invocation;
  ViewSetup setup = {.quiet = in->quiet || cli->lua, .verbose = in->verbose, .shell = cli->shell};
  setup.data_command = cli_is_query(in->command) || in->help || in->list || cli->lua;
  setup.asks = !in->no_input && !cli->shell && isatty(STDIN_FILENO) == 1;
  setup.on_run = cli->shell ? signals_set_session : signals_set_run;
  if (in->output != NULL && strcmp(in->output, "json") == 0) setup.output = VIEW_JSON;
  if (in->output != NULL && strcmp(in->output, "jsonl") == 0) setup.output = VIEW_JSONL;
  if (in->color != NULL && strcmp(in->color, "always") == 0) setup.colour = STYLE_ALWAYS;
  if (in->color != NULL && strcmp(in->color, "never") == 0) setup.colour = STYLE_NEVER;
  return setup;
}

static bool cli_open(Cli *cli) {
  VmLimits limits = {0}; /* none for a program of the operator's own */
  ViewSetup setup = cli_view_setup(cli);
  if (!cli->lua) limits = (VmLimits){.memory_bytes = CLI_MEMORY_BYTES, .cpu_seconds = CLI_CPU_SECONDS};
  cli->loop = loop_new();
  cli->redact = redact_new();
  cli->vm = vm_new(cli->loop, cli->redact, limits);
  cli->run = run_new(cli->vm, cli->loop, cli->redact);
  api_open(cli->vm);
  cli->view = view_new(cli->loop, &setup);
  cli->prompt = prompt_new(cli->view, cli->redact, cli->invocation.no_input);
  stream_add_view(cli->run->stream, view_on_event, cli->view);
  cli->run->asker = prompt_ask;
  cli->run->asker_self = cli->prompt;
  cli->run->interactive = prompt_can_ask(cli->prompt);
  cli->edit = edit_new(cli->view, cli->run->interactive);
  cli->run->console = edit_console(cli->edit);
  return run_set_state(cli->run, cli->invocation.state, &cli->err);
}

/* The main task: the engine, or a program of the operator's. */
static bool cli_start(Cli *cli) {
  lua_State *L = vm_main(cli->vm);
  int nargs = 1;
  if (cli->lua) {
    if (!cli_lua_push(L, &cli->invocation, &cli->leave, &nargs, &cli->err)) return false;
  } else {
    /* Lua calls Lua here, so that the engine may wait; require itself could not. */
    static const char entry[] = "return require('pgsh.main')(...)";
    luaL_loadbufferx(L, entry, sizeof entry - 1, "=pgsh", "t");
    options_push(&cli->invocation, L);
  }
  cli->task = task_spawn(L, nargs, cli->lua ? "lua" : cli->invocation.command);
  return true;
}

/* Ctrl-Z: the terminal is given back, and taken again. */
static void cli_suspend(Cli *cli) {
  view_suspend(cli->view);
  signals_suspend();
  view_resume(cli->view);
  prompt_redraw(cli->prompt);
}

/* The first one is for what the operator started last, a second one for the shell that waits for its end. */
static void cli_interrupt(Cli *cli) {
  Task *foreground = cli->run->foreground;
  if (foreground != NULL) task_cancel(foreground, ERR_INTERRUPTED);
  if (foreground == NULL || vm_interrupts(cli->vm) > 1) task_cancel(cli->task, ERR_INTERRUPTED);
}

static void cli_take_signals(Cli *cli) {
  unsigned news = signals_take();
  if (news & SIGNAL_TERMINATED) {
    prompt_close_input(cli->prompt);
    cli->run->interactive = false;
    edit_close_input(cli->edit);
  }
  /* A script that was computing has raised it already, and the engine may be asking by now: that question is not to be hit. */
  if ((news & SIGNAL_INTERRUPTED) && edit_is_reading(cli->edit))
    edit_interrupt(cli->edit);
  else if ((news & SIGNAL_INTERRUPTED) && edit_is_waiting(cli->edit) && prompt_interrupt(cli->prompt))
    vm_interrupts_clear(cli->vm); /* it was for a job's question, not for the line behind it */
  else if ((news & SIGNAL_INTERRUPTED) && vm_interrupts(cli->vm) > 0)
    cli_interrupt(cli);
  if (news & SIGNAL_RESIZED) edit_resize(cli->edit);
  if (news & SIGNAL_SUSPENDED) cli_suspend(cli);
}

/* Nobody reads what is written. A maintenance that changes things goes on all the same: its journal and stderr remain. */
static bool cli_is_unread(const Cli *cli) { return out_broken() != 0 && cli->run->mode != RUN_REAL; }

static void cli_turn(Cli *cli) {
  while (!task_done(cli->task)) {
    loop_turn(cli->loop, true);
    cli_take_signals(cli);
    if (cli_is_unread(cli)) task_cancel(cli->task, ERR_CANCELLED);
  }
}

static void cli_redact(Cli *cli) {
  cli->err.message = redact_take(cli->redact, cli->err.message);
  cli->err.hint = redact_take(cli->redact, cli->err.hint);
  cli->err.detail = redact_take(cli->redact, cli->err.detail);
}

/* The error that ended the task; its traceback as detail where somebody wants it. */
static void cli_take_error(Cli *cli, lua_State *L) {
  task_push_error(cli->task, L);
  luaerr_get(L, -1, &cli->err);
  bool traced = (cli->lua || cli->invocation.verbose || cli->err.code == ERR_INTERNAL) && cli->err.code != ERR_INTERRUPTED;
  if (traced && lua_istable(L, -1)) {
    lua_getfield(L, -1, "traceback");
    if (lua_isstring(L, -1)) err_set_detail(&cli->err, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  cli_redact(cli);
  cli->status = err_exit(cli->err.code);
}

static void cli_take_results(Cli *cli) {
  lua_State *L = vm_main(cli->vm);
  int count = 0;
  fflush(stdout);
  if (cli->leave.asked) {
    cli->status = cli->leave.status;
  } else if (!task_results(cli->task, L, &count)) {
    cli_take_error(cli, L);
  } else {
    cli->status = !cli->lua && count > 0 && lua_isinteger(L, -count) ? (int)lua_tointeger(L, -count) : 0;
    lua_pop(L, count);
  }
}

/* What did not reach its reader counts, unless the reader left by himself. */
static void cli_check_output(Cli *cli) {
  int broken = out_broken();
  if (broken == 0) return;
  if (broken != EPIPE)
    out_complain("cannot write to standard output: %s", strerror(broken));
  else if (cli_is_unread(cli))
    err_fini(&cli->err);
  if (cli_is_unread(cli)) cli->status = broken == EPIPE ? CLI_PIPE_STATUS : 1;
  if (cli->status == 0) cli->status = 1;
}

static void cli_close(Cli *cli) {
  Err leaked = {0};
  signals_disarm();
  if (cli->task != NULL) task_release(cli->task);
  if (!vm_free(cli->vm, &leaked)) out_complain("internal error: %s", leaked.message);
  run_free(cli->run);
  edit_free(cli->edit);
  view_free(cli->view);
  prompt_free(cli->prompt);
  if (!loop_free(cli->loop, &leaked)) out_complain("internal error: %s", leaked.message);
  redact_free(cli->redact);
  err_fini(&leaked);
}

static void cli_run(Cli *cli) {
  cli->lua = strcmp(cli->invocation.command, "lua") == 0 && !cli->invocation.help;
  cli->shell = strcmp(cli->invocation.command, "shell") == 0 && !cli->invocation.help;
  bool ready = cli_open(cli) && cli_start(cli);
  if (ready) {
    signals_arm(cli->vm);
    cli_turn(cli);
    cli_take_results(cli);
  } else {
    cli->status = err_exit(cli->err.code);
  }
  cli_check_output(cli);
  view_finish(cli->view, cli->status, cli->err.code != ERR_NONE ? &cli->err : NULL);
  cli_close(cli);
}

int cli_main(int argc, char **argv) {
  Cli cli = {0};
  if (!options_parse(&cli.invocation, argc, argv, &cli.err)) {
    out_complain("%s", cli.err.message);
    cli.status = err_exit(cli.err.code);
  } else if (cli.invocation.version) {
    cli_print_version(cli.invocation.verbose);
    cli.status = out_broken() != 0;
  } else {
    cli_run(&cli);
  }
  options_fini(&cli.invocation);
  err_fini(&cli.err);
  return cli.status;
}
