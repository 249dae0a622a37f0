-- Checks the lab itself: lua5.4 tests/lab/selftest.lua
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local luasocket = require "socket"
local harness = require "selftest.harness"

local check, equal = harness.check, harness.equal

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- The lab must leave nothing behind, however it ends; `finish` ends it and returns its exit code.
local function ending(what, arguments, wanted, finish)
  local lab = harness.start(here, arguments)
  local dir = lab.ready.dir
  check(exists(dir), what .. ": it has a directory")
  local url = harness.clients(lab.ready).state().config.DATABASE_URL
  local code = finish(lab)
  if wanted then equal(code, wanted, what .. ": exit code") end
  check(harness.wait(3, function() return not exists(dir) end), what .. ": the directory is gone")
  check(not harness.psql(url, "select 1"), what .. ": the servers are gone")
end

local function kill(signal)
  return function(lab)
    local port = lab.ready.control:match("%d+$")
    -- The process that listens on the control port is the lab.
    os.execute(("ss -Hltnp 'sport = :%s' | sed 's/.*pid=\\([0-9]*\\).*/\\1/' | xargs kill -%s"):format(port, signal))
    luasocket.sleep(0.3)
    return select(2, lab.finish())
  end
end

local function endings()
  ending("end of stdin", "", 0, function(lab) return select(2, lab.finish()) end)
  ending("without servers", "--no-postgres", 0, function(lab) return select(2, lab.finish()) end)
  ending("SIGTERM", "", 143, kill "TERM")
  ending("SIGKILL", "", nil, kill "KILL")
  local status = os.execute("sleep 1 | PGSH_LAB_BIN=/nonexistent lua5.4 '" .. here .. "/lab.lua' >/dev/null 2>&1")
  check(not status, "a start that fails says so")
end

local function main()
  local lab = harness.start(here)
  local client = harness.clients(lab.ready)
  for _, part in ipairs { "platform", "data", "statuspage", "faults", "fixture" } do
    local ok, why = xpcall(require("selftest." .. part), debug.traceback, client, lab.ready)
    check(ok, part .. " ran to its end", why)
  end
  local _, code, complaints = lab.finish()
  equal(code, 0, "the lab ends well")
  equal(complaints, "", "and without complaints")
  endings()
  os.exit(harness.report())
end

main()
