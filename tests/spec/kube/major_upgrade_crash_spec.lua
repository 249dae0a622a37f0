-- kill -9 at writes to the journal of kubernetes-major-upgrade, then pgsh resume: the same end, nothing twice. Several kills in a run: each
-- resume is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.upgrade"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("kubernetes-major-upgrade, killed and resumed,", function()
  local upgrade, box

  setup(function()
    upgrade = support.new()
    box = upgrade.box
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  local QUICK = { "--rehearse", "no" }

  local function runs() return run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(box.dir)) end

  -- What was killed before it began leaves nothing to resume, and is called again.
  local function go_on(env)
    if runs() == "" then return upgrade:go(QUICK, { env = env }) end
    local result = upgrade:again("resume", nil, { env = env })
    if result.exit ~= 2 or not result.stderr:find "before it began" then return result end
    os.execute(("rm -rf %s/state/pgsh"):format(box.dir))
    return upgrade:go(QUICK, { env = env })
  end

  -- A write that holds all the words, and how to die at it.
  local CHAIN = {
    { "before", '"effect.outcome"', '"maintenance-on/run"' }, { "after", '"effect.intent"', '"scale-down/run"' },
    { "torn", '"step.done"', '"inventory"' }, { "after", '"effect.intent"', '"dump/run"' },
    { "before", '"effect.outcome"', '"dump/run"' }, { "before", '"effect.outcome"', '"stop-database/run"' },
    { "before", '"effect.outcome"', '"clone/run"' }, { "after", '"effect.intent"', '"remove-volume/run"', "pvc/" },
    { "before", '"effect.outcome"', '"remove-volume/run"', "pv/" }, { "after", '"effect.outcome"', '"new-volume/run"' },
    { "before", '"effect.outcome"', '"image/run"' }, { "torn", '"effect.outcome"', '"start-new/run"' },
    { "before", '"effect.outcome"', '"branch":"upload ' }, { "before", '"effect.outcome"', '"import/run"' },
    { "after", '"effect.intent"', '"scale-up/run"' }, { "before", '"effect.outcome"', '"maintenance-off/run"' },
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
    upgrade:is_whole(go_on(), "killed " .. table.concat(killed, "; "))
  end)

  local also = FULL and it or function() end
  also("and taken back from there, is what it was", function()
    for _, point in ipairs {
      { "before", '"effect.outcome"', '"import/run"' }, { "before", '"effect.outcome"', '"remove-volume/run"', "pvc/" },
    } do
      local env = run.crash(nil, point[1])
      env.CRASH_WORDS = table.concat(point, "\n", 2)
      local where = table.concat(point, " ")
      assert.equal(137, go_on(env).exit, where)
      local result = upgrade:again "undo"
      assert.equal(0, result.exit, where .. "\n" .. result.stderr)
      upgrade:is_back("killed " .. where .. ", taken back")
      upgrade:reset()
    end
  end)

  if FULL then
    for _, how in ipairs { "after", "torn", "before" } do
      it(("%s any write, ends as if it had not been"):format(how), function()
        local count = box.dir .. "/count"
        assert.equal(0, upgrade:go(QUICK, { env = run.crash(nil, nil, count) }).exit)
        local writes = tonumber(run.read_file(count):match "%d+")
        assert.is_true(writes > 80, "only " .. writes .. " writes")
        for number = 1, writes do
          upgrade:reset()
          local where = ("killed %s write %d of about %d"):format(how, number, writes)
          local result = upgrade:go(QUICK, { env = run.crash(number, how) })
          if result.exit == 137 then result = go_on() end
          upgrade:is_whole(result, where)
        end
      end)
    end
  end
end)
