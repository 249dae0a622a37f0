/* readline_lib: GNU Readline, loaded when the first line is read: `pgsh FILE` neither needs it nor pays for it. */
#ifndef PGSH_CLI_READLINE_LIB_H
#define PGSH_CLI_READLINE_LIB_H

#include <stdio.h>

#include <readline/history.h>
#include <readline/readline.h>
#include <stdbool.h>

#include "base/err.h"

/* Functions and variables that are used, as F(name) and V(name). */
#define READLINE_FUNCTIONS(F)                                                                                                    \
  F(rl_callback_handler_install)                                                                                                 \
  F(rl_callback_handler_remove)                                                                                                  \
  F(rl_callback_read_char)                                                                                                       \
  F(rl_callback_sigcleanup)                                                                                                      \
  F(rl_clear_visible_line)                                                                                                       \
  F(rl_free_line_state)                                                                                                          \
  F(rl_on_new_line)                                                                                                              \
  F(rl_redisplay)                                                                                                                \
  F(rl_forced_update_display)                                                                                                    \
  F(rl_resize_terminal)                                                                                                          \
  F(rl_insert_text)                                                                                                              \
  F(rl_set_prompt)                                                                                                               \
  F(rl_display_match_list)                                                                                                       \
  F(rl_crlf)                                                                                                                     \
  F(using_history)                                                                                                               \
  F(add_history)                                                                                                                 \
  F(clear_history)                                                                                                               \
  F(stifle_history)

#define READLINE_VARIABLES(V)                                                                                                    \
  V(rl_readline_name)                                                                                                            \
  V(rl_instream)                                                                                                                 \
  V(rl_outstream)                                                                                                                \
  V(rl_catch_signals)                                                                                                            \
  V(rl_catch_sigwinch)                                                                                                           \
  V(rl_change_environment)                                                                                                       \
  V(rl_attempted_completion_function)                                                                                            \
  V(rl_attempted_completion_over)                                                                                                \
  V(rl_completion_word_break_hook)                                                                                               \
  V(rl_completion_display_matches_hook)                                                                                          \
  V(rl_completion_append_character)                                                                                              \
  V(rl_completion_suppress_append)                                                                                               \
  V(rl_sort_completion_matches)                                                                                                  \
  V(rl_filename_completion_desired)                                                                                              \
  V(rl_line_buffer)                                                                                                              \
  V(rl_point)                                                                                                                    \
  V(rl_end)

/* readline.rl_point is a pointer to the library's rl_point, readline.rl_redisplay its function. */
typedef struct Readline {
#define READLINE_MEMBER(name) __typeof__(name) *name;
  READLINE_FUNCTIONS(READLINE_MEMBER)
  READLINE_VARIABLES(READLINE_MEMBER)
#undef READLINE_MEMBER
} Readline;

extern Readline readline_lib;

/* Load it, once. False and ERR_SPAWN when it is not installed. */
bool readline_lib_load(Err *err);

#endif
