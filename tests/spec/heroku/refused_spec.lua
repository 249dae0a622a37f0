-- What must not begin does not: refusals, wrong input, missing answers, another run on the same app.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local PRIMARY, FOLLOWER = "procedures/heroku-primary.lua", "procedures/heroku-follower.lua"

describe("before the first change", function()
  local lab, box

  setup(function()
    lab = labs.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  before_each(function() lab:reset() end)

  local CONFIRMED = { "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }

  local function go(file, more, options)
    local arguments = { file, "--app", lab.app }
    table.move(CONFIRMED, 1, #CONFIRMED, #arguments + 1, arguments)
    table.move(more or {}, 1, #(more or {}), #arguments + 1, arguments)
    return box:pgsh(arguments, options)
  end

  -- Exit status, nothing done, and each text in what was said.
  local function refuses(result, exit, ...)
    local said = result.stdout .. result.stderr
    check.has(said, ...)
    assert.equal(exit, result.exit, said)
    assert.same({}, lab:changes(true))
    return said
  end

  describe("the primary's preflight refuses", function()
    it("when read-only mode is on already", function()
      lab:reset { config = { READ_ONLY_MODE = "1" } }
      refuses(go(PRIMARY), 3, "READ_ONLY_MODE is set already")
    end)
    it("when the follower is out already", function()
      lab:reset { config = { DB_OFFLINE = "follower" } }
      refuses(go(PRIMARY), 3, "DB_OFFLINE is set already")
    end)
    it("an essential plan", function()
      lab:reset { plan = "essential-1" }
      refuses(go(PRIMARY), 3, "plan essential-1 has no maintenance")
    end)
    it("when no maintenance is ready, unless told otherwise", function()
      lab:reset { maintenance_status = "none" }
      refuses(go(PRIMARY), 3, "no maintenance is pending")
      lab:reset { maintenance_status = "preparing" }
      refuses(go(PRIMARY), 3, "still being prepared")
      assert.equal(0, go(PRIMARY, { "--any-state" }).exit)
    end)
    it("a worker that does not exist", function()
      refuses(go(PRIMARY, { "--worker", "background_wroker" }), 3, "has no process type background_wroker")
    end)
    it("a database that does not exist, with those there are", function()
      refuses(go(PRIMARY, { "--database", "DATABASES" }), 3, "Unknown database: DATABASES. Valid options are: DATABASE_URL")
    end)
    it("a follower in place of the primary", function()
      refuses(go(PRIMARY, { "--database", "READ_ONLY_REPLICA" }), 3, "is no primary: it follows postgresql-concave-10231")
    end)
    it("a follower that was named and is not there", function()
      lab:reset { followers = 0 }
      refuses(go(PRIMARY, { "--follower", "READ_ONLY_REPLICA" }), 3, "--follower: ", "READ_ONLY_REPLICA")
    end)
    it("a follower that follows nobody", function()
      refuses(go(PRIMARY, { "--follower", "HEROKU_POSTGRESQL_COPPER" }), 3, "does not follow")
    end)
    it("when a database is down", function()
      lab:postgres("follower", "stop")
      refuses(go(PRIMARY), 3, "READ_ONLY_REPLICA does not answer", "postgresql-shaped-20477 is Unavailable")
    end)
    it("when something goes on under that name on the status page already", function()
      local command = { "--page", lab.page }
      lab:faults { { service = "heroku", method = "PATCH", path = "config%-vars", action = "status", code = 503, times = 99 } }
      assert.equal(5, go(PRIMARY, { "--page", lab.page, "--on-failure", "stop" }).exit)
      lab:call("DELETE", "/faults")
      lab:call("DELETE", "/log")
      refuses(go(PRIMARY, command), 3, '"Database maintenance" is in_progress on the status page already')
    end)
    it("and tells everything that is wrong at once", function()
      lab:reset { config = { READ_ONLY_MODE = "1", DB_OFFLINE = "follower" }, maintenance_status = "none" }
      refuses(go(PRIMARY, { "--worker", "nobody" }), 3, "READ_ONLY_MODE is set", "DB_OFFLINE is set", "no process type nobody",
        "no maintenance is pending")
    end)
    it("an app that does not exist", function()
      local result = box:pgsh { PRIMARY, "--app", "crates-oi", "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }
      refuses(result, 3, "Couldn't find that app")
    end)
  end)

  describe("the follower's preflight refuses", function()
    it("when there is none", function()
      lab:reset { followers = 0 }
      refuses(go(FOLLOWER), 3, "Unknown database: READ_ONLY_REPLICA")
    end)
    it("the primary", function()
      refuses(go(FOLLOWER, { "--follower", "DATABASE" }), 3, "DATABASE is no follower")
    end)
    it("at peak hours, unless told otherwise", function()
      refuses(go(FOLLOWER, { "--peak-hours", "00:00-23:59" }), 3, "peak traffic is 00:00-23:59")
      assert.equal(0, go(FOLLOWER, { "--peak-hours", "00:00-23:59", "--at-peak" }).exit)
    end)
  end)

  describe("credentials", function()
    it("that are missing are named with the places that were looked at", function()
      local said = refuses(go(PRIMARY, { "--page", lab.page }, { env = { HEROKU_API_KEY = false, STATUSPAGE_API_KEY = false } }), 3,
        "no Heroku credential: HEROKU_API_KEY is not set and ", "/.netrc", "no Statuspage credential: STATUSPAGE_API_KEY is not set")
      assert.is_truthy(said)
    end)
    it("that are wrong are named with their place", function()
      refuses(go(PRIMARY, {}, { env = { HEROKU_API_KEY = "HRKU-00000000-0000" } }), 3,
        "Heroku does not accept the credential from HEROKU_API_KEY")
    end)
    it("come from netrc, in one line or several", function()
      local machine = lab.env.HEROKU_HOST:match "//(.*)$"
      for _, text in ipairs {
        ("machine %s login a@example.com password %s\n"):format(machine, lab.env.HEROKU_API_KEY),
        ("# mine\nmachine other\n  login x\n  password y\nmachine %s\n  login a@example.com\n  password %s\n")
          :format(machine, lab.env.HEROKU_API_KEY),
      } do
        run.write_file(box.dir .. "/home/.netrc", text)
        local result = box:pgsh({ "plan", PRIMARY, "--app", lab.app }, { env = { HEROKU_API_KEY = false } })
        assert.equal(0, result.exit, result.stderr)
      end
      os.remove(box.dir .. "/home/.netrc")
    end)
    it("are not sent to another host, nor in the clear", function()
      for host, why in pairs {
        ["http://example.com"] = "neither a host of Heroku nor this machine", ["http://api.heroku.com"] = "in the clear",
        ["https://heroku.com.example.com"] = "neither a host of Heroku", ["http://localhost.example.com:80"] = "neither a host",
        ["127.0.0.1:8080"] = "not an address",
      } do
        refuses(go(PRIMARY, {}, { env = { HEROKU_HOST = host } }), 3, "HEROKU_HOST=" .. host, why)
      end
      refuses(go(PRIMARY, {}, { env = { HEROKU_DATA_HOST = "data.example.com" } }), 3, "HEROKU_DATA_HOST=data.example.com")
    end)
  end)

  describe("the command line", function()
    it("names what is missing, unknown or ill-typed, all at once", function()
      local result = box:pgsh { PRIMARY, "--budgte", "5m", "--settle", "soon", "--page", "no-such id" }
      refuses(result, 2, "--app is required", "--budgte", "--budget", "soon", "--page")
    end)
    it("without a terminal says at once which answers are needed", function()
      local result = box:pgsh { PRIMARY, "--app", lab.app, "--no-input" }
      refuses(result, 4, "--confirm disable-job", "--confirm enable-job")
      result = box:pgsh { PRIMARY, "--app", lab.app, "--confirm", "disable-job", "--confirm", "enable-job" }
      refuses(result, 4, "--yes")
    end)
    it("never takes silence for a yes", function()
      refuses(box:pgsh({ FOLLOWER, "--app", lab.app }, { stdin = "y\ny\ny\n" }), 4, "--yes")
    end)
  end)

  it("a second run on the same app is told who holds it", function()
    lab:reset { redeploy_never_ends = true }
    local first = box:start { FOLLOWER, "--app", lab.app, "--yes", "--on-failure", "stop" }
    first:expect("Wait for the redeploy", 10)
    local done = #lab:changes(true)
    local other = run.box(lab.env)
    other.env.XDG_STATE_HOME = box.env.XDG_STATE_HOME
    local result = other:pgsh { PRIMARY, "--app", lab.app, "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }
    assert.equal(7, result.exit, result.stderr)
    assert.is_truthy(result.stderr:find("heroku crates%-io is held by run %w+, %S+, pid " .. first.pid), result.stderr)
    assert.equal(done, #lab:changes(true))
    first:signal "INT"
    first:wait()
    other:remove()
  end)
end)
