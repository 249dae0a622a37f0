-- The services gitlab, chef, git, alertmanager and slack by themselves, against the cluster's lab, as scripts use them.
local check = require "tests.spec.support.check"
local clusters = require "tests.spec.support.cluster"
local json = require "cjson"
local run = require "tests.spec.support.run"

describe("the service", function()
  local lab, box

  setup(function()
    lab = clusters.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  local function fresh() lab:reset() end
  local function clean() lab:reset { nodes = false } end -- repository, chef server, Slack and Alertmanager only

  local PROLOGUE = [[
    local db1, db2, db3 = gitlab.node(ssh "db1"), gitlab.node(ssh "db2"), gitlab.node(ssh "db3")
    local repo, roles = git { dir = REPO, settle = "2s" }, chef.roles { dir = REPO, settle = "2s" }
    local role = "roles/gprd-base-db-postgres.json"
  ]]

  local function evaluate(text, env)
    local script = ("local REPO = %q "):format(lab.repo) .. PROLOGUE:gsub("\n", " ") .. text
    return box:pgsh({ "-e", script }, { env = env })
  end
  local prints, fails = check.evaluated(evaluate)

  describe("gitlab", function()
    before_each(fresh)
    it("tells the state of services", function()
      prints("run\trun\tnil", [[
        print(db2:status().postgresql.state, db2:status("repmgrd").state, db2:status("postgres"))]])
      lab:fault("down", true, { node = "db2" })
      prints("down", 'print(db2:status("postgresql").state)')
    end)
    it("stops and starts, and believes an ok line only", function()
      prints("down\tfalse", 'local s = db2:stop "postgresql" print(s.state, s.pid ~= nil)')
      assert.is_false(lab:state().nodes.db2.up)
      prints("run\ttrue", 'local s = db2:start "postgresql" print(s.state, s.pid ~= nil)')
      lab:wait_until(function(state) return state.nodes.db2.upstream == "db1" end)
      prints("run", 'print(db2:restart("repmgrd").state)')
    end)
    it("names the script's line when it is called wrongly", function()
      for text, call in pairs {
        ["unknown option nmae (did you mean name?)"] = 'gitlab.node(ssh "db1", { nmae = "x" })',
        ["is no role's name"] = 'roles:show "-x"', ["git commit: which files?"] = 'repo:commit("text")',
        ["slack.to: #a b is no channel"] = 'slack.to "#a b"',
        ["is no matcher"] = 'alertmanager.at("http://127.0.0.1:9"):silence { matchers = "x" }',
        ["statuspage.page: a/b is no page's id"] = 'statuspage.page "a/b"',
      } do
        assert.matches("%(command line%):1: ", fails(text, call).stderr)
      end
    end)
    it("refuses a service that gitlab-ctl would silently ignore", function()
      local result = fails("no service postgres is enabled on db2", 'db2:stop "postgres"')
      assert.is_truthy(result.stderr:find("enabled are: postgresql, repmgrd", 1, true), result.stderr)
      assert.is_true(lab:state().nodes.db2.up)
      for _, command in ipairs(lab:commands "db2") do assert.is_nil(command:find "stop") end
    end)
    it("fails when runit says that it did not get there", function()
      lab:fault("start-fails", true, { node = "db2" })
      evaluate 'db2:stop "postgresql"'
      fails("timeout: down: postgresql", 'db2:start "postgresql"')
      lab:fault("stop-hangs", true, { node = "db3" })
      fails("want down, got TERM", 'db3:stop "postgresql"')
    end)
    it("reconfigures, and passes a failure on", function()
      assert.is_truthy(prints("0", "print(db2:reconfigure().updated)"))
      lab:fault("reconfigure-fails", true, { node = "db2" })
      fails("undefined method", "db2:reconfigure()")
    end)
    it("reads the cluster as each node's repmgr shows it", function()
      prints("3\t0\tdb1\tprimary\tprimary\ttrue\tnil", [[
        local rows, status = db3:cluster()
        local one = rows[1] print(#rows, status, one.name, one.role, one.is, one.up, one.problem)]])
      prints(("%s\t%d\tdb1\t100\t1"):format(lab.nodes[2].address, lab.nodes[2].port), [[
        local two = db1:cluster()[2] print(two.host, two.port, two.upstream, two.priority, two.timeline)]])
      prints("true\t", "print(db1:cluster_ok())")
      lab:fault("down", true, { node = "db2" })
      local result = evaluate "local ok, why = db1:cluster_ok() print(ok, why)"
      assert.matches("^false\tdb2: [?-] %w+.*status 25", result.stdout)
      fails("Error running command", "db2:cluster()")
    end)
    it("reads what Omnibus's own repmgr 3.3 prints", function()
      lab:reset { output = "3" }
      prints("0\tdb1\tprimary\ttrue\tdb1", [[
        local rows, status = db3:cluster() print(status, rows[1].name, rows[1].is, rows[1].up, rows[2].upstream)]])
      lab:fault("down", true, { node = "db2" })
      prints("false\tdb2: FAILED", "print(db1:cluster_ok())")
      lab:reset { output = "5" }
    end)
    it("follows a new primary", function()
      evaluate 'db1:stop "postgresql"'
      -- Promoted, and registered as such: repmgr asks its own record.
      local state = lab:wait_until(function(seen)
        return seen.primary ~= json.null and #seen.nodes[seen.primary].standbys == 1
      end)
      fails("the node to follow should be a master", ('db1:follow "%s"'):format(state.primary == "db2" and "db3" or "db2"))
      prints("0", ('print(db1:follow("%s").exit)'):format(state.primary))
      lab:wait_until(function(seen) return seen.nodes.db1.upstream == state.primary end)
    end)
    it("shows changes in a plan, and asks nothing that would change", function()
      local file = box.dir .. "/plan.lua"
      run.write_file(file, [[
        procedure { name = "p", summary = "s" }
        local db2 = gitlab.node(ssh "db2")
        step "Stop" (function() db2:stop "postgresql" db2:reconfigure() db2:follow "db3" end)
      ]])
      local result = box:pgsh { "plan", file }
      assert.equal(0, result.exit, result.stderr)
      local text = result.stdout .. result.stderr
      assert.is_truthy(text:find("gitlab-ctl stop postgresql", 1, true), text)
      assert.is_truthy(text:find("gitlab-ctl repmgr standby follow db3", 1, true), text)
      assert.is_true(lab:state().nodes.db2.up)
    end)
  end)

  describe("chef", function()
    before_each(fresh)
    it("stops and starts the daemon, whatever it was", function()
      prints("true\tfalse\tfalse\ttrue", [[
        local c = chef.client(ssh "db1")
        local a = c:runs() c:stop() local b = c:runs() c:stop() local d = c:runs() c:start() print(a, b, d, (c:runs()))]])
      lab:fault("chef-stays", true, { node = "db1" })
      fails("chef-client failed!", 'chef.client(ssh "db1"):stop()')
    end)
    it("runs chef-client", function()
      prints("0", 'print(chef.client(ssh "db1"):run().updated)')
      prints("true\t1", 'roles:from_file(role) print(roles:matches(role), chef.client(ssh "db1"):run().updated)')
      lab:fault("chef-fails", true, { node = "db1" })
      fails("503", 'chef.client(ssh "db1"):run()')
    end)
    it("replaces a role and puts it back", function()
      prints("4MB\tfalse\t8MB\ttrue\t4MB", [[
        local function mem(r) return r.override_attributes["omnibus-gitlab"].gitlab_rb.postgresql.work_mem end
        local text, before = roles:show "gprd-base-db-postgres"
        local same = roles:matches(role)
        roles:from_file(role)
        local _, now = roles:show "gprd-base-db-postgres"
        local same_now = roles:matches(role)
        roles:put_back("gprd-base-db-postgres", text)
        local _, again = roles:show "gprd-base-db-postgres"
        print(mem(before), same, mem(now), same_now, mem(again))]])
      prints("nil", 'print(roles:show "nothing")')
    end)
    it("fails as knife does, unless the server has it all the same", function()
      lab:fault "knife"
      fails("500", "roles:from_file(role)")
      lab:fault "knife-lost"
      prints("true", "roles:from_file(role) print(roles:matches(role))")
      lab:fault "knife-read"
      fails("ended with status 100", 'roles:show "gprd-base-db-postgres"')
    end)
    it("reads a role's file through the door", function()
      local script = ('return chef.roles { dir = %q }:file("roles/gprd-base-db-postgres.json").name'):format(lab.repo)
      local result = box:pgsh { "-o", "jsonl", "-e", script }
      local seen = result.stdout:match '[^\n]*"effect%.read"[^\n]*base%-db%-postgres%.json[^\n]*'
      assert.equal("read", seen and json.decode(seen).verb, result.stdout .. result.stderr)
    end)
    it("refuses a file that is no JSON before knife is asked", function()
      lab:fault "not-json"
      fails("roles/gprd-base-db-postgres.json is not valid JSON", "roles:from_file(role)")
    end)
  end)

  describe("git", function()
    before_each(clean)
    it("tells what is there", function()
      prints("master\ttrue\tfalse\torigin\tmaster", [[
        local remote, branch = repo:upstream()
        print(repo:branch(), (repo:is_clean()), repo:is_pushed(), remote, branch)]])
      prints("1\tdb: more connections, more work_mem\tOperator", [[
        local log = repo:log { range = "origin/master..HEAD" } print(#log, log[1].subject, log[1].author)]])
      local result = evaluate "print(repo:diff { path = role })"
      assert.is_truthy(result.stdout:find('+          "work_mem":   "8MB",', 1, true), result.stdout .. result.stderr)
      lab:fault "dirty"
      prints("false\t M roles/gprd-base-db-postgres.json", "print(repo:is_clean())")
    end)
    it("pushes, and the remote decides when git fails", function()
      prints("true\ttrue", "local done = repo:push() print(done.commit == repo:head(), repo:is_pushed())")
      lab:reset()
      lab:fault "push-lost"
      prints("true", "repo:push() print(repo:is_pushed())")
      lab:reset()
      lab:fault "push-fails"
      fails("read-only for maintenance", "repo:push()")
    end)
    it("never pushes by force", function()
      lab:fault "not-up-to-date"
      prints("origin/master has commits that are not here: git pull --rebase, and look again", "print(repo:push_problem())")
      fails("rejected", "repo:push()")
    end)
    it("commits files, once", function()
      lab:fault "dirty"
      prints("true\ttrue\tfalse", [[
        local before = repo:head()
        local done = repo:commit("point at the new primary", { role })
        print(done.commit ~= before, (repo:is_clean()), repo:commit("something else", { role }))]])
    end)
  end)

  describe("alertmanager", function()
    before_each(clean)
    local AM = 'local am = alertmanager.at(nil, { run = "k3j9", settle = "1s" }) '
    it("lists what fires", function()
      prints("true\t", AM .. "print(am:is_quiet())")
      lab:fault("alert", true, { alertname = "PostgreSQL_Down", instance = "db3" })
      require("socket").sleep(0.3)
      prints("false\tPostgreSQL_Down (db3)", AM .. "print(am:is_quiet())")
      prints("1\t0", AM .. [[print(#am:alerts { filter = 'alertname=~"Postgre.*"' }, #am:alerts { filter = "instance=db1" })]])
    end)
    it("silences, finds its own, and expires", function()
      lab:fault("alert", true, { alertname = "PostgreSQL_Down" })
      prints("1\tactive\t1\tmaintenance of db [pgsh k3j9]\t0\ttrue\texpired", AM .. [[
        local made = am:silence { matchers = { 'alertname=~"PostgreSQL.*"', "instance!=db9" }, lasts = "2h", comment = "maintenance of db" }
        local id = made.json.silenceID
        local mine = am:silences { mine = true }
        wait.upto("5s", "it is silenced", function() return am:is_quiet { silenced = false } end)
        local state = am:get(id).state
        am:expire(id) am:expire(id)
        print(#mine, state, #mine, mine[1].comment, #am:silences { mine = true }, am:get(id) ~= nil, am:get(id).state)]])
      prints("false\tnil", AM .. 'local id = "00000000-0000-0000-0000-000000000000" print(am:expire(id), am:get(id))')
    end)
    it("says what is wrong with a matcher or a time", function()
      fails('"nonsense" is no matcher', AM .. 'am:silence { matchers = "nonsense", lasts = "2h" }')
      fails("is no duration", AM .. 'am:silence { matchers = "a=b" }')
      fails("ALERTMANAGER_URL is not set", "alertmanager.at()", { ALERTMANAGER_URL = false })
    end)
    it("makes one silence also when it is killed at any write of its journal", function()
      local file = box.dir .. "/silence.lua"
      run.write_file(file, [[
        procedure { name = "silence", summary = "s" }
        local am = alertmanager.at(nil, { settle = "1s" })
        step "Silence" (function() return am:silence { matchers = { "alertname=X" }, lasts = "1h", comment = "test" }.json.silenceID end)
        step "Look" { verify = function() return #am:silences { mine = true } == 1 end }
      ]])
      local count = box.dir .. "/writes"
      local whole = box:pgsh({ file, "--yes" }, { env = run.crash(nil, nil, count) })
      assert.equal(0, whole.exit, whole.stderr)
      local writes = tonumber(run.read_file(count):match "%d+")
      assert.is_true(writes > 5, writes)
      for at = 1, writes do
        local result = box:pgsh({ file, "--yes" }, { env = run.crash(at, "after") })
        if result.exit ~= 0 then box:pgsh { "resume", "last", "--yes" } end
      end
      local _, silences = lab:shell "curl -s $ALERTMANAGER_URL/api/v2/silences"
      local made, count_of = 0, {}
      for _, silence in ipairs(json.decode(silences)) do
        made = made + 1
        count_of[silence.comment] = (count_of[silence.comment] or 0) + 1
        assert.matches("^test %[pgsh %w+%]$", silence.comment)
      end
      -- The first writes come before the silence; all other runs made theirs, each one only.
      assert.is_true(made > writes // 2, made)
      for comment, number in pairs(count_of) do assert.equal(1, number, comment) end
    end)
  end)

  describe("slack", function()
    before_each(clean)
    local CHAT = 'local chat = slack.to({ "#production", "#database" }, { settle = "1s" }) '
    it("says something in every channel by the API, and honours 429", function()
      lab:options { slack_limit = 1, slack_window_s = 1 }
      evaluate(CHAT .. 'chat:check() chat:say "one" chat:say "two"')
      local texts = {}
      for i, message in ipairs(lab:messages()) do texts[i] = ("%s %s %s"):format(message.how, message.channel, message.text) end
      assert.same({ "api #production one", "api #database one", "api #production two", "api #database two" }, texts)
    end)
    it("or by a webhook", function()
      local result = evaluate(CHAT .. 'chat:check() chat:say "hello"', { SLACK_TOKEN = false })
      assert.equal(0, result.exit, result.stderr)
      assert.equal("webhook", lab:messages()[1].how)
      assert.equal(2, #lab:messages())
    end)
    it("fails by what the service says, not by its status", function()
      fails("Slack does not take the message to #nowhere: channel_not_found", 'slack.to "#nowhere":say "x"')
      fails("is_archived", 'slack.to "#archived":say "x"')
      fails("channel_is_archived", 'slack.to "#archived":say "x"', { SLACK_TOKEN = false })
      fails("missing_scope (needed: chat:write)", (function()
        lab:options { slack_missing_scope = true }
        return CHAT .. 'chat:say "x"'
      end)())
    end)
    it("never shows its credentials", function()
      local hook = lab.env.SLACK_WEBHOOK_URL
      for _, env in ipairs { { SLACK_TOKEN = "xoxb-wrong-0123456789" }, { SLACK_TOKEN = false, SLACK_WEBHOOK_URL = hook .. "0" } } do
        local result = fails(env.SLACK_TOKEN and "invalid_auth" or "404", CHAT .. 'chat:say "x"', env)
        local text = result.stdout .. result.stderr
        assert.is_nil(text:find("xoxb-wrong", 1, true), text)
        assert.is_nil(text:find(hook:match "[^/]+$", 1, true), text)
      end
      fails("neither SLACK_TOKEN nor SLACK_WEBHOOK_URL is set", CHAT .. "chat:check()", { SLACK_TOKEN = false, SLACK_WEBHOOK_URL = false })
    end)
    it("asks the channel when an answer is lost, and does not say it twice", function()
      lab:faults { { service = "slack", action = "reset_after" } }
      local result = evaluate('slack.to("C024BE91L", { settle = "1s" }):say "only once"')
      assert.equal(0, result.exit, result.stderr)
      assert.equal(1, #lab:messages())
    end)
  end)
end)
