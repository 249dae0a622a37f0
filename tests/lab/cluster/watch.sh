#!/bin/sh
# watch.sh node DIR/run/watch NAME PSQL CONNINFO: several times a second, on one connection: is the server in recovery?
# Lines of DIR/run/watch/NAME: "SECONDS w" (writable), "SECONDS r" (in recovery), "SECONDS -" (no connection).
# watch.sh writer DIR/run/watch writer PSQL CONNINFO: inserts a row every few milliseconds; a line for each that was acknowledged.
what=$1 dir=$2 name=$3 psql=$4 conninfo=$5
export PGCONNECT_TIMEOUT=2 PGAPPNAME="watch-$what"
while :; do
  if [ "$what" = writer ]; then
    echo "insert into ledger (id) values (gen_random_uuid()) returning id, extract(epoch from clock_timestamp()) \\watch 0.02"
  else
    printf '%s\n' "set extra_float_digits = 0;" "select extract(epoch from clock_timestamp()), case when pg_is_in_recovery() then 'r' else 'w' end \\watch 0.1"
  fi >"$dir/$name.sql"
  "$psql" -XAtq -F ' ' -v ON_ERROR_STOP=1 -d "$conninfo" -f "$dir/$name.sql" 2>>"$dir/$name.err" | grep --line-buffered . >>"$dir/$name"
  [ "$what" = writer ] || echo "$(date +%s.%N) -" >>"$dir/$name"
  sleep 0.05
done
