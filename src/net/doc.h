/* doc: YAML and JSON texts, changed in place: one value, one key, and every other byte untouched.
 *
 * Nothing here is written back from a tree: an edit finds the bytes of a node, puts others in their place, reads the new text
 * again and compares. Unless the two documents differ at the path alone, the edit is refused. Everything here is synchronous,
 * raises nothing and keeps nothing; texts are borrowed. Errors: ERR_YAML or ERR_JSON when the text is not valid (line and column
 * in the message), ERR_REFUSED when the edit cannot be made, ERR_USAGE for a call that makes no sense. */
#ifndef PGSH_NET_DOC_H
#define PGSH_NET_DOC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* ---- reading ---- */

#define DOC_DEPTH 200 /* deeper nesting is refused */
#define DOC_NONE UINT32_MAX

typedef enum DocKind { DOC_SCALAR, DOC_MAP, DOC_SEQ, DOC_ALIAS } DocKind;
/* PLAIN to FOLDED are styles of scalars, BLOCK and FLOW of collections. PAIR: "b: c" in "[a, b: c]". */
typedef enum DocStyle { DOC_PLAIN, DOC_SINGLE, DOC_DOUBLE, DOC_LITERAL, DOC_FOLDED, DOC_BLOCK, DOC_FLOW, DOC_PAIR } DocStyle;

/* Nodes stand in the order of the text; the children of one follow it, a key before its value. Offsets are bytes. */
typedef struct DocNode {
  DocKind kind;
  DocStyle style;
  uint32_t parent;    /* DOC_NONE: the root of a document */
  uint32_t next;      /* the node behind this one and all its children */
  uint32_t children;  /* keys and values count */
  uint32_t depth;     /* of the root: 0 */
  bool is_key;        /* of its parent, a mapping */
  bool bare;          /* an empty value without the ':' that would make room for it: "{a}", "? a" */
  size_t lead;        /* where its "- " or "? " begins, else as props */
  size_t props;       /* where its anchor and tag begin, else as start */
  size_t start, end;  /* quotes, brackets and the "|" of a block scalar are inside; empty: start == end */
  size_t text, len;   /* of a scalar: its value in the tree's pool; of an alias: the anchor's name */
  size_t anchor, tag; /* NUL-ended in the pool; 0: none */
} DocNode;

typedef struct DocTree {
  const char *source; /* borrowed */
  size_t len;
  bool json;
  DocNode *nodes;
  uint32_t count, cap;
  uint32_t *documents; /* roots */
  uint32_t documents_count, documents_cap;
  Buf pool;
} DocTree;

/* Read a text. `tree` is zeroed storage of the caller; doc_fini in either case. */
bool doc_parse(DocTree *tree, const char *source, size_t len, bool json, Err *err);
void doc_fini(DocTree *tree);

typedef enum DocType { DOC_NULL, DOC_BOOL, DOC_INT, DOC_REAL, DOC_STRING } DocType;

typedef struct DocValue {
  DocType type;
  bool boolean;
  int64_t integer;
  double real;
  const char *text; /* of a string; borrowed */
  size_t len;
} DocValue;

/* What a scalar means: as Kubernetes reads it, which is YAML 1.1 as Go does it (yes, no, on, off, y, n are booleans; 0777 is
 * octal; dates are strings). Values with a tag of their own are strings. */
void doc_value(const DocTree *tree, uint32_t node, DocValue *value);
const char *doc_text(const DocTree *tree, uint32_t node); /* the text in the pool, len in the node; NUL-ended */

/* ---- finding ---- */

/* Where: a list of keys, indexes from 1, and selectors ({"name": "postgres"}: the one item that has these). `document` is NULL, a
 * number from 1, or a selector of the document. Borrowed. */
typedef struct DocAt {
  bool json;
  const json_t *path;
  const json_t *document;
} DocAt;

/* The node at a path: DOC_NONE and err when there is none (*absent), or when it cannot be told which. */
uint32_t doc_find(const DocTree *tree, const DocAt *at, bool *absent, Err *err);

/* ---- changing: the new text is appended to `out`, or err says why not ---- */

/* Set the scalar at the path. `value`: a string, number, boolean or null. `create`: a last key that is missing is added. */
bool doc_edit(const char *text, size_t len, const DocAt *at, const json_t *value, bool create, Buf *out, Err *err);
/* Remove a key with its value, or an item. */
bool doc_remove(const char *text, size_t len, const DocAt *at, Buf *out, Err *err);
/* Turn a key with its value, or an item, into comments, so that doc_uncomment gives back every byte. Block style only. */
bool doc_comment(const char *text, size_t len, const DocAt *at, Buf *out, Err *err);
/* Bring it back: what doc_comment made of the path; of all paths when at->path is NULL. */
bool doc_uncomment(const char *text, size_t len, const DocAt *at, Buf *out, Err *err);

#endif
