/* view: see view.h. */
#include "cli/view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/text.h"
#include "cli/view_private.h"

/* Which view people get. With the events on the same terminal, or with nobody at the other end, the plain one is kept short. */
static void view_choose(View *view) {
  bool terminal = style_is_terminal(STDERR_FILENO);
  bool machine = view->setup.output != VIEW_TEXT;
  view->human = terminal && !(machine && view->out_terminal) ? VIEW_TERM : VIEW_PLAIN;
  if (machine && view->human == VIEW_PLAIN && !view->setup.verbose) view->setup.quiet = true;
}

View *view_new(Loop *loop, const ViewSetup *setup) {
  View *view = mem_alloc(sizeof *view);
  view->loop = loop;
  view->setup = *setup;
  view->out_terminal = isatty(STDOUT_FILENO) == 1;
  view->err = style_for(STDERR_FILENO, setup->colour);
  view->out = style_for(STDOUT_FILENO, setup->colour);
  view_choose(view);
  return view;
}

const Style *view_style(const View *view) { return &view->err; }

static void view_destroy(View *view) {
  fold_fini(&view->fold);
  buf_fini(&view->paper);
  buf_fini(&view->held);
  buf_fini(&view->held_data);
  region_fini(&view->live.drawn);
  buf_fini(&view->output);
  json_decref(view->plan);
  json_decref(view->plan_ended);
  free(view->stamp);
  free(view);
}

static void on_closed(uv_handle_t *handle) { view_destroy(handle->data); }

/* Whatever is left to say, and a clean screen. */
static void view_settle(View *view) {
  view->ticking = false;
  if (view->suspended > 0) {
    view->suspended = 1;
    view_resume(view);
  }
  view_flush(view);
  Buf out = {0};
  live_erase(view, &out);
  live_stop(view);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
}

void view_free(View *view) {
  if (view == NULL) return;
  view_settle(view);
  if (view->live.timer_open)
    live_close(view, on_closed);
  else
    view_destroy(view);
}

static void view_curtain(const View *view, ViewCurtain what) {
  if (view->curtain != NULL) view->curtain(view->curtain_self, what);
}

void view_set_curtain(View *view, void (*curtain)(void *self, ViewCurtain what), void *self) {
  Buf out = {0};
  live_erase(view, &out);
  live_stop(view);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
  view->curtain = curtain;
  view->curtain_self = self;
  if (curtain == NULL) live_touch(view);
}

void view_flush(View *view) {
  if (view->paper.len == 0) return;
  if (view->suspended > 0) {
    buf_add(&view->held, buf_str(&view->paper), view->paper.len);
    buf_clear(&view->paper);
    return;
  }
  Buf out = {0};
  bool live = view->live.drawn.rows > 0;
  live_erase(view, &out);
  buf_add(&out, buf_str(&view->paper), view->paper.len);
  buf_clear(&view->paper);
  if (live) live_draw(view, &out); /* in the same write: no flicker */
  view_curtain(view, VIEW_HIDE);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  view_curtain(view, VIEW_SHOW);
  buf_fini(&out);
}

void view_write_data(View *view, const char *bytes, size_t len) {
  view_flush(view);
  if (view->suspended > 0 && view->out_terminal) {
    buf_add(&view->held_data, bytes, len);
    return;
  }
  if (view->out_terminal && view->live.drawn.rows > 0) {
    Buf out = {0};
    live_erase(view, &out);
    out_write(STDERR_FILENO, buf_str(&out), out.len);
    buf_fini(&out);
    live_touch(view);
  }
  if (view->out_terminal) view_curtain(view, VIEW_HIDE);
  out_write(STDOUT_FILENO, bytes, len);
  if (view->out_terminal) view_curtain(view, VIEW_SHOW);
}

void view_suspend(View *view) {
  view_flush(view);
  if (view->suspended++ > 0) return;
  view_curtain(view, VIEW_RELEASE);
  Buf out = {0};
  live_erase(view, &out);
  live_stop(view);
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
}

void view_resume(View *view) {
  if (view->suspended == 0 || --view->suspended > 0) return;
  view->ticking = false;
  live_stop(view);
  Buf held = view->held_data;
  view->held_data = (Buf){0};
  if (held.len > 0) view_write_data(view, buf_str(&held), held.len);
  buf_fini(&held);
  buf_add(&view->paper, buf_str(&view->held), view->held.len);
  buf_fini(&view->held);
  view_flush(view);
  view_curtain(view, VIEW_TAKE);
  live_touch(view);
}

bool view_is_suspended(const View *view) { return view->suspended > 0; }

/* For a terminal: what servers and files contain must not command it. Line ends and tabs stay. */
static void view_add_harmless(Buf *out, const char *text) {
  while (*text != '\0') {
    size_t len = strcspn(text, "\n\t");
    Buf part = {0};
    buf_add(&part, text, len);
    text_add_clean(out, buf_str(&part));
    buf_fini(&part);
    text += len;
    if (*text != '\0') buf_add_char(out, *text++);
  }
}

static void view_output_event(View *view, const json_t *event) {
  const char *text = fold_text(event, "text");
  if (text == NULL) return;
  Buf line = {0};
  if (view->out_terminal)
    view_add_harmless(&line, text);
  else
    buf_add_str(&line, text);
  if (line.len == 0 || line.data[line.len - 1] != '\n') buf_add_char(&line, '\n');
  view_write_data(view, buf_str(&line), line.len);
  buf_fini(&line);
}

/* What goes to standard output. True: people do not get the event as well. */
static bool view_data_event(View *view, EventType type, const json_t *event) {
  bool output = type == EVENT_OUTPUT;
  if (output && (view->setup.output == VIEW_TEXT || view->setup.data_command)) {
    view_output_event(view, event);
    return true;
  }
  if (view->setup.output == VIEW_JSONL && !view->setup.data_command) view_jsonl_event(view, event);
  if (view->setup.output == VIEW_JSON) view_json_event(view, type, event);
  /* The plan is data; what an undo shows in the course of a run is for people, whatever the output. */
  if (view->setup.output != VIEW_TEXT && view->fold.run == NULL) return output;
  return output || view_plan_event(view, type, event);
}

bool view_on_event(void *self, EventType type, json_t *event, Err *err) {
  View *view = self;
  (void)err;
  fold_event(&view->fold, type, event);
  if ((type == EVENT_RUN_STARTED || type == EVENT_RUN_RESUMED) && view->setup.on_run != NULL && view->fold.run != NULL)
    view->setup.on_run(view->fold.run);
  if (!view_data_event(view, type, event)) view_human_event(view, type, event);
  view_flush(view);
  live_touch(view);
  return true;
}

void view_finish(View *view, int exit_status, const Err *err) {
  view_settle(view);
  if (err != NULL) {
    json_t *error = view_json_error(err);
    Buf line = {0};
    view_add_error(&line, error);
    out_complain("%s", buf_str(&line));
    json_object_del(error, "message"); /* the rest, below that line */
    view_human_error(view, error, 6);
    out_write(STDERR_FILENO, buf_str(&view->paper), view->paper.len);
    buf_clear(&view->paper);
    buf_fini(&line);
    json_decref(error);
  }
  if (view->setup.output == VIEW_JSON && !view->setup.data_command) view_json_finish(view, exit_status, err);
}
