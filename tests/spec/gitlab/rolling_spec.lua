-- gitlab-rolling against the cluster's lab: the run, what a plan and a checklist show, and what is refused before any change.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.rolling"

describe("gitlab-rolling", function()
  local rolling, lab, box

  setup(function()
    rolling = support.new()
    lab, box = rolling.lab, rolling.box
  end)
  teardown(function() rolling:stop() end)

  local function without_secrets(text)
    for _, name in ipairs { "SLACK_TOKEN", "SLACK_WEBHOOK_URL" } do assert.is_nil(text:find(lab.env[name], 1, true), name .. " shows") end
  end

  it("changes the primary, loses nothing, and leaves everything in order", function()
    rolling:reset()
    local result = rolling:go()
    local new = rolling:is_whole(result)
    assert.is_truthy(result.stderr:find "failover lasted 0:%d%d of 1:00", result.stderr)

    -- The order of what was done, on all hosts and in the chat.
    local moments = {}
    for _, entry in ipairs(lab:commands()) do
      if entry.command ~= "gitlab-ctl repmgr cluster show" and not entry.command:find " status" then
        moments[#moments + 1] = { entry.time, entry.node .. " " .. entry.command }
      end
    end
    for _, message in ipairs(lab:messages()) do
      moments[#moments + 1] = { message.time, ("%s %s"):format(message.channel, message.text:match "^%a+") }
    end
    table.sort(moments, function(a, b) return a[1] < b[1] end)
    local order = {}
    for i, moment in ipairs(moments) do order[i] = moment[2] end
    local function sorted(from, to)
      local part = table.move(order, from, to, 1, {})
      table.sort(part)
      return part
    end
    local replica = { "gitlab-ctl stop postgresql", "chef-client", "gitlab-ctl reconfigure", "gitlab-ctl start postgresql" }
    local expected = { "#production In", "#database In", "#production Starting", "#database Starting" }
    for _, node in ipairs { "db1", "db2", "db3" } do expected[#expected + 1] = node .. " service chef-client stop" end
    for _, node in ipairs { "db2", "db3" } do
      for _, command in ipairs(replica) do expected[#expected + 1] = node .. " " .. command end
    end
    for _, command in ipairs {
      "gitlab-ctl stop postgresql", "chef-client", "gitlab-ctl reconfigure", "gitlab-ctl repmgr standby follow " .. new,
      "gitlab-ctl restart repmgrd",
    } do
      expected[#expected + 1] = "db1 " .. command
    end
    for _, node in ipairs { "db1", "db2", "db3" } do expected[#expected + 1] = node .. " service chef-client start" end
    expected[#expected + 1] = "#production Finished"
    expected[#expected + 1] = "#database Finished"
    -- The hosts' chef is stopped and started beside one another.
    assert.same({ table.unpack(expected, 5, 7) }, sorted(5, 7))
    assert.same({ table.unpack(expected, 21, 23) }, sorted(21, 23))
    for i, text in ipairs(expected) do
      if not text:find "service" then assert.equal(text, order[i]) end
    end
    assert.equal(#expected, #order)
    assert.is_truthy(lab:messages()[5].text:find("The primary is " .. new, 1, true))

    local _, path = box:journal()
    without_secrets(result.stdout .. result.stderr)
    without_secrets(run.read_file(path))
    for _, command in ipairs { "show", "report", "status" } do
      local shown = box:pgsh { command, "last" }
      assert.equal(0, shown.exit, shown.stderr)
      without_secrets(shown.stdout .. shown.stderr)
    end
  end)

  it("reads what Omnibus's own repmgr 3.3 prints", function()
    rolling:reset { output = "3" }
    rolling:is_whole(rolling:go())
  end)

  describe("without a run", function()
    setup(function() rolling:reset { output = "5", watch = false } end)

    it("shows every change in a plan, and makes none", function()
      local result = box:pgsh(table.move(rolling:words(), 1, #rolling:words(), 2, { "plan" }))
      rolling:is_untouched(result, 0, "message to #production: In about an hour", "message to #database: Starting in a few minutes",
        'silence alertname=~"PostgreSQL.*"', "git push origin", "knife role from file roles/gprd-base-db-postgres.json",
        "knife role from file roles/gprd-base-deploy-node.json", "gitlab-ctl repmgr standby follow", "gitlab-ctl restart repmgrd",
        "git commit", ("edit %s/roles/gprd-base-deploy-node.json"):format(lab.repo), "message to #database: Finished", "nothing changed",
        "it is the primary", "opens FAILOVER", '+          "max_connections":80,')
      for _, node in ipairs { "db1", "db2", "db3" } do
        local _, count = result.stdout:gsub(("ssh %s   run   service chef%%-client"):format(node), "")
        assert.equal(2, count, result.stdout)
        assert.is_truthy(result.stdout:find(("ssh %s   run   gitlab-ctl stop postgresql"):format(node), 1, true))
        assert.is_truthy(result.stdout:find(("ssh %s   run   gitlab-ctl reconfigure"):format(node), 1, true))
      end
      without_secrets(result.stdout .. result.stderr)
      assert.equal("db1", lab:state().primary)
      assert.equal(rolling.deploy, rolling:role_file())
    end)

    it("lists every step, also as a checklist", function()
      local titles = {
        "No deploy is in progress or planned", "Announce it", "Announce it again",
        "Still no deploy is in progress or planned", "Silence the alerts",
        "Stop chef on all database hosts", "Push the change of the role", "Stop the replica db1",
        "Reconfigure the replica db1", "Stop the replica db2", "Reconfigure the replica db2", "Stop the replica db3",
        "Reconfigure the replica db3", "Fail the primary", "Wait for the failover", "The old primary follows the new one",
        "Drop the leftover slots of the old primary", "Point the roles at the new primary", "Start chef on all database hosts",
        "The cluster is in order", "Announce the end", "Remove the silences",
      }
      local words = rolling:words()
      for _, arguments in ipairs {
        table.move(words, 1, #words, 2, { "checklist" }), table.move({ "--list" }, 1, 1, #words + 1, { table.unpack(words) }),
      } do
        local result = box:pgsh(arguments)
        assert.equal(0, result.exit, result.stderr)
        local from = 1
        for _, title in ipairs(titles) do
          local at = result.stdout:find(title, from, true)
          assert.is_truthy(at, title .. " is missing or out of order in:\n" .. result.stdout)
          from = at + #title
        end
        without_secrets(result.stdout .. result.stderr)
      end
    end)
  end)

  describe("is refused before any change", function()
    setup(function() rolling:reset { watch = false } end)
    -- The nodes are as on the first day after each: only what is not theirs is put back.
    local broken
    before_each(function()
      if broken then rolling:reset { watch = false } else lab:reset { nodes = false } end
      broken, rolling.prepared = false, nil
    end)

    local function refused(more, ...) rolling:is_untouched(rolling:go(more), 3, ...) end

    it("with a dirty chef repository", function()
      lab:fault "dirty"
      refused({}, "is not clean:  M roles/gprd-base-db-postgres.json")
    end)
    it("with a role file that is not JSON", function()
      lab:fault("not-json", true, { role = "base-db-postgres" })
      refused({}, "roles/gprd-base-db-postgres.json is not valid JSON")
      lab:reset { nodes = false }
      lab:fault("not-json", true, { role = "base-deploy-node" })
      refused({}, "roles/gprd-base-deploy-node.json is not valid JSON")
    end)
    it("with a repository that is behind the remote", function()
      lab:fault "not-up-to-date"
      refused({}, "origin/master has commits that are not here")
    end)
    it("while an alert fires", function()
      lab:fault("alert", true, { alertname = "PostgreSQL_Down", instance = "db3" })
      require("socket").sleep(0.3)
      refused({}, "alerts are firing: PostgreSQL_Down (db3)")
    end)
    it("with a service that gitlab-ctl does not know", function()
      refused({ "--service", "postgres" }, "gitlab-ctl on db1 knows no service postgres (--service)")
    end)
    it("with a node that --hosts leaves out", function()
      local words = rolling:words()
      words[3] = "db1,db2"
      rolling:is_untouched(box:pgsh(words), 3, "the cluster has a node db3 that --hosts leaves out")
    end)
    it("with a node that repmgr does not know", function()
      local words = rolling:words()
      words[3] = "db1,db2,db3=db4"
      rolling:is_untouched(box:pgsh(words), 3, "repmgr knows no node db4 (--hosts db3=NODE)")
    end)
    it("without a chat to announce it in", function()
      local result = rolling:go({}, { env = { SLACK_TOKEN = "xoxb-wrong-0123456789" } })
      rolling:is_untouched(result, 3, "invalid_auth")
      assert.is_nil((result.stdout .. result.stderr):find("xoxb-wrong", 1, true))
    end)
    it("while a deploy is in progress", function()
      local words = rolling:words()
      for i, word in ipairs(words) do
        if word == "--deploy-check" then words[i + 1] = "echo a deploy runs >&2; false" end
      end
      rolling:is_untouched(box:pgsh(words), 3, "a deploy runs", "nothing is changed")
    end)
    it("with a role that lets reconfigure start a stopped database", function()
      broken = true
      lab:reset { bootstrap = true }
      refused({}, "does not set bootstrap.enable to false")
    end)
    it("with a host that cannot be reached", function()
      lab:fault("unreachable", true, { node = "db3" })
      refused({}, "db3")
      lab:fault("unreachable", false, { node = "db3" })
    end)
    it("with a host whose key has changed", function()
      lab:fault("host-key", true, { node = "db2" })
      refused({}, "db2", "host key", "SHA256:")
      lab:fault("host-key", false, { node = "db2" })
    end)
    it("with a standby that is down", function()
      broken, rolling.prepared = true, { ["gitlab-ctl stop postgresql"] = true }
      lab:fault("down", true, { node = "db3" })
      refused({}, "db3")
    end)
    it("with a standby that lags", function()
      broken = true
      lab:fault("lag", true, { node = "db2" })
      lab:sql("db1", "create table ballast as select generate_series(1, 20000)", "gitlabhq_production")
      refused({ "--lag", "100000" }, "db2 is ", "bytes behind")
    end)
    it("with a standby that is not registered", function()
      broken = true
      lab:fault("unregistered", true, { node = "db3" })
      refused({}, "repmgr knows no node db3")
    end)
    it("without a primary", function()
      broken, rolling.prepared = true, { ["gitlab-ctl stop postgresql"] = true }
      lab:fault("no-failover", true)
      lab:fault("down", true, { node = "db1" })
      refused({}, "the cluster has no primary")
    end)
    it("without repmgrd on a node", function()
      broken, rolling.prepared = true, { ["gitlab-ctl stop repmgrd"] = true }
      lab:fault("repmgrd", true, { node = "db3" })
      refused({}, "repmgrd does not run on db3")
    end)
    it("while repmgrd is paused", function()
      broken = true
      lab:fault("no-failover", true)
      refused({}, "repmgrd is paused")
    end)
  end)
end)
