/* teller: lines that are to be elsewhere soon, sent from a thread of its own, in order, at most once a second.
 *
 * What is told waits until it was sent; a send that fails is made again later, and nobody hears of it. An append is strict: it
 * sends what waits and its own lines in one go and says whether they arrived. */
#ifndef PGSH_RUN_TELLER_H
#define PGSH_RUN_TELLER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct Teller Teller;

/* Send whole lines; may block. Called from either thread, one call at a time. Lines that had arrived before may come again. */
typedef bool (*TellerSend)(void *self, const char *lines, size_t len, Err *err);

/* `self` is borrowed. The thread is made by the first tell. */
Teller *teller_new(TellerSend send, void *self);
/* Waits for the send that is on its way; what still waits is dropped: append before. NULL is fine. */
void teller_free(Teller *teller);
/* Returns at once. */
void teller_tell(Teller *teller, const char *lines, size_t len);
/* Also with no lines of its own. False and err: of all that is not there yet nothing is known to have arrived; it still waits,
 * except the lines given. */
bool teller_append(Teller *teller, const char *lines, size_t len, Err *err);

#endif
