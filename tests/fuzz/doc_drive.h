/* doc_drive: an edit of a document at a place that the bytes choose, and what must hold when it was made. */
#ifndef PGSH_FUZZ_DOC_DRIVE_H
#define PGSH_FUZZ_DOC_DRIVE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/doc_internal.h"

typedef struct Bytes {
  const uint8_t *data;
  size_t left;
} Bytes;

static uint8_t take(Bytes *bytes) {
  if (bytes->left == 0) return 0;
  bytes->left--;
  return *bytes->data++;
}

/* The path of a node; false when a path cannot name it. */
static bool path_of(const DocTree *tree, uint32_t node, json_t *path) {
  const DocNode *at = &tree->nodes[node];
  if (at->parent == DOC_NONE) return true;
  if (!path_of(tree, at->parent, path)) return false;
  const DocNode *parent = &tree->nodes[at->parent];
  uint32_t before = DOC_NONE, n = 1;
  for (uint32_t i = at->parent + 1; i < node; i = tree->nodes[i].next) {
    before = i;
    n++;
  }
  if (parent->kind == DOC_SEQ) return json_array_append_new(path, json_integer(n)) == 0;
  if (at->is_key || tree->nodes[before].kind != DOC_SCALAR) return false;
  return json_array_append_new(path, json_stringn(doc_text(tree, before), tree->nodes[before].len)) == 0;
}

static json_t *value_from(Bytes *bytes) {
  static const char *const texts[] = {"x", "yes", "1.5", "a: b", "a #b", "", " x ", "two\nlines\n", "one\n", "'q'", "\"d\"\\", "\t", "#", "- a",
                                      "{}", "x\n\n", "\xC3\xBC", "\xE2\x80\xA8", "null", "0777", "10:30", "2024-01-01", "...", "---", "a\rb",
                                      "x\n  y\n\nz", "*a", "&a", "!t", "?", "a,b]", "@", "~", "\x01", "\xEF\xBB\xBF", ">", "|", "%x", "`"};
  uint8_t c = take(bytes);
  switch (c % 6) {
  case 0: return json_null();
  case 1: return json_boolean(c & 64);
  case 2: return json_integer((json_int_t)c * 7919 - 500000);
  case 3: return json_real((double)c / 7 - 11);
  case 4: return json_string(texts[take(bytes) % (sizeof texts / sizeof texts[0])]);
  default: {
    char text[9];
    size_t n = take(bytes) % 8;
    for (size_t i = 0; i < n; i++)
      text[i] = (char)take(bytes);
    json_t *string = json_stringn(text, n);
    return string != NULL ? string : json_string("plain");
  }
  }
}

#define MUST(condition)                                                                                                           \
  do {                                                                                                                            \
    if (!(condition)) {                                                                                                           \
      fprintf(stderr, "%s:%d: %s\n----\n%.*s\n---- new\n%s\n", __FILE__, __LINE__, #condition, (int)len, text, buf_str(&out));     \
      abort();                                                                                                                    \
    }                                                                                                                             \
  } while (0)

/* How many bytes two texts share at the beginning and, of the rest, at the end. */
static size_t shared(const char *a, size_t n, const char *b, size_t m) {
  size_t head = 0, tail = 0, least = n < m ? n : m;
  while (head < least && a[head] == b[head])
    head++;
  while (tail < least - head && a[n - 1 - tail] == b[m - 1 - tail])
    tail++;
  return head + tail;
}

static void drive_edit(const char *text, size_t len, const DocTree *tree, uint32_t node, const DocAt *at, Bytes *bytes) {
  Buf out = {0};
  Err err = {0};
  json_t *value = value_from(bytes);
  bool made = doc_edit(text, len, at, value, false, &out, &err);
  MUST(made ? err.code == ERR_NONE : err.code != ERR_NONE && err.message != NULL);
  MUST(!made || tree->nodes[node].kind == DOC_SCALAR);
  if (made) {
    size_t start = tree->nodes[node].start, rest = len - tree->nodes[node].end;
    bool absent;
    DocTree now = {0};
    DocValue is, must;
    MUST(out.len >= start + rest && memcmp(out.data, text, start) == 0 && memcmp(out.data + out.len - rest, text + len - rest, rest) == 0);
    MUST(doc_parse(&now, out.data, out.len, at->json, &err));
    uint32_t found = doc_find(&now, at, &absent, &err);
    MUST(found == node);
    doc_value(&now, found, &is);
    doc_value_of(value, &must);
    MUST(doc_value_equal(&is, &must));
    doc_fini(&now);
  }
  json_decref(value);
  err_fini(&err);
  buf_fini(&out);
}

static void drive_create(const char *text, size_t len, const DocAt *at, json_t *path, Bytes *bytes) {
  Buf out = {0};
  Err err = {0};
  json_t *value = value_from(bytes), *key = value_from(bytes);
  json_array_append_new(path, json_is_string(key) ? json_incref(key) : json_string("new"));
  DocTree tree = {0};
  bool absent;
  MUST(doc_parse(&tree, text, len, at->json, &err));
  bool there = doc_find(&tree, at, &absent, NULL) != DOC_NONE;
  bool made = doc_edit(text, len, at, value, true, &out, &err);
  if (made && !there) {
    DocTree now = {0};
    DocValue is, must;
    MUST(shared(text, len, out.data, out.len) == len);
    MUST(doc_parse(&now, out.data, out.len, at->json, &err));
    uint32_t found = doc_find(&now, at, &absent, &err);
    MUST(found != DOC_NONE);
    doc_value(&now, found, &is);
    doc_value_of(value, &must);
    MUST(doc_value_equal(&is, &must));
    doc_fini(&now);
  }
  doc_fini(&tree);
  json_decref(value);
  json_decref(key);
  err_fini(&err);
  buf_fini(&out);
}

static void drive_remove(const char *text, size_t len, const DocTree *tree, uint32_t node, const DocAt *at) {
  Buf out = {0};
  Err err = {0};
  if (doc_remove(text, len, at, &out, &err)) {
    DocTree now = {0};
    MUST(out.len < len && shared(text, len, buf_str(&out), out.len) == out.len);
    MUST(doc_parse(&now, buf_str(&out), out.len, at->json, &err));
    uint32_t gone = tree->nodes[node].next - node + (tree->nodes[tree->nodes[node].parent].kind == DOC_MAP);
    MUST(now.count + gone == tree->count);
    doc_fini(&now);
  }
  err_fini(&err);
  buf_fini(&out);
}

static void drive_comment(const char *text, size_t len, const DocAt *at) {
  Buf out = {0}, back = {0}, all = {0};
  Err err = {0};
  if (doc_comment(text, len, at, &out, &err)) {
    DocAt any = {.document = at->document};
    bool marked = len >= 6 && memmem(text, len, "#pgsh", 5) != NULL;
    MUST(doc_uncomment(buf_str(&out), out.len, at, &back, &err));
    MUST(back.len == len && memcmp(back.data, text, len) == 0);
    MUST(doc_uncomment(buf_str(&out), out.len, &any, &all, &err));
    MUST(marked || (all.len == len && memcmp(all.data, text, len) == 0));
  }
  err_fini(&err);
  buf_fini(&out);
  buf_fini(&back);
  buf_fini(&all);
}

static void drive_document(const char *text, size_t len, bool json, Bytes *bytes) {
  DocTree tree = {0};
  Err err = {0};
  if (doc_parse(&tree, text, len, json, &err) && tree.count > 0) {
    uint32_t node = (uint32_t)take(bytes) * 7 % tree.count, document = 0;
    while (document + 1 < tree.documents_count && tree.documents[document + 1] <= node)
      document++;
    json_t *path = json_array(), *number = json_integer(document + 1);
    DocAt at = {.json = json, .path = path, .document = json ? NULL : number};
    if (path_of(&tree, node, path)) {
      drive_edit(text, len, &tree, node, &at, bytes);
      drive_remove(text, len, &tree, node, &at);
      if (!json) drive_comment(text, len, &at);
      drive_create(text, len, &at, path, bytes);
    }
    json_decref(path);
    json_decref(number);
  } else if (tree.count > 0 && err.code == ERR_NONE) {
    abort();
  }
  doc_fini(&tree);
  err_fini(&err);
}

#endif
