/* doc_internal: what the files doc_*.c share. */
#ifndef PGSH_NET_DOC_INTERNAL_H
#define PGSH_NET_DOC_INTERNAL_H

#include "net/doc.h"

/* ---- doc_yaml.c (libyaml), doc_json.c ---- */

bool doc_parse_yaml(DocTree *tree, Err *err);
bool doc_parse_json(DocTree *tree, Err *err);
bool doc_invalid(const DocTree *tree, Err *err, size_t offset, const char *format, ...) __attribute__((format(printf, 4, 5)));
uint32_t doc_add_node(DocTree *tree, const DocNode *node);
void doc_add_root(DocTree *tree, uint32_t node);

/* ---- doc_tree.c: nodes and where they stand, from what a parser says in which order ---- */

typedef enum DocEventType {
  DOC_EV_DOCUMENT, /* begins or ends */
  DOC_EV_SCALAR,
  DOC_EV_ALIAS,
  DOC_EV_MAP,
  DOC_EV_SEQ,
  DOC_EV_END, /* of a mapping or sequence */
} DocEventType;

/* A parser's event. Of its marks only the end is used, and only of what the text itself does not end: plain and block scalars,
 * and the
 * "---" and "..." of documents. */
typedef struct DocEvent {
  DocEventType type;
  DocStyle style;
  bool empty; /* a scalar that is not there */
  size_t end; /* byte behind it; of a document: 0 when nothing marks it */
  const char *text, *anchor, *tag;
  size_t len;
} DocEvent;

typedef struct DocBuilder {
  DocTree *tree;
  uint32_t open; /* the collection that is being read */
  size_t cursor; /* all before it is accounted for */
} DocBuilder;

bool doc_tree_add(DocBuilder *builder, const DocEvent *event, Err *err);
/* "line 3, column 7" of a byte; columns count characters. */
void doc_where(const DocTree *tree, size_t offset, char where[64]);
/* Skip blanks, line ends and comments. */
size_t doc_skip_gap(const DocTree *tree, size_t offset);
/* The beginning of a line; its end, before the line end. */
size_t doc_line_start(const DocTree *tree, size_t offset);
size_t doc_line_end(const DocTree *tree, size_t offset);
/* The end of a block scalar's content: without blank lines and comments that follow it, unless it keeps them ("|+"). */
size_t doc_content_end(const DocTree *tree, uint32_t node);
/* Are the two the same, but for: the content of `changed` (in both at its place), and a subtree that only `a` has, or only `b`
 * (each a range of nodes below `parent`)? */
typedef struct DocDelta {
  uint32_t changed, parent;
  uint32_t a_from, a_to, b_from, b_to;
} DocDelta;
bool doc_same(const DocTree *a, const DocTree *b, const DocDelta *delta, uint32_t *where);

/* ---- doc_scalar.c: what scalars mean, and how values are written ---- */

typedef struct DocForm {
  bool json, flow, key;
  DocStyle style; /* of what stood there, or of a neighbour: kept where it can say the value */
} DocForm;

bool doc_valid(const char *text, size_t len, size_t *where); /* UTF-8 that may stand in a text */
void doc_value_of(const json_t *value, DocValue *out);       /* of a scalar */
bool doc_value_equal(const DocValue *a, const DocValue *b);
void doc_write(Buf *out, const DocValue *value, const DocForm *form);
/* Can a string be written as a literal block? */
bool doc_block_fits(const DocValue *value);

/* ---- doc_path.c ---- */

/* What a path leads to. */
typedef struct DocSpot {
  uint32_t parent; /* the collection; DOC_NONE when the node is a root */
  uint32_t key;    /* in a mapping */
  uint32_t node;   /* DOC_NONE: the last key is missing from `parent` */
} DocSpot;

/* `missing`: a last key that is not there is no error. */
bool doc_locate(const DocTree *tree, const DocAt *at, bool missing, DocSpot *spot, Err *err);
/* "spec.containers[name=postgres].image" */
void doc_show_path(Buf *out, const json_t *path, size_t count);
bool doc_refuse(const DocTree *tree, Err *err, size_t offset, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- splices: doc_tree.c ---- */

typedef struct DocSplice {
  size_t from, to; /* bytes of the old text */
  const char *bytes;
  size_t len;
} DocSplice;

/* Apply the splices (in order, not overlapping) to the text of the tree. */
void doc_splice(const DocTree *tree, const DocSplice *splices, size_t count, Buf *out);

/* ---- doc_edit.c ---- */

/* A key with its value, or an item: what can be taken out. */
typedef struct DocPiece {
  uint32_t parent, from, to; /* nodes */
  size_t start, end;         /* bytes */
  size_t next;               /* where the next one begins; SIZE_MAX: it is the last */
  bool only;
} DocPiece;

bool doc_piece(const DocTree *tree, const DocSpot *spot, DocPiece *piece, Err *err);
/* Is there nothing but spaces before it on its line? */
bool doc_alone_before(const DocTree *tree, size_t offset);
/* Read the new text into `now` (doc_fini by the caller, who keeps `text`) and compare: no more is different than delta says. */
bool doc_proved(const DocTree *old, const Buf *text, const DocDelta *delta, DocTree *now, Err *err);

#endif
