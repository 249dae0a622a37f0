/* doc_push: what a document means, as Lua values. */
#ifndef PGSH_API_DOC_PUSH_H
#define PGSH_API_DOC_PUSH_H

#include <lua.h>

#include "net/doc.h"

/* Push a node's value: json.null for null, lists marked as json.array does it, keys as strings; aliases and merges (<<) resolved.
 * False and err (ERR_YAML): a key that is there twice, an alias of nothing, or more values than a text of this size can mean. May
 * raise out of memory. */
bool doc_push(lua_State *L, const DocTree *tree, uint32_t node, Err *err);

#endif
