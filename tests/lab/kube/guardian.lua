-- What guarantees that nothing outlives the cluster: a shell in a session of its own waits for the end of a pipe which only the lab holds.
-- However the lab ends, every process with the lab's mark in its environment is killed (with them go the pods' mounts), and the directory.
local proc = require "core.proc"
local segments = require "core.segments"

local guardian = {}

-- Backends of PostgreSQL hide their environment, but end with their parent.
local SCRIPT = segments .. [==[
trap "" HUP INT TERM
cat >/dev/null
dir=$1 seen=
cd /
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  found=
  seen="$seen
$(segments_below "$dir")"
  for file in $(grep -lFs -- "PGSH_POD=$dir/" /proc/[0-9]*/environ); do
    pid=${file#/proc/}
    pid=${pid%/environ}
    seen="$seen
$(segments_of "$pid")"
    if [ "$round" -lt 3 ]; then kill -QUIT "$pid" 2>/dev/null; else kill -KILL "$pid" 2>/dev/null; fi
    found=1
  done
  if [ -n "$found" ]; then
    sleep 0.03
    continue
  fi
  rm -rf --one-file-system "$dir" 2>/dev/null
  [ -e "$dir" ] || break
  sleep 0.05
done
forget_segments "$seen"
]==]

function guardian.watch(dir)
  local command = "exec setsid -w sh -c " .. proc.quote(SCRIPT) .. " guardian " .. proc.quote(dir) .. " >/dev/null 2>&1"
  local pipe = assert(io.popen(command, "w"))
  return { finish = function() pipe:close() end }
end

return guardian
