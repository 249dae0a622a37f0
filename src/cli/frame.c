/* frame: see frame.h. */
#include "cli/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/region.h"
#include "cli/tty.h"
#include "loop/fdwatch.h"

typedef struct FrameOp {
  AnswerOp answer; /* first: the Console's contract */
  Frame *frame;
} FrameOp;

struct Frame {
  View *view;
  bool usable;
  FrameOp *op; /* the key that is waited for, or NULL */
  bool shown;  /* the terminal is ours */
  char *text;
  Region drawn;
  FdWatch *watch;
  int fd; /* for the same terminal: waiting makes it non-blocking, which would outlive us on the shared one */
};

/* ---- drawing --------------------------------------------------------------------------------------------------------------- */

/* A line, with what is emphasised in it. */
static void frame_add_line(Line *line, const char *text, size_t len) {
  bool marked = false;
  while (len > 0) {
    size_t run = 0;
    while (run < len && text[run] != '\1' && text[run] != '\2')
      run++;
    Buf part = {0};
    buf_add(&part, text, run);
    line_add(line, marked ? STYLE_ALARM : STYLE_PLAIN, buf_str(&part));
    buf_fini(&part);
    if (run < len) marked = text[run++] == '\1';
    text += run;
    len -= run;
  }
}

static size_t frame_count_lines(const char *text) {
  size_t count = 0;
  for (; *text != '\0'; count++) {
    text += strcspn(text, "\n");
    if (*text == '\n') text++;
  }
  return count;
}

static void frame_compose(const Frame *frame, Region *region) {
  size_t columns, rows, left = frame_count_lines(frame->text);
  Line line;
  tty_size(STDERR_FILENO, &columns, &rows);
  size_t most = rows > 3 ? rows - 1 : 2;
  const char *text = frame->text;
  for (size_t i = 0; left > 0; i++, left--) {
    size_t len = strcspn(text, "\n");
    line_begin(&line, &region->text, view_style(frame->view), columns - 1);
    if (i + 1 == most && left > 1) {
      line_printf(&line, STYLE_DIM, "and %zu more lines", left);
      region_end_line(region, &line);
      return;
    }
    frame_add_line(&line, text, len);
    region_end_line(region, &line);
    text += len + (text[len] == '\n');
  }
}

static void frame_erase(Frame *frame) {
  Buf out = {0};
  region_erase(&frame->drawn, &out);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
}

static void frame_draw(Frame *frame) {
  Region next = {0};
  Buf out = {0};
  if (!frame->shown || frame->text == NULL) return;
  frame_compose(frame, &next);
  if (next.rows > 0 && !region_is_same(&frame->drawn, &next)) region_draw(&frame->drawn, &next, &out);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  region_fini(&next);
  buf_fini(&out);
}

/* ---- the terminal ---------------------------------------------------------------------------------------------------------- */

static void frame_take(Frame *frame) {
  tty_flush_input();
  tty_take_keys();
  frame->shown = true;
  fdwatch_set(frame->watch, UV_READABLE);
  frame_draw(frame);
}

static void frame_release(Frame *frame) {
  if (!frame->shown) return;
  frame_erase(frame);
  frame->shown = false;
  fdwatch_set(frame->watch, 0);
  tty_restore();
}

static void on_curtain(void *self, ViewCurtain what) {
  Frame *frame = self;
  if (what == VIEW_RELEASE)
    frame_release(frame);
  else if (what == VIEW_TAKE)
    frame_take(frame);
  else if (what == VIEW_HIDE && frame->shown)
    frame_erase(frame);
  else if (what == VIEW_SHOW)
    frame_draw(frame);
}

/* ---- a key ----------------------------------------------------------------------------------------------------------------- */

/* The last text stays where it is, and the next line begins below it. */
static void frame_leave(Frame *frame) {
  if (frame->drawn.rows > 0) out_write(STDERR_FILENO, "\n", 1);
  region_fini(&frame->drawn);
  tty_set_live_rows(0);
  fdwatch_close(frame->watch);
  close(frame->fd);
  frame->watch = NULL;
  free(frame->text);
  frame->text = NULL;
  if (frame->shown) tty_restore();
  frame->shown = false;
  frame->op = NULL;
  view_set_curtain(frame->view, NULL, NULL);
}

static void on_keys(void *arg, int events) {
  Frame *frame = arg;
  char bytes[256];
  (void)events;
  ssize_t len = read(frame->fd, bytes, sizeof bytes);
  if (len < 0 && (errno == EAGAIN || errno == EINTR)) return;
  FrameOp *op = frame->op;
  tty_flush_input(); /* an arrow key is several bytes */
  frame_leave(frame);
  op_succeed(&op->answer.op);
}

static void frame_cancel(Op *op) {
  FrameOp *key = (FrameOp *)op;
  if (key->frame->op == key) frame_leave(key->frame);
  op_fail_code(op, op->reason, "no key was pressed");
}

static void frame_destroy(Op *op) { free(op); }

static const OpClass frame_class = {"key", frame_cancel, frame_destroy};

static bool frame_begin(Frame *frame, Loop *loop, FrameOp *op, Err *err) {
  if (!frame->usable) return err_set(err, ERR_ANSWER, "a key cannot be waited for: this is no terminal");
  if (frame->op != NULL) return err_set(err, ERR_BUSY, "a key is being waited for already");
  frame->fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (frame->fd < 0) frame->fd = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (frame->fd < 0) return err_set(err, ERR_ANSWER, "the terminal cannot be opened: %s", strerror(errno));
  frame->watch = fdwatch_open(loop, frame->fd, on_keys, frame);
  if (frame->watch == NULL) {
    close(frame->fd);
    return err_set(err, ERR_ANSWER, "the terminal cannot be waited for");
  }
  frame->op = op;
  view_set_curtain(frame->view, on_curtain, frame);
  if (!view_is_suspended(frame->view)) frame_take(frame); /* else when the question of a job has been answered */
  return true;
}

AnswerOp *frame_key(Frame *frame, Loop *loop) {
  FrameOp *op = mem_alloc(sizeof *op);
  Err err = {0};
  op_init(&op->answer.op, loop, &frame_class);
  op_arm(&op->answer.op, 0, NULL);
  op->frame = frame;
  if (!frame_begin(frame, loop, op, &err)) op_fail(&op->answer.op, &err);
  return &op->answer;
}

void frame_show(Frame *frame, const char *text) {
  if (frame->op == NULL) return;
  free(frame->text);
  frame->text = mem_strdup(text);
  frame_draw(frame);
}

void frame_resize(Frame *frame) { frame_draw(frame); }

/* ---- the module's own ------------------------------------------------------------------------------------------------------ */

Frame *frame_new(View *view, bool usable) {
  Frame *frame = mem_alloc(sizeof *frame);
  frame->view = view;
  frame->usable = usable;
  return frame;
}

void frame_free(Frame *frame) {
  if (frame == NULL) return;
  region_fini(&frame->drawn);
  free(frame->text);
  free(frame);
}
