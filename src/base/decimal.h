/* decimal: reading floating-point numbers as a database writes them, quickly and exactly. */
#ifndef PGSH_BASE_DECIMAL_H
#define PGSH_BASE_DECIMAL_H

#include <stddef.h>

/* The double nearest to the text, as strtod finds it; the text is ended by a NUL. */
double decimal_read(const char *text, size_t len);

#endif
