-- What goes wrong in the middle of gitlab-rolling: commands that fail, a failover that does not come, services that refuse or do not
-- answer. A run takes a while, so it meets several faults, one after another.
local support = require "tests.spec.support.rolling"

describe("gitlab-rolling", function()
  local rolling, lab

  setup(function()
    rolling = support.new()
    lab = rolling.lab
  end)
  teardown(function() rolling:stop() end)
  before_each(function() rolling:reset() end)

  local function stops(result, exit, ...)
    rolling:says(result, ...)
    assert.equal(exit, result.exit, result.stderr)
  end

  -- The others were left alone, and the primary is what it was.
  local function is_limited_to(name)
    local state = lab:state()
    assert.equal("db1", state.primary)
    for _, other in ipairs { "db1", "db2", "db3" } do
      if other ~= name then
        assert.is_true(state.nodes[other].up, other)
        assert.equal(other == "db1" and 0 or other < name and 1 or 0, rolling:count(other, "gitlab%-ctl stop postgresql"), other)
      end
    end
  end

  -- The fault is gone: the run goes on to its end.
  local function resumes(fault, node, options)
    if fault then lab:fault(fault, false, { node = node }) end
    rolling:is_whole(rolling:again "resume", "resumed after " .. tostring(fault), options)
  end

  it("stops at whatever fails on a replica, with everything else as it was, and goes on from there", function()
    -- A deploy begins between the preflight and the start.
    local words, flag = rolling:words(), rolling.box.dir .. "/looked"
    for i, word in ipairs(words) do
      if word == "--deploy-check" then
        words[i + 1] = ("! [ -e %s ] || { echo a deploy runs >&2; false; } && touch %s"):format(flag, flag)
      end
    end
    lab:options { slack_missing_scope = true }
    stops(rolling.box:pgsh(words, { limit = 100 }), 5, "missing_scope")
    lab:options { slack_missing_scope = false }
    stops(rolling:again "resume", 5, "a deploy runs")
    assert.same({}, rolling:silences())
    os.remove(flag)
    for _, fault in ipairs {
      { "push-fails", nil, "read-only for maintenance", "db1" }, { "knife", nil, "500", "db1" },
      { "chef-fails", "db2", "503" }, { "reconfigure-fails", "db2", "undefined method" },
      { "start-fails", "db2", "timeout: down: postgresql" }, { "stop-hangs", "db3", "want down, got TERM" }, { "chef-fails", "db3", "503" },
    } do
      local name, node, text = table.unpack(fault, 1, 3)
      lab:fault(name, true, { node = node })
      stops(rolling:again "resume", 5, text, "pgsh resume", "pgsh undo")
      is_limited_to(node or fault[4])
      if name ~= "knife" then lab:fault(name, false, { node = node }) end
    end
    -- A stop that hangs is called again.
    resumes(nil, nil, { twice = true })
    assert.equal(1, rolling:count("db2", "gitlab%-ctl stop postgresql"))
    assert.equal(2, rolling:count("db3", "gitlab%-ctl stop postgresql"))
    assert.equal(1, rolling:count("db1", "gitlab%-ctl stop postgresql"))
  end)

  it("starts a replica again that came up and ended at once", function()
    lab:fault("start-dies", true, { node = "db2" })
    stops(rolling:go { "--stream-timeout", "6s" }, 124, "db2 streams, and every node's repmgr finds all in order", "db2 does not answer")
    is_limited_to "db2"
    lab:fault("start-dies", false, { node = "db2" })
    -- The limit is a parameter, which a resumed run keeps: to stream may take longer than that.
    local result
    for _ = 1, 10 do
      result = rolling:again "resume"
      if result.exit ~= 124 then break end
    end
    rolling:is_whole(result)
  end)

  it("takes everything back while the old primary is in place", function()
    lab:fault("reconfigure-fails", true, { node = "db2" })
    stops(rolling:go(), 5, "undefined method")
    is_limited_to "db2"
    assert.is_false(lab:state().nodes.db2.up)
    local result = rolling:again "undo"
    assert.equal(0, result.exit, result.stderr)
    local state = lab:wait_until(function(seen) return seen.nodes.db2.upstream == "db1" end)
    assert.equal("db1", state.primary)
    for _, node in pairs(state.nodes) do assert.is_true(node.chef) end
    assert.equal(60, rolling:on_server("base-db-postgres").override_attributes["omnibus-gitlab"].gitlab_rb.postgresql.max_connections)
    rolling:silences_are_gone "undone"
    assert.equal(2, rolling:said "^Called off: ")
    rolling:nothing_is_lost "undone"
  end)

  describe("when no failover comes", function()
    -- repmgrd is paused when its being at work has been looked at: by the command that looks for deploys.
    local function without_failover()
      local words = rolling:words { "--failover-timeout", "2s" }
      for i, word in ipairs(words) do
        if word == "--deploy-check" then
          words[i + 1] = ("curl -fsS -d '{\"name\":\"no-failover\"}' %s/_lab/fault"):format(lab.control)
        end
      end
      local result = rolling.box:pgsh(words, { limit = 100 })
      stops(result, 124, "a replica is the primary, the others follow it", "there is no primary", "FAILOVER", "pgsh undo")
      assert.is_false(lab:state().nodes.db1.up)
      return result
    end

    it("starts the old primary again when that is undone", function()
      without_failover()
      local result = rolling:again "undo"
      assert.equal(0, result.exit, result.stderr)
      local state = lab:wait_until(function(seen) return #(seen.nodes.db1.standbys or {}) == 2 end)
      assert.equal("db1", state.primary)
      for _, node in pairs(state.nodes) do assert.is_true(node.chef) end
      rolling:nothing_is_lost "undone"
    end)
    it("does not start the old primary beside a new one", function()
      without_failover()
      lab:sql("db3", "select pg_promote()", "gitlab_repmgr")
      local result = rolling:again "undo"
      stops(result, 5, "is the primary now: db1 must follow it, not start")
      assert.is_false(lab:state().nodes.db1.up)
      assert.same({}, rolling.watch:stop().overlaps)
    end)
  end)

  it("keeps the silences while an alert fires, unless told otherwise", function()
    local process = rolling:start()
    process:expect("Wait for the failover", 100)
    lab:fault "push-fails"
    lab:fault("alert", true, { alertname = "PostgreSQL_Down", instance = "db3" })
    -- The last push, with the new primary in place.
    stops(process:wait(100), 5, "read-only for maintenance")
    lab:fault("push-fails", false)
    stops(rolling:again "resume", 4, "alerts are firing: PostgreSQL_Down (db3)", "--confirm alerts-anyway")
    assert.equal("active", rolling:silences()[1].status.state)
    stops(rolling:again "resume", 4, "alerts are firing")
    rolling:is_whole(rolling:again("resume", { "--confirm", "alerts-anyway" }))
  end)

  it("goes on when answers are lost, and honours Slack's 429", function()
    lab:fault "push-lost"
    lab:fault "knife-lost"
    lab:options { slack_limit = 1, slack_window_s = 1 }
    lab:faults { { service = "slack", path = "chat.postMessage", action = "reset_after" } }
    local process = rolling:start { "--channels", "C024BE91L,C3NBYFMTK" }
    process:expect("Start chef", 100)
    lab:fault("alert", true, { alertname = "PostgreSQL_Down", instance = "db3" })
    local result = process:wait(100)
    rolling:says(result, "git push failed, but origin/master has the commit", "knife failed, but the server has the role")
    stops(result, 4, "alerts are firing")
    -- And when the alert is gone, it is enough to resume.
    lab:fault("alert", false, { alertname = "PostgreSQL_Down", instance = "db3" })
    require("socket").sleep(1.5)
    resumes()
  end)
end)
