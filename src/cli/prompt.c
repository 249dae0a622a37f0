/* prompt: see prompt.h. The terminal stays in its own line-editing mode: a line is read when it is complete. */
#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/text.h"
#include "cli/tty.h"
#include "loop/fdwatch.h"

#define PROMPT_LINE_MAX 65536

typedef struct PromptOp {
  AnswerOp answer; /* first: the Asker's contract */
  Prompt *prompt;
  struct PromptOp *next;
  char *text, *flag, *options, *labels, *expect;
  bool secret;
  FdWatch *watch;
  int fd;
  bool own_fd;
  Buf line;
} PromptOp;

struct Prompt {
  View *view;
  const Redact *redact;
  bool terminal, no_input;
  PromptOp *first, **last; /* the first is the one that stands */
};

static void prompt_begin(PromptOp *p);

Prompt *prompt_new(View *view, const Redact *redact, bool no_input) {
  Prompt *prompt = mem_alloc(sizeof *prompt);
  prompt->view = view;
  prompt->redact = redact;
  prompt->no_input = no_input;
  prompt->terminal = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
  prompt->last = &prompt->first;
  return prompt;
}

void prompt_free(Prompt *prompt) { free(prompt); }
bool prompt_can_ask(const Prompt *prompt) { return prompt->terminal && !prompt->no_input; }
void prompt_close_input(Prompt *prompt) { prompt->no_input = true; }

static void prompt_destroy(Op *op) {
  PromptOp *p = (PromptOp *)op;
  if (p->secret) buf_clear(&p->line);
  free(p->answer.answer);
  free(p->text);
  free(p->flag);
  free(p->options);
  free(p->labels);
  free(p->expect);
  buf_fini(&p->line);
  free(p);
}

/* What is printed */

static void prompt_print(const Buf *text) { out_write(STDERR_FILENO, buf_str(text), text->len); }

static void prompt_show_line(PromptOp *p) {
  Buf out = {0};
  view_show_clocks(p->prompt->view, p->options != NULL);
  buf_add_str(&out, p->secret ? "(not shown) > " : "> ");
  prompt_print(&out);
  buf_fini(&out);
}

static void prompt_show(PromptOp *p) {
  const Style *style = view_style(p->prompt->view);
  size_t columns, rows, len = strcspn(p->text, "\n");
  Buf out = {0}, first = {0};
  tty_size(STDERR_FILENO, &columns, &rows);
  buf_add(&first, p->text, len);
  line_paragraph(&out, style, STYLE_BOLD, columns - 1, 0, buf_str(&first));
  if (p->text[len] != '\0') line_paragraph(&out, style, STYLE_PLAIN, columns - 1, 0, p->text + len + 1);
  if (p->labels != NULL) line_paragraph(&out, style, STYLE_PLAIN, columns - 1, 0, p->labels);
  prompt_print(&out);
  buf_fini(&first);
  buf_fini(&out);
  prompt_show_line(p);
}

/* "type r, i or s" */
static void prompt_add_letters(Buf *out, const char *options) {
  size_t count = strlen(options);
  buf_add_str(out, "type ");
  for (size_t i = 0; i < count; i++)
    buf_printf(out, "%s%c", i == 0 ? "" : i + 1 < count ? ", " : " or ", options[i]);
}

static void prompt_complain(PromptOp *p) {
  Buf out = {0}, text = {0};
  if (p->expect != NULL)
    buf_printf(&text, "that is not it: type %s exactly, or Ctrl-D to leave it", p->expect);
  else
    prompt_add_letters(&text, p->options);
  line_paragraph(&out, view_style(p->prompt->view), STYLE_WARN, 0, 0, buf_str(&text));
  prompt_print(&out);
  buf_fini(&text);
  buf_fini(&out);
  prompt_show_line(p);
}

/* The end of a question */

static void prompt_leave(PromptOp *p) {
  Prompt *prompt = p->prompt;
  if (p->watch == NULL) return;
  fdwatch_close(p->watch);
  p->watch = NULL;
  if (p->own_fd) close(p->fd);
  if (p->secret) tty_silence(false);
  view_resume(prompt->view);
}

static void prompt_dequeue(PromptOp *p) {
  Prompt *prompt = p->prompt;
  PromptOp **at = &prompt->first;
  while (*at != NULL && *at != p)
    at = &(*at)->next;
  if (*at == NULL) return;
  *at = p->next;
  if (prompt->last == &p->next) prompt->last = at;
}

static void prompt_end(PromptOp *p) {
  Prompt *prompt = p->prompt;
  bool stood = prompt->first == p;
  prompt_leave(p);
  prompt_dequeue(p);
  if (stood && prompt->first != NULL) prompt_begin(prompt->first);
}

static void prompt_newline(void) { out_write(STDERR_FILENO, "\n", 1); }

static void prompt_succeed(PromptOp *p, const char *answer) {
  p->answer.answer = mem_strdup(answer);
  prompt_end(p);
  op_succeed(&p->answer.op);
}

static void prompt_fail(PromptOp *p, const char *why) {
  Err err = {0};
  size_t len = strcspn(p->text, "\n");
  err_set(&err, ERR_ANSWER, "an answer is needed: %.*s", (int)len, p->text);
  if (p->text[len] != '\0') err_set_detail(&err, p->text + len + 1);
  if (p->flag != NULL)
    err_set_hint(&err, "answer with %s, or %s", p->flag, why);
  else
    err_set_hint(&err, "%s", why);
  prompt_end(p);
  op_fail(&p->answer.op, &err);
}

static void prompt_cancel(Op *op) {
  PromptOp *p = (PromptOp *)op;
  if (p->watch != NULL) prompt_newline(); /* the cursor stands behind the question */
  prompt_end(p);
  op_fail_code(op, op->reason, "the question was not answered");
}

static const OpClass prompt_class = {"ask", prompt_cancel, prompt_destroy};

/* What was typed */

/* "[r]etry" in the labels makes the word "retry" as good as the letter. */
static bool prompt_is_word(const PromptOp *p, char letter, const char *answer) {
  char mark[] = {'[', letter, ']', '\0'};
  const char *at = p->labels != NULL ? strstr(p->labels, mark) : NULL;
  if (at == NULL || (answer[0] | 0x20) != letter) return false;
  size_t len = strcspn(at + 3, " []");
  return strlen(answer) == len + 1 && strncasecmp(at + 3, answer + 1, len) == 0;
}

static bool prompt_choose(PromptOp *p, const char *answer) {
  for (const char *letter = p->options; *letter != '\0'; letter++) {
    bool same = (answer[0] | 0x20) == *letter && answer[0] != '\0' && answer[1] == '\0';
    if (!same && !prompt_is_word(p, *letter, answer)) continue;
    char chosen[] = {*letter, '\0'};
    prompt_succeed(p, chosen);
    return true;
  }
  return false;
}

static void prompt_take_line(PromptOp *p) {
  Buf text = p->line;
  p->line = (Buf){0};
  buf_reserve(&text, 0); /* an empty line is a text too */
  char *start = text.data, *end = start + text.len;
  if (p->secret) prompt_newline();
  if (p->options != NULL || p->expect != NULL) { /* blanks around a choice or a name mean nothing */
    while (*start == ' ' || *start == '\t')
      start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
      *--end = '\0';
  }
  bool taken = false;
  if (p->options != NULL)
    taken = prompt_choose(p, start);
  else if (p->expect == NULL || strcmp(start, p->expect) == 0) {
    prompt_succeed(p, start);
    taken = true;
  }
  if (!taken) prompt_complain(p);
  if (p->secret) memset(text.data, 0, text.cap);
  buf_fini(&text);
}

static void on_readable(void *arg, int events) {
  PromptOp *p = arg;
  char bytes[4096];
  (void)events;
  ssize_t len = read(p->fd, bytes, sizeof bytes);
  if (len < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (len <= 0) {
    prompt_newline();
    prompt_fail(p, len == 0 ? "type an answer (this was end of input)" : "run in a terminal");
    return;
  }
  const char *newline = memchr(bytes, '\n', (size_t)len);
  buf_add(&p->line, bytes, newline != NULL ? (size_t)(newline - bytes) : (size_t)len);
  if (p->secret) memset(bytes, 0, sizeof bytes);
  if (newline != NULL || p->line.len > PROMPT_LINE_MAX) prompt_take_line(p);
}

/* The beginning of a question */

/* A descriptor of our own for the same terminal: waiting makes it non-blocking, which would outlive us on the one that the
 * operator's shell shares. */
static void prompt_open(PromptOp *p) {
  static const char *const paths[] = {"/proc/self/fd/0", "/dev/tty"};
  p->fd = STDIN_FILENO;
  for (size_t i = 0; i < sizeof paths / sizeof paths[0] && !p->own_fd; i++) {
    int fd = open(paths[i], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) continue;
    p->fd = fd;
    p->own_fd = true;
  }
}

static void prompt_begin(PromptOp *p) {
  Loop *loop = p->answer.op.loop;
  prompt_open(p);
  p->watch = fdwatch_open(loop, p->fd, on_readable, p);
  if (p->watch == NULL) {
    if (p->own_fd) close(p->fd);
    prompt_fail(p, "run in a terminal");
    return;
  }
  view_suspend(p->prompt->view);
  tty_flush_input();
  if (p->secret) tty_silence(true);
  prompt_show(p);
  fdwatch_set(p->watch, UV_READABLE);
}

bool prompt_interrupt(Prompt *prompt) {
  if (prompt->first == NULL) return false;
  op_cancel(&prompt->first->answer.op, ERR_INTERRUPTED);
  return true;
}

void prompt_redraw(Prompt *prompt) {
  PromptOp *p = prompt->first;
  if (p == NULL || p->watch == NULL) return;
  if (p->secret) tty_silence(true);
  prompt_show(p);
}

AnswerOp *prompt_ask(void *self, Loop *loop, const Question *question) {
  Prompt *prompt = self;
  PromptOp *p = mem_alloc(sizeof *p);
  op_init(&p->answer.op, loop, &prompt_class);
  op_arm(&p->answer.op, 0, NULL);
  p->prompt = prompt;
  p->text = redact_take(prompt->redact, mem_strdup(question->text != NULL ? question->text : ""));
  p->flag = mem_strdup(question->flag);
  p->options = mem_strdup(question->options);
  p->labels = mem_strdup(question->labels);
  p->expect = mem_strdup(question->expect);
  p->secret = question->secret;
  if (prompt->no_input || !prompt->terminal) {
    prompt_fail(p, !prompt->terminal ? "run in a terminal" : "leave --no-input away");
    return &p->answer;
  }
  *prompt->last = p;
  prompt->last = &p->next;
  if (prompt->first == p) prompt_begin(p);
  return &p->answer;
}
