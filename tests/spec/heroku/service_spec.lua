-- The services heroku and statuspage by themselves, as scripts use them.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

describe("the service", function()
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

  -- Evaluate, and give what it prints.
  local function evaluate(text, env)
    local prologue = 'local app = heroku.app "crates-io" local db = app:database "DATABASE" local page = statuspage.page "kctbh9vrtdwd" '
    return box:pgsh({ "-e", prologue .. text }, { env = env })
  end

  local prints, fails = check.evaluated(evaluate)

  local function canned(path, body, more)
    local fault = { service = "heroku", method = "GET", path = path, action = "status", code = 200, body = body, times = 9 }
    for key, value in pairs(more or {}) do fault[key] = value end
    lab:faults { fault }
  end

  describe("heroku finds a database", function()
    it("by attachment, config var, add-on name and id", function()
      local id = lab:state().maintenance["postgresql-shaped-20477"].id
      for _, name in ipairs { "READ_ONLY_REPLICA", "READ_ONLY_REPLICA_URL", "HEROKU_POSTGRESQL_IVORY", "postgresql-shaped-20477", id,
        "crates-io::READ_ONLY_REPLICA" } do
        prints("postgresql-shaped-20477\ttrue", ('local d = app:database %q print(d:addon().name, d:value "select pg_is_in_recovery()")')
          :format(name))
      end
    end)
    it("by a URL that was copied by hand, with and without _URL", function()
      lab:options { hand_copied_replica_url = true }
      for _, name in ipairs { "READ_ONLY_REPLICA", "READ_ONLY_REPLICA_URL" } do
        prints("postgresql-shaped-20477\tREAD_ONLY_REPLICA_URL",
          ("local d = app:database %q print(d:addon().name, d:addon().copied)"):format(name))
      end
    end)
    it("and connects to this machine without TLS", function()
      local result = evaluate('print(db:value "select 1")', { PGSSLMODE = false })
      assert.equal("1\n", result.stdout, result.stderr)
    end)
    it("and elsewhere only with TLS", function()
      local address = run.shell("hostname -I"):match "^%d+%.%d+%.%d+%.%d+"
      if not address then return pending "this machine has no address but its own" end
      local server = assert(require("socket").bind(address, 0))
      server:settimeout(10)
      local _, port = server:getsockname()
      canned("/config%-vars$", { DATABASE_URL = ("postgres://u:p4ssword@%s:%d/x"):format(address, port) })
      local process = box:start({ "-e", 'heroku.app("crates-io"):database("DATABASE"):value "select 1"' }, { env = { PGSSLMODE = false } })
      local connection = assert(server:accept())
      assert.equal("\0\0\0\8\4\210\22\47", connection:receive(8)) -- SSLRequest
      connection:send "N"
      connection:close()
      server:close()
      local result = process:wait()
      assert.is_true(result.exit ~= 0)
      assert.is_truthy(result.stderr:find("SSL", 1, true), result.stderr)
      assert.is_nil(result.stderr:find("p4ssword", 1, true))
    end)
    it("and names what there is when it does not", function()
      fails("Unknown database: NOWHERE. Valid options are: DATABASE_URL, HEROKU_POSTGRESQL_COPPER_URL", 'app:database("NOWHERE"):addon()')
    end)

    local function attachment(name, addon, namespace)
      return {
        id = name, name = name, namespace = namespace, app = { id = "a", name = "crates-io" }, config_vars = { name .. "_URL" },
        addon = { id = addon, name = addon, app = { id = "a", name = "crates-io" }, plan = { name = "heroku-postgresql:standard-0" } },
      }
    end
    it("and refuses to choose between two", function()
      canned("/addon%-attachments$", { attachment("ONE", "postgresql-a"), attachment("TWO", "postgresql-b") })
      canned("/config%-vars$", { ONE_URL = "postgres://u:p4ssword@h/1", TWO_URL = "postgres://u:p4ssword@h/1",
        COPY_URL = "postgres://u:p4ssword@h/1" })
      fails("Ambiguous identifier COPY; multiple matching add-ons found: postgresql-a, postgresql-b", 'app:database("COPY"):addon()')
    end)
    it("and takes the attachment without another credential", function()
      canned("/addon%-attachments$", { attachment("MAIN", "postgresql-a"), attachment("REPORTS", "postgresql-a", "credential:reports") })
      canned("/config%-vars$", { MAIN_URL = "postgres://u:p4ssword@h/1", REPORTS_URL = "postgres://r:p4ssword@h/1" })
      prints("MAIN", 'print(app:database("postgresql-a"):addon().attachment)')
    end)
    it("of the app only when the app has any", function()
      canned("/addon%-attachments$", require("cjson").decode "[]")
      fails("crates-io has no databases", "db:addon()")
    end)
  end)

  describe("heroku's formation", function()
    it("is changed in one request, sizes too", function()
      evaluate 'app:scale { web = { quantity = 3, size = "Standard-1X" }, background_worker = 0 }'
      assert.same({ "scale background_worker=0 web=3:Standard-1X" }, lab:changes())
    end)
    it("with a type that is not there is an error that names those there are", function()
      fails("crates-io has no process type wbe; it has background_worker, web", 'app:formation "wbe"')
      fails("Couldn't find that process type (wbe)", "app:scale { wbe = 1 }")
    end)
    it("takes whole numbers only", function()
      for _, value in ipairs { '"+1"', "-1", "1.5", "{}", '{ size = "Standard-1X" }' } do
        fails("web needs a quantity", ("app:scale { web = %s }"):format(value))
      end
      assert.same({}, lab:changes(true))
    end)
  end)

  describe("heroku's config vars", function()
    it("are set and unset in one request, and say the release", function()
      prints("41", 'print(app:config { A = "1", B = 2, RUST_LOG = unset }.release)')
      assert.same({ "config A=1 B=2 RUST_LOG-" }, lab:changes())
    end)
    it("that change nothing need make no release", function()
      lab:options { equal_config_releases = false }
      prints("40", 'print(app:config { RUST_LOG = "info" }.release)')
    end)
    it("of an attachment cannot be changed", function()
      fails("Cannot overwrite attachment values DATABASE_URL", 'app:config { DATABASE_URL = "x" }')
    end)
  end)

  describe("heroku's wait for a release", function()
    it("does not take an app that shows no dynos for one that has none", function()
      canned("/dynos$", require("cjson").decode "[]", { times = 3 })
      prints("40", "print(app:wait_for_release())")
      assert.is_true(#lab:log() >= 8)
    end)
    it("ends at once when the formation is empty", function()
      lab:options { formation = { web = 0, background_worker = 0 } }
      prints("40", 'print(app:wait_for_release { timeout = "100ms" })')
    end)
    it("waits for the release phase, and fails with it", function()
      canned("/releases/40$", { version = 40, status = "pending" }, { times = 2 })
      canned("/releases/40$", { version = 40, status = "failed" })
      fails("release v40 failed", "app:wait_for_release()")
    end)
    it("does not wait for one-off dynos", function()
      local dynos = { { name = "run.1", type = "run", state = "up", release = { version = 12 } },
        { name = "scheduler.7", type = "scheduler", state = "up", release = { version = 12 } } }
      for i, kind in ipairs { "web", "web", "background_worker" } do
        dynos[#dynos + 1] = { name = kind .. "." .. i, type = kind, state = "up", release = { version = 40 } }
      end
      canned("/dynos$", dynos)
      prints("40", 'print(app:wait_for_release { timeout = "1s" })')
    end)
  end)

  describe("heroku", function()
    it("reads lists to their last page", function()
      lab:options { page_size = 2 }
      prints("3", "local n = 0 for _ in pairs(app:dynos()) do n = n + 1 end print(n)")
    end)
    it("passes warnings on, once", function()
      canned("/formation$", require("cjson").decode '[{"type":"web","quantity":1,"size":"Basic"}]',
        { headers = { ["X-Heroku-Warning"] = "this stack is old" } })
      local result = evaluate "app:formation() app:formation()"
      local _, times = result.stderr:gsub("this stack is old", "")
      assert.equal(1, times, result.stderr)
    end)
    it("says what to do about a second factor", function()
      canned("/formation$", { id = "two_factor", message = "A second factor is needed." }, { code = 403 })
      fails("asks for a second factor", "app:formation()")
    end)
    it("sends the headers of the interface, and a request id of its own each time", function()
      evaluate "app:formation() app:databases()"
      local ids = {}
      for _, entry in ipairs(lab:log { service = "heroku" }) do
        assert.is_truthy(entry.headers.accept:find("application/vnd.heroku+json; version=3", 1, true))
        assert.is_truthy(entry.headers["user-agent"]:find "^pgsh/%d")
        assert.is_nil(ids[entry.headers["request-id"]])
        ids[entry.headers["request-id"]] = true
      end
    end)
    it("shows a database's state without its credentials", function()
      prints("Available\tpostgresql-concave-10231\ttrue", 'local info = app:database("READ_ONLY_REPLICA"):info() '
        .. 'print(info.status, info.leader, not info.info.Following:find "@")')
    end)
    it("refuses a maintenance of an app that is not in maintenance mode, unless forced", function()
      fails("crates-io is not in maintenance mode", "db:run_maintenance()")
      assert.same({}, lab:changes(true))
    end)
  end)

  describe("statuspage", function()
    it("opens, updates and resolves an incident", function()
      local result = evaluate('local id = page:start { name = "Slow", body = "We look." }.json.id page:update(id, { status = '
        .. '"identified", body = "We know." }) page:close(id, "It is over.")')
      assert.equal(0, result.exit, result.stderr)
      assert.same({ "resolved < identified < investigating" }, lab:outcome().incidents)
    end)
    it("finds what goes on under a name", function()
      prints("1\tin_progress\t0", 'page:start { name = "M", body = "now", lasts = "5m" } local found = page:find "M" '
        .. 'print(#found, found[1].status, #page:find "m")')
    end)
    it("closes a maintenance with the words of a maintenance", function()
      evaluate 'page:close(page:start { name = "M", body = "now", lasts = 90 }.json.id, "done")'
      assert.same({ "completed < in_progress" }, lab:outcome().incidents)
    end)
    it("posts a repeated text twice when it is asked to", function()
      evaluate 'page:start { name = "Again", body = "x" } page:start { name = "Again", body = "x" }'
      assert.equal(2, #lab:outcome().incidents)
    end)
    it("does not take an older incident of that name for one whose answer was lost", function()
      evaluate 'page:start { name = "Again", body = "x" }'
      lab:faults { { service = "statuspage", method = "POST", action = "reset_before" } }
      local result = evaluate 'statuspage.page("kctbh9vrtdwd", { settle = "300ms" }):start { name = "Again", body = "x" }'
      assert.equal(0, result.exit, result.stderr)
      assert.equal(2, #lab:outcome().incidents)
    end)
    it("refuses what it does not know", function()
      fails("unknown option bdoy", 'page:start { name = "x", bdoy = "y" }')
      fails("name is missing", 'page:start { body = "y" }')
      fails("is no page's id", 'statuspage.page "a/b"')
    end)
  end)
end)
