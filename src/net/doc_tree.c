/* doc_tree: where the nodes of a YAML text stand. A parser tells what comes in which order; this walks along in the text, from
 * one to the next, and so finds what events do not tell: the dash of an item, the colon behind a key, quotes, anchors, and the
 * place of a value that is not there. What does not fit is refused: better no edit than one at the wrong place. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/doc_internal.h"

/* ---- texts ---- */

static char at(const DocTree *tree, size_t offset) { return offset < tree->len ? tree->source[offset] : '\0'; }

static bool is_break(char c) { return c == '\n' || c == '\r'; }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool ends_word(const DocTree *tree, size_t offset) {
  return offset >= tree->len || is_blank(tree->source[offset]) || is_break(tree->source[offset]);
}

void doc_where(const DocTree *tree, size_t offset, char where[64]) {
  size_t line = 1, column = 1, i = tree->len >= 3 && memcmp(tree->source, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  for (; i < offset && i < tree->len; i++) {
    unsigned char c = (unsigned char)tree->source[i];
    if (c == '\n') {
      line++;
      column = 1;
    } else if ((c & 0xC0) != 0x80) {
      column++;
    }
  }
  snprintf(where, 64, "line %zu, column %zu", line, column);
}

static bool doc_fail(const DocTree *tree, Err *err, ErrCode code, size_t offset, const char *format, va_list args) {
  char where[64];
  Buf text = {0};
  buf_vprintf(&text, format, args);
  doc_where(tree, offset, where);
  err_set(err, code, "%s (%s)", buf_str(&text), where);
  buf_fini(&text);
  return false;
}

bool doc_refuse(const DocTree *tree, Err *err, size_t offset, const char *format, ...) {
  va_list args;
  va_start(args, format);
  bool result = doc_fail(tree, err, ERR_REFUSED, offset, format, args);
  va_end(args);
  return result;
}

bool doc_invalid(const DocTree *tree, Err *err, size_t offset, const char *format, ...) {
  va_list args;
  va_start(args, format);
  bool result = doc_fail(tree, err, tree->json ? ERR_JSON : ERR_YAML, offset, format, args);
  va_end(args);
  return result;
}

size_t doc_skip_gap(const DocTree *tree, size_t i) {
  for (; i < tree->len; i++) {
    char c = tree->source[i];
    bool comment = c == '#' && !tree->json && (i == 0 || ends_word(tree, i - 1) || i == 3);
    if (comment)
      while (i + 1 < tree->len && !is_break(tree->source[i + 1]))
        i++;
    else if (!is_blank(c) && !is_break(c))
      break;
  }
  return i < tree->len ? i : tree->len;
}

size_t doc_line_start(const DocTree *tree, size_t offset) {
  while (offset > 0 && tree->source[offset - 1] != '\n')
    offset--;
  return offset == 0 && tree->len >= 3 && memcmp(tree->source, "\xEF\xBB\xBF", 3) == 0 ? 3 : offset;
}

size_t doc_line_end(const DocTree *tree, size_t offset) {
  while (offset < tree->len && tree->source[offset] != '\n')
    offset++;
  return offset < tree->len && offset > 0 && tree->source[offset - 1] == '\r' ? offset - 1 : offset;
}

static size_t next_line(const DocTree *tree, size_t offset) {
  const char *end = memchr(tree->source + offset, '\n', tree->len - offset);
  return end != NULL ? (size_t)(end - tree->source) + 1 : tree->len;
}

static size_t column_of(const DocTree *tree, size_t offset) { return offset - doc_line_start(tree, offset); }

/* ---- nodes ---- */

uint32_t doc_add_node(DocTree *tree, const DocNode *node) {
  if (tree->count == tree->cap) {
    tree->cap = tree->cap == 0 ? 64 : tree->cap * 2;
    tree->nodes = mem_realloc(tree->nodes, tree->cap * sizeof *tree->nodes);
  }
  tree->nodes[tree->count] = *node;
  tree->nodes[tree->count].next = tree->count + 1;
  if (node->parent != DOC_NONE) tree->nodes[node->parent].children++;
  return tree->count++;
}

void doc_add_root(DocTree *tree, uint32_t node) {
  if (tree->documents_count == tree->documents_cap) {
    tree->documents_cap = tree->documents_cap == 0 ? 4 : tree->documents_cap * 2;
    tree->documents = mem_realloc(tree->documents, tree->documents_cap * sizeof *tree->documents);
  }
  tree->documents[tree->documents_count++] = node;
}

void doc_fini(DocTree *tree) {
  free(tree->nodes);
  free(tree->documents);
  buf_fini(&tree->pool);
  memset(tree, 0, sizeof *tree);
}

const char *doc_text(const DocTree *tree, uint32_t node) { return buf_str(&tree->pool) + tree->nodes[node].text; }

static size_t pooled(DocTree *tree, const char *text, size_t len) {
  if (tree->pool.len == 0) buf_add_char(&tree->pool, '\0'); /* 0 means none */
  size_t offset = tree->pool.len;
  buf_add(&tree->pool, text, len);
  buf_add_char(&tree->pool, '\0');
  return offset;
}

bool doc_parse(DocTree *tree, const char *source, size_t len, bool json, Err *err) {
  size_t where;
  tree->source = source;
  tree->len = len;
  tree->json = json;
  pooled(tree, "", 0);
  if (!doc_valid(source, len, &where))
    return doc_invalid(tree, err, where, "the text is not valid UTF-8, or holds a control character");
  return json ? doc_parse_json(tree, err) : doc_parse_yaml(tree, err);
}

/* ---- walking along ---- */

static bool lost(const DocBuilder *b, Err *err, size_t offset) {
  return doc_refuse(b->tree, err, offset, "the layout of the YAML here is too unusual to be edited in place");
}

static bool in_flow(const DocBuilder *b) { return b->open != DOC_NONE && b->tree->nodes[b->open].style != DOC_BLOCK; }

/* "? " or "- " or ": ": an indicator of its own. */
static bool indicator(const DocTree *tree, size_t offset, char c) { return at(tree, offset) == c && ends_word(tree, offset + 1); }

/* Up to where the node itself begins, past dash, comma, question mark or colon. */
static bool walk_to_node(DocBuilder *b, DocNode *node, Err *err) {
  const DocTree *tree = b->tree;
  size_t gap = doc_skip_gap(tree, b->cursor);
  node->lead = SIZE_MAX;
  if (b->open == DOC_NONE) return true;
  const DocNode *parent = &tree->nodes[b->open];
  if (parent->kind == DOC_SEQ && parent->style == DOC_BLOCK) {
    if (!indicator(tree, gap, '-')) return lost(b, err, gap);
    node->lead = gap;
    b->cursor = gap + 1;
    return true;
  }
  node->is_key = parent->kind == DOC_MAP && parent->children % 2 == 0;
  bool first = parent->children == 0;
  if ((parent->kind == DOC_SEQ || node->is_key) && parent->style == DOC_FLOW && !first) {
    if (at(tree, gap) != ',') return lost(b, err, gap);
    b->cursor = gap + 1;
    gap = doc_skip_gap(tree, b->cursor);
  }
  if (node->is_key && indicator(tree, gap, '?')) {
    node->lead = gap;
    b->cursor = gap + 1;
  } else if (parent->kind == DOC_MAP && !node->is_key) {
    if (at(tree, gap) == ':')
      b->cursor = gap + 1;
    else
      node->bare = true;
  }
  return true;
}

/* Past anchor and tag, in either order. */
static void walk_props(DocBuilder *b, const DocEvent *event, DocNode *node) {
  const DocTree *tree = b->tree;
  node->props = SIZE_MAX;
  for (int left = (event->anchor != NULL) + (event->tag != NULL); left > 0; left--) {
    size_t i = doc_skip_gap(tree, b->cursor);
    char c = at(tree, i);
    if (c != '&' && c != '!') return;
    if (node->props == SIZE_MAX) node->props = i;
    const char *stop = c == '!' && at(tree, i + 1) == '<' ? ">" : in_flow(b) ? " \t\r\n,[]{}" : " \t\r\n";
    for (i++; i < tree->len && strchr(stop, tree->source[i]) == NULL;)
      i++;
    b->cursor = i + (stop[0] == '>' && i < tree->len);
  }
}

/* Behind the closing quote. */
static size_t quoted_end(const DocTree *tree, size_t i, char quote) {
  for (i++; i < tree->len; i++) {
    if (tree->source[i] == '\\' && quote == '"') {
      i++;
    } else if (tree->source[i] == quote) {
      if (quote == '"' || at(tree, i + 1) != '\'') return i + 1;
      i++;
    }
  }
  return tree->len + 1;
}

static bool walk_scalar(DocBuilder *b, const DocEvent *event, DocNode *node, Err *err) {
  const DocTree *tree = b->tree;
  size_t gap = doc_skip_gap(tree, b->cursor);
  char c = at(tree, gap);
  if (event->empty) {
    node->start = node->end = b->cursor;
    return true;
  }
  node->start = gap;
  node->end = event->end;
  switch (node->style) {
  case DOC_SINGLE:
  case DOC_DOUBLE:
    if (c != (node->style == DOC_SINGLE ? '\'' : '"')) return lost(b, err, gap);
    node->end = quoted_end(tree, gap, c);
    break;
  case DOC_LITERAL:
  case DOC_FOLDED:
    if (c != (node->style == DOC_LITERAL ? '|' : '>')) return lost(b, err, gap);
    break;
  default: /* what stands on one line must be the value itself */
    if (node->end > gap && node->end <= tree->len && memchr(tree->source + gap, '\n', node->end - gap) == NULL &&
        memchr(tree->source + gap, '\r', node->end - gap) == NULL &&
        (node->end - gap != event->len || memcmp(tree->source + gap, event->text, event->len) != 0))
      return lost(b, err, gap);
  }
  return node->end > gap && node->end <= tree->len ? true : lost(b, err, gap);
}

static bool walk_node(DocBuilder *b, const DocEvent *event, DocNode *node, Err *err) {
  const DocTree *tree = b->tree;
  if (event->type == DOC_EV_SCALAR) return walk_scalar(b, event, node, err);
  size_t gap = doc_skip_gap(tree, b->cursor);
  node->start = gap;
  node->end = gap;
  if (event->type == DOC_EV_ALIAS) {
    node->end = gap + 1 + event->len;
    if (at(tree, gap) != '*' || node->end > tree->len) return lost(b, err, gap);
  } else if (node->style == DOC_FLOW) {
    if (at(tree, gap) != (node->kind == DOC_MAP ? '{' : '[')) return lost(b, err, gap);
    node->end = gap + 1;
  }
  return true;
}

static bool tree_begin(DocBuilder *b, const DocEvent *event, Err *err) {
  static const DocKind kinds[] = {
      [DOC_EV_SCALAR] = DOC_SCALAR, [DOC_EV_ALIAS] = DOC_ALIAS, [DOC_EV_MAP] = DOC_MAP, [DOC_EV_SEQ] = DOC_SEQ};
  DocTree *tree = b->tree;
  DocNode node = {.kind = kinds[event->type], .style = event->style, .parent = b->open};
  if (b->open != DOC_NONE) node.depth = tree->nodes[b->open].depth + 1;
  if (node.depth > DOC_DEPTH) return doc_invalid(tree, err, b->cursor, "more than %d levels are nested", DOC_DEPTH);
  if (!walk_to_node(b, &node, err)) return false;
  walk_props(b, event, &node);
  if (!walk_node(b, event, &node, err)) return false;
  if (node.props == SIZE_MAX) node.props = node.start;
  if (node.lead == SIZE_MAX) node.lead = node.props;
  if (event->anchor != NULL) node.anchor = pooled(tree, event->anchor, strlen(event->anchor));
  if (event->tag != NULL) node.tag = pooled(tree, event->tag, strlen(event->tag));
  node.text = pooled(tree, event->text != NULL ? event->text : "", event->len);
  node.len = event->len;
  uint32_t id = doc_add_node(tree, &node);
  if (b->open == DOC_NONE) doc_add_root(tree, id);
  if (node.style == DOC_LITERAL || node.style == DOC_FOLDED) tree->nodes[id].end = doc_content_end(tree, id);
  b->cursor = tree->nodes[id].end;
  if (node.kind == DOC_MAP || node.kind == DOC_SEQ) b->open = id;
  return true;
}

static bool tree_end(DocBuilder *b, Err *err) {
  DocTree *tree = b->tree;
  DocNode *node = &tree->nodes[b->open];
  node->next = tree->count;
  if (node->style == DOC_FLOW) {
    size_t gap = doc_skip_gap(tree, b->cursor);
    if (at(tree, gap) == ',') gap = doc_skip_gap(tree, gap + 1);
    if (at(tree, gap) != (node->kind == DOC_MAP ? '}' : ']')) return lost(b, err, gap);
    b->cursor = gap + 1;
  }
  node->end = b->cursor;
  b->open = node->parent;
  return true;
}

bool doc_tree_add(DocBuilder *b, const DocEvent *event, Err *err) {
  switch (event->type) {
  case DOC_EV_DOCUMENT:
    if (event->end > b->cursor) b->cursor = event->end;
    return true;
  case DOC_EV_END: return tree_end(b, err);
  default: return tree_begin(b, event, err);
  }
}

/* ---- block scalars ---- */

/* The column from which on a line is content; SIZE_MAX: told by the first line. */
static size_t block_column(const DocTree *tree, const DocNode *node, bool *keep) {
  size_t digit = 0;
  *keep = false;
  for (size_t i = node->start + 1; i < tree->len && strchr("+-123456789", tree->source[i]) != NULL; i++) {
    if (tree->source[i] == '+') *keep = true;
    if (tree->source[i] >= '1' && tree->source[i] <= '9') digit = (size_t)(tree->source[i] - '0');
  }
  if (digit == 0) return SIZE_MAX;
  uint32_t parent = node->parent;
  if (parent == DOC_NONE) return digit;
  const DocNode *first = parent + 1 < tree->count ? &tree->nodes[parent + 1] : node;
  return column_of(tree, first->lead) + digit;
}

size_t doc_content_end(const DocTree *tree, uint32_t id) {
  const DocNode *node = &tree->nodes[id];
  bool keep;
  size_t column = block_column(tree, node, &keep);
  size_t end = doc_line_end(tree, node->start), line = next_line(tree, end);
  for (; line < node->end; line = next_line(tree, line)) {
    size_t stop = doc_line_end(tree, line), indent = line;
    while (indent < stop && tree->source[indent] == ' ')
      indent++;
    bool blank = indent == stop;
    if (!blank && column == SIZE_MAX) column = indent - line;
    if (!blank && indent - line < column) break;
    if (!blank || keep || (column != SIZE_MAX && indent - line > column)) end = stop;
  }
  return end;
}

/* ---- comparing ---- */

static bool same_text(const DocTree *a, size_t x, const DocTree *b, size_t y) {
  return strcmp(buf_str(&a->pool) + x, buf_str(&b->pool) + y) == 0;
}

static bool same_node(const DocTree *a, uint32_t i, const DocTree *b, uint32_t j, const DocDelta *delta) {
  const DocNode *x = &a->nodes[i], *y = &b->nodes[j];
  if (x->kind != y->kind || x->depth != y->depth || x->is_key != y->is_key) return false;
  if (!same_text(a, x->anchor, b, y->anchor) || !same_text(a, x->tag, b, y->tag)) return false;
  if (i == delta->changed) return true;
  if (i != delta->parent && x->children != y->children) return false;
  return x->style == y->style && x->len == y->len && memcmp(doc_text(a, i), doc_text(b, j), x->len) == 0;
}

bool doc_same(const DocTree *a, const DocTree *b, const DocDelta *delta, uint32_t *where) {
  uint32_t i = 0, j = 0;
  for (;;) {
    if (i == delta->a_from && i < delta->a_to) i = delta->a_to;
    if (j == delta->b_from && j < delta->b_to) j = delta->b_to;
    *where = j;
    if (i >= a->count || j >= b->count) break;
    if (!same_node(a, i, b, j, delta)) return false;
    i++;
    j++;
  }
  return i >= a->count && j >= b->count && a->documents_count == b->documents_count;
}

void doc_splice(const DocTree *tree, const DocSplice *splices, size_t count, Buf *out) {
  size_t done = 0;
  for (size_t i = 0; i < count; i++) {
    buf_add(out, tree->source + done, splices[i].from - done);
    buf_add(out, splices[i].bytes, splices[i].len);
    done = splices[i].to;
  }
  buf_add(out, tree->source + done, tree->len - done);
}
