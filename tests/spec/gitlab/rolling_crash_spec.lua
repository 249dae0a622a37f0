-- kill -9 at writes to the journal of gitlab-rolling, then pgsh resume: the same end, nothing twice. Several kills in a run: each
-- resume is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local crash = require "tests.spec.support.crash"
local support = require "tests.spec.support.rolling"

describe("gitlab-rolling, killed and resumed,", function()
  local rolling, killer

  -- Channels by id: only their history can be read.
  local CHANNELS = { "--channels", "C024BE91L,C3NBYFMTK" }

  setup(function()
    rolling = support.new()
    killer = crash.of(rolling, CHANNELS)
  end)
  teardown(function() rolling:stop() end)
  before_each(function() rolling:reset() end)

  -- How to die, and the words of the write at which.
  local CHAINS = {
    {
      { "before", '"effect.intent"', "message to C3NBYFMTK: In about" }, { "after", '"effect.intent"', '"silence/run"' },
      { "torn", '"effect.outcome"', '"push-role/run"', "git push" }, { "after", '"effect.intent"', '"stop-replica-db2/run"' },
      { "before", '"effect.outcome"', '"stop-replica-db3/run"' }, { "after", '"effect.intent"', '"fail-primary/run"' },
      { "torn", '"step.done"', '"failover"' }, { "before", '"effect.outcome"', '"rejoin/run"', "standby follow" },
      { "after", '"effect.intent"', '"roles/run"', "git commit" }, { "before", '"step.done"', '"unsilence"' },
    },
    {
      { "before", '"effect.outcome"', '"silence/run"' }, { "before", '"effect.outcome"', '"stop-chef/run' },
      { "after", '"effect.outcome"', '"push-role/run"', "git push" },
      { "torn", '"effect.outcome"', '"replica-db2/run"', "start postgresql" },
      { "before", '"effect.outcome"', '"fail-primary/run"' }, { "after", '"step.done"', '"fail-primary"' },
      { "after", '"effect.intent"', '"rejoin/run"', "standby follow" }, { "before", '"effect.outcome"', '"slots/run"' },
      { "before", '"effect.outcome"', '"roles/run"', "git push" }, { "torn", '"effect.outcome"', "message to C024BE91L: Finished" },
    },
  }

  for number, chain in ipairs(CHAINS) do
    it(("at %d chosen writes of one run, ends as if it had not been (%d)"):format(#chain, number), function() killer:ends_whole(chain) end)
  end

  it("while a command runs on a host, ends as if it had not been", function()
    local process = rolling:start(CHANNELS)
    local cut = {}
    local POINTS = {
      { "db2", "gitlab%-ctl reconfigure" }, { "db1", "gitlab%-ctl stop postgresql" }, { "db1", "gitlab%-ctl repmgr standby .*" },
    }
    for _, point in ipairs(POINTS) do
      for _ = 1, 6000 do
        if rolling:count(point[1], point[2]) > 0 then break end
        require("socket").sleep(0.01)
      end
      process:signal "KILL"
      cut[#cut + 1] = table.concat(point, " ")
      assert.equal(137, process:wait().exit, table.concat(cut, "; "))
      process = rolling.box:start { "resume", "last", "-y", "--confirm", "db1", "--no-input", "--on-failure", "stop" }
    end
    rolling:is_whole(process:wait(100), "killed while " .. table.concat(cut, "; "))
  end)

  for _, way in ipairs(crash.WAYS) do
    it(("%s any write, ends as if it had not been"):format(way), function() killer:ends_whole_at_every_write(way) end)
  end
end)
