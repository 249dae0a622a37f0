/* view_live: the region at the bottom of the terminal: the running step, what it waits for, and whether users are hurt.
 *
 * It is drawn by events and by a timer, at most every LIVE_PERIOD_MS, and only when it looks different. All of a change of
 * the screen goes out in one write. The screen's width is asked for each time, so a resize needs no signal. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/text.h"
#include "cli/tty.h"
#include "cli/view_private.h"

#define LIVE_PERIOD_MS 100
#define LIVE_TICK_MS 500 /* of the clocks in a line that is being typed */
#define LIVE_BAR_CELLS 11
#define LIVE_INDENT 7
#define LIVE_WAITS 4
#define LIVE_ROWS 10
#define LIVE_GROWTH 16 /* of the clocks in such a line: ", OVER BUDGET" and a digit */

static bool live_is_due(const View *view) {
  const Fold *fold = &view->fold;
  if (view->human != VIEW_TERM || view->setup.quiet || view->suspended > 0 || view->curtain != NULL || fold->ended != NULL)
    return false;
  return fold->current != NULL || fold->wait_count > 0 || fold->progress != NULL || fold_has_open_clock(fold);
}

static bool live_begin_line(const View *view, Region *region, Line *line) {
  line_begin(line, &region->text, &view->err, view_term_columns());
  return region->rows < LIVE_ROWS;
}

/* Clocks */

static void live_add_bar(Line *line, StyleRole role, int64_t ms, int64_t budget_ms) {
  size_t full = (size_t)(ms >= budget_ms ? LIVE_BAR_CELLS : ms * LIVE_BAR_CELLS / budget_ms);
  if (full == 0) full = 1;
  line_add(line, STYLE_PLAIN, "   ");
  line_repeat(line, role, SIGN_FULL, full);
  line_repeat(line, STYLE_DIM, SIGN_EMPTY, LIVE_BAR_CELLS - full);
}

static void live_add_clock(Line *line, const FoldClock *clock, bool bar) {
  int64_t ms = clock_mono_ms() - clock->opened_ms;
  bool over = clock->budget_ms > 0 && ms > clock->budget_ms;
  StyleRole role = over ? STYLE_BAD : STYLE_ALARM;
  char span[VIEW_SPAN_SIZE], budget[VIEW_SPAN_SIZE];
  Buf text = {0};
  if (line->width > 0) line_add(line, STYLE_PLAIN, "   ");
  view_add_capitals(&text, fold_clock_says(clock));
  view_format_clock(ms, span);
  view_format_clock(clock->budget_ms, budget);
  buf_printf(&text, " %s", span);
  if (clock->budget_ms > 0) buf_printf(&text, " of %s", budget);
  if (over) buf_add_str(&text, ", OVER BUDGET");
  line_add(line, role, buf_str(&text));
  if (bar && clock->budget_ms > 0) live_add_bar(line, role, ms, clock->budget_ms);
  buf_fini(&text);
}

void live_add_clocks(const View *view, Line *line, bool bars) {
  for (size_t i = 0; i < view->fold.clock_count; i++)
    if (view->fold.clocks[i].open) live_add_clock(line, &view->fold.clocks[i], bars);
}

static void live_add_bottom(View *view, Region *region) {
  Line line;
  const char *hint = !view->setup.asks           ? "^C stops here"
                     : view->fold.wait_count > 0 ? "^C stops this wait and asks"
                                                 : "^C stops here and asks";
  if ((view->fold.run == NULL || view->setup.shell) && !fold_has_open_clock(&view->fold)) return;
  if (!live_begin_line(view, region, &line)) return;
  line_repeat(&line, STYLE_DIM, SIGN_RULE, line.columns);
  region_end_line(region, &line);
  if (!live_begin_line(view, region, &line)) return;
  live_add_clocks(view, &line, line.columns >= 50);
  size_t gap = line.width > 0 ? 4 : 0;
  if (line.width + gap + strlen(hint) <= line.columns) {
    if (gap > 0) line_pad(&line, line.width + gap);
    line_add(&line, STYLE_DIM, hint);
  }
  region_end_line(region, &line);
}

/* What is being waited for */

static void live_add_limit(Buf *out, int64_t limit_ms) {
  char budget[VIEW_SPAN_SIZE];
  if (limit_ms <= 0) return;
  view_format_budget(limit_ms, budget);
  buf_printf(out, "%slimit %s", out->len > 0 ? " · " : "", budget);
}

/* `title` and `since_ms` stand in front of it: what they say already is not said again. */
static void live_add_wait(Buf *out, const FoldWait *wait, const char *title, int64_t since_ms) {
  Buf text = {0};
  if (title == NULL || strcasecmp(title, wait->what) != 0) buf_add_str(&text, wait->what);
  if (since_ms < 0 || wait->started_ms - since_ms > 1000) {
    char span[CLOCK_SPAN_SIZE];
    clock_span(clock_mono_ms() - wait->started_ms, span);
    buf_printf(&text, "%s%s", text.len > 0 ? " " : "", span);
  }
  if (wait->seen != NULL) buf_printf(&text, "%s%s", text.len > 0 ? ": " : "", wait->seen);
  live_add_limit(&text, wait->limit_ms);
  buf_add(out, buf_str(&text), text.len);
  buf_fini(&text);
}

/* What the running step is doing, as its note. */
static void live_add_doing(Buf *out, const View *view, const char *title, int64_t since_ms) {
  const Fold *fold = &view->fold;
  bool entry = view->setup.shell && fold->progress != NULL; /* it comes first: waits may be those of jobs */
  if (fold->wait_count > 0 && !entry)
    live_add_wait(out, &fold->waits[fold->wait_count - 1], title, since_ms);
  else if (fold->progress != NULL)
    buf_add_str(out, fold->progress);
  else if (fold->sending != NULL)
    buf_add_str(out, fold->sending);
  else if (fold->current != NULL && fold->current->note != NULL)
    buf_add_str(out, fold->current->note);
}

/* The note goes behind the line when it fits, else below it. */
static void live_end_with_note(View *view, Region *region, Line *line, const char *note) {
  Buf clean = {0};
  text_add_clean(&clean, note);
  if (clean.len > 0 && line->width + 3 + text_width(buf_str(&clean)) <= line->columns) {
    line_add(line, STYLE_PLAIN, "   ");
    line_add(line, STYLE_PLAIN, note);
    buf_clear(&clean);
  }
  region_end_line(region, line);
  const char *rest = buf_str(&clean);
  for (int i = 0; i < 2 && *rest != '\0'; i++) {
    Line more;
    if (!live_begin_line(view, region, &more)) break;
    size_t room = more.columns - LIVE_INDENT, len = i == 0 ? text_break(rest, room) : strlen(rest);
    Buf part = {0};
    buf_add(&part, rest, len);
    line_pad(&more, LIVE_INDENT);
    line_add(&more, STYLE_PLAIN, buf_str(&part));
    region_end_line(region, &more);
    buf_fini(&part);
    for (rest += len; *rest == ' '; rest++)
      continue;
  }
  buf_fini(&clean);
}

static void live_add_step(View *view, Region *region, int64_t now) {
  const FoldStep *step = view->fold.current;
  Buf note = {0};
  Line line;
  char span[CLOCK_SPAN_SIZE];
  live_begin_line(view, region, &line);
  line_add(&line, STYLE_PLAIN, " ");
  line_add(&line, STYLE_BOLD, style_spinner(now - step->started_ms));
  view_term_title(&line, step);
  clock_span(now - step->started_ms, span);
  line_add_right(&line, STYLE_PLAIN, span, view_term_duration_column(view));
  live_add_doing(&note, view, step->title, step->started_ms);
  live_end_with_note(view, region, &line, buf_str(&note));
  buf_fini(&note);
}

/* A wait or a progress outside of any step. */
static void live_add_loose(View *view, Region *region, int64_t now) {
  Buf note = {0};
  Line line;
  live_add_doing(&note, view, NULL, -1);
  if (note.len > 0) {
    live_begin_line(view, region, &line);
    line_add(&line, STYLE_PLAIN, " ");
    line_add(&line, STYLE_BOLD, style_spinner(now - view->live.since_ms));
    live_end_with_note(view, region, &line, buf_str(&note));
  }
  buf_fini(&note);
}

/* Waits of parallel tasks: the youngest stands in the step's line. */
static void live_add_other_waits(View *view, Region *region) {
  const Fold *fold = &view->fold;
  for (size_t i = 0; i + 1 < fold->wait_count; i++) {
    Line line;
    Buf text = {0};
    if (!live_begin_line(view, region, &line)) return;
    if (i < LIVE_WAITS - 1 || fold->wait_count <= LIVE_WAITS + 1)
      live_add_wait(&text, &fold->waits[i], NULL, -1);
    else
      buf_printf(&text, "and %zu more waits", fold->wait_count - LIVE_WAITS);
    line_pad(&line, LIVE_INDENT);
    line_add(&line, STYLE_PLAIN, buf_str(&text));
    region_end_line(region, &line);
    buf_fini(&text);
    if (i >= LIVE_WAITS - 1) return;
  }
}

static void live_compose(View *view, Region *region) {
  int64_t now = clock_mono_ms();
  if (view->fold.current != NULL)
    live_add_step(view, region, now);
  else
    live_add_loose(view, region, now);
  live_add_other_waits(view, region);
  live_add_bottom(view, region);
}

/* Putting it on the screen */

void live_erase(View *view, Buf *out) { region_erase(&view->live.drawn, out); }

void live_draw(View *view, Buf *out) {
  Region region = {0};
  Live *live = &view->live;
  if (!live_is_due(view)) return;
  live_compose(view, &region);
  live->drawn_ms = clock_mono_ms();
  if (region.rows > 0 && !region_is_same(&live->drawn, &region)) {
    tty_silence(true); /* keys pressed meanwhile must not be echoed into it */
    region_draw(&live->drawn, &region, out);
  }
  region_fini(&region);
}

static void live_refresh(View *view) {
  Buf out = {0};
  live_draw(view, &out);
  if (out.len > 0) out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
}

/* The clocks at the beginning of the line the operator types in, without moving the cursor. */
static void live_tick(View *view) {
  Buf out = {0};
  Line line;
  buf_add_str(&out, "\0337\r");
  line_begin(&line, &out, &view->err, view->ticking_columns);
  live_add_clocks(view, &line, false);
  if (line.width < view->ticking_columns) line_pad(&line, view->ticking_columns);
  buf_add_str(&out, "\0338");
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
}

static void on_timer(uv_timer_t *timer) {
  View *view = timer->data;
  if (view->suspended > 0 && view->ticking)
    live_tick(view);
  else if (live_is_due(view))
    live_refresh(view);
  else
    live_stop(view);
}

static void live_start(View *view, uint64_t first_ms, uint64_t period_ms) {
  Live *live = &view->live;
  if (!live->timer_open) {
    uv_timer_init(loop_uv(view->loop), &live->timer);
    live->timer.data = view;
    live->timer_open = true;
  }
  uv_update_time(loop_uv(view->loop));
  uv_timer_start(&live->timer, on_timer, first_ms, period_ms);
}

void live_touch(View *view) {
  Live *live = &view->live;
  if (!live_is_due(view)) {
    if (live->drawn.rows > 0 && view->suspended == 0) {
      Buf out = {0};
      live_erase(view, &out);
      out_write(STDERR_FILENO, buf_str(&out), out.len);
      buf_fini(&out);
      live_stop(view);
    }
    return;
  }
  if (live->timer_open && uv_is_active((uv_handle_t *)&live->timer)) {
    if (clock_mono_ms() - live->drawn_ms >= LIVE_PERIOD_MS && live->drawn.rows > 0) live_refresh(view);
    return;
  }
  live->since_ms = clock_mono_ms();
  live_start(view, LIVE_PERIOD_MS, LIVE_PERIOD_MS);
}

void live_stop(View *view) {
  if (view->live.timer_open && uv_is_active((uv_handle_t *)&view->live.timer)) uv_timer_stop(&view->live.timer);
  tty_silence(false);
}

void live_close(View *view, uv_close_cb on_closed) { uv_close((uv_handle_t *)&view->live.timer, on_closed); }

void view_show_clocks(View *view, bool ticking) {
  Buf out = {0};
  Line line;
  if (!fold_has_open_clock(&view->fold)) return;
  line_begin(&line, &out, &view->err, 0);
  live_add_clocks(view, &line, false);
  line_pad(&line, line.width + LIVE_GROWTH);
  view->ticking_columns = line.width - 1;
  out_write(STDERR_FILENO, buf_str(&out), out.len);
  buf_fini(&out);
  view->ticking = ticking && view->human == VIEW_TERM;
  if (view->ticking) live_start(view, LIVE_TICK_MS, LIVE_TICK_MS);
}
