/* style: colours that mean something, signs, and lines that know how wide they are. */
#ifndef PGSH_CLI_STYLE_H
#define PGSH_CLI_STYLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

typedef enum StyleRole { STYLE_PLAIN, STYLE_OK, STYLE_BAD, STYLE_WARN, STYLE_ALARM, STYLE_DIM, STYLE_BOLD } StyleRole;
typedef enum StyleWhen { STYLE_AUTO, STYLE_ALWAYS, STYLE_NEVER } StyleWhen;

typedef enum StyleSign {
  SIGN_DONE,
  SIGN_FAILED,
  SIGN_UNKNOWN,
  SIGN_SKIPPED,
  SIGN_UNDONE,
  SIGN_STARTED,
  SIGN_RULE,
  SIGN_FULL,  /* a filled cell of a bar */
  SIGN_EMPTY, /* an empty one */
  SIGN_CUT,   /* something was cut off here */
} StyleSign;

typedef struct Style {
  bool colour;
} Style;

/* Should what goes to fd be coloured? --color, NO_COLOR, TERM=dumb, and whether it is a terminal. */
Style style_for(int fd, StyleWhen when);
/* A terminal that understands cursor movements? */
bool style_is_terminal(int fd);
const char *style_sign(StyleSign sign);
/* The spinner at `ms` of its life. */
const char *style_spinner(long long ms);

/* A line being composed at the end of `out`. `columns` 0: as long as it needs. What does not fit is cut, visibly. */
typedef struct Line {
  Buf *out;
  const Style *style;
  size_t columns, width;
} Line;

void line_begin(Line *line, Buf *out, const Style *style, size_t columns);
void line_add(Line *line, StyleRole role, const char *text); /* made clean on the way */
void line_printf(Line *line, StyleRole role, const char *format, ...) __attribute__((format(printf, 3, 4)));
void line_repeat(Line *line, StyleRole role, StyleSign sign, size_t count);
void line_pad(Line *line, size_t column); /* spaces up to that column; at least two when it is passed */
void line_add_right(Line *line, StyleRole role, const char *text, size_t end); /* ends at that column */
void line_end(Line *line);

/* Whole lines, each indented: `text` is split at its line ends and wrapped to `columns` (0: not wrapped). */
void line_paragraph(Buf *out, const Style *style, StyleRole role, size_t columns, size_t indent, const char *text);

#endif
