-- Shell functions for a guardian. PostgreSQL that was ended by SIGKILL leaves a segment of System V shared memory, and once its data
-- directory has gone nobody knows whose it was: the last line but one of postmaster.pid says key and id.
--
--   seen=$(segments_below "$dir")   before anything is removed
--   forget_segments "$seen"         when its servers have ended; one that is in use stays
return [==[
segments_below() { find "$1" -name postmaster.pid -exec sed -sn '7s/^ *\([0-9]\{1,\} \{1,\}[0-9]\{1,\}\).*/\1/p' {} + 2>/dev/null; }
forget_segments() {
  printf '%s\n' "$1" | while read -r key id; do
    [ -n "$id" ] || continue
    ipcs -m | awk -v key="$(printf '0x%08x' "$key")" -v id="$id" '$1 == key && $2 == id && $6 == 0 { hit = 1 } END { exit !hit }' &&
      ipcrm -m "$id" 2>/dev/null
  done
}
]==]
