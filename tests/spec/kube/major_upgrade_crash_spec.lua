-- kill -9 at writes to the journal of kubernetes-major-upgrade, then pgsh resume: the same end, nothing twice. Several kills in a run: each
-- resume is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local crash = require "tests.spec.support.crash"
local support = require "tests.spec.support.upgrade"

describe("kubernetes-major-upgrade, killed and resumed,", function()
  local upgrade, killer

  setup(function()
    upgrade = support.new()
    killer = crash.of(upgrade, { "--rehearse", "no" })
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  -- How to die, and the words of the write at which.
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

  it(("at %d chosen writes of one run, ends as if it had not been"):format(#CHAIN), function() killer:ends_whole(CHAIN) end)

  local also = crash.FULL and it or function() end
  also("and taken back from there, is what it was", function()
    for _, point in ipairs {
      { "before", '"effect.outcome"', '"import/run"' }, { "before", '"effect.outcome"', '"remove-volume/run"', "pvc/" },
    } do
      local where = killer:kill_once(point)
      local result = upgrade:again "undo"
      assert.equal(0, result.exit, where .. "\n" .. result.stderr)
      upgrade:is_back("killed " .. where .. ", taken back")
      upgrade:reset()
    end
  end)

  for _, way in ipairs(crash.WAYS) do
    it(("%s any write, ends as if it had not been"):format(way), function() killer:ends_whole_at_every_write(way) end)
  end
end)
