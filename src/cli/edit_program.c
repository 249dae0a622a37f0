/* edit_program: see edit_program.h. The child stays in our process group, so that the terminal is its own; an interrupt key is
 * for it alone. */
#include "cli/edit_program.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"

typedef struct ProgramOp {
  AnswerOp answer; /* first: the Console's contract */
  View *view;
  uv_process_t process;
  uv_pipe_t pipe;
  uv_write_t write;
  char *input;
  int open; /* handles that are not closed */
  bool piped, running;
} ProgramOp;

static void on_closed(uv_handle_t *handle) {
  ProgramOp *program = handle->data;
  program->open--;
  op_unref(&program->answer.op);
}

static void program_close(ProgramOp *program, uv_handle_t *handle) {
  handle->data = program;
  if (uv_is_closing(handle)) return;
  uv_close(handle, on_closed);
}

/* A pager that is left early does not read the rest. */
static void on_written(uv_write_t *request, int status) {
  ProgramOp *program = request->data;
  (void)status;
  program_close(program, (uv_handle_t *)&program->pipe);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal_number) {
  ProgramOp *program = process->data;
  char text[24];
  snprintf(text, sizeof text, "%d", signal_number != 0 ? 128 + signal_number : (int)status);
  program->running = false;
  program->answer.answer = mem_strdup(text);
  if (program->piped) program_close(program, (uv_handle_t *)&program->pipe);
  program_close(program, (uv_handle_t *)process);
  signals_set_idle(false);
  view_resume(program->view);
  op_succeed(&program->answer.op);
}

static void program_cancel(Op *op) {
  ProgramOp *program = (ProgramOp *)op;
  if (program->running) uv_process_kill(&program->process, SIGTERM); /* it then settles */
}

static void program_destroy(Op *op) {
  ProgramOp *program = (ProgramOp *)op;
  free(program->answer.answer);
  free(program->input);
  free(program);
}

static const OpClass program_class = {"program", program_cancel, program_destroy};

static void program_write(ProgramOp *program, size_t len) {
  uv_buf_t text = uv_buf_init(program->input, (unsigned)len);
  program->write.data = program;
  if (uv_write(&program->write, (uv_stream_t *)&program->pipe, &text, 1, on_written) != 0)
    program_close(program, (uv_handle_t *)&program->pipe);
}

AnswerOp *edit_program(View *view, Loop *loop, char *const argv[], const char *input, size_t len) {
  ProgramOp *program = mem_alloc(sizeof *program);
  op_init(&program->answer.op, loop, &program_class);
  op_arm(&program->answer.op, 0, NULL);
  program->view = view;
  program->piped = input != NULL;
  uv_stdio_container_t stdio[3] = {{.flags = UV_INHERIT_FD, .data.fd = STDIN_FILENO},
                                   {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
                                   {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
  if (program->piped) {
    uv_pipe_init(loop_uv(loop), &program->pipe, 0);
    op_ref(&program->answer.op);
    program->open++;
    stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
    stdio[0].data.stream = (uv_stream_t *)&program->pipe;
  }
  uv_process_options_t options = {
      .file = argv[0], .args = (char **)(uintptr_t)argv, .stdio = stdio, .stdio_count = 3, .exit_cb = on_exit_status};
  view_suspend(view);
  signals_set_idle(true);
  program->process.data = program;
  op_ref(&program->answer.op);
  program->open++;
  int rc = uv_spawn(loop_uv(loop), &program->process, &options);
  if (rc != 0) {
    signals_set_idle(false);
    view_resume(view);
    if (program->piped) program_close(program, (uv_handle_t *)&program->pipe);
    program_close(program, (uv_handle_t *)&program->process);
    op_fail_code(&program->answer.op, ERR_SPAWN, "%s cannot be started: %s", argv[0], uv_strerror(rc));
    return &program->answer;
  }
  program->running = true;
  if (input != NULL) {
    program->input = mem_alloc(len + 1);
    memcpy(program->input, input, len);
    program_write(program, len);
  }
  return &program->answer;
}
