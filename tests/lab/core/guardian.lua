-- The lab's directory and what guarantees that nothing outlives the lab: a shell in a session of its own that
-- waits for the end of a pipe only the lab holds open. However the lab ends (even by SIGKILL), the pipe ends
-- with it, and the shell stops the servers and removes the directory.
local proc = require "core.proc"
local segments = require "core.segments"

local guardian = {}

-- SIGQUIT is PostgreSQL's immediate stop. Whatever else the lab was just running there (initdb, psql) goes too;
-- a server that was just being started is found in the next round.
local SCRIPT = segments .. [[
trap "" HUP INT TERM
cat >/dev/null
dir=$1 seen=
cd /
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  found=
  seen="$seen
$(segments_below "$dir")"
  for file in $(grep -lFs -- "$dir/pg/" /proc/[0-9]*/cmdline); do
    pid=${file#/proc/} pid=${pid%/cmdline}
    kill -STOP "$pid" 2>/dev/null # it takes no more while it is looked up
    seen="$seen
$(segments_of "$pid")"
    kill -QUIT "$pid" 2>/dev/null && found=1
    kill -CONT "$pid" 2>/dev/null
  done
  rm -rf "$dir" 2>/dev/null
  [ -n "$found" ] || [ -e "$dir" ] || break
  sleep 0.05
done
forget_segments "$seen"
]]

-- Makes a directory under the given parent (or $TMPDIR, or /tmp) that every user may enter.
function guardian.make_directory(parent)
  parent = parent or os.getenv("TMPDIR")
  if not parent or parent == "" then parent = "/tmp" end
  local output = proc.must(("d=$(mktemp -d %s) && chmod 755 \"$d\" && cd \"$d\" && pwd -P")
    :format(proc.quote(parent .. "/pgsh-lab.XXXXXX")), "making a directory under " .. parent)
  return output:match("^(.-)%s*$")
end

-- Returns an object whose :finish() stops the servers, removes the directory and waits for both.
function guardian.watch(dir)
  local command = "exec setsid -w sh -c " .. proc.quote(SCRIPT) .. " guardian " .. proc.quote(dir) .. " >/dev/null 2>&1"
  local pipe = assert(io.popen(command, "w"))
  return { finish = function() pipe:close() end }
end

return guardian
