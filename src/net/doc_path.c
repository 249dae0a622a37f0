/* doc_path: from a path to a node. What cannot be told for certain is refused: a key that is there twice, a selector that fits
 * two items, a document among several, and whatever an anchor or an alias would change elsewhere. */
#include <string.h>

#include "net/doc_internal.h"

/* ---- words ---- */

static void show_selector(Buf *out, const json_t *selector) {
  const char *key;
  json_t *value;
  bool first = true;
  json_object_foreach((json_t *)selector, key, value) {
    buf_printf(out, "%s%s", first ? "" : ",", key);
    first = false;
    if (json_is_object(value)) {
      buf_add_char(out, '{');
      show_selector(out, value); /* NOLINT(misc-no-recursion) */
      buf_add_char(out, '}');
    } else if (json_is_string(value)) {
      buf_printf(out, "=%s", json_string_value(value));
    } else {
      DocValue scalar;
      doc_value_of(value, &scalar);
      buf_add_char(out, '=');
      doc_write(out, &scalar, &(DocForm){.json = true});
    }
  }
}

void doc_show_path(Buf *out, const json_t *path, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const json_t *part = json_array_get(path, i);
    if (json_is_string(part)) {
      buf_printf(out, "%s%s", i > 0 ? "." : "", json_string_value(part));
    } else {
      buf_add_char(out, '[');
      if (json_is_integer(part))
        buf_printf(out, "%lld", (long long)json_integer_value(part));
      else
        show_selector(out, part);
      buf_add_char(out, ']');
    }
  }
  if (count == 0) buf_add_str(out, "the document");
}

/* "spec.containers" of a path, on the heap of `out`. */
static const char *shown(Buf *out, const json_t *path, size_t count) {
  buf_clear(out);
  doc_show_path(out, path, count);
  return buf_str(out);
}

static const char *kind_of(const DocTree *tree, uint32_t node) {
  static const char *const names[] = {[DOC_MAP] = "a mapping", [DOC_SEQ] = "a list", [DOC_ALIAS] = "an alias"};
  if (tree->nodes[node].kind != DOC_SCALAR) return names[tree->nodes[node].kind];
  DocValue value;
  doc_value(tree, node, &value);
  return value.type == DOC_NULL ? "empty" : "a single value";
}

/* ---- mappings ---- */

static bool key_is(const DocTree *tree, uint32_t key, const char *name, size_t len) {
  const DocNode *node = &tree->nodes[key];
  bool nothing = node->style == DOC_PLAIN && node->len == 0; /* ": x" has no key */
  return node->kind == DOC_SCALAR && !nothing && node->len == len && memcmp(doc_text(tree, key), name, len) == 0;
}

/* The key in a mapping, how often it is there in `*times`. */
static uint32_t find_key(const DocTree *tree, uint32_t map, const char *name, size_t len, int *times) {
  uint32_t found = DOC_NONE, end = tree->nodes[map].next;
  *times = 0;
  for (uint32_t key = map + 1; key < end; key = tree->nodes[tree->nodes[key].next].next) {
    if (!key_is(tree, key, name, len)) continue;
    if (found == DOC_NONE) found = key;
    ++*times;
  }
  return found;
}

static bool fits(const DocTree *tree, uint32_t node, const json_t *selector) {
  const char *name;
  json_t *wanted;
  if (tree->nodes[node].kind != DOC_MAP || json_object_size(selector) == 0) return false;
  json_object_foreach((json_t *)selector, name, wanted) {
    int times;
    uint32_t key = find_key(tree, node, name, strlen(name), &times);
    if (times != 1) return false;
    uint32_t value = tree->nodes[key].next;
    if (json_is_object(wanted)) {
      if (!fits(tree, value, wanted)) return false; /* NOLINT(misc-no-recursion) */
      continue;
    }
    DocValue is, must;
    if (tree->nodes[value].kind != DOC_SCALAR || json_is_array(wanted)) return false;
    doc_value(tree, value, &is);
    doc_value_of(wanted, &must);
    if (!doc_value_equal(&is, &must)) return false;
  }
  return true;
}

/* ---- one step ---- */

typedef struct Walk {
  const DocTree *tree;
  const json_t *path;
  size_t step; /* the part of the path that is being taken */
  bool missing;
  bool *absent; /* set when there is nothing at the path, as against: it cannot be told what */
  DocSpot *spot;
  Err *err;
} Walk;

static bool missing_key(const Walk *walk, uint32_t map, const char *name) {
  const DocTree *tree = walk->tree;
  bool last = walk->step + 1 == json_array_size(walk->path);
  if (walk->missing && last) {
    *walk->spot = (DocSpot){.parent = map, .key = DOC_NONE, .node = DOC_NONE};
    return true;
  }
  int merges;
  *walk->absent = true;
  find_key(tree, map, "<<", 2, &merges);
  Buf where = {0};
  doc_refuse(tree, walk->err, tree->nodes[map].start, "there is no key \"%s\" in %s%s", name,
             shown(&where, walk->path, walk->step),
             merges > 0 ? " itself: what is merged into it (<<) cannot be edited here" : "");
  buf_fini(&where);
  return false;
}

static bool step_key(const Walk *walk, uint32_t map, const char *name, size_t len) {
  int times;
  uint32_t key = find_key(walk->tree, map, name, len, &times);
  if (times == 0) return missing_key(walk, map, name);
  if (times > 1) {
    Buf where = {0};
    doc_refuse(walk->tree, walk->err, walk->tree->nodes[key].start, "the key \"%s\" is there %d times in %s", name, times,
               shown(&where, walk->path, walk->step));
    buf_fini(&where);
    return false;
  }
  *walk->spot = (DocSpot){.parent = map, .key = key, .node = walk->tree->nodes[key].next};
  return true;
}

static bool step_item(const Walk *walk, uint32_t list, const json_t *part) {
  const DocTree *tree = walk->tree;
  uint32_t found = DOC_NONE, end = tree->nodes[list].next;
  json_int_t index = json_is_integer(part) ? json_integer_value(part) : 0, at = 0, times = 0;
  for (uint32_t item = list + 1; item < end; item = tree->nodes[item].next) {
    at++;
    if (json_is_integer(part) ? at != index : !fits(tree, item, part)) continue;
    found = item;
    times++;
  }
  Buf where = {0}, what = {0};
  *walk->spot = (DocSpot){.parent = list, .key = DOC_NONE, .node = found};
  *walk->absent = times == 0;
  if (times == 0)
    doc_refuse(tree, walk->err, tree->nodes[list].start, "there is no %s; %s has %lld items",
               shown(&what, walk->path, walk->step + 1), shown(&where, walk->path, walk->step), (long long)at);
  else if (times > 1)
    doc_refuse(tree, walk->err, tree->nodes[list].start, "%lld items fit %s", (long long)times,
               shown(&what, walk->path, walk->step + 1));
  buf_fini(&where);
  buf_fini(&what);
  return times == 1;
}

/* Is the node one whose content is its own alone? */
static bool plain_to_edit(const Walk *walk, uint32_t id) {
  const DocTree *tree = walk->tree;
  const DocNode *node = &tree->nodes[id];
  const char *what = node->kind == DOC_ALIAS ? "an alias (*)" : node->anchor != 0 ? "an anchor (&)" : NULL;
  if (what == NULL) return true;
  Buf where = {0};
  doc_refuse(tree, walk->err, node->props, "%s has %s: an edit there would change more than this place, or less",
             shown(&where, walk->path, walk->step), what);
  buf_fini(&where);
  return false;
}

static bool take_step(const Walk *walk, uint32_t node) {
  const DocTree *tree = walk->tree;
  const json_t *part = json_array_get(walk->path, walk->step);
  DocKind kind = tree->nodes[node].kind;
  if (kind == DOC_MAP && json_is_string(part)) return step_key(walk, node, json_string_value(part), json_string_length(part));
  if (kind == DOC_MAP && json_is_integer(part)) { /* 8080: web */
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(part));
    return step_key(walk, node, digits, strlen(digits));
  }
  if (kind == DOC_SEQ && !json_is_string(part)) return step_item(walk, node, part);
  Buf where = {0}, what = {0};
  *walk->absent = kind != DOC_ALIAS;
  doc_refuse(tree, walk->err, tree->nodes[node].start, "there is no %s: %s is %s", shown(&what, walk->path, walk->step + 1),
             shown(&where, walk->path, walk->step), kind_of(tree, node));
  buf_fini(&where);
  buf_fini(&what);
  return false;
}

/* ---- documents ---- */

static bool has_content(const DocTree *tree, uint32_t root) {
  const DocNode *node = &tree->nodes[root];
  return node->kind != DOC_SCALAR || node->start < node->end;
}

static bool wanted_document(const DocTree *tree, const json_t *wanted, size_t index) {
  uint32_t root = tree->documents[index];
  if (json_is_integer(wanted)) return (json_int_t)index + 1 == json_integer_value(wanted);
  return wanted != NULL ? fits(tree, root, wanted) : has_content(tree, root);
}

static uint32_t find_document(const DocTree *tree, const json_t *wanted, Err *err) {
  uint32_t found = DOC_NONE;
  size_t times = 0;
  for (size_t i = 0; i < tree->documents_count; i++) {
    if (!wanted_document(tree, wanted, i)) continue;
    found = tree->documents[i];
    times++;
  }
  if (times == 1) return found;
  if (wanted == NULL && times > 1)
    err_set(err, ERR_REFUSED, "the text holds %zu documents: say which, as { document = … }", times);
  else if (wanted == NULL)
    err_set(err, ERR_REFUSED, "the text holds no document");
  else
    err_set(err, ERR_REFUSED, "%zu of the %u documents fit the option document", times, (unsigned)tree->documents_count);
  return DOC_NONE;
}

static bool good_path(const DocAt *at, Err *err) {
  for (size_t i = 0; i < json_array_size(at->path); i++) {
    const json_t *part = json_array_get(at->path, i);
    if (!json_is_string(part) && !json_is_integer(part) && !(json_is_object(part) && json_object_size(part) > 0))
      return err_set(err, ERR_USAGE, "part %zu of the path: a key, an index or a selector { name = … } expected", i + 1);
  }
  bool good = at->document == NULL || json_is_integer(at->document) ||
              (json_is_object(at->document) && json_object_size(at->document) > 0);
  return good ? true : err_set(err, ERR_USAGE, "document: its number or a selector { kind = … } expected");
}

static bool locate(const DocTree *tree, const DocAt *at, bool missing, bool *absent, DocSpot *spot, Err *err) {
  bool edit = absent == NULL, ignored;
  if (!good_path(at, err)) return false;
  uint32_t node = find_document(tree, at->document, err);
  if (node == DOC_NONE) return false;
  Walk walk = {.tree = tree, .path = at->path, .missing = missing, .absent = edit ? &ignored : absent, .spot = spot, .err = err};
  *spot = (DocSpot){.parent = DOC_NONE, .key = DOC_NONE, .node = node};
  for (; walk.step < json_array_size(at->path); walk.step++) {
    if ((edit && !plain_to_edit(&walk, node)) || !take_step(&walk, node)) return false;
    node = spot->node;
    if (node == DOC_NONE) return true;
  }
  return edit ? plain_to_edit(&walk, node) : true;
}

bool doc_locate(const DocTree *tree, const DocAt *at, bool missing, DocSpot *spot, Err *err) {
  return locate(tree, at, missing, NULL, spot, err);
}

uint32_t doc_find(const DocTree *tree, const DocAt *at, bool *absent, Err *err) {
  DocSpot spot;
  *absent = false;
  return locate(tree, at, false, absent, &spot, err) ? spot.node : DOC_NONE;
}
