/* edit: see edit.h. Readline is one for the process, and so is the line that is typed. */
#include "cli/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/edit_program.h"
#include "cli/frame.h"
#include "cli/out.h"
#include "cli/readline_lib.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/tty.h"
#include "loop/fdwatch.h"

#define EDIT_HISTORY_ENTRIES 10000
#define EDIT_LISTED 120 /* choices shown at once */
#define EDIT_BURST 4096 /* keys taken before the loop gets its turn */

typedef struct EditOp {
  LineOp line; /* first: the Console's contract */
  struct Edit *edit;
} EditOp;

struct Edit {
  View *view;
  Frame *frame;
  Console console;
  bool usable, loaded;
  bool closed;    /* the input has ended while nothing was read: so does the next line */
  EditOp *op;     /* the line that is read, or NULL */
  bool installed; /* readline has the terminal */
  char *prompt;
  char *kept; /* what was typed, while somebody else has the terminal */
  int kept_point;
  FILE *in, *out;
  FdWatch *watch;
  ConsoleComplete complete;
  void *complete_arg;
  ConsoleChoices choices; /* of the completion in progress */
};

static Edit *edit_of_readline;
#define RL readline_lib

/* ---- completion: our own word bounds, so that "db:ro" or a table's name in a string is one word ---------------------------- */

static void edit_free_choices(ConsoleChoices *choices) {
  for (size_t i = 0; i < choices->count; i++)
    free(choices->matches[i]);
  free(choices->matches);
  free(choices->hint);
  memset(choices, 0, sizeof *choices);
}

/* No character breaks a word: readline completes the whole line up to the cursor, and we say where the word begins in it. */
static char *on_word_break(void) {
  static char none[] = "";
  return none;
}

static char *edit_whole(const char *line, size_t start, const char *match) {
  Buf whole = {0};
  buf_add(&whole, line, start);
  buf_add_str(&whole, match);
  return buf_take(&whole);
}

static size_t edit_common(char *const *matches, size_t count) {
  size_t len = strlen(matches[0]);
  for (size_t i = 1; i < count; i++) {
    size_t same = 0;
    while (same < len && matches[i][same] == matches[0][same])
      same++;
    len = same;
  }
  while (len > 0 && ((unsigned char)matches[0][len] & 0xC0) == 0x80)
    len--; /* never half a character */
  return len;
}

static void edit_show_hint(const Edit *edit, const char *hint) {
  Buf out = {0};
  RL.rl_clear_visible_line();
  fflush(edit->out);
  line_paragraph(&out, view_style(edit->view), STYLE_DIM, 0, 0, hint);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  RL.rl_on_new_line();
  RL.rl_redisplay();
  buf_fini(&out);
}

/* text is the whole line up to the cursor. */
static char **on_complete(const char *text, int start, int end) {
  Edit *edit = edit_of_readline;
  (void)start;
  *RL.rl_attempted_completion_over = 1; /* never file names by itself */
  edit_free_choices(&edit->choices);
  if (edit->complete == NULL) return NULL;
  ConsoleChoices *choices = &edit->choices;
  edit->complete(edit->complete_arg, *RL.rl_line_buffer, (size_t)end, choices);
  if (choices->hint != NULL) edit_show_hint(edit, choices->hint);
  if (choices->count == 0 || choices->start > strlen(text)) return NULL;
  *RL.rl_completion_append_character = (unsigned char)choices->append;
  *RL.rl_sort_completion_matches = 0;
  *RL.rl_filename_completion_desired = 0;
  char **matches = mem_alloc((choices->count + 2) * sizeof *matches);
  size_t common = edit_common(choices->matches, choices->count);
  size_t typed = strlen(text) - choices->start;
  bool differs = choices->count > 1 && common < typed; /* in case, in quotes: what is typed stays until they can be told apart */
  Buf first = {0};
  buf_add(&first, differs ? text + choices->start : choices->matches[0], differs ? typed : common);
  matches[0] = edit_whole(text, choices->start, buf_str(&first));
  buf_fini(&first);
  if (choices->count == 1) return matches;
  for (size_t i = 0; i < choices->count; i++)
    matches[i + 1] = edit_whole(text, choices->start, choices->matches[i]);
  return matches;
}

/* The list of them, without the line in front of each. */
static void on_display_matches(char **matches, int count, int longest) {
  const Edit *edit = edit_of_readline;
  size_t start = edit->choices.start, most = (size_t)longest;
  char **shown = mem_alloc(((size_t)count + 2) * sizeof *shown);
  for (int i = 0; i <= count; i++)
    shown[i] = strlen(matches[i]) >= start ? matches[i] + start : matches[i];
  most = most > start ? most - start : most;
  int listed = count > EDIT_LISTED ? EDIT_LISTED : count;
  RL.rl_crlf();
  RL.rl_display_match_list(shown, listed, (int)most);
  if (listed < count) fprintf(edit->out, "... and %d more\n", count - listed);
  RL.rl_forced_update_display();
  free(shown);
}

/* ---- the terminal ---------------------------------------------------------------------------------------------------------- */

static void edit_settle(Edit *edit, char *text, bool interrupted);

/* From inside readline: a whole line, or NULL for the end of input. */
static void on_line(char *text) {
  Edit *edit = edit_of_readline;
  RL.rl_callback_handler_remove();
  edit->installed = false;
  if (text == NULL) out_write(STDERR_FILENO, "\n", 1);
  char *copy = mem_strdup(text);
  free(text);
  edit_settle(edit, copy, false);
}

/* A descriptor of our own for the same terminal: waiting makes it non-blocking, which would outlive us on the one that the
 * operator's shell shares. */
static bool edit_open(Edit *edit) {
  if (edit->in != NULL) return true;
  int in = open("/proc/self/fd/0", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (in < 0) in = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  int out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  edit->in = in >= 0 ? fdopen(in, "r") : NULL;
  edit->out = out >= 0 ? fdopen(out, "w") : NULL;
  return edit->in != NULL && edit->out != NULL;
}

static bool edit_load(Edit *edit, Err *err) {
  static char name[] = "pgsh";
  if (edit->loaded) return true;
  if (!readline_lib_load(err)) return false;
  if (!edit_open(edit)) return err_set(err, ERR_ANSWER, "the terminal cannot be opened: %s", strerror(errno));
  text_use_locale(); /* readline measures characters by it */
  *RL.rl_readline_name = name;
  *RL.rl_instream = edit->in;
  *RL.rl_outstream = edit->out;
  *RL.rl_catch_signals = 0;
  *RL.rl_catch_sigwinch = 0;
  *RL.rl_change_environment = 0;
  *RL.rl_attempted_completion_function = on_complete;
  *RL.rl_completion_word_break_hook = on_word_break;
  *RL.rl_completion_display_matches_hook = on_display_matches;
  RL.using_history();
  RL.stifle_history(EDIT_HISTORY_ENTRIES);
  edit_of_readline = edit;
  return edit->loaded = true;
}

static void on_keys(void *arg, int events) {
  Edit *edit = arg;
  (void)events;
  for (int i = 0, waiting = 1; i < EDIT_BURST && edit->installed && waiting > 0; i++) {
    RL.rl_callback_read_char();
    if (ioctl(fileno(edit->in), FIONREAD, &waiting) != 0) break;
  }
}

static void edit_take(Edit *edit) {
  tty_watch(true);
  RL.rl_callback_handler_install(edit->prompt, on_line);
  edit->installed = true;
  if (edit->kept != NULL) {
    RL.rl_insert_text(edit->kept);
    if (edit->kept_point >= 0 && edit->kept_point <= *RL.rl_end) *RL.rl_point = edit->kept_point;
    free(edit->kept);
    edit->kept = NULL;
    RL.rl_redisplay();
  }
  if (edit->watch != NULL) fdwatch_set(edit->watch, UV_READABLE);
  signals_set_idle(true);
}

/* The line disappears, what was typed is kept. */
static void edit_release(Edit *edit) {
  if (!edit->installed) return;
  edit->kept = mem_strdup(*RL.rl_line_buffer);
  edit->kept_point = *RL.rl_point;
  RL.rl_clear_visible_line();
  fflush(edit->out);
  RL.rl_callback_handler_remove();
  edit->installed = false;
  if (edit->watch != NULL) fdwatch_set(edit->watch, 0);
  tty_watch(false);
  signals_set_idle(false);
}

static void edit_hide(Edit *edit) {
  if (!edit->installed) return;
  RL.rl_clear_visible_line();
  fflush(edit->out);
}

static void edit_show(Edit *edit) {
  if (!edit->installed) return;
  RL.rl_on_new_line();
  RL.rl_redisplay();
  fflush(edit->out);
}

static void on_curtain(void *self, ViewCurtain what) {
  Edit *edit = self;
  if (what == VIEW_HIDE)
    edit_hide(edit);
  else if (what == VIEW_SHOW)
    edit_show(edit);
  else if (what == VIEW_RELEASE)
    edit_release(edit);
  else if (edit->op != NULL && !edit->installed)
    edit_take(edit);
}

/* ---- a line ---------------------------------------------------------------------------------------------------------------- */

static void edit_leave(Edit *edit) {
  if (edit->installed) RL.rl_callback_handler_remove();
  edit->installed = false;
  fdwatch_close(edit->watch);
  edit->watch = NULL;
  free(edit->kept);
  edit->kept = NULL;
  edit->op = NULL;
  tty_watch(false);
  signals_set_idle(false);
  view_set_curtain(edit->view, NULL, NULL);
}

static void edit_settle(Edit *edit, char *text, bool interrupted) {
  EditOp *op = edit->op;
  edit_leave(edit);
  op->line.answer.answer = text;
  op->line.interrupted = interrupted;
  op_succeed(&op->line.answer.op);
}

static void edit_cancel(Op *op) {
  EditOp *line = (EditOp *)op;
  if (line->edit->op == line) edit_leave(line->edit);
  op_fail_code(op, op->reason, "no line was read");
}

static void edit_destroy(Op *op) {
  EditOp *line = (EditOp *)op;
  free(line->line.answer.answer);
  free(line);
}

static const OpClass edit_class = {"line", edit_cancel, edit_destroy};

static bool edit_begin(Edit *edit, Loop *loop, EditOp *op, const char *prompt, const char *preset, Err *err) {
  if (!edit->usable) return err_set(err, ERR_ANSWER, "a line cannot be read: this is no terminal");
  if (edit->op != NULL) return err_set(err, ERR_BUSY, "a line is being read already");
  if (!edit_load(edit, err)) return false;
  edit->watch = fdwatch_open(loop, fileno(edit->in), on_keys, edit);
  if (edit->watch == NULL) return err_set(err, ERR_ANSWER, "the terminal cannot be waited for");
  edit->op = op;
  free(edit->prompt);
  edit->prompt = mem_strdup(prompt);
  edit->kept = mem_strdup(preset);
  edit->kept_point = preset != NULL ? (int)strlen(preset) : 0;
  view_set_curtain(edit->view, on_curtain, edit);
  if (!view_is_suspended(edit->view)) edit_take(edit); /* else when the question of a job has been answered */
  return true;
}

static AnswerOp *edit_read(void *self, Loop *loop, const char *prompt, const char *preset) {
  Edit *edit = self;
  EditOp *op = mem_alloc(sizeof *op);
  Err err = {0};
  op_init(&op->line.answer.op, loop, &edit_class);
  op_arm(&op->line.answer.op, 0, NULL);
  op->edit = edit;
  if (edit->closed)
    op_succeed(&op->line.answer.op);
  else if (!edit_begin(edit, loop, op, prompt, preset, &err))
    op_fail(&op->line.answer.op, &err);
  return &op->line.answer;
}

static void edit_set_prompt(void *self, const char *prompt) {
  Edit *edit = self;
  if (edit->op == NULL || strcmp(prompt, edit->prompt) == 0) return;
  free(edit->prompt);
  edit->prompt = mem_strdup(prompt);
  if (!edit->installed) return;
  edit_hide(edit);
  RL.rl_set_prompt(edit->prompt);
  edit_show(edit);
}

static void edit_remember(void *self, const char *entry) {
  Edit *edit = self;
  Err err = {0};
  if (!edit->usable || !edit_load(edit, &err)) {
    err_fini(&err);
    return;
  }
  if (entry != NULL)
    RL.add_history(entry);
  else
    RL.clear_history();
}

static void edit_set_complete(void *self, ConsoleComplete complete, void *arg) {
  Edit *edit = self;
  edit->complete = complete;
  edit->complete_arg = arg;
}

static bool edit_size(void *self, size_t *columns, size_t *rows) {
  (void)self;
  tty_size(STDOUT_FILENO, columns, rows);
  return isatty(STDOUT_FILENO) == 1;
}

static bool edit_redraws(void *self) {
  return ((Edit *)self)->usable && isatty(STDOUT_FILENO) == 1 && style_is_terminal(STDERR_FILENO);
}

static bool edit_colour(void *self) { return view_style(((Edit *)self)->view)->colour; }

static AnswerOp *edit_run_program(void *self, Loop *loop, char *const argv[], const char *input, size_t len) {
  return edit_program(((Edit *)self)->view, loop, argv, input, len);
}

static AnswerOp *edit_key(void *self, Loop *loop) { return frame_key(((Edit *)self)->frame, loop); }
static void edit_show_frame(void *self, const char *text) { frame_show(((Edit *)self)->frame, text); }

static void edit_set_patience(void *self, int count) {
  (void)self;
  signals_set_patience(count);
}

/* ---- the module's own ------------------------------------------------------------------------------------------------------ */

Edit *edit_new(View *view, bool usable) {
  Edit *edit = mem_alloc(sizeof *edit);
  edit->view = view;
  edit->usable = usable;
  edit->frame = frame_new(view, usable);
  edit->console = (Console){.self = edit,
                            .read = edit_read,
                            .set_prompt = edit_set_prompt,
                            .remember = edit_remember,
                            .set_complete = edit_set_complete,
                            .program = edit_run_program,
                            .redraws = edit_redraws,
                            .key = edit_key,
                            .frame = edit_show_frame,
                            .size = edit_size,
                            .clean = text_add_clean,
                            .width = text_width,
                            .colour = edit_colour,
                            .set_patience = edit_set_patience};
  return edit;
}

void edit_free(Edit *edit) {
  if (edit == NULL) return;
  if (edit->loaded) RL.clear_history();
  edit_free_choices(&edit->choices);
  frame_free(edit->frame);
  edit_of_readline = NULL;
  if (edit->in != NULL) fclose(edit->in);
  if (edit->out != NULL) fclose(edit->out);
  free(edit->prompt);
  free(edit->kept);
  free(edit);
}

const Console *edit_console(Edit *edit) { return &edit->console; }
bool edit_is_reading(const Edit *edit) { return edit->installed; }
bool edit_is_waiting(const Edit *edit) { return edit->op != NULL && !edit->installed; }

void edit_interrupt(Edit *edit) {
  if (edit->op == NULL) return;
  if (edit->installed) {
    RL.rl_callback_sigcleanup();
    RL.rl_free_line_state();
    out_write(STDERR_FILENO, "^C\n", 3);
  }
  edit_settle(edit, NULL, true);
}

void edit_close_input(Edit *edit) {
  edit->closed = edit->usable;
  edit->usable = false;
  if (edit->op == NULL) return;
  if (edit->installed) out_write(STDERR_FILENO, "\n", 1);
  edit_settle(edit, NULL, false);
}

void edit_resize(Edit *edit) {
  if (edit->installed) RL.rl_resize_terminal(); /* else it looks when the next line begins */
  frame_resize(edit->frame);
}
