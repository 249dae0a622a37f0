/* doc_yaml: YAML by libyaml, the parser from which Kubernetes' own is descended.
 *
 * Its marks count characters, not bytes, and not the byte order mark: a table turns them into bytes. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "net/doc_internal.h"

typedef struct DocMarks {
  size_t *bytes; /* of the n-th character */
  size_t count;
} DocMarks;

static DocMarks marks_of(const char *text, size_t from, size_t len) {
  DocMarks marks = {.bytes = mem_alloc((len - from + 1) * sizeof(size_t))};
  for (size_t i = from; i < len; i++)
    if (((unsigned char)text[i] & 0xC0) != 0x80) marks.bytes[marks.count++] = i;
  marks.bytes[marks.count] = len;
  return marks;
}

static size_t byte_of(const DocMarks *marks, yaml_mark_t mark) {
  return marks->bytes[mark.index < marks->count ? mark.index : marks->count];
}

static void fill_scalar(const yaml_event_t *from, DocEvent *event) {
  static const DocStyle styles[] = {[YAML_ANY_SCALAR_STYLE] = DOC_PLAIN,
                                    [YAML_PLAIN_SCALAR_STYLE] = DOC_PLAIN,
                                    [YAML_SINGLE_QUOTED_SCALAR_STYLE] = DOC_SINGLE,
                                    [YAML_DOUBLE_QUOTED_SCALAR_STYLE] = DOC_DOUBLE,
                                    [YAML_LITERAL_SCALAR_STYLE] = DOC_LITERAL,
                                    [YAML_FOLDED_SCALAR_STYLE] = DOC_FOLDED};
  event->type = DOC_EV_SCALAR;
  event->style = styles[from->data.scalar.style];
  event->text = (const char *)from->data.scalar.value;
  event->len = from->data.scalar.length;
  event->empty = event->style == DOC_PLAIN && event->len == 0;
  event->anchor = (const char *)from->data.scalar.anchor;
  event->tag = (const char *)from->data.scalar.tag;
}

/* "[a, b: c]" has a mapping that no bracket begins. */
static DocStyle flow_style(const yaml_event_t *from) {
  return from->start_mark.index == from->end_mark.index ? DOC_PAIR : DOC_FLOW;
}

/* False: nothing to tell. */
static bool fill(const yaml_event_t *from, const DocMarks *marks, DocEvent *event) {
  memset(event, 0, sizeof *event);
  event->end = byte_of(marks, from->end_mark);
  switch (from->type) {
  case YAML_DOCUMENT_START_EVENT:
  case YAML_DOCUMENT_END_EVENT:
    event->type = DOC_EV_DOCUMENT;
    if (from->type == YAML_DOCUMENT_START_EVENT ? from->data.document_start.implicit : from->data.document_end.implicit)
      event->end = 0;
    return true;
  case YAML_SCALAR_EVENT: fill_scalar(from, event); return true;
  case YAML_ALIAS_EVENT:
    event->type = DOC_EV_ALIAS;
    event->text = (const char *)from->data.alias.anchor;
    event->len = strlen(event->text);
    return true;
  case YAML_MAPPING_START_EVENT:
    event->type = DOC_EV_MAP;
    event->style = from->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE ? flow_style(from) : DOC_BLOCK;
    event->anchor = (const char *)from->data.mapping_start.anchor;
    event->tag = (const char *)from->data.mapping_start.tag;
    return true;
  case YAML_SEQUENCE_START_EVENT:
    event->type = DOC_EV_SEQ;
    event->style = from->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE ? DOC_FLOW : DOC_BLOCK;
    event->anchor = (const char *)from->data.sequence_start.anchor;
    event->tag = (const char *)from->data.sequence_start.tag;
    return true;
  case YAML_MAPPING_END_EVENT:
  case YAML_SEQUENCE_END_EVENT: event->type = DOC_EV_END; return true;
  default: return false;
  }
}

static bool fail(const DocTree *tree, const yaml_parser_t *parser, const DocMarks *marks, Err *err) {
  if (parser->error == YAML_MEMORY_ERROR) return err_set(err, ERR_MEMORY, "out of memory");
  size_t offset = parser->error == YAML_READER_ERROR ? parser->problem_offset : byte_of(marks, parser->problem_mark);
  const char *context = parser->context != NULL ? parser->context : "";
  return doc_invalid(tree, err, offset, "invalid YAML: %s%s%s", context, context[0] != '\0' ? ": " : "",
                     parser->problem != NULL ? parser->problem : "it cannot be read");
}

static bool parse_all(DocTree *tree, yaml_parser_t *parser, const DocMarks *marks, size_t from, Err *err) {
  DocBuilder builder = {.tree = tree, .open = DOC_NONE, .cursor = from};
  for (bool done = false; !done;) {
    yaml_event_t event;
    DocEvent told;
    if (!yaml_parser_parse(parser, &event)) return fail(tree, parser, marks, err);
    done = event.type == YAML_STREAM_END_EVENT;
    bool ok = !fill(&event, marks, &told) || doc_tree_add(&builder, &told, err);
    yaml_event_delete(&event);
    if (!ok) return false;
  }
  return true;
}

bool doc_parse_yaml(DocTree *tree, Err *err) {
  size_t from = tree->len >= 3 && memcmp(tree->source, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return err_set(err, ERR_MEMORY, "out of memory");
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)tree->source + from, tree->len - from);
  DocMarks marks = marks_of(tree->source, from, tree->len);
  bool ok = parse_all(tree, &parser, &marks, from, err);
  free(marks.bytes);
  yaml_parser_delete(&parser);
  return ok;
}
