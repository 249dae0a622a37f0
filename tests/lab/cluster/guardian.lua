-- What guarantees that nothing outlives the cluster: a shell in a session of its own waits for the end of a pipe which only the lab
-- holds. However the lab ends, the shell stops the servers, kills what runs below DIR/run with all its children, and removes DIR.
local proc = require "core.proc"
local segments = require "core.segments"

local guardian = {}

-- Everything that runs names DIR/run/ in its arguments, or is a child of such a process (the sessions of sshd).
local SCRIPT = segments .. [==[
trap "" HUP INT TERM
cat >/dev/null
dir=$1 seen=
cd /
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  seen="$seen
$(segments_below "$dir/run")"
  for file in "$dir"/run/*/data/postmaster.pid; do
    [ -e "$file" ] && read -r pid <"$file" && kill -QUIT "$pid" 2>/dev/null
  done
  found=$(ps -eo pid=,ppid=,args= | awk -v me=$$ -v needle="$dir/run/" '
    { pid[NR] = $1; parent[$1] = $2; if (index($0, needle) && $1 != me && $0 !~ /awk -v me/) hit[$1] = 1 }
    END {
      for (again = 1; again;) {
        again = 0
        for (i = 1; i <= NR; i++) if (!hit[pid[i]] && hit[parent[pid[i]]]) hit[pid[i]] = again = 1
      }
      for (i = 1; i <= NR; i++) if (hit[pid[i]]) print pid[i]
    }')
  for pid in $found; do
    seen="$seen
$(segments_of "$pid")"
  done
  if [ -n "$found" ]; then
    [ "$round" -gt 2 ] && kill -KILL $found 2>/dev/null
    sleep 0.05
    continue
  fi
  rm -rf "$dir" 2>/dev/null
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
