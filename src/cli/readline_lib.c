/* readline_lib: see readline_lib.h. */
#include "cli/readline_lib.h"

#include <dlfcn.h>
#include <string.h>

#define READLINE_SONAME "libreadline.so.8"

Readline readline_lib;

static bool readline_find(void *library, const char *name, void *to, Err *err) {
  void *symbol = dlsym(library, name);
  if (symbol == NULL) return err_set(err, ERR_SPAWN, "the line editor cannot be used: %s has no %s", READLINE_SONAME, name);
  memcpy(to, &symbol, sizeof symbol); /* ISO C has no cast from an object's to a function's address */
  return true;
}

bool readline_lib_load(Err *err) {
  static void *library;
  if (library != NULL) return true;
  void *opened = dlopen(READLINE_SONAME, RTLD_NOW | RTLD_LOCAL);
  if (opened == NULL) {
    err_set(err, ERR_SPAWN, "the line editor cannot be loaded: %s", dlerror());
    err_set_hint(err, "apt install libreadline8");
    return false;
  }
#define READLINE_FIND(name)                                                                                                      \
  if (!readline_find(opened, #name, &readline_lib.name, err)) {                                                                  \
    dlclose(opened);                                                                                                             \
    return false;                                                                                                                \
  }
  READLINE_FUNCTIONS(READLINE_FIND)
  READLINE_VARIABLES(READLINE_FIND)
#undef READLINE_FIND
  library = opened;
  return true;
}
