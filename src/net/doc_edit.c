/* doc_edit: one value, one key. The new text is read again and compared with the old one before anybody gets it. */
#include <string.h>

#include "net/doc_internal.h"

static bool has_comment(const DocTree *tree, size_t from, size_t to) {
  return !tree->json && from < to && memchr(tree->source + from, '#', to - from) != NULL;
}

static const char *eol_of(const DocTree *tree) {
  const char *end = memchr(tree->source, '\n', tree->len);
  return end != NULL && end > tree->source && end[-1] == '\r' ? "\r\n" : "\n";
}

static bool inside_flow(const DocTree *tree, uint32_t parent) {
  return parent != DOC_NONE && tree->nodes[parent].style != DOC_BLOCK;
}

static size_t column_of(const DocTree *tree, size_t offset) { return offset - doc_line_start(tree, offset); }

static void add_spaces(Buf *out, size_t count) {
  for (; count > 0; count--)
    buf_add_char(out, ' ');
}

/* ---- the proof ---- */

bool doc_proved(const DocTree *old, const Buf *text, const DocDelta *delta, DocTree *now, Err *err) {
  uint32_t where;
  Err why = {0};
  if (!doc_parse(now, buf_str(text), text->len, old->json, &why)) {
    err_set(err, ERR_REFUSED, "the edit is not made: the text could not be read afterwards: %s", why.message);
    err_fini(&why);
    return false;
  }
  if (doc_same(old, now, delta, &where)) return true;
  size_t offset = where < now->count ? now->nodes[where].start : now->len;
  return doc_refuse(now, err, offset, "the edit is not made: it would change more than its place");
}

/* As doc_proved, and the node `id` of the new text must say the value; appends the text to out. */
static bool conclude(const DocTree *old, const Buf *text, const DocDelta *delta, uint32_t id, const DocValue *value, Buf *out,
                     Err *err) {
  DocTree now = {0};
  bool ok = doc_proved(old, text, delta, &now, err);
  if (ok && value != NULL) {
    DocValue is;
    doc_value(&now, id, &is);
    ok = now.nodes[id].kind == DOC_SCALAR && doc_value_equal(&is, value);
    if (!ok) doc_refuse(&now, err, now.nodes[id].start, "the edit is not made: the value would read back as another one");
  }
  if (ok) buf_add(out, buf_str(text), text->len);
  doc_fini(&now);
  return ok;
}

/* ---- a scalar ---- */

/* Behind "|-2" or ">+". */
static size_t header_end(const DocTree *tree, const DocNode *node) {
  size_t i = node->start + 1;
  while (i < tree->len && tree->source[i] != '\0' && strchr("+-123456789", tree->source[i]) != NULL)
    i++;
  return i;
}

/* The column of a block scalar's content. */
static size_t content_column(const DocTree *tree, const DocNode *node) {
  for (size_t line = doc_line_end(tree, node->start); line < node->end;) {
    line += strspn(tree->source + line, "\r\n") > 0 ? 1 : 0;
    size_t indent = line;
    while (indent < node->end && tree->source[indent] == ' ')
      indent++;
    if (indent < node->end && strchr("\r\n", tree->source[indent]) == NULL) return indent - doc_line_start(tree, indent);
    line = indent > line ? indent : line;
    if (line < node->end && strchr("\r\n", tree->source[line]) == NULL) line++;
  }
  return column_of(tree, node->parent == DOC_NONE ? node->start : tree->nodes[node->parent].start) + 2;
}

static void write_lines(const DocTree *tree, const DocNode *node, const DocValue *value, Buf *out) {
  size_t column = content_column(tree, node);
  const char *text = value->text, *end = text + value->len;
  while (text < end) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    if (stop == NULL) stop = end;
    buf_add_str(out, eol_of(tree));
    if (stop > text) add_spaces(out, column);
    buf_add(out, text, (size_t)(stop - text));
    text = stop + 1;
  }
  if (node->end >= tree->len && value->text[value->len - 1] == '\n') buf_add_str(out, eol_of(tree));
}

/* "|" stays "|" where it can; what stands behind it on its line stays in any case. */
static void replace_block(const DocTree *tree, const DocNode *node, const DocValue *value, Buf *text) {
  Buf head = {0}, lines = {0};
  size_t stop = doc_line_end(tree, node->start), header = header_end(tree, node);
  bool fits = doc_block_fits(value) && !(value->len > 1 && memcmp(value->text + value->len - 2, "\n\n", 2) == 0);
  if (fits) {
    const char *first = memchr(value->text, '\n', value->len);
    bool one = first == NULL || first == value->text + value->len - 1;
    buf_add_char(&head, one && node->style == DOC_FOLDED ? '>' : '|');
    if (value->text[value->len - 1] != '\n') buf_add_char(&head, '-');
    write_lines(tree, node, value, &lines);
  } else {
    doc_write(&head, value, &(DocForm){.style = DOC_PLAIN});
  }
  DocSplice splices[] = {{node->start, header, buf_str(&head), head.len}, {stop, node->end, buf_str(&lines), lines.len}};
  doc_splice(tree, splices, 2, text);
  buf_fini(&head);
  buf_fini(&lines);
}

/* Where nothing stands yet: "key:", "-", "{a}". */
static void fill_empty(const DocTree *tree, const DocNode *node, const DocValue *value, const DocForm *form, Buf *text) {
  Buf bytes = {0};
  size_t i = node->start;
  if (node->bare) buf_add_char(&bytes, ':');
  if (node->bare || (i > 0 && strchr(" \t\r\n", tree->source[i - 1]) == NULL)) buf_add_char(&bytes, ' ');
  doc_write(&bytes, value, form);
  if (i < tree->len && strchr(" \t\r\n,]}", tree->source[i]) == NULL) buf_add_char(&bytes, ' ');
  doc_splice(tree, &(DocSplice){i, i, buf_str(&bytes), bytes.len}, 1, text);
  buf_fini(&bytes);
}

static bool may_replace(const DocTree *tree, const DocNode *node, const DocValue *value, Err *err) {
  const char *tag = node->tag == 0 ? NULL : buf_str(&tree->pool) + node->tag;
  bool flow = inside_flow(tree, node->parent);
  if (node->kind != DOC_SCALAR)
    return doc_refuse(tree, err, node->start, "%s stands there: only single values are set in place",
                      node->kind == DOC_MAP ? "a mapping" : "a list");
  bool text = tag == NULL || strcmp(tag, "!") == 0 || strcmp(tag, "tag:yaml.org,2002:str") == 0;
  if (!text || (tag != NULL && value->type != DOC_STRING))
    return doc_refuse(tree, err, node->props, "the value there has the tag %s: it is not for editing in place", tag);
  if (node->bare && !flow) return doc_refuse(tree, err, node->start, "the key there has no ':' behind it");
  if (node->parent == DOC_NONE && node->start == node->end) return doc_refuse(tree, err, node->start, "the document is empty");
  return true;
}

static bool replace(const DocTree *tree, uint32_t id, const DocValue *value, Buf *out, Err *err) {
  const DocNode *node = &tree->nodes[id];
  if (!may_replace(tree, node, value, err)) return false;
  DocForm form = {.json = tree->json, .flow = inside_flow(tree, node->parent), .style = node->style};
  Buf text = {0}, bytes = {0};
  if (tree->json && node->style == DOC_PLAIN) form.style = DOC_DOUBLE;
  if (node->style == DOC_LITERAL || node->style == DOC_FOLDED) {
    replace_block(tree, node, value, &text);
  } else if (node->start == node->end) {
    fill_empty(tree, node, value, &form, &text);
  } else {
    doc_write(&bytes, value, &form);
    doc_splice(tree, &(DocSplice){node->start, node->end, buf_str(&bytes), bytes.len}, 1, &text);
  }
  bool ok = conclude(tree, &text, &(DocDelta){.changed = id, .parent = DOC_NONE}, id, value, out, err);
  buf_fini(&text);
  buf_fini(&bytes);
  return ok;
}

/* ---- a key that is missing ---- */

/* The last key of a mapping, YAML_NONE when it is empty; the one before in *before. */
static uint32_t last_key(const DocTree *tree, uint32_t map, uint32_t *before) {
  uint32_t last = DOC_NONE, end = tree->nodes[map].next;
  *before = DOC_NONE;
  for (uint32_t key = map + 1; key < end; key = tree->nodes[tree->nodes[key].next].next) {
    *before = last;
    last = key;
  }
  return last;
}

static const DocNode *value_of(const DocTree *tree, uint32_t key) { return &tree->nodes[tree->nodes[key].next]; }

/* What separates two pairs, and a key from its value: as the neighbours do it. */
static void flow_separators(const DocTree *tree, uint32_t map, Buf *comma, Buf *colon) {
  uint32_t before, last = last_key(tree, map, &before);
  const DocNode *key = &tree->nodes[last], *value = value_of(tree, last);
  size_t from = before != DOC_NONE ? value_of(tree, before)->end : tree->nodes[map].start + 1, to = key->lead;
  if (!value->bare && value->props > key->end && !has_comment(tree, key->end, value->props) && value->start < value->end)
    buf_add(colon, tree->source + key->end, value->props - key->end);
  else
    buf_add_str(colon, ": ");
  bool tight = strcmp(buf_str(colon), ":") == 0;
  if (has_comment(tree, from, to) || (before == DOC_NONE && from == to)) {
    buf_add_str(comma, tight ? "," : ", ");
    return;
  }
  if (before == DOC_NONE) buf_add_char(comma, ',');
  buf_add(comma, tree->source + from, to - from);
}

static size_t create_in_flow(const DocTree *tree, uint32_t map, Buf *lead, Buf *colon, DocForm *form) {
  uint32_t before, last = last_key(tree, map, &before);
  form->flow = true;
  if (last == DOC_NONE) {
    buf_add_str(colon, ": ");
    return tree->nodes[map].start + 1;
  }
  form->style = tree->nodes[last].style;
  flow_separators(tree, map, lead, colon);
  return value_of(tree, last)->end;
}

static size_t create_in_block(const DocTree *tree, uint32_t map, Buf *lead, Buf *colon, DocForm *form) {
  uint32_t before, last = last_key(tree, map, &before);
  form->style = tree->nodes[last].style;
  buf_add_str(lead, eol_of(tree));
  add_spaces(lead, column_of(tree, tree->nodes[map + 1].lead));
  buf_add_str(colon, ": ");
  return doc_line_end(tree, tree->nodes[map].end);
}

static bool create(const DocTree *tree, uint32_t map, const json_t *key, const DocValue *value, Buf *out, Err *err) {
  DocForm form = {.json = tree->json, .key = true};
  DocValue name;
  Buf lead = {0}, colon = {0}, text = {0};
  doc_value_of(key, &name);
  DocStyle style = tree->nodes[map].style;
  if (style == DOC_PAIR) return doc_refuse(tree, err, tree->nodes[map].start, "a key cannot be added to a pair without brackets");
  size_t offset = (style == DOC_BLOCK ? create_in_block : create_in_flow)(tree, map, &lead, &colon, &form);
  doc_write(&lead, &name, &form);
  buf_add(&lead, buf_str(&colon), colon.len);
  form.key = false;
  form.style = tree->json ? DOC_DOUBLE : DOC_PLAIN;
  doc_write(&lead, value, &form);
  doc_splice(tree, &(DocSplice){offset, offset, buf_str(&lead), lead.len}, 1, &text);
  uint32_t at = tree->nodes[map].next;
  bool ok = conclude(tree, &text, &(DocDelta){.changed = DOC_NONE, .parent = map, .b_from = at, .b_to = at + 2}, at + 1, value,
                     out, err);
  buf_fini(&lead);
  buf_fini(&colon);
  buf_fini(&text);
  return ok;
}

bool doc_edit(const char *text, size_t len, const DocAt *at, const json_t *value, bool creating, Buf *out, Err *err) {
  DocTree tree = {0};
  DocSpot spot;
  DocValue wanted;
  if (json_is_object(value) || json_is_array(value))
    return err_set(err, ERR_USAGE, "a string, a number, a boolean or json.null expected as the new value");
  doc_value_of(value, &wanted);
  if (wanted.type == DOC_STRING && memchr(wanted.text, '\0', wanted.len) != NULL && !at->json)
    return err_set(err, ERR_USAGE, "the new value holds a zero byte");
  bool ok = doc_parse(&tree, text, len, at->json, err) && doc_locate(&tree, at, creating, &spot, err);
  if (ok && spot.node != DOC_NONE)
    ok = replace(&tree, spot.node, &wanted, out, err);
  else if (ok)
    ok = create(&tree, spot.parent, json_array_get(at->path, json_array_size(at->path) - 1), &wanted, out, err);
  doc_fini(&tree);
  return ok;
}

/* ---- removing ---- */

bool doc_piece(const DocTree *tree, const DocSpot *spot, DocPiece *piece, Err *err) {
  if (spot->parent == DOC_NONE)
    return err_set(err, ERR_REFUSED, "the path names a whole document: only a key or an item of it can go");
  const DocNode *parent = &tree->nodes[spot->parent];
  piece->parent = spot->parent;
  piece->from = spot->key != DOC_NONE ? spot->key : spot->node;
  piece->to = tree->nodes[spot->node].next;
  piece->start = tree->nodes[piece->from].lead;
  piece->end = tree->nodes[spot->node].end;
  piece->next = piece->to < parent->next ? tree->nodes[piece->to].lead : SIZE_MAX;
  piece->only = parent->children == (parent->kind == DOC_MAP ? 2 : 1);
  for (uint32_t i = piece->from; i < piece->to; i++)
    for (uint32_t k = tree->nodes[i].anchor != 0 ? 0 : tree->count; k < tree->count; k++)
      if (tree->nodes[k].kind == DOC_ALIAS && (k < piece->from || k >= piece->to) &&
          strcmp(doc_text(tree, k), buf_str(&tree->pool) + tree->nodes[i].anchor) == 0)
        return doc_refuse(tree, err, tree->nodes[i].props, "it holds the anchor &%s, and an alias elsewhere needs it",
                          doc_text(tree, k));
  return true;
}

bool doc_alone_before(const DocTree *tree, size_t offset) {
  size_t line = doc_line_start(tree, offset);
  while (line < offset && tree->source[line] == ' ')
    line++;
  return line == offset;
}

static bool commented(const DocTree *tree, Err *err, size_t offset) {
  return doc_refuse(tree, err, offset, "a comment stands between it and its neighbour");
}

static bool cut_flow(const DocTree *tree, const DocPiece *piece, DocSplice *cut, Err *err) {
  const DocNode *parent = &tree->nodes[piece->parent];
  if (parent->style == DOC_PAIR) return doc_refuse(tree, err, parent->start, "a pair without brackets cannot be taken apart");
  if (piece->only) {
    *cut = (DocSplice){parent->start + 1, parent->end - 1, "", 0};
    if (has_comment(tree, cut->from, piece->start) || has_comment(tree, piece->end, cut->to))
      return commented(tree, err, piece->start);
    return true;
  }
  if (piece->next != SIZE_MAX) {
    *cut = (DocSplice){piece->start, piece->next, "", 0};
    return has_comment(tree, piece->end, cut->to) ? commented(tree, err, piece->end) : true;
  }
  size_t from = piece->start; /* back over the comma, to the end of the item before */
  for (uint32_t i = piece->parent + 1; i < piece->from; i = tree->nodes[i].next)
    from = tree->nodes[i].end;
  *cut = (DocSplice){from, piece->end, "", 0};
  return has_comment(tree, from, piece->start) ? commented(tree, err, from) : true;
}

static bool cut_block(const DocTree *tree, const DocPiece *piece, DocSplice *cut, Err *err) {
  if (piece->only)
    return doc_refuse(tree, err, piece->start, "it is all there is in its %s, which would be left without a value",
                      tree->nodes[piece->parent].kind == DOC_MAP ? "mapping" : "list");
  size_t stop = doc_line_end(tree, piece->end);
  if (doc_alone_before(tree, piece->start)) {
    while (stop < tree->len && strchr("\r\n", tree->source[stop]) != NULL && tree->source[stop] != '\n')
      stop++;
    *cut = (DocSplice){doc_line_start(tree, piece->start), stop < tree->len ? stop + 1 : stop, "", 0};
    return true;
  }
  /* "- name: a": the next key moves up to the dash. */
  if (piece->next == SIZE_MAX) return doc_refuse(tree, err, piece->start, "it does not begin on a line of its own");
  *cut = (DocSplice){piece->start, piece->next, "", 0};
  return has_comment(tree, stop, piece->next) ? commented(tree, err, stop) : true;
}

bool doc_remove(const char *text, size_t len, const DocAt *at, Buf *out, Err *err) {
  DocTree tree = {0};
  DocSpot spot;
  DocPiece piece;
  DocSplice cut = {0};
  Buf next = {0};
  bool ok = doc_parse(&tree, text, len, at->json, err) && doc_locate(&tree, at, false, &spot, err) &&
            doc_piece(&tree, &spot, &piece, err);
  ok = ok && (inside_flow(&tree, spot.parent) ? cut_flow : cut_block)(&tree, &piece, &cut, err);
  if (ok) {
    doc_splice(&tree, &cut, 1, &next);
    DocDelta delta = {.changed = DOC_NONE, .parent = piece.parent, .a_from = piece.from, .a_to = piece.to};
    ok = conclude(&tree, &next, &delta, DOC_NONE, NULL, out, err);
  }
  buf_fini(&next);
  doc_fini(&tree);
  return ok;
}
