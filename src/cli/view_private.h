/* view_private: what the parts of the view share. Not for other modules. */
#ifndef PGSH_CLI_VIEW_PRIVATE_H
#define PGSH_CLI_VIEW_PRIVATE_H

#include "base/clock.h"
#include "cli/fold.h"
#include "cli/region.h"
#include "cli/style.h"
#include "cli/view.h"

/* The region at the bottom that is redrawn. */
typedef struct Live {
  uv_timer_t timer;
  bool timer_open;
  Region drawn; /* what stands on the screen */
  int64_t drawn_ms, since_ms;
} Live;

typedef enum ViewHuman { VIEW_PLAIN, VIEW_TERM } ViewHuman;

struct View {
  Loop *loop;
  ViewSetup setup;
  ViewHuman human;
  Style err, out;    /* of the two descriptors */
  bool out_terminal; /* standard output is a terminal: it may be the one the live region is on */
  Fold fold;
  Buf paper; /* lines for people that the present event brought */
  int suspended;
  void (*curtain)(void *self, ViewCurtain what); /* of a line that is typed, or NULL */
  void *curtain_self;
  bool ticking;           /* the clocks stand in the line that is being typed */
  size_t ticking_columns; /* ... and so many are theirs */
  Buf held;               /* lines for people, held back meanwhile */
  Buf held_data;          /* data for a terminal, held back meanwhile */
  bool header_due, steps_due;
  Live live;
  json_t *plan; /* --output json: the plan's steps so far, or NULL */
  json_t *plan_ended;
  Buf output;  /* --output json: what scripts put out */
  char *stamp; /* plain: time of the present event, "14:00:03Z " */
};

/* A step's line. */
typedef struct StepLine {
  StyleSign sign;
  StyleRole role;
  const FoldStep *step;
  int64_t ms;       /* < 0: none */
  const char *note; /* or NULL */
  StyleRole note_role;
} StepLine;

/* view.c */
void view_write_data(View *view, const char *bytes, size_t len);
/* Put what is on the paper before the eye; it is empty afterwards. */
void view_flush(View *view);

/* view_human.c: which lines an event makes; view_plain.c and view_term.c: how they look. */
void view_human_event(View *view, EventType type, const json_t *event);
void view_human_error(View *view, const json_t *error, size_t indent);
void view_human_summary(Buf *out, const Fold *fold);      /* "17 steps · 2 manual · read-only budget 5m" */
void view_human_targets(Buf *out, const json_t *targets); /* "heroku a, b · psql c" */
void view_plain_header(View *view);
void view_plain_step(View *view, const StepLine *line);
void view_plain_text(View *view, StyleRole role, size_t indent, const char *text);
void view_term_header(View *view);
void view_term_step(View *view, const StepLine *line);
void view_term_text(View *view, StyleRole role, size_t indent, const char *text);
void view_term_rule(View *view);
/* Number and title of a step at the beginning of a line; the column at which its duration ends. */
void view_term_title(Line *line, const FoldStep *step);
size_t view_term_duration_column(const View *view);
size_t view_term_columns(void);                                                  /* of text on the terminal */
void view_add_text(View *view, StyleRole role, size_t indent, const char *text); /* in the view's way */

/* view_plan.c: standard output */
bool view_plan_event(View *view, EventType type, const json_t *event); /* true: it was the plan's */

/* view_json.c */
void view_jsonl_event(View *view, const json_t *event);
void view_json_event(View *view, EventType type, const json_t *event);
void view_json_finish(View *view, int exit_status, const Err *err);
json_t *view_json_error(const Err *err); /* new reference */

/* view_live.c */
void live_touch(View *view);           /* something changed: draw soon */
void live_erase(View *view, Buf *out); /* append what erases it; it is not drawn any more */
void live_draw(View *view, Buf *out);  /* append what draws it, when there is something to draw */
void live_stop(View *view);            /* no more drawing until touched */
void live_close(View *view, uv_close_cb on_closed);
/* "READ-ONLY 0:12 of 5:00" of each open clock. */
void live_add_clocks(const View *view, Line *line, bool bars);

/* view_format.c */
#define VIEW_SPAN_SIZE CLOCK_SPAN_SIZE
void view_format_clock(int64_t ms, char out[VIEW_SPAN_SIZE]);  /* "0:31", "1:02:05" */
void view_format_budget(int64_t ms, char out[VIEW_SPAN_SIZE]); /* "5m", "1h30m", "90s" is "1m30s" */
void view_add_capitals(Buf *out, const char *text);
/* "HTTP 422: message (SQLSTATE 42P01)": one line of an error object. */
void view_add_error(Buf *out, const json_t *error);
/* The last line, from the run.ended event. */
void view_add_ending(Buf *out, const json_t *ended, const char *run);

#endif
