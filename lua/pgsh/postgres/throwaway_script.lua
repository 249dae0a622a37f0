-- The shell side of a throwaway server: the script that starts one, and the guardian that ends it.
local script = {}

-- $1 the directory, $2 the process to watch, $3 when that one was started (field 22 of its stat).
--
-- In a session of its own, deaf to what is sent to the terminal's group. It looks rather than waits for the end of a pipe: a pipe's
-- other end would have to be held by pgsh alone, from before the first moment something could go wrong.
script.GUARDIAN = [[
trap '' HUP INT TERM QUIT PIPE
cd /
dir=$1
alive() {
  IFS= read -r stat 2>/dev/null <"/proc/$2/stat" || return 1
  set -- "$3" ${stat##*) }
  [ "$1" = "${21}" ] && [ "$2" != Z ]
}
# A server that SIGKILL ends, or any signal while initdb runs it, leaves shared memory: a segment of System V, files in /dev/shm.
memory() {
  sed -n 's|.* \([0-9][0-9]*\) */SYSV.*|\1|p; s|.* \(/dev/shm/PostgreSQL[.][0-9]*\)$|\1|p' "/proc/$1/maps" 2>/dev/null
}
missing=0 # no directory: its maker was ended before it could make it, or somebody has removed it
while [ ! -e "$dir/stop" ] && [ "$missing" -lt 15 ] && alive "$@"; do
  sleep 0.2
  [ -d "$dir" ] && missing=0 || missing=$((missing + 1))
done
# Of one that was killed before, line 7 tells: key and id.
round=0 seen=$(sed -n '7s/^ *[0-9][0-9]*  *\([0-9][0-9]*\).*/\1/p' "$dir/run/data/postmaster.pid" 2>/dev/null)
while [ "$round" -lt 100 ]; do
  round=$((round + 1)) found=
  # Stopped, they take no more while it is looked up.
  signal=QUIT
  [ "$round" -lt 60 ] || signal=KILL
  for file in $(grep -lFs -- "$dir/run/data" /proc/[0-9]*/cmdline); do
    pid=${file#/proc/} pid=${pid%/cmdline}
    IFS= read -r name 2>/dev/null <"/proc/$pid/comm" || continue
    case $name in postgres|initdb|pg_ctl) kill -STOP "$pid" 2>/dev/null && found="$found $pid" ;; esac
  done
  for pid in $found; do seen="$seen $(memory "$pid")"; done
  for pid in $found; do kill -$signal "$pid" 2>/dev/null; kill -CONT "$pid" 2>/dev/null; done
  if [ -z "$found" ]; then
    rm -rf -- "$dir" 2>/dev/null
    [ -e "$dir" ] || break
  fi
  sleep 0.05
done
for one in $seen; do
  case $one in
  /*) rm -f -- "$one" ;;
  *) ipcs -m | awk -v id="$one" '$2 == id && $6 == 0 { hit = 1 } END { exit !hit }' && ipcrm -m "$one" 2>/dev/null ;;
  esac
done
]]

-- Arguments: directory, process to watch, bin, owner ("" ourselves), user id, group id, the guardian's text, then initdb's words. The
-- server's settings come on standard input. The guardian is there before the directory is.
--
-- Two directories: in the outer one only we write (what root writes must not be put where the server's user may place a link), the
-- inner one, mode 0700, is the server's.
script.START = [[
set -u
dir=$1 watched=$2 bin=$3 owner=$4 uid=$5 gid=$6 guardian=$7
shift 7
umask 077
started() { IFS= read -r stat <"/proc/$1/stat" && set -- ${stat##*) } && printf '%s' "${20}"; }
as_owner() {
  if [ -n "$owner" ]; then setpriv "--reuid=$uid" "--regid=$gid" --clear-groups -- "$@"; else "$@"; fi
}
cd / && when=$(started "$watched") || exit 1
setsid /bin/sh -c "$guardian" pgsh-throwaway "$dir" "$watched" "$when" </dev/null >/dev/null 2>&1 &
mkdir -m 700 -- "$dir" "$dir/run" || exit 1
if [ -n "$owner" ]; then
  chmod 711 "$dir" && chown "$uid:$gid" "$dir/run" || exit 1
  as_owner test -w "$dir/run" || {
    echo "the user $owner cannot reach $dir: give dir = a directory whose parents everybody may enter" >&2
    exit 1
  }
fi
data=$dir/run/data
# In a session of its own: what is sent to ours would end the server that initdb runs, and nobody could tell what memory it had.
as_owner setsid -w "$bin/initdb" -D "$data" -A trust -N "$@" </dev/null >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
as_owner /bin/sh -c 'cat >>"$1/postgresql.conf" && echo "local all all trust" >"$1/pg_hba.conf"' sh "$data" || exit 1
as_owner "$bin/pg_ctl" -D "$data" -s -w -t 60 -l "$data/log" start </dev/null >"$dir/start.log" 2>&1 ||
  { cat "$dir/start.log" "$data/log" >&2 2>/dev/null; exit 1; }
]]

return script
