-- kill -9 at writes to the journal of a procedure, then pgsh resume: for the crash specs.
--
--   local killer = crash.of(rolling, { "--channels", "…" })   derived from support/procedure.lua, with :reset() and :is_whole(result,
--                                                             where); the parameters of each call
--   killer:ends_whole(CHAIN)                                  one run, killed at each of these writes and resumed, is whole
--   killer:kill_once(point); killer:go_on()                   a single kill; resume
--   crash.WAYS                                                with PGSH_FULL=1: "after", "torn", "before"; else none
--   killer:ends_whole_at_every_write(way)                     killed at every write, each in a run of its own
--
-- A point of a chain is how to die (support/crash.c), and the words of which the write holds all: { "torn", '"step.done"', '"failover"' }.
local assert = require "luassert"
local run = require "tests.spec.support.run"

local crash = {}
local Killer = {}
Killer.__index = Killer

crash.FULL = os.getenv "PGSH_FULL" == "1"
crash.WAYS = crash.FULL and { "after", "torn", "before" } or {}

-- A run has so many writes to its journal at least: fewer, and it was not the whole procedure.
local WRITES = 80

function crash.of(procedure, parameters)
  return setmetatable({ procedure = procedure, parameters = parameters or {} }, Killer)
end

function Killer:go(env) return self.procedure:go(self.parameters, { env = env }) end

-- Resume. What was killed before it began leaves nothing to resume, and is called again.
function Killer:go_on(env)
  local procedure = self.procedure
  if run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(procedure.box.dir)) == "" then return self:go(env) end
  local result = procedure:again("resume", nil, { env = env })
  if result.exit ~= 2 or not result.stderr:find "before it began" then return result end
  procedure:forget()
  return self:go(env)
end

-- Begins or resumes, and is killed at the write; returns which it was, in words.
function Killer:kill_once(point)
  local env = run.crash(nil, point[1])
  env.CRASH_WORDS = table.concat(point, "\n", 2)
  local where = table.concat(point, " ")
  local result = self:go_on(env)
  assert.equal(137, result.exit, where .. ": not killed\n" .. result.stderr)
  return where
end

-- Each resume is killed as well, but for the last: as if it had not been. then_do(where): called after each kill. Returns where it was
-- killed.
function Killer:ends_whole(chain, then_do)
  local killed = {}
  for i, point in ipairs(chain) do
    killed[i] = self:kill_once(point)
    if then_do then then_do(killed[i]) end
  end
  local where = "killed " .. table.concat(killed, "; ")
  self.procedure:is_whole(self:go_on(), where)
  return where
end

function Killer:ends_whole_at_every_write(how)
  local procedure = self.procedure
  local count = procedure.box.dir .. "/count"
  assert.equal(0, self:go(run.crash(nil, nil, count)).exit)
  local writes = tonumber(run.read_file(count):match "%d+")
  assert.is_true(writes > WRITES, "only " .. writes .. " writes")
  for number = 1, writes do
    procedure:reset()
    local where = ("killed %s write %d of about %d"):format(how, number, writes)
    local result = self:go(run.crash(number, how))
    if result.exit == 137 then result = self:go_on() end
    procedure:is_whole(result, where)
  end
end

return crash
