/* style: see style.h. */
#include "cli/style.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"

static bool style_is_dumb(void) {
  const char *term = getenv("TERM");
  return term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
}

bool style_is_terminal(int fd) { return !style_is_dumb() && isatty(fd) == 1; }

Style style_for(int fd, StyleWhen when) {
  const char *no_color = getenv("NO_COLOR");
  bool wanted = (no_color == NULL || no_color[0] == '\0') && style_is_terminal(fd);
  return (Style){.colour = when == STYLE_ALWAYS || (when == STYLE_AUTO && wanted)};
}

const char *style_sign(StyleSign sign) {
  static const char *const signs[][2] = {
      [SIGN_DONE] = {"✓", "ok"},   [SIGN_FAILED] = {"✗", "XX"},  [SIGN_UNKNOWN] = {"?", "??"}, [SIGN_SKIPPED] = {"–", "--"},
      [SIGN_UNDONE] = {"↶", "<-"}, [SIGN_STARTED] = {"◐", ">>"}, [SIGN_RULE] = {"─", "-"},     [SIGN_FULL] = {"▮", "#"},
      [SIGN_EMPTY] = {"▯", "."},   [SIGN_CUT] = {"…", "~"},
  };
  return signs[sign][text_is_utf8() ? 0 : 1];
}

const char *style_spinner(long long ms) {
  static const char *const frames[][2] = {{"◐", "|"}, {"◓", "/"}, {"◑", "-"}, {"◒", "\\"}};
  return frames[ms / 200 % 4][text_is_utf8() ? 0 : 1];
}

static const char *style_code(StyleRole role) {
  static const char *const codes[] = {
      [STYLE_PLAIN] = "",           [STYLE_OK] = "\033[32m", [STYLE_BAD] = "\033[1;31m", [STYLE_WARN] = "\033[33m",
      [STYLE_ALARM] = "\033[1;33m", [STYLE_DIM] = "\033[2m", [STYLE_BOLD] = "\033[1m",
  };
  return codes[role];
}

static void style_add(Buf *out, const Style *style, StyleRole role, const char *clean, size_t len) {
  bool coloured = style->colour && role != STYLE_PLAIN && len > 0;
  if (coloured) buf_add_str(out, style_code(role));
  buf_add(out, clean, len);
  if (coloured) buf_add_str(out, "\033[0m");
}

void line_begin(Line *line, Buf *out, const Style *style, size_t columns) {
  *line = (Line){.out = out, .style = style, .columns = columns};
}

static void line_add_clean(Line *line, StyleRole role, const char *clean) {
  size_t width = text_width(clean), len = strlen(clean);
  size_t room = line->columns == 0 ? width : line->columns - line->width;
  if (width <= room) {
    style_add(line->out, line->style, role, clean, len);
    line->width += width;
    return;
  }
  if (room == 0) return;
  size_t fit = text_fit(clean, room - 1);
  style_add(line->out, line->style, role, clean, fit);
  style_add(line->out, line->style, role, style_sign(SIGN_CUT), strlen(style_sign(SIGN_CUT)));
  line->width = line->columns;
}

void line_add(Line *line, StyleRole role, const char *text) {
  Buf clean = {0};
  text_add_clean(&clean, text);
  line_add_clean(line, role, buf_str(&clean));
  buf_fini(&clean);
}

void line_printf(Line *line, StyleRole role, const char *format, ...) {
  Buf text = {0};
  va_list args;
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  line_add(line, role, buf_str(&text));
  buf_fini(&text);
}

void line_repeat(Line *line, StyleRole role, StyleSign sign, size_t count) {
  Buf text = {0};
  for (size_t i = 0; i < count; i++)
    buf_add_str(&text, style_sign(sign));
  line_add_clean(line, role, buf_str(&text));
  buf_fini(&text);
}

static void line_spaces(Line *line, size_t count) {
  if (line->columns > 0 && line->width + count > line->columns) count = line->columns - line->width;
  for (size_t i = 0; i < count; i++)
    buf_add_char(line->out, ' ');
  line->width += count;
}

void line_pad(Line *line, size_t column) { line_spaces(line, line->width < column ? column - line->width : 2); }

void line_add_right(Line *line, StyleRole role, const char *text, size_t end) {
  Buf clean = {0};
  text_add_clean(&clean, text);
  size_t width = text_width(buf_str(&clean));
  if (width > 0) line_spaces(line, line->width + width + 1 < end ? end - width - line->width : 2);
  line_add_clean(line, role, buf_str(&clean));
  buf_fini(&clean);
}

void line_end(Line *line) { buf_add_char(line->out, '\n'); }

static void line_wrap(Buf *out, const Style *style, StyleRole role, size_t columns, size_t indent, const char *clean) {
  size_t room = columns > indent + 10 ? columns - indent : columns == 0 ? 0 : 10;
  do {
    size_t len = room == 0 ? strlen(clean) : text_break(clean, room);
    for (size_t i = 0; i < indent && len > 0; i++)
      buf_add_char(out, ' ');
    style_add(out, style, role, clean, len);
    buf_add_char(out, '\n');
    clean += len;
    while (*clean == ' ' && len > 0)
      clean++;
  } while (*clean != '\0');
}

void line_paragraph(Buf *out, const Style *style, StyleRole role, size_t columns, size_t indent, const char *text) {
  while (*text != '\0') {
    size_t len = strcspn(text, "\n");
    Buf raw = {0}, clean = {0};
    buf_add(&raw, text, len);
    text_add_clean(&clean, buf_str(&raw));
    line_wrap(out, style, role, columns, indent, buf_str(&clean));
    buf_fini(&raw);
    buf_fini(&clean);
    text += len + (text[len] == '\n');
  }
}
