/* doc_comment: a part of a YAML text turned into comments, and back, byte for byte.
 *
 * A mark is put into every line: "#pgsh> " into the first and "#pgsh| " into the others, at the column where the part begins (or
 * before, where a line begins before). Blank lines have none. So it is plain which lines belong together, also beside comments of
 * people and beside other parts; taking the marks out gives what was there. */
#include <string.h>

#include "net/doc_internal.h"

#define MARK_FIRST "#pgsh> "
#define MARK_OTHER "#pgsh| "
#define MARK_LEN (sizeof MARK_FIRST - 1)

static size_t next_line(const DocTree *tree, size_t offset) {
  const char *end = memchr(tree->source + offset, '\n', tree->len - offset);
  return end != NULL ? (size_t)(end - tree->source) + 1 : tree->len;
}

static size_t skip_spaces(const DocTree *tree, size_t offset) {
  while (offset < tree->len && tree->source[offset] == ' ')
    offset++;
  return offset;
}

static bool is_blank_line(const DocTree *tree, size_t line) {
  size_t i = line;
  while (i < tree->len && strchr(" \t\r", tree->source[i]) != NULL)
    i++;
  return i >= tree->len || tree->source[i] == '\n';
}

static void mark_lines(const DocTree *tree, const DocPiece *piece, Buf *out) {
  size_t begin = doc_line_start(tree, piece->start), column = piece->start - begin, done = 0;
  for (size_t line = begin; line <= piece->end && line < tree->len; line = next_line(tree, line)) {
    if (is_blank_line(tree, line)) continue;
    size_t at = skip_spaces(tree, line);
    if (at > line + column) at = line + column;
    buf_add(out, tree->source + done, at - done);
    buf_add_str(out, line == begin ? MARK_FIRST : MARK_OTHER);
    done = at;
  }
  buf_add(out, tree->source + done, tree->len - done);
}

bool doc_comment(const char *text, size_t len, const DocAt *at, Buf *out, Err *err) {
  DocTree tree = {0}, now = {0};
  DocSpot spot;
  DocPiece piece = {0};
  Buf next = {0};
  bool ok = doc_parse(&tree, text, len, at->json, err) && doc_locate(&tree, at, false, &spot, err) &&
            doc_piece(&tree, &spot, &piece, err);
  if (ok && tree.nodes[piece.parent].style != DOC_BLOCK)
    ok = doc_refuse(&tree, err, piece.start, "what stands in brackets cannot become a comment");
  else if (ok && piece.only)
    ok = doc_refuse(&tree, err, piece.start, "it is all there is in its %s, which would be left without a value",
                    tree.nodes[piece.parent].kind == DOC_MAP ? "mapping" : "list");
  else if (ok && !doc_alone_before(&tree, piece.start))
    ok = doc_refuse(&tree, err, piece.start, "it does not begin on a line of its own");
  if (ok) {
    mark_lines(&tree, &piece, &next);
    DocDelta delta = {.changed = DOC_NONE, .parent = piece.parent, .a_from = piece.from, .a_to = piece.to};
    ok = doc_proved(&tree, &next, &delta, &now, err);
  }
  if (ok) buf_add(out, buf_str(&next), next.len);
  buf_fini(&next);
  doc_fini(&tree);
  doc_fini(&now);
  return ok;
}

/* ---- back ---- */

static bool has_mark(const DocTree *tree, size_t line, const char *mark) {
  size_t at = skip_spaces(tree, line);
  return tree->len - at >= MARK_LEN && memcmp(tree->source + at, mark, MARK_LEN) == 0;
}

/* The text without the marks of the part that begins at `line`. */
static void unmark(const DocTree *tree, size_t line, Buf *out) {
  size_t done = 0;
  for (bool first = true; line < tree->len; line = next_line(tree, line), first = false) {
    if (!first && is_blank_line(tree, line)) continue;
    if (!first && !has_mark(tree, line, MARK_OTHER)) break;
    size_t at = skip_spaces(tree, line);
    buf_add(out, tree->source + done, at - done);
    done = at + MARK_LEN;
  }
  buf_add(out, tree->source + done, tree->len - done);
}

/* The key or item that begins on a line, in *to what comes behind it. */
static uint32_t part_at(const DocTree *tree, size_t line, uint32_t *to) {
  size_t lead = skip_spaces(tree, line);
  for (uint32_t i = 0; i < tree->count; i++) {
    const DocNode *node = &tree->nodes[i];
    bool item = node->parent != DOC_NONE && tree->nodes[node->parent].kind == DOC_SEQ;
    if (node->lead != lead || !(node->is_key || item) || tree->nodes[node->parent].style != DOC_BLOCK) continue;
    *to = node->is_key ? tree->nodes[node->next].next : node->next;
    return i;
  }
  return DOC_NONE;
}

/* Bring back the part whose mark is on a line. False: it is none, or not the wanted one. */
static bool bring_back(const DocTree *tree, size_t line, const DocAt *at, Buf *out) {
  DocTree now = {0};
  DocSpot spot;
  Buf text = {0};
  uint32_t to = 0, where;
  unmark(tree, line, &text);
  bool ok = doc_parse(&now, buf_str(&text), text.len, false, NULL);
  uint32_t from = ok ? part_at(&now, line, &to) : DOC_NONE;
  ok = from != DOC_NONE;
  if (ok && at->path != NULL)
    ok = doc_locate(&now, at, false, &spot, NULL) && (spot.key != DOC_NONE ? spot.key : spot.node) == from;
  if (ok) {
    DocDelta delta = {.changed = DOC_NONE, .parent = now.nodes[from].parent, .b_from = from, .b_to = to};
    ok = doc_same(tree, &now, &delta, &where);
  }
  if (ok) buf_add(out, buf_str(&text), text.len);
  buf_fini(&text);
  doc_fini(&now);
  return ok;
}

static size_t last_mark(const DocTree *tree, size_t before) {
  size_t found = SIZE_MAX;
  for (size_t line = doc_line_start(tree, 0); line < before && line < tree->len; line = next_line(tree, line))
    if (has_mark(tree, line, MARK_FIRST)) found = line;
  return found;
}

static bool bring_back_one(const DocTree *tree, const DocAt *at, Buf *out, Err *err) {
  int found = 0;
  for (size_t line = last_mark(tree, SIZE_MAX); line != SIZE_MAX; line = last_mark(tree, line)) {
    Buf text = {0};
    if (bring_back(tree, line, at, &text) && ++found == 1) buf_add(out, buf_str(&text), text.len);
    buf_fini(&text);
  }
  if (found == 1) return true;
  Buf path = {0};
  doc_show_path(&path, at->path, json_array_size(at->path));
  if (found == 0)
    err_set(err, ERR_REFUSED, "nothing is there that was commented out as %s", buf_str(&path));
  else
    err_set(err, ERR_REFUSED, "%s was commented out %d times", buf_str(&path), found);
  buf_fini(&path);
  return false;
}

bool doc_uncomment(const char *text, size_t len, const DocAt *at, Buf *out, Err *err) {
  DocTree tree = {0};
  bool ok = doc_parse(&tree, text, len, false, err);
  if (ok && at->path != NULL) {
    ok = bring_back_one(&tree, at, out, err);
  } else if (ok) { /* from the end, so that what is before keeps its place */
    Buf done = {0};
    buf_add(&done, text, len);
    size_t line = last_mark(&tree, SIZE_MAX);
    while (ok && line != SIZE_MAX) {
      DocTree now = {0};
      Buf next = {0};
      ok = doc_parse(&now, buf_str(&done), done.len, false, err);
      if (ok && bring_back(&now, line, at, &next)) {
        buf_clear(&done);
        buf_add(&done, buf_str(&next), next.len);
      }
      line = ok ? last_mark(&now, line) : SIZE_MAX;
      doc_fini(&now);
      buf_fini(&next);
    }
    if (ok) buf_add(out, buf_str(&done), done.len);
    buf_fini(&done);
  }
  doc_fini(&tree);
  return ok;
}
