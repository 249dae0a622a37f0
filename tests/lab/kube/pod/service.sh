#!/bin/sh
# A service that uses a database: keeps one connection through the name of the database's service, writes a row now and then (or only
# reads: LAB_READ_ONLY), and connects anew when it is lost. DATABASE_URL says where; LAB_HOSTS says what the names mean.
name=$1
host=$(printf %s "$DATABASE_URL" | sed -n 's|^[a-z]*://\([^/]*@\)\{0,1\}\([^:/?]*\).*|\2|p')
pause=${LAB_PAUSE:-0.5}
export PGAPPNAME="$name" PGCONNECT_TIMEOUT=3
trap 'exit 0' TERM

statements() {
  printf '\\warn %s: connected\n' "$name"
  if [ -z "$LAB_READ_ONLY" ]; then
    echo "set client_min_messages = warning;"
    echo "create table if not exists heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());"
  fi
  # $1: the shell that reads: without it there is nothing to write to.
  while kill -0 "$1" 2>/dev/null; do
    if [ -n "$LAB_READ_ONLY" ]; then
      echo "select count(*) as seen from pg_class;"
    else
      echo "insert into heartbeat (service) values ('$name');"
    fi
    sleep "$pause"
  done
}

echo "$name: starting"
while :; do
  address=$(awk -v host="$host" '$2 == host { print $1; exit }' "$LAB_HOSTS" 2>/dev/null)
  if [ -n "$address" ]; then
    echo "$name: connecting to $host"
    statements $$ | PGHOSTADDR=$address psql -X -q -v ON_ERROR_STOP=1 -o /dev/null "$DATABASE_URL" 2>&1 | sed -u "/^$name: connected/!s/^/$name: ERROR: /" &
    wait $!
    echo "$name: ERROR: connection to $host lost, next try in 0.3 s"
  else
    echo "$name: ERROR: $host has no address"
  fi
  sleep 0.3 &
  wait $!
done
