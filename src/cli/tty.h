/* tty: the state of the operator's terminal, which is given back whatever happens.
 *
 * One terminal a process, so the state is the module's own. tty_restore and tty_erase_signal are async-signal-safe. */
#ifndef PGSH_CLI_TTY_H
#define PGSH_CLI_TTY_H

#include <stdbool.h>
#include <stddef.h>

/* Columns and rows of the terminal behind fd; 80 × 24 when it does not say. */
void tty_size(int fd, size_t *columns, size_t *rows);
/* Do not echo what is typed (while something is redrawn, or a secret is entered). Does nothing in the background, or when
 * standard input is no terminal. The former state is remembered, and restored at exit. */
void tty_silence(bool on);
/* Keys are handed over as they are pressed, without echo; the ones that interrupt, stop and quit still do. Ended, and given
 * back, as tty_silence. */
void tty_take_keys(void);
/* A library changes the terminal from here on (true) until it has put it back (false): tty_restore then does it for it. */
void tty_watch(bool on);
/* Give the terminal back as it was. */
void tty_restore(void);
/* Forget what was typed before it was asked for. */
void tty_flush_input(void);
/* How many rows of the screen a redrawn region occupies on stderr now, for tty_erase_signal; the cursor is in the last. */
void tty_set_live_rows(size_t rows);
/* Erase that region. */
void tty_erase_signal(void);

#endif
