# What the small commands of a node have in common. $LAB_NODE is set by the node's sshd for every session.
node=${LAB_NODE:?is not set: these commands run in an ssh session of the lab}
. "$node/env" # name address port bin as data role lab commands lua
now=$(date +%s.%N)
[ "$(id -u)" = 0 ] || as=

# The process of the ssh session this runs in, and those above it but for the daemon that listens.
drop_link() {
  listener=$(cat "$node/sshd.pid" 2>/dev/null)
  pid=$$
  while [ "$pid" -gt 1 ]; do
    read -r line <"/proc/$pid/stat" || break
    parent=${line##*) ? }
    case $line in *"(sshd"*) [ "$pid" = "$listener" ] || kill -KILL "$pid" ;; esac
    pid=${parent%% *}
  done
}

# Log the command; faults/drop holds lines "before|during|after GLOB": the link goes at the first command that is like GLOB.
begin() {
  printf '%s %s %s\n' "$now" "$name" "$*" >>"$lab/run/commands.log"
  drop=
  if [ -e "$node/faults/drop" ]; then
    line=0
    while read -r how glob; do
      line=$((line + 1))
      case $* in
      $glob)
        drop=$how
        break
        ;;
      esac
    done <"$node/faults/drop"
    [ -z "$drop" ] || sed -i "${line}d" "$node/faults/drop"
  fi
  case $drop in
  before)
    drop_link
    exit 255
    ;;
  during)
    exec >/dev/null 2>&1
    drop_link
    ;;
  after)
    exec 8>&1 9>&2 >"$node/lost.out" 2>&1
    trap drop_link EXIT
    ;;
  esac
}

fault() { [ -e "$node/faults/$1" ]; }

# A process that has ended and was not yet reaped is not alive.
is_alive() {
  [ -n "$1" ] && read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  case ${line##*) } in Z*) return 1 ;; esac
}

pid_of() {
  case $1 in
  postgresql) pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) ;;
  *) pid=$(head -n 1 "$node/$1.pid" 2>/dev/null) ;;
  esac
  is_alive "$pid" || pid=
}

# Seconds since the service came to what it is.
since() {
  t=$(stat -c %Y "$node/service/$1" 2>/dev/null) || t=${now%.*}
  t=$(($(date +%s) - t))
}

# until_for SECONDS command …: polls.
until_for() {
  tries=$(($1 * 50))
  shift
  while ! "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.02
  done
}

is_up() {
  pid_of "$1"
  [ -n "$pid" ]
}
is_down() { ! is_up "$1"; }

sql() {
  "$bin/psql" -XAtq -d "host=$address port=$port user=gitlab_repmgr dbname=gitlab_repmgr connect_timeout=2" -c "$1" 2>/dev/null
}

repmgr() { (cd "$node" && exec $as "$bin/repmgr" -f "$node/repmgr.conf" "$@"); }

raw_start() {
  case $1 in
  postgresql)
    more=
    fault start-dies && more='-c shared_buffers=nonsense'
    (cd "$node" && $as "$bin/pg_ctl" -D "$data" -W -s -l "$node/log/postgresql/current" -o "-p $port -h $address $more" start) \
      </dev/null >/dev/null 2>&1
    ;;
  repmgrd) (cd "$node" && $as "$bin/repmgrd" -f "$node/repmgr.conf" --daemonize) </dev/null >/dev/null 2>&1 ;;
  esac
}

raw_stop() {
  case $1 in
  postgresql) (cd "$node" && $as "$bin/pg_ctl" -D "$data" -W -s -m "${2:-fast}" stop) </dev/null >/dev/null 2>&1 ;;
  *) pid_of "$1" && [ -n "$pid" ] && kill -TERM "$pid" ;;
  esac
}
