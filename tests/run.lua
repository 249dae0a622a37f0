-- Runs the specs inside pgsh: ./pgsh lua tests/run.lua [SPEC FILE or folder ...]
--
-- Several files: each in a process of its own, JOBS at a time (default: one more than there are processors, since many wait for
-- a failover or a pod), those that take longest first, so that the run does not end in waiting for one of them. What a file
-- printed is shown whole when it has ended. A file fails that leaves a process running: each has a mark in its environment.
-- So does a run that leaves one of the specs' or the labs' directories.
local host = require "pgsh.host"
local sh = require "pgsh.sh"

package.path = "./?.lua;" .. package.path

-- Whatever begins so takes a minute or more.
local LONG = { "tests/spec/gitlab/rolling", "tests/spec/kube/major", "tests/spec/kube/dump", "tests/spec/partman/",
  "tests/spec/heroku/crash",
  "tests/spec/gitlab/services", "tests/spec/sqitch/", "tests/spec/heroku/faults", "tests/spec/kube/", "tests/spec/ssh/",
  "tests/spec/engine/script", "tests/spec/postgres/" }

local function rank(path)
  for i, start in ipairs(LONG) do
    if path:sub(1, #start) == start then return i end
  end
  return #LONG + 1
end

local function files_of(paths)
  local argv = { "find" }
  table.move(paths, 1, #paths, 2, argv)
  table.move({ "-name", "*_spec.lua", "-type", "f" }, 1, 4, #argv + 1, argv)
  local files = {}
  for path in sh.read(argv).out:gmatch "[^\n]+" do files[#files + 1] = path end
  table.sort(files, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    return a < b
  end)
  return files
end

-- One file, or several in this process: busted itself.
local function run_here(paths)
  local command = { [0] = "tests/run.lua", "--output=tests/report.lua", "--pattern=_spec%.lua$", "--no-auto-insulate" }
  if host.getenv "BUSTED_FILTER" then command[#command + 1] = "--filter=" .. host.getenv "BUSTED_FILTER" end
  table.move(paths, 1, #paths, #command + 1, command)
  _G.arg = command -- busted reads its own command line from there. luacheck: ignore
  require "busted.runner" { standalone = false }
end

-- What has the mark in its environment, as far as that may be read; guardians need a moment to clean up.
local STRAGGLERS_S = 15
local SURVIVORS = [[
for file in $(grep -lsxzF -- "PGSH_SPEC=$1" /proc/[0-9]*/environ); do
  pid=${file#/proc/} pid=${pid%/environ}
  read -r line 2>/dev/null <"/proc/$pid/stat" || continue
  case ${line##*) } in Z*) continue ;; esac
  printf '  %s %s\n' "$pid" "$(tr '\0\n' '  ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c 1-200)"
done]]

local function survivors(mark)
  local deadline, seen = host.mono() + STRAGGLERS_S * 1000, nil
  repeat
    if seen then host.sleep(0.2) end
    seen = sh.read({ "sh", "-c", SURVIVORS, "survivors", mark }).out
  until seen == "" or host.mono() > deadline
  return seen
end

-- What specs, labs and servers make where everybody may, and the runs of the specs: another one makes such things, too.
local LEFTOVERS = [[
ls -d /tmp/lua_?????? /tmp/lua_??????.* /tmp/tmp.?????????? /tmp/pgsh-* /tmp/sshd.?????? /dev/shm/pgsh-lab.* \
  /dev/shm/PostgreSQL.* /nonexistent 2>/dev/null
]]
local OTHERS = [[
for file in $(grep -lsxz 'tests/run[.]lua' /proc/[0-9]*/cmdline); do
  dir=${file%/cmdline}
  [ "${dir#/proc/}" = "$1" ] || grep -sqzE -- "^PGSH_SPEC=.*:$1\$" "$dir/environ" || echo "$dir"
done]]

-- Notes what is new since it was made, and by which files at the earliest.
local function lookout()
  local new, alone = {}, true
  local function look()
    local seen = {}
    for path in sh.read({ "sh", "-c", LEFTOVERS .. ":" }, { ok = { 0 } }).out:gmatch "[^\n]+" do seen[path] = true end
    alone = alone and sh.read({ "sh", "-c", OTHERS .. "; :", "others", host.pid }).out == ""
    return seen
  end
  local known, self = look(), {}
  function self.note(running)
    for path in pairs(look()) do
      if not known[path] and not new[path] then new[path] = table.concat(running, ", ") end
    end
  end
  -- What is still there at the end, as text; none when somebody else was at work.
  function self.left()
    local deadline, lines = host.mono() + STRAGGLERS_S * 1000, nil
    repeat
      if lines then host.sleep(0.5) end
      lines = {}
      local seen = look()
      for path, by in pairs(new) do
        if seen[path] then lines[#lines + 1] = ("  %s, seen after %s\n"):format(path, by) end
      end
    until #lines == 0 or not alone or host.mono() > deadline
    return alone and table.concat(lines) or ""
  end
  return self
end

local function run_all(files, jobs)
  local passed, failed, ended, start = 0, 0, 0, host.mono()
  local running, watch = {}, lookout()
  local next_file, program = 0, host.getenv "PGSH" or "./pgsh"
  local function worker()
    while next_file < #files do
      next_file = next_file + 1
      local file = files[next_file]
      local mark = ("%s:%d"):format(file, host.pid)
      running[#running + 1] = file
      local ok, result = pcall(sh.read, { program, "lua", "tests/run.lua", file }, {
        ok = { 0, 1 }, limit = "64M", timeout = "15m", env = { JOBS = "1", PGSH_SPEC = mark },
      })
      if not ok then result = { exit = 1, out = "", err = ("FAIL %s: %s\n"):format(file, tostring(result)) } end
      local said, good, bad = result.out:match "^(.-)(%d+) passed, (%d+) failed%s*$"
      -- A file that did not come to its end has failed, whatever its parts did.
      good, bad = tonumber(good) or 0, tonumber(bad) or 1
      if result.exit ~= 0 and bad == 0 then bad = 1 end
      local left = survivors(mark)
      watch.note(running)
      for i, name in ipairs(running) do
        if name == file then table.remove(running, i) break end
      end
      if left ~= "" then
        bad = bad + 1
        left = ("FAIL %s left running:\n%s"):format(file, left)
      end
      passed, failed = passed + good, failed + bad
      ended = ended + 1
      io.write(said or result.out, result.err, left)
      io.flush()
    end
  end
  local tasks = {}
  for i = 1, jobs do tasks[i] = host.spawn("job " .. i, worker) end
  for _, task in ipairs(tasks) do task:join() end
  local left = watch.left()
  if left ~= "" then
    failed = failed + 1
    io.write("FAIL left behind:\n", left)
  end
  io.write(("%d files in %.0f s, %d at a time\n"):format(ended, (host.mono() - start) / 1000, jobs))
  io.write(("%d passed, %d failed\n"):format(passed, failed))
  os.exit(failed == 0 and ended == #files and 0 or 1)
end

local paths = { table.unpack(arg) }
if #paths == 0 then paths[1] = "tests/spec" end
local files = files_of(paths)
local jobs = tonumber(host.getenv "JOBS") or tonumber((sh.read({ "nproc" }).out)) + 1
if #files > 1 and jobs > 1 then run_all(files, math.tointeger(jobs)) else run_here(paths) end
