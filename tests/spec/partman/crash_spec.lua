-- kill -9 at writes to the journal of partman-rollout, then pgsh resume: the same end, nothing twice. Several kills in a run: each resume
-- is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.partman"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("partman-rollout, killed and resumed,", function()
  local rollout

  setup(function() rollout = support.new() end)
  teardown(function() rollout:stop() end)
  before_each(function() rollout:reset() end)

  local function runs() return run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(rollout.box.dir)) end

  -- What was killed before it began leaves nothing to resume, and is called again.
  local function go_on(env)
    if runs() == "" then return rollout:go({}, { env = env }) end
    local result = rollout:again("resume", nil, { env = env })
    if result.exit ~= 2 or not result.stderr:find "before it began" then return result end
    rollout:forget()
    return rollout:go({}, { env = env })
  end

  -- A write that holds all the words, and how to die at it.
  local CHAIN = {
    { "before", '"effect.intent"', '"stop-scheduler/run"' }, { "after", '"effect.intent"', '"suspend/run"', support.OTHER },
    { "before", '"effect.outcome"', '"stop-writers/run"' }, { "after", '"step.kept"', '"stop-logs"' },
    { "after", '"effect.intent"', '"upgrade/run"' }, { "torn", '"step.done"', '"wait-upgrade"' },
    { "after", '"effect.intent"', '"promote/run"', "as LOGS_DATABASE" }, { "before", '"effect.outcome"', '"truncate/run"' },
    { "before", '"effect.outcome"', '"log-structure/run' }, { "after", '"effect.intent"', '"migrate/run' },
    { "before", '"effect.outcome"', '"attach/run"' }, { "after", '"effect.intent"', '"create-scheduler/run"' },
    { "torn", '"effect.outcome"', '"run-maintenance/run"' }, { "before", '"effect.outcome"', '"resume/run"' },
  }

  it(("at %d chosen writes of one run, ends as if it had not been"):format(#CHAIN), function()
    local killed = {}
    for _, point in ipairs(CHAIN) do
      local env = run.crash(nil, point[1])
      env.CRASH_WORDS = table.concat(point, "\n", 2)
      local where = table.concat(point, " ")
      local result = go_on(env)
      assert.equal(137, result.exit, where .. ": not killed\n" .. result.stderr)
      killed[#killed + 1] = where
    end
    rollout:is_whole(go_on(), "killed " .. table.concat(killed, "; "))
  end)

  if FULL then
    for _, how in ipairs { "after", "torn", "before" } do
      it(("%s any write, ends as if it had not been"):format(how), function()
        local count = rollout.box.dir .. "/count"
        assert.equal(0, rollout:go({}, { env = run.crash(nil, nil, count) }).exit)
        local writes = tonumber(run.read_file(count):match "%d+")
        assert.is_true(writes > 80, "only " .. writes .. " writes")
        for number = 1, writes do
          rollout:reset()
          local where = ("killed %s write %d of about %d"):format(how, number, writes)
          local result = rollout:go({}, { env = run.crash(number, how) })
          if result.exit == 137 then result = go_on() end
          rollout:is_whole(result, where)
        end
      end)
    end
  end
end)
