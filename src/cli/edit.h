/* edit: the line editor of the interactive shell, GNU Readline through its callback interface in the one loop; a Console.
 *
 * While a line is typed, whatever else is printed appears above it (view_set_curtain). The terminal is the editor's only while a
 * line is read: a script that runs, a question, a pager get it as it was. */
#ifndef PGSH_CLI_EDIT_H
#define PGSH_CLI_EDIT_H

#include "cli/view.h"
#include "run/console.h"

typedef struct Edit Edit;

/* `usable`: standard input and error are a terminal that may be used. Nothing is loaded yet. The view is borrowed. */
Edit *edit_new(View *view, bool usable);
/* Every line has settled before (the Vm is closed). NULL is fine. */
void edit_free(Edit *edit);
/* For the Run; valid as long as the editor. */
const Console *edit_console(Edit *edit);
/* Is a line being typed? Then Ctrl-C is for it. */
bool edit_is_reading(const Edit *edit);
/* Is one to be typed as soon as somebody else (a question of a job) has given the terminal back? */
bool edit_is_waiting(const Edit *edit);
/* Ctrl-C: throw the line away. */
void edit_interrupt(Edit *edit);
/* TERM, HUP: end of input, now and for good. */
void edit_close_input(Edit *edit);
/* The terminal has another size. */
void edit_resize(Edit *edit);

#endif
