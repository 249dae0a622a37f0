-- kill -9 at writes to the journal of kubernetes-dump-restore, then pgsh resume: the same end, nothing twice. Each resume is killed, too.
-- PGSH_FULL=1 kills at every write, each in a run of its own.
local crash = require "tests.spec.support.crash"
local support = require "tests.spec.support.dump_restore"

describe("kubernetes-dump-restore, killed and resumed,", function()
  local upgrade, killer

  setup(function()
    upgrade = support.new()
    killer = crash.of(upgrade)
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  -- How to die, and the words of the write at which.
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
    local result = killer:go_on()
    assert.equal(5, result.exit, result.stderr)
    assert.match("the new database is what the old one was", result.stderr, 1, true)
    assert.matches("kept.-77.-76", result.stderr)
    upgrade:sql "insert into kept values (77)"
  end

  it(("at %d chosen writes of one run, and with lines lost, ends as if it had not been"):format(#CHAIN), function()
    upgrade:faults({ command = "scale", verb = "patch", action = "lost" }, { command = "apply", verb = "patch", action = "lost" },
      { verb = "exec", contains = "pg_dump", action = "cut" }, { verb = "exec", contains = "reindex", action = "before" },
      { verb = "exec", contains = "PG_VERSION", action = "cut", skip = 1 })
    local where = killer:ends_whole(CHAIN, function(point)
      if point:find "reindex" then is_missed() end
    end)
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

  for _, way in ipairs(crash.WAYS) do
    it(("%s any write, ends as if it had not been"):format(way), function() killer:ends_whole_at_every_write(way) end)
  end
end)
