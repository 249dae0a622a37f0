-- The link to a host is lost at a command of gitlab-rolling: before it came there, while it is carried out, before its answer came back.
-- PGSH_FULL=1 loses each by itself; otherwise those of several commands in one run.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.rolling"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("gitlab-rolling", function()
  local rolling, lab

  setup(function()
    rolling = support.new()
    lab = rolling.lab
  end)
  teardown(function() rolling:stop() end)
  before_each(function() rolling:reset() end)

  -- Which command, on which host.
  local DROPS = {
    { "db2", "gitlab-ctl stop postgresql" }, { "db2", "chef-client" }, { "db2", "gitlab-ctl reconfigure" },
    { "db2", "gitlab-ctl start postgresql" }, { "db3", "gitlab-ctl repmgr cluster show" }, { "db3", "service chef-client stop" },
    { "db3", "gitlab-ctl stop postgresql" }, { "db3", "service chef-client start" }, { "db1", "gitlab-ctl stop postgresql" },
    { "db1", "gitlab-ctl reconfigure" }, { "db1", "gitlab-ctl repmgr standby follow *" }, { "db1", "gitlab-ctl restart repmgrd" },
  }

  -- It goes on by itself, or stops with a message that says what was lost and can be resumed.
  local function goes_on(result, where)
    for _ = 1, 15 do
      if result.exit == 0 then break end
      assert.is_true(result.exit == 5 or result.exit == 3 or result.exit == 1 or result.exit == 6, where .. "\n" .. result.stderr)
      assert.is_truthy(result.stderr:find "db%d", where .. "\n" .. result.stderr)
      result = result.exit == 3 and rolling:go() or rolling:again "resume"
    end
    -- A command that was under way when the link went is in effect once, however often it was called.
    rolling:is_whole(result, where, { twice = true })
    for _, node in ipairs { "db1", "db2", "db3" } do
      assert.is_true(rolling:count(node, "gitlab%-ctl stop postgresql") <= 2, where)
    end
  end

  for _, how in ipairs { "before", "during", "after" } do
    it(("goes on when links are lost %s a command"):format(how), function()
      for _, drop in ipairs(DROPS) do lab:fault("drop", true, { node = drop[1], at = drop[2], how = how }) end
      goes_on(rolling:go(), "lost " .. how)
      for _, node in ipairs { "db1", "db2", "db3" } do
        assert.equal("", run.read_file(lab.nodes[node].dir .. "/faults/drop"), "what was never called on " .. node)
      end
    end)
    for _, drop in ipairs(FULL and DROPS or {}) do
      it(("goes on when the link to %s is lost %s %s"):format(drop[1], how, drop[2]), function()
        lab:fault("drop", true, { node = drop[1], at = drop[2], how = how })
        goes_on(rolling:go(), "lost " .. how)
      end)
    end
  end
end)
