#!/bin/sh
# What the entry point of the official image does: an empty data directory is initialised from POSTGRES_USER, POSTGRES_PASSWORD and
# POSTGRES_DB, then the server takes over. Arguments go to the server. LAB_*: from the lab (address, how to become an ordinary user, a cache
# of freshly initialised directories, settings).
set -e
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
[ "$1" != postgres ] || shift
: "${PGDATA:=/var/lib/postgresql/data}"

sql_quoted() { printf %s "$1" | sed "s/$2/$2$2/g"; }

initialise() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    cat >&2 <<'TEXT'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".
TEXT
    exit 1
  fi
  # What initdb makes is the same each time but for the name of the superuser.
  cache=$LAB_CACHE/${LAB_LOCALE:-C}
  if [ -d "$cache" ] && [ -z "$(ls -A "$PGDATA")" ]; then
    $LAB_AS cp -a "$cache/." "$PGDATA/"
    echo "The files belonging to this database system will be owned by user \"postgres\"."
  else
    $LAB_AS initdb -D "$PGDATA" -U postgres -A trust -N -E UTF8 --locale="${LAB_LOCALE:-C}" --wal-segsize=1
    if ! [ -d "$cache" ] && $LAB_AS mkdir "$cache.$$" 2>/dev/null; then
      $LAB_AS cp -a "$PGDATA/." "$cache.$$/" && $LAB_AS mv -T "$cache.$$" "$cache" 2>/dev/null || $LAB_AS rm -rf "$cache.$$"
    fi
  fi
  # A client of this pod comes from 127.0.0.1 whatever pod it is: nothing but the socket is trusted.
  $LAB_AS sh -c 'printf "local all all trust\nhost all all all %s\n" "$1" >"$2/pg_hba.conf"' sh \
    "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" "$PGDATA"
  {
    [ "$user" = postgres ] || printf "UPDATE pg_authid SET rolname = '%s' WHERE oid = 10\n" "$(sql_quoted "$user" "'")"
    [ -z "$POSTGRES_PASSWORD" ] || printf "ALTER ROLE \"%s\" PASSWORD '%s'\n" "$(sql_quoted "$user" '"')" "$(sql_quoted "$POSTGRES_PASSWORD" "'")"
    [ "$database" = postgres ] || printf 'CREATE DATABASE "%s"\n' "$(sql_quoted "$database" '"')"
  } | $LAB_AS postgres --single -D "$PGDATA" -F -c dynamic_shared_memory_type=mmap -c log_min_messages=error postgres >/dev/null
  echo
  echo "PostgreSQL init process complete; ready for start up."
  echo
}

mkdir -p "$PGDATA"
if [ "$(id -u)" = 0 ]; then
  chown "${LAB_OWNER:-0}" "$PGDATA" "$LAB_SOCKETS" 2>/dev/null || :
fi
chmod 700 "$PGDATA" 2>/dev/null || :
if [ -s "$PGDATA/PG_VERSION" ]; then
  echo
  echo "PostgreSQL Database directory appears to contain a database; Skipping initialization"
  echo
else
  initialise
fi
exec $LAB_AS postgres -D "$PGDATA" -c listen_addresses="$LAB_ADDRESS" -c port="${LAB_PORT:-5432}" -c unix_socket_directories="$LAB_SOCKETS" \
  -c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c dynamic_shared_memory_type=mmap -c max_connections=60 "$@"
