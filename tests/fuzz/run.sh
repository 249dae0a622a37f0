#!/bin/sh
# Build and run every fuzz target: tests/fuzz/run.sh SECONDS. A finding leaves crash-* in build/fuzz and a non-zero status.
set -e
seconds=${1:-30}
cd "$(dirname "$0")/../.."
mkdir -p build/fuzz
libs=$(pkg-config --cflags --libs lua5.4 libuv libpq jansson)
for target in tests/fuzz/*.c; do
  name=$(basename "$target" .c)
  mkdir -p "build/fuzz/$name"
  # shellcheck disable=SC2086
  clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Isrc -Itests/fuzz \
    "$target" src/base/*.c src/net/pg_guard.c src/net/pg_note.c src/run/journal.c src/run/door.c src/run/event.c $libs -o "build/fuzz/$name.bin"
  echo "fuzz $name: $seconds s"
  (cd build/fuzz && "./$name.bin" -max_total_time="$seconds" -max_len=4096 -verbosity=0 -print_final_stats=0 "$name" 2>"$name.log") ||
    { tail -30 "build/fuzz/$name.log"; exit 1; }
done
echo "fuzz: nothing found"
