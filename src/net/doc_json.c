/* doc_json: JSON. jansson says whether it is JSON at all; what it has accepted is walked through once more, for where things
 * stand, which jansson does not tell. */
#include <string.h>

#include "net/doc_internal.h"

typedef struct Scan {
  DocTree *tree;
  size_t i;
} Scan;

static char now(const Scan *scan) { return scan->i < scan->tree->len ? scan->tree->source[scan->i] : '\0'; }
static void skip(Scan *scan) { scan->i = doc_skip_gap(scan->tree, scan->i); }

static unsigned hex4(const char *text) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) {
    unsigned c = (unsigned char)text[i] | 0x20u;
    value = value * 16 + (c >= 'a' ? c - 'a' + 10 : c - '0');
  }
  return value;
}

static void add_utf8(Buf *out, unsigned c) {
  if (c < 0x80) {
    buf_add_char(out, (char)c);
  } else if (c < 0x800) {
    buf_add_char(out, (char)(0xC0 | c >> 6));
    buf_add_char(out, (char)(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    buf_add_char(out, (char)(0xE0 | c >> 12));
    buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
    buf_add_char(out, (char)(0x80 | (c & 0x3F)));
  } else {
    buf_add_char(out, (char)(0xF0 | c >> 18));
    buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3F)));
    buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
    buf_add_char(out, (char)(0x80 | (c & 0x3F)));
  }
}

/* An escape, the backslash passed. */
static void add_escape(Scan *scan, Buf *out) {
  static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
  const char *text = scan->tree->source + scan->i, *name = strchr(names, *text);
  scan->i++;
  if (*text != 'u') {
    buf_add_char(out, name != NULL ? values[name - names] : *text);
    return;
  }
  unsigned c = hex4(text + 1);
  scan->i += 4;
  if (c >= 0xD800 && c < 0xDC00) { /* jansson lets only pairs through */
    c = 0x10000 + ((c - 0xD800) << 10) + (hex4(text + 7) - 0xDC00);
    scan->i += 6;
  }
  add_utf8(out, c);
}

static void scan_string(Scan *scan, DocNode *node) {
  Buf *pool = &scan->tree->pool;
  node->style = DOC_DOUBLE;
  for (scan->i++; now(scan) != '"' && scan->i < scan->tree->len;) {
    char c = now(scan);
    scan->i++;
    if (c == '\\')
      add_escape(scan, pool);
    else
      buf_add_char(pool, c);
  }
  scan->i++;
}

static void scan_word(Scan *scan) {
  while (scan->i < scan->tree->len && strchr(" \t\r\n,:[]{}", scan->tree->source[scan->i]) == NULL) {
    buf_add_char(&scan->tree->pool, scan->tree->source[scan->i]);
    scan->i++;
  }
}

static bool scan_value(Scan *scan, uint32_t parent, bool is_key, unsigned depth, Err *err);

static bool scan_items(Scan *scan, uint32_t id, unsigned depth, Err *err) {
  DocTree *tree = scan->tree;
  bool map = tree->nodes[id].kind == DOC_MAP;
  char close = map ? '}' : ']';
  scan->i++;
  for (skip(scan); scan->i < tree->len && now(scan) != close; skip(scan)) {
    if (map) {
      if (!scan_value(scan, id, true, depth, err)) return false;
      skip(scan);
      scan->i++; /* the colon */
      skip(scan);
    }
    if (!scan_value(scan, id, false, depth, err)) return false;
    skip(scan);
    if (now(scan) == ',') scan->i++;
  }
  scan->i++;
  return true;
}

static bool scan_value(Scan *scan, uint32_t parent, bool is_key, unsigned depth, Err *err) { /* NOLINT(misc-no-recursion) */
  DocTree *tree = scan->tree;
  if (depth > DOC_DEPTH) return doc_invalid(tree, err, scan->i, "more than %d levels are nested", DOC_DEPTH);
  DocNode node = {.parent = parent, .is_key = is_key, .depth = depth, .start = scan->i, .text = tree->pool.len};
  node.lead = node.props = node.start;
  char c = now(scan);
  bool collection = c == '{' || c == '[';
  if (c == '"')
    scan_string(scan, &node);
  else if (!collection)
    scan_word(scan);
  if (collection) {
    node.kind = c == '{' ? DOC_MAP : DOC_SEQ;
    node.style = DOC_FLOW;
  }
  node.end = scan->i;
  node.len = tree->pool.len - node.text;
  buf_add_char(&tree->pool, '\0');
  uint32_t id = doc_add_node(tree, &node);
  if (collection && !scan_items(scan, id, depth + 1, err)) return false;
  if (scan->i > tree->len) return doc_invalid(tree, err, tree->len, "the text ends early");
  tree->nodes[id].end = scan->i;
  tree->nodes[id].next = tree->count;
  return true;
}

bool doc_parse_json(DocTree *tree, Err *err) {
  bool mark = tree->len >= 3 && memcmp(tree->source, "\xEF\xBB\xBF", 3) == 0; /* jansson does not know it */
  Scan scan = {.tree = tree, .i = mark ? 3 : 0};
  json_error_t where;
  json_t *value = json_loadb(tree->source + scan.i, tree->len - scan.i, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
  if (value == NULL) return err_set(err, ERR_JSON, "invalid JSON: %s (line %d, column %d)", where.text, where.line, where.column);
  json_decref(value);
  skip(&scan);
  doc_add_root(tree, 0);
  return scan_value(&scan, DOC_NONE, false, 0, err);
}
