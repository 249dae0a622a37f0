/* view_plain: lines for people where there is no terminal: each with its time, nothing redrawn, nothing aligned. */
#include <stdlib.h>
#include <string.h>

#include "cli/view_private.h"

/* "14:00:03Z " of an RFC 3339 time. */
static void plain_add_stamp(View *view, Line *line) {
  char now[CLOCK_ISO_SIZE];
  const char *at = view->stamp;
  if (at == NULL || strlen(at) < 19) {
    clock_iso(clock_wall_ms(), now);
    at = now;
  }
  line_printf(line, STYLE_DIM, "%.8sZ ", at + 11);
}

static void plain_begin(View *view, Line *line) {
  line_begin(line, &view->paper, &view->err, 0);
  plain_add_stamp(view, line);
}

void view_plain_text(View *view, StyleRole role, size_t indent, const char *text) {
  while (*text != '\0') {
    size_t len = strcspn(text, "\n");
    Buf part = {0};
    Line line;
    buf_add(&part, text, len);
    plain_begin(view, &line);
    if (indent > 0) line_pad(&line, line.width + indent - 2);
    line_add(&line, role, buf_str(&part));
    line_end(&line);
    buf_fini(&part);
    text += len + (text[len] == '\n');
  }
}

void view_plain_step(View *view, const StepLine *row) {
  const FoldStep *step = row->step;
  Line line;
  plain_begin(view, &line);
  line_add(&line, row->role, style_sign(row->sign));
  line_printf(&line, STYLE_PLAIN, " %2d ", step->number);
  line_add(&line, STYLE_BOLD, step->title != NULL ? step->title : step->id);
  if (step->kind != NULL && strcmp(step->kind, "manual") == 0) line_add(&line, STYLE_DIM, "  manual");
  if (row->ms >= 0) {
    char span[CLOCK_SPAN_SIZE];
    clock_span(row->ms, span);
    line_printf(&line, STYLE_PLAIN, "  %s", span);
  }
  if (row->note != NULL) {
    line_add(&line, STYLE_PLAIN, "  ");
    line_add(&line, row->note_role, row->note);
  }
  line_end(&line);
}

void view_plain_header(View *view) {
  const Fold *fold = &view->fold;
  Buf text = {0};
  if (fold->procedure != NULL) buf_add_str(&text, fold->procedure);
  if (fold->run != NULL) buf_printf(&text, "%srun %s", text.len > 0 ? " · " : "", fold->run);
  if (fold->resumed) buf_add_str(&text, " (resumed)");
  if (view->header_due && text.len > 0) view_plain_text(view, STYLE_BOLD, 0, buf_str(&text));
  buf_clear(&text);
  view_human_targets(&text, fold->targets);
  if (text.len > 0) {
    Buf line = {0};
    buf_printf(&line, "targets %s", buf_str(&text));
    view_plain_text(view, STYLE_PLAIN, 0, buf_str(&line));
    buf_fini(&line);
  }
  buf_clear(&text);
  if (fold->step_count > 0) {
    view_human_summary(&text, fold);
    view_plain_text(view, STYLE_PLAIN, 0, buf_str(&text));
  }
  buf_fini(&text);
}
