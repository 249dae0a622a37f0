#!/bin/sh
# Build and run every fuzz target: tests/fuzz/run.sh SECONDS [TARGET…]. A finding leaves crash-* in build/fuzz and a non-zero status.
set -e
seconds=${1:-30}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/../.."
mkdir -p build/fuzz/obj
libs=$(pkg-config --libs lua5.4 libuv libpq jansson zlib libdeflate libcrypto yaml-0.1)
flags="-g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=address,undefined -fno-sanitize-recover=all -Isrc -Itests/fuzz $(pkg-config --cflags lua5.4 libuv libpq jansson)"
# What is under test, once, as an archive: a target takes what it needs.
rm -f build/fuzz/lib.a build/fuzz/obj/*.o
for source in src/base/*.c src/loop/*.c src/net/pg_danger.c src/net/pg_guard.c src/net/pg_lex.c src/net/pg_note.c src/net/pg_secret.c src/net/doc_*.c src/net/ssh_config.c \
  src/net/ssh_config_run.c src/net/ssh_expand.c src/net/ssh_hosts.c src/net/ssh_limits.c src/run/journal.c src/run/door.c src/run/event.c \
  src/stream/filter_*.c src/stream/digest.c src/stream/gzip.c; do
  # shellcheck disable=SC2086
  clang $flags -fsanitize=fuzzer-no-link -c "$source" -o "build/fuzz/obj/$(basename "$source" .c).o"
done
ar rc build/fuzz/lib.a build/fuzz/obj/*.o
[ $# -gt 0 ] || set -- tests/fuzz/*.c
for target; do
  name=$(basename "$target" .c)
  mkdir -p "build/fuzz/$name"
  # shellcheck disable=SC2086
  clang $flags -fsanitize=fuzzer "tests/fuzz/$name.c" build/fuzz/lib.a $libs -o "build/fuzz/$name.bin"
  echo "fuzz $name: $seconds s"
  (cd build/fuzz && "./$name.bin" -max_total_time="$seconds" -max_len=4096 -verbosity=0 -print_final_stats=0 "$name" 2>"$name.log") ||
    { tail -30 "build/fuzz/$name.log"; exit 1; }
done
echo "fuzz: nothing found"
