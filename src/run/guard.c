/* guard: see guard.h. */
#include "run/guard.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct Guard {
  Target **targets; /* pointers: a Target's address must not move */
  size_t count, cap;
  bool sealed;
};

Guard *guard_new(void) { return mem_alloc(sizeof(Guard)); }

void guard_free(Guard *guard) {
  if (guard == NULL) return;
  for (size_t i = 0; i < guard->count; i++) {
    free(guard->targets[i]->kind);
    free(guard->targets[i]->name);
    free(guard->targets[i]->detail);
    free(guard->targets[i]);
  }
  free(guard->targets);
  free(guard);
}

Target *guard_target(Guard *guard, const char *kind, const char *name, const char *detail) {
  Target *target = NULL;
  for (size_t i = 0; i < guard->count && target == NULL; i++)
    if (strcmp(guard->targets[i]->kind, kind) == 0 && strcmp(guard->targets[i]->name, name) == 0) target = guard->targets[i];
  if (target == NULL) {
    if (guard->count == guard->cap) {
      guard->cap = guard->cap > 0 ? guard->cap * 2 : 8;
      guard->targets = mem_realloc(guard->targets, guard->cap * sizeof(Target *));
    }
    target = mem_alloc(sizeof *target);
    target->kind = mem_strdup(kind);
    target->name = mem_strdup(name);
    target->listed = !guard->sealed;
    guard->targets[guard->count++] = target;
  }
  if (detail != NULL && target->detail == NULL) target->detail = mem_strdup(detail);
  return target;
}

void guard_seal(Guard *guard) { guard->sealed = true; }
bool guard_sealed(const Guard *guard) { return guard->sealed; }

/* The operator's own machine needs no naming: a script that writes a local file or runs a local command says so in its text. */
static bool guard_is_local(const Target *target) {
  return strcmp(target->name, "localhost") == 0 && (strcmp(target->kind, "sh") == 0 || strcmp(target->kind, "file") == 0);
}

bool guard_allows(const Guard *guard, const Target *target, Err *err) {
  if (!guard->sealed || target->listed || guard_is_local(target)) return true;
  err_set(err, ERR_TARGET, "%s %s was not named before the run began", target->kind, target->name);
  err_set_hint(err, "make its handle at the top level of the script, so that the plan and the confirmation show it");
  return false;
}

json_t *guard_list(const Guard *guard) {
  json_t *list = json_array();
  for (size_t i = 0; i < guard->count; i++) {
    const Target *target = guard->targets[i];
    if (!target->listed || guard_is_local(target)) continue;
    json_t *item = json_pack("{s:s, s:s}", "kind", target->kind, "name", target->name);
    if (target->detail != NULL) json_object_set_new(item, "detail", json_string(target->detail));
    json_array_append_new(list, item);
  }
  return list;
}
