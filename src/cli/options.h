/* options: the command line as an Invocation, and the Invocation as the Lua table the engine gets.
 *
 * Only what is pgsh's own is understood here. A procedure declares flags of its own, so an unknown option is not an error of
 * the commands that load one: it goes, in order, with the word behind it, to `rest`. */
#ifndef PGSH_CLI_OPTIONS_H
#define PGSH_CLI_OPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Copies of words, in order. */
typedef struct OptionsWords {
  char **items;
  size_t count;
} OptionsWords;

typedef struct Invocation {
  const char *command;  /* "run", "plan", … ; static */
  const char *file;     /* the FILE; borrowed from words or argv; NULL when none was given */
  OptionsWords words;   /* the free words behind it (all of them for commands that take no file) */
  OptionsWords rest;    /* options that are not pgsh's, and the words behind them */
  Buf code;             /* -e */
  OptionsWords entries; /* -c: of the shell */
  OptionsWords confirm, skip, params;
  char *from, *until, *on_failure, *start_at, *output, *state, *color;
  bool dry_run, yes, no_input, no_rc, step, quiet, verbose, list, help, version;
  bool has_code;
} Invocation;

/* Parse. No words at all are the command "shell". False and ERR_USAGE, one line that names the nearest option. options_fini in
 * either case. */
bool options_parse(Invocation *invocation, int argc, char **argv, Err *err);
void options_fini(Invocation *invocation);
/* Push {command, file, words, rest, options, known}. options: the long names with '_' for '-' (dry_run, yes, confirm[], skip[],
 * params[], on_failure…) and `code` (-e). `known` lists pgsh's own options: none of them can be a procedure's, and a misspelt one
 * is told. May raise out of memory. */
void options_push(const Invocation *invocation, lua_State *L);

#endif
