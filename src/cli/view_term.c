/* view_term: lines for people on a terminal: aligned, wrapped to its width, kept on the screen. */
#include <string.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/tty.h"
#include "cli/view_private.h"

#define TERM_TITLE_COLUMN 7 /* " ✓ 12  " */
#define TERM_SPAN_COLUMNS 9

size_t view_term_columns(void) {
  size_t columns, rows;
  tty_size(STDERR_FILENO, &columns, &rows);
  /* A line that fills the last column leaves the cursor where terminals disagree. */
  return columns > 21 ? columns - 1 : 20;
}

void view_term_text(View *view, StyleRole role, size_t indent, const char *text) {
  line_paragraph(&view->paper, &view->err, role, view_term_columns(), indent, text);
}

void view_term_rule(View *view) {
  Line line;
  line_begin(&line, &view->paper, &view->err, view_term_columns());
  line_repeat(&line, STYLE_DIM, SIGN_RULE, line.columns);
  line_end(&line);
}

/* Header */

/* What the run is about: the first target's name. */
static const char *term_subject(const Fold *fold) {
  const json_t *first = json_array_get(fold->targets, 0);
  const char *name = json_is_string(first) ? json_string_value(first) : fold_text(first, "name");
  return name != NULL ? name : "";
}

static void term_header_line(View *view) {
  const Fold *fold = &view->fold;
  Buf right = {0};
  Line line;
  line_begin(&line, &view->paper, &view->err, view_term_columns());
  line_add(&line, STYLE_BOLD, fold->procedure != NULL ? fold->procedure : "pgsh");
  line_add(&line, STYLE_PLAIN, "   ");
  line_add(&line, STYLE_PLAIN, term_subject(fold));
  if (fold->run != NULL) buf_printf(&right, "run %s%s · ", fold->run, fold->resumed ? " resumed" : "");
  if (fold->began != NULL && strlen(fold->began) >= 19) buf_printf(&right, "%.8s UTC", fold->began + 11);
  size_t end = line.columns < 100 ? line.columns : 100;
  line_add_right(&line, STYLE_PLAIN, buf_str(&right), end);
  line_end(&line);
  buf_fini(&right);
}

void view_term_header(View *view) {
  Buf text = {0}, line = {0};
  if (view->header_due) term_header_line(view);
  view_human_targets(&text, view->fold.targets);
  if (text.len > 0) {
    buf_printf(&line, "targets   %s", buf_str(&text));
    view_term_text(view, STYLE_PLAIN, 0, buf_str(&line));
  }
  buf_clear(&text);
  if (view->fold.step_count > 0) {
    view_human_summary(&text, &view->fold);
    view_term_text(view, STYLE_PLAIN, 0, buf_str(&text));
    buf_add_char(&view->paper, '\n');
  }
  buf_fini(&text);
  buf_fini(&line);
}

/* Steps */

static bool term_is_manual(const FoldStep *step) { return step->kind != NULL && strcmp(step->kind, "manual") == 0; }
static const char *term_title(const FoldStep *step) { return step->title != NULL ? step->title : step->id; }

static size_t term_title_width(const FoldStep *step) {
  Buf clean = {0};
  text_add_clean(&clean, term_title(step));
  size_t width = text_width(buf_str(&clean)) + (term_is_manual(step) ? 8 : 0);
  buf_fini(&clean);
  return width;
}

/* Behind the longest title, but not so far that no room is left for notes. */
size_t view_term_duration_column(const View *view) {
  size_t columns = view_term_columns(), widest = 20;
  size_t most = columns > 60 ? columns / 2 : columns > 40 ? columns - 20 : 20;
  for (size_t i = 0; i < view->fold.step_count; i++) {
    size_t width = term_title_width(&view->fold.steps[i]);
    if (width > widest) widest = width;
  }
  return TERM_TITLE_COLUMN + (widest < most ? widest : most) + TERM_SPAN_COLUMNS;
}

void view_term_title(Line *line, const FoldStep *step) {
  line_pad(line, 3);
  line_printf(line, STYLE_PLAIN, "%2d", step->number);
  line_pad(line, TERM_TITLE_COLUMN);
  line_add(line, STYLE_PLAIN, term_title(step));
}

static void term_begin_step(View *view, Line *line, const StepLine *row, size_t columns) {
  line_begin(line, &view->paper, &view->err, columns);
  line_add(line, STYLE_PLAIN, " ");
  line_add(line, row->role, style_sign(row->sign));
}

/* A title too long for its line is wrapped, with everything that follows it. */
static void term_long_step(View *view, const StepLine *row, const char *span) {
  Buf text = {0}, body = {0};
  Line line;
  buf_printf(&text, "%s  %s", term_title(row->step), span);
  if (row->note != NULL) buf_printf(&text, "  %s", row->note);
  line_paragraph(&body, &view->err, row->note_role, view_term_columns(), TERM_TITLE_COLUMN, buf_str(&text));
  term_begin_step(view, &line, row, 0);
  line_pad(&line, 3);
  line_printf(&line, STYLE_PLAIN, "%2d", row->step->number);
  line_pad(&line, TERM_TITLE_COLUMN);
  buf_add(&view->paper, buf_str(&body) + TERM_TITLE_COLUMN, body.len - TERM_TITLE_COLUMN);
  buf_fini(&body);
  buf_fini(&text);
}

void view_term_step(View *view, const StepLine *row) {
  size_t columns = view_term_columns(), end = view_term_duration_column(view);
  char span[CLOCK_SPAN_SIZE] = "";
  if (row->ms >= 0) clock_span(row->ms, span);
  if (TERM_TITLE_COLUMN + term_title_width(row->step) + TERM_SPAN_COLUMNS > columns) {
    term_long_step(view, row, span);
    return;
  }
  Line line;
  term_begin_step(view, &line, row, columns);
  view_term_title(&line, row->step);
  if (term_is_manual(row->step)) line_add_right(&line, STYLE_DIM, "manual", end - TERM_SPAN_COLUMNS);
  line_add_right(&line, STYLE_PLAIN, span, end);
  Buf clean = {0};
  if (row->note != NULL) text_add_clean(&clean, row->note);
  bool fits = line.width + 3 + text_width(buf_str(&clean)) <= columns;
  if (clean.len > 0 && fits) {
    line_add(&line, STYLE_PLAIN, "   ");
    line_add(&line, row->note_role, row->note);
  }
  line_end(&line);
  if (clean.len > 0 && !fits) view_term_text(view, row->note_role, TERM_TITLE_COLUMN, buf_str(&clean));
  buf_fini(&clean);
}
