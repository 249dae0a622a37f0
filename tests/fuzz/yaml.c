/* Edits of YAML: any bytes, and texts made of the pieces YAML is made of, in every layout. No crash; when an edit is made, the text
 * reads back as expected and all other bytes are the same; what is commented out comes back as it was. */
#include "doc_drive.h"

static const char *eol;

static void add_eol(Buf *out, Bytes *bytes, size_t indent) {
  static const char *const ends[] = {"", "", "", "", "  ", " # note", "  # it's: \"x\" - [", "\t"};
  buf_add_str(out, ends[take(bytes) % 8]);
  buf_add_str(out, eol);
  switch (take(bytes) % 16) {
  case 0: buf_add_str(out, eol); break;
  case 1: buf_printf(out, "%*s# comment%s", (int)indent, "", eol); break;
  case 2: buf_printf(out, "# left%s%s", eol, eol); break;
  case 3: buf_printf(out, "%*s# deep%s", (int)indent + 3, "", eol); break;
  default: break;
  }
}

static void add_scalar(Buf *out, Bytes *bytes) {
  static const char *const scalars[] = {"a",    "postgres:15", "5",     "yes",      "\"d # q\"", "'s ''q'",  "\"\\u00fc\\n\"", "~",
                                        "-x",   "a b",         "1.5e3", "\"15\"",   "''",        "http://x", "\xC3\xBC\xE2\x82\xAC", "!!str 5",
                                        "!t v", "&a v",        "a#b",   "\"a\n  b\"", "a\n    b",  "*a",       "?x",     ":x"};
  buf_add_str(out, scalars[take(bytes) % 24]);
}

static void add_flow(Buf *out, Bytes *bytes, int depth) {
  uint8_t c = take(bytes);
  int n = c % 4;
  bool map = c & 16;
  const char *gap = c & 32 ? " " : c & 64 ? "\n        " : "";
  buf_add_char(out, map ? '{' : '[');
  for (int i = 0; i < n; i++) {
    buf_printf(out, "%s%s", i > 0 ? "," : "", gap);
    if (map) buf_printf(out, c & 8 ? "\"k%d\":%s" : "k%d: %s", i, c & 128 ? " " : "");
    uint8_t d = take(bytes);
    if (depth > 0 && d % 4 == 0)
      add_flow(out, bytes, depth - 1);
    else if (d % 4 == 1 && !map)
      buf_add_str(out, "p: q");
    else if (d % 16 != 2)
      add_scalar(out, bytes);
  }
  buf_printf(out, "%s%c", gap, map ? '}' : ']');
}

static void add_lines(Buf *out, Bytes *bytes, size_t indent) {
  static const char *const heads[] = {"|", "|-", "|+", ">", ">-", "|  # why", "|2", ">+"};
  uint8_t c = take(bytes);
  buf_printf(out, "%s%s", heads[c % 8], eol);
  for (int i = 0; i < (c >> 3) % 5; i++) {
    static const char *const lines[] = {"", "text", "  more", "# no comment", "a: b", " ", "- x", "end"};
    const char *line = lines[take(bytes) % 8];
    buf_printf(out, "%*s%s%s", line[0] != '\0' ? (int)indent + 2 : 0, "", line, eol);
  }
}

static void add_block(Buf *out, Bytes *bytes, size_t indent, int depth);

static void add_value(Buf *out, Bytes *bytes, size_t indent, int depth) {
  uint8_t c = take(bytes);
  switch (c % 8) {
  case 0: add_eol(out, bytes, indent); break;
  case 1: add_lines(out, bytes, indent); break;
  case 2:
    add_flow(out, bytes, 2);
    add_eol(out, bytes, indent);
    break;
  case 3:
  case 4:
    if (depth > 0) {
      add_eol(out, bytes, indent);
      add_block(out, bytes, indent + (c & 8 ? 0 : 1 + (c >> 4) % 4), depth - 1);
      break;
    } /* fall through */
  default:
    add_scalar(out, bytes);
    add_eol(out, bytes, indent);
  }
}

static void add_block(Buf *out, Bytes *bytes, size_t indent, int depth) {
  uint8_t c = take(bytes);
  for (int i = 0; i <= c % 4; i++) {
    if (c & 16) {
      buf_printf(out, "%*s-%s", (int)indent, "", c & 32 ? "   " : " ");
      if (take(bytes) % 3 == 0 && depth > 0) {
        buf_printf(out, "n%d: ", i);
        add_value(out, bytes, indent + (c & 32 ? 4 : 2), depth - 1);
        buf_printf(out, "%*sm: ", (int)indent + (c & 32 ? 4 : 2), "");
      }
      add_value(out, bytes, indent + (c & 32 ? 4 : 2), depth);
    } else {
      buf_printf(out, c & 128 ? "%*s? k%d%s%*s: " : "%*sk%d: ", (int)indent, "", i, eol, (int)indent, "");
      add_value(out, bytes, indent, depth);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Bytes bytes = {data, size};
  Buf text = {0};
  uint8_t how = take(&bytes);
  eol = how & 4 ? "\r\n" : "\n";
  if (how & 8) buf_add_str(&text, "\xEF\xBB\xBF");
  if (how & 3) {
    if (how & 16) buf_printf(&text, "--- # one%s", eol);
    add_block(&text, &bytes, 0, 4);
    if (how & 32) {
      buf_printf(&text, "---%s", eol);
      add_block(&text, &bytes, 0, 2);
    }
    if (how & 64 && text.len > 0) text.len--;
    drive_document(buf_str(&text), text.len, false, &bytes);
  } else {
    Bytes half = {data + size - bytes.left / 4, bytes.left / 4};
    buf_add(&text, bytes.data, bytes.left - half.left);
    drive_document(buf_str(&text), text.len, false, &half);
  }
  buf_fini(&text);
  return 0;
}
