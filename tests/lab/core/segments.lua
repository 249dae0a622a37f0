-- Shell functions for a guardian. PostgreSQL that is ended by SIGKILL, or while initdb runs it, leaves shared memory: a segment of System V
-- and files in /dev/shm. Once it has gone, and its data directory too, nobody knows whose they were.
--
--   seen="$seen\n$(segments_below "$dir")"   of servers that were killed before: line 7 of postmaster.pid has key and id
--   seen="$seen\n$(segments_of "$pid")"      of one that is about to be: an id, names of files
--   forget_segments "$seen"                  when they have all ended
return [==[
segments_below() { find "$1" -name postmaster.pid -exec sed -sn '7s/^ *\([0-9]\{1,\} \{1,\}[0-9]\{1,\}\).*/\1/p' {} + 2>/dev/null; }
segments_of() {
  sed -n 's|.* \([0-9]\{1,\}\) */SYSV.*|\1|p; s|.* \(/dev/shm/PostgreSQL\.[0-9]*\)$|\1|p' "/proc/$1/maps" 2>/dev/null
}
forget_segments() {
  printf '%s\n' "$1" | sort -u | while read -r one id; do
    case $one,$id in
    ,) ;;
    /*) rm -f "$one" ;;
    *,) ipcrm -m "$one" 2>/dev/null ;;
    *) # what is in the file may be long ago
      ipcs -m | awk -v key="$(printf '0x%08x' "$one")" -v id="$id" '$1 == key && $2 == id && $6 == 0 { hit = 1 } END { exit !hit }' &&
        ipcrm -m "$id" 2>/dev/null
      ;;
    esac
  done
}
]==]
