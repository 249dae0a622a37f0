-- kill -9 at writes to the journal of partman-rollout, then pgsh resume: the same end, nothing twice. Several kills in a run: each resume
-- is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local crash = require "tests.spec.support.crash"
local support = require "tests.spec.support.partman"

describe("partman-rollout, killed and resumed,", function()
  local rollout, killer

  setup(function()
    rollout = support.new()
    killer = crash.of(rollout)
  end)
  teardown(function() rollout:stop() end)
  before_each(function() rollout:reset() end)

  -- How to die, and the words of the write at which.
  local CHAIN = {
    { "before", '"effect.intent"', '"stop-scheduler/run"' }, { "after", '"effect.intent"', '"suspend/run"', support.OTHER },
    { "before", '"effect.outcome"', '"stop-writers/run"' }, { "after", '"step.kept"', '"stop-logs"' },
    { "after", '"effect.intent"', '"upgrade/run"' }, { "torn", '"step.done"', '"wait-upgrade"' },
    { "after", '"effect.intent"', '"promote/run"', "as LOGS_DATABASE" }, { "before", '"effect.outcome"', '"truncate/run"' },
    { "before", '"effect.outcome"', '"log-structure/run' }, { "after", '"effect.intent"', '"migrate/run' },
    { "before", '"effect.outcome"', '"attach/run"' }, { "after", '"effect.intent"', '"create-scheduler/run"' },
    { "torn", '"effect.outcome"', '"run-maintenance/run"' }, { "before", '"effect.outcome"', '"resume/run"' },
  }

  it(("at %d chosen writes of one run, ends as if it had not been"):format(#CHAIN), function() killer:ends_whole(CHAIN) end)

  for _, way in ipairs(crash.WAYS) do
    it(("%s any write, ends as if it had not been"):format(way), function() killer:ends_whole_at_every_write(way) end)
  end
end)
