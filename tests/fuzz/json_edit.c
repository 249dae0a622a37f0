/* Edits of JSON: any bytes, and texts made of JSON's pieces. As yaml.c; and jansson must find in the new text what was put there. */
#include "doc_drive.h"

static void add_blank(Buf *out, Bytes *bytes) {
  static const char *const blanks[] = {"", "", " ", "\n", "\r\n  ", "\t", "\n    ", ""};
  buf_add_str(out, blanks[take(bytes) % 8]);
}

static void add_json(Buf *out, Bytes *bytes, int depth) {
  static const char *const scalars[] = {"1", "-0", "1.5e3", "true", "null", "\"\"", "\"\\ud83d\\ude00 \\/\\n\"", "\"\xC3\xBC\"", "\"{[,:\""};
  static const char *const keys[] = {"\"a\"", "\"b\"", "\"c\"", "\"a b\"", "\"\\u0061x\"", "\"\"", "\"\\\"\"", "\"#\""};
  uint8_t c = take(bytes);
  add_blank(out, bytes);
  if (depth == 0 || c % 3 == 0) {
    buf_add_str(out, scalars[(c >> 2) % 9]);
  } else {
    buf_add_char(out, c % 3 == 1 ? '{' : '[');
    for (int i = 0; i < (c >> 2) % 5; i++) {
      if (i > 0) buf_add_char(out, ',');
      add_blank(out, bytes);
      if (c % 3 == 1) {
        buf_add_str(out, keys[take(bytes) % 8]);
        add_blank(out, bytes);
        buf_add_char(out, ':');
      }
      add_json(out, bytes, depth - 1);
    }
    add_blank(out, bytes);
    buf_add_char(out, c % 3 == 1 ? '}' : ']');
  }
  add_blank(out, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Bytes bytes = {data, size};
  Buf text = {0};
  uint8_t how = take(&bytes);
  if (how & 3) {
    if (how & 4) buf_add_str(&text, "\xEF\xBB\xBF");
    add_json(&text, &bytes, 5);
    drive_document(buf_str(&text), text.len, true, &bytes);
  } else {
    Bytes half = {data + size - bytes.left / 4, bytes.left / 4};
    buf_add(&text, bytes.data, bytes.left - half.left);
    drive_document(buf_str(&text), text.len, true, &half);
  }
  buf_fini(&text);
  return 0;
}
