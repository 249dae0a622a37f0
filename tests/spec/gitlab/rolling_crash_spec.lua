-- kill -9 at writes to the journal of gitlab-rolling, then pgsh resume: the same end, nothing twice. Several kills in a run: each
-- resume is killed as well. PGSH_FULL=1 kills at every write, each in a run of its own.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.rolling"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("gitlab-rolling, killed and resumed,", function()
  local rolling, box

  setup(function()
    rolling = support.new()
    box = rolling.box
  end)
  teardown(function() rolling:stop() end)
  before_each(function() rolling:reset() end)

  -- Channels by id: only their history can be read.
  local CHANNELS = { "--channels", "C024BE91L,C3NBYFMTK" }

  local function runs() return run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(box.dir)) end

  -- What was killed before it began leaves nothing to resume, and is called again.
  local function go_on(env)
    if runs() == "" then return rolling:go(CHANNELS, { env = env }) end
    local result = rolling:again("resume", nil, { env = env })
    if result.exit ~= 2 or not result.stderr:find "before it began" then return result end
    os.execute(("rm -rf %s/state/pgsh"):format(box.dir))
    return rolling:go(CHANNELS, { env = env })
  end

  -- A write that holds all the words, and how to die at it.
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
    it(("at %d chosen writes of one run, ends as if it had not been (%d)"):format(#chain, number), function()
      local killed = {}
      for _, point in ipairs(chain) do
        local env = run.crash(nil, point[1])
        env.CRASH_WORDS = table.concat(point, "\n", 2)
        local where = table.concat(point, " ")
        local result = go_on(env)
        assert.equal(137, result.exit, where .. ": not killed\n" .. result.stderr)
        killed[#killed + 1] = where
      end
      rolling:is_whole(go_on(), "killed " .. table.concat(killed, "; "))
    end)
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
      process = box:start { "resume", "last", "-y", "--confirm", "db1", "--no-input", "--on-failure", "stop" }
    end
    rolling:is_whole(process:wait(100), "killed while " .. table.concat(cut, "; "))
  end)

  if FULL then
    for _, how in ipairs { "after", "torn", "before" } do
      it(("%s any write, ends as if it had not been"):format(how), function()
        local count = box.dir .. "/count"
        assert.equal(0, rolling:go(CHANNELS, { env = run.crash(nil, nil, count) }).exit)
        local writes = tonumber(run.read_file(count):match "%d+")
        assert.is_true(writes > 80, "only " .. writes .. " writes")
        for number = 1, writes do
          rolling:reset()
          local where = ("killed %s write %d of about %d"):format(how, number, writes)
          local result = rolling:go(CHANNELS, { env = run.crash(number, how) })
          if result.exit == 137 then result = go_on() end
          rolling:is_whole(result, where)
        end
      end)
    end
  end
end)
