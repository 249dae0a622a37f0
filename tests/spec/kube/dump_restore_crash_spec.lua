-- kill -9 at writes to the journal of kubernetes-dump-restore, then pgsh resume: the same end, nothing twice. Each resume is killed, too.
-- PGSH_FULL=1 kills at every write, each in a run of its own.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.dump_restore"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("kubernetes-dump-restore, killed and resumed,", function()
  local upgrade, box

  setup(function()
    upgrade = support.new()
    box = upgrade.box
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  local function go_on(env)
    if run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(box.dir)) == "" then return upgrade:go({}, { env = env }) end
    local result = upgrade:again("resume", nil, { env = env })
    if result.exit ~= 2 or not result.stderr:find "before it began" then return result end
    os.execute(("rm -rf %s/state/pgsh"):format(box.dir))
    return upgrade:go({}, { env = env })
  end

  -- A write that holds all the words, and how to die at it.
  local CHAIN = {
    { "after", '"effect.intent"', '"stop-clients/run"' }, { "torn", '"step.done"', '"inventory"' },
    { "before", '"effect.outcome"', '"dump/run"', "pg_dump" }, { "after", '"effect.intent"', '"manifest/run"' },
    { "before", '"effect.outcome"', '"start-new/run"', "apply" }, { "after", '"effect.intent"', '"restore/run"', "pg_restore" },
    { "before", '"effect.outcome"', '"collation/run"', "reindex" }, { "torn", '"effect.outcome"', '"start-clients/run"' },
    { "after", '"effect.intent"', '"health-checks/run"', "apply" }, { "before", '"effect.outcome"', '"clean-up/run"', "rm -r" },
    { "after", '"effect.outcome"', '"clean-up/run"', "rm -r" },
  }

  -- A row that is lost is found, and named.
  local function is_missed()
    upgrade:sql "delete from kept where n = 77"
    local result = go_on()
    assert.equal(5, result.exit, result.stderr)
    assert.match("the new database is what the old one was", result.stderr, 1, true)
    assert.matches("kept.-77.-76", result.stderr)
    upgrade:sql "insert into kept values (77)"
  end

  it(("at %d chosen writes of one run, and with lines lost, ends as if it had not been"):format(#CHAIN), function()
    local killed = {}
    upgrade:faults({ command = "scale", verb = "patch", action = "lost" }, { command = "apply", verb = "patch", action = "lost" },
      { verb = "exec", contains = "pg_dump", action = "cut" }, { verb = "exec", contains = "reindex", action = "before" },
      { verb = "exec", contains = "PG_VERSION", action = "cut", skip = 1 })
    for _, point in ipairs(CHAIN) do
      local env = run.crash(nil, point[1])
      env.CRASH_WORDS = table.concat(point, "\n", 2)
      local where = table.concat(point, " ")
      local result = go_on(env)
      assert.equal(137, result.exit, where .. ": not killed\n" .. result.stderr)
      killed[#killed + 1] = where
      if where:find "reindex" then is_missed() end
    end
    local where = "killed " .. table.concat(killed, "; ")
    upgrade:is_whole(go_on(), where)
    -- What is not to be made twice was not.
    local dumps, restores = 0, 0
    for _, call in ipairs(upgrade.lab:calls(true)) do
      if call:find("/data/.pgsh-dump 1 ", 1, true) then dumps = dumps + 1 end
      if call:find("/data/.pgsh-restore 1 ", 1, true) then restores = restores + 1 end
    end
    assert.equal(1, dumps, where)
    assert.equal(1, restores, where)
    -- And there is no way back any more, which must not be tried.
    local back = upgrade:again "undo"
    assert.not_equal(0, back.exit)
    assert.match("there is no way back", back.stderr, 1, true)
    upgrade:is_whole({ exit = 0, stderr = "" }, "undo")
  end)

  if FULL then
    for _, how in ipairs { "after", "torn", "before" } do
      it(("%s any write, ends as if it had not been"):format(how), function()
        local count = box.dir .. "/count"
        assert.equal(0, upgrade:go({}, { env = run.crash(nil, nil, count) }).exit)
        local writes = tonumber(run.read_file(count):match "%d+")
        assert.is_true(writes > 80, "only " .. writes .. " writes")
        for number = 1, writes do
          upgrade:reset()
          local where = ("killed %s write %d of about %d"):format(how, number, writes)
          local result = upgrade:go({}, { env = run.crash(number, how) })
          if result.exit == 137 then result = go_on() end
          upgrade:is_whole(result, where)
        end
      end)
    end
  end
end)
