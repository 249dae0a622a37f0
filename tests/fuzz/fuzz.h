/* fuzz: the entry every target defines. Each file below is one libFuzzer target; run.sh builds and runs them. */
#ifndef PGSH_FUZZ_H
#define PGSH_FUZZ_H
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
