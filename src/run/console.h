/* console: the line the operator types in, and programs that have the terminal for a while. The command line implements it and
 * hangs it on the Run; what is typed means is decided in Lua. */
#ifndef PGSH_RUN_CONSOLE_H
#define PGSH_RUN_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "run/run.h"

/* One line in the making. answer.answer NULL after success: end of input (Ctrl-D on an empty line), unless `interrupted`. */
typedef struct LineOp {
  AnswerOp answer;
  bool interrupted; /* Ctrl-C: the line was thrown away */
} LineOp;

/* What can stand at the cursor. */
typedef struct ConsoleChoices {
  size_t start;   /* byte of the line at which what is completed begins */
  char **matches; /* `count` texts, owned; each replaces line[start..point) */
  size_t count;
  char append; /* typed behind the only match; 0: nothing */
  char *hint;  /* shown above the line; NULL: none; owned */
} ConsoleChoices;

/* Called while a line is typed, from the loop: must not wait and must not change anything. Fills `choices` (zeroed). */
typedef void (*ConsoleComplete)(void *arg, const char *line, size_t point, ConsoleChoices *choices);

typedef struct Console {
  void *self;
  /* Read a line. `prompt` may hold colours between \001 and \002; `preset` stands in the line at first, or NULL. The Op is a
   * LineOp; it fails with ERR_ANSWER when there is no terminal, with ERR_SPAWN when the line editor is not installed. */
  AnswerOp *(*read)(void *self, Loop *loop, const char *prompt, const char *preset);
  /* The same line with another prompt (a clock in it). Nothing when no line is read. */
  void (*set_prompt)(void *self, const char *prompt);
  /* Entries that the arrow keys and Ctrl-R find; NULL: forget all. */
  void (*remember)(void *self, const char *entry);
  void (*set_complete)(void *self, ConsoleComplete complete, void *arg);
  /* Run a program that has the terminal (a pager, an editor), argv NULL-ended. `input`: its standard input, or NULL for the
   * terminal. Keys that interrupt are its own meanwhile. The answer is its exit status as text. */
  AnswerOp *(*program)(void *self, Loop *loop, char *const argv[], const char *input, size_t len);
  /* Can something be redrawn in place on it? */
  bool (*redraws)(void *self);
  /* Settles when a key is pressed (it is used up) or the terminal goes away; fails with ERR_ANSWER when there is none. */
  AnswerOp *(*key)(void *self, Loop *loop);
  /* While a key is waited for: show a text in place of the former one; what stands between \001 and \002 is emphasised. */
  void (*frame)(void *self, const char *text);
  /* Columns and rows of the terminal; false: standard output is none. */
  bool (*size)(void *self, size_t *columns, size_t *rows);
  /* Append a text from outside so that it stays on its line and does nothing to a terminal. */
  void (*clean)(Buf *out, const char *text);
  /* Columns of a text that is clean. */
  size_t (*width)(const char *text);
  /* May it be coloured? */
  bool (*colour)(void *self);
  /* Which interrupts a further Ctrl-C gets before it ends the process: `count` that were not dealt with yet. */
  void (*set_patience)(void *self, int count);
} Console;

#endif
