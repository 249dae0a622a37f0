-- What goes wrong on the way: busy services, lost answers, servers that come back slowly, dynos that do not.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local FILE = "procedures/heroku-primary.lua"

describe("heroku-primary", function()
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

  local CONFIRMED = { "--yes", "--confirm", "disable-job", "--confirm", "enable-job", "--on-failure", "stop" }

  local function arguments(more)
    local all = { FILE, "--app", lab.app, "--page", lab.page }
    table.move(CONFIRMED, 1, #CONFIRMED, #all + 1, all)
    return table.move(more or {}, 1, #(more or {}), #all + 1, all)
  end
  local function go(...) return box:pgsh(arguments { ... }) end
  local function again(command, ...)
    local all = { command, "last" }
    table.move(CONFIRMED, 1, #CONFIRMED, #all + 1, all)
    return box:pgsh(table.move({ ... }, 1, select("#", ...), #all + 1, all))
  end

  local function says(result, ...) check.has(result.stderr, ...) end

  -- Everything happened once, and is as it was.
  local function is_whole(result)
    assert.equal(0, result.exit, result.stderr)
    assert.same({
      "scale background_worker=0", "incident in_progress", "config DB_OFFLINE=follower READ_ONLY_MODE=1", "run current",
      "config READ_ONLY_MODE-", "update completed", "scale background_worker=1:Standard-1X", "config DB_OFFLINE-",
    }, lab:changes())
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker)
    assert.is_nil(outcome.read_only)
    assert.is_nil(outcome.offline)
    assert.equal(1, outcome.starts["postgresql-concave-10231"])
    assert.same({ "completed < in_progress" }, outcome.incidents)
  end

  local CHANGES = {
    { name = "scaling", service = "heroku", method = "PATCH", path = "/formation$" },
    { name = "the config vars", service = "heroku", method = "PATCH", path = "/config%-vars$" },
    { name = "the maintenance", service = "heroku", method = "POST", path = "/run$" },
    { name = "the incident", service = "statuspage", method = "POST", path = "/incidents$" },
    { name = "the incident's end", service = "statuspage", method = "PATCH", path = "/incidents/" },
  }
  local function fault(change, action, more)
    local out = { service = change.service, method = change.method, path = change.path, action = action }
    for key, value in pairs(more or {}) do out[key] = value end
    lab:faults { out }
  end

  for _, change in ipairs(CHANGES) do
    describe(("when the request for %s"):format(change.name), function()
      it("is made but its answer lost, it is not made twice", function()
        fault(change, "reset_after")
        is_whole(go("--settle", "1s"))
      end)
      it("is made but its answer cut short, it is not made twice", function()
        fault(change, "truncate")
        is_whole(go("--settle", "1s"))
      end)
      it("is lost before it was made, it is made", function()
        fault(change, "reset_before")
        is_whole(go("--settle", "500ms"))
      end)
      it("is put off with 429, it is repeated when the service said", function()
        fault(change, "status", { code = 429, headers = { ["Retry-After"] = "1" } })
        is_whole(go())
      end)
      it("is refused with 503, the run stops, and a resume makes it", function()
        fault(change, "status", { code = 503, times = 50 })
        local result = go("--settle", "300ms")
        assert.equal(change.name == "scaling" and 1 or 5, result.exit, result.stderr)
        says(result, "503", "pgsh resume")
        lab:call("DELETE", "/faults")
        is_whole(again "resume")
      end)
    end)
  end

  it("goes on through 503 and resets of what it only reads", function()
    lab:faults {
      { service = "heroku", method = "GET", path = "/dynos$", action = "status", code = 503, times = 3 },
      { service = "heroku", method = "GET", path = "/wait_status$", action = "reset_before", times = 2, skip = 1 },
      { service = "heroku", method = "GET", path = "/data/maintenances/v1/[^/]+$", action = "status", code = 500, times = 3, skip = 2 },
      { service = "statuspage", method = "GET", action = "status", code = 503, times = 1 },
    }
    is_whole(go())
  end)

  it("honours the rate limit of the status page", function()
    lab:options { statuspage_limit = 4, statuspage_window_s = 2 }
    is_whole(go())
  end)

  it("waits for a maintenance that does not show at first", function()
    lab:options { visible_delay = 800 }
    is_whole(go())
  end)

  it("does not start a maintenance twice whose answer was lost and that does not show at first", function()
    lab:options { visible_delay = 800 }
    fault(CHANGES[3], "reset_after")
    is_whole(go("--settle", "5s"))
  end)

  it("says so when an accepted maintenance never shows", function()
    lab:options { visible_delay = 60000 }
    local result = go("--unseen-after", "500ms")
    assert.equal(5, result.exit, result.stderr)
    says(result, "was accepted, but nothing of it shows", "USERS ARE READ-ONLY")
  end)

  it("says so when the maintenance fails", function()
    lab:options { maintenance_error = "disk is full" }
    local result = go()
    assert.equal(5, result.exit, result.stderr)
    says(result, "the maintenance of DATABASE failed: disk is full", "USERS ARE READ-ONLY SINCE", "pgsh undo")
  end)

  it("connects with the credentials the maintenance gave", function()
    lab:options { rotate_credentials = true, recovery_ms = 100 }
    is_whole(go())
  end)

  it("waits for a primary that is down, then in recovery, then fine", function()
    lab:options { maintenance_ms = 700 }
    local process = box:start(arguments())
    process:expect "Wait for the maintenance"
    lab:faults { { service = "heroku", path = "^/client/v11/databases/[^/]+$", action = "delay", ms = 1000 } }
    process:expect "All databases are online"
    lab:postgres("primary", "stop")
    process:expect "postgresql%-concave%-10231 is Unavailable"
    lab:postgres("primary", "recovery")
    process:expect "The primary has recovered"
    process:expect "in recovery"
    lab:postgres("primary", "immediate")
    process:expect "refused"
    lab:postgres("primary", "start")
    lab:postgres("primary", "promote")
    is_whole(process:wait())
  end)

  it("says which dyno crashed, and goes on when it is mended", function()
    lab:options { dyno_crash = "web" }
    local result = go("--crashed-after", "300ms")
    assert.equal(5, result.exit, result.stderr)
    says(result, "crashed on v41 and stays so: web.1", "USERS ARE READ-ONLY SINCE", "pgsh undo")
    lab:options { dyno_crash = "" }
    assert.equal(0, box:pgsh({ "-e", 'heroku.app("crates-io"):config { MENDED = "1" }' }).exit)
    result = again "resume"
    assert.equal(0, result.exit, result.stderr)
    assert.equal("1:Standard-1X", lab:outcome().worker)
    assert.equal(1, lab:outcome().starts["postgresql-concave-10231"])
  end)

  it("says what it saw of a redeploy that never ends, and can go back", function()
    lab:options { redeploy_never_ends = true }
    local result = go("--redeploy-timeout", "1s")
    assert.equal(124, result.exit, result.stderr)
    says(result, "0 of 2 dynos run v41", "web.1 starting v41", "web.2 starting v41", "USERS ARE READ-ONLY SINCE", "pgsh undo")
    lab:options { redeploy_never_ends = false }
    result = again "undo"
    assert.equal(0, result.exit, result.stderr)
    assert.same({
      "scale background_worker=0", "incident in_progress", "config DB_OFFLINE=follower READ_ONLY_MODE=1",
      "config DB_OFFLINE- READ_ONLY_MODE-", "update completed", "scale background_worker=1:Standard-1X",
    }, lab:changes())
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker)
    assert.is_nil(outcome.read_only)
    assert.equal(0, outcome.starts["postgresql-concave-10231"])
    assert.is_truthy(lab:state().incidents[1].incident_updates[1].body:find("called off", 1, true))
  end)

  it("goes back by itself with --on-failure undo", function()
    lab:options { maintenance_error = "disk is full" }
    local result = go("--on-failure", "undo")
    assert.is_true(result.exit ~= 0, result.stderr)
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker)
    assert.is_nil(outcome.read_only)
    assert.is_nil(outcome.offline)
  end)

  it("says in one line that a service answered no JSON", function()
    lab:faults { { service = "heroku", method = "GET", path = "/formation$", action = "garbage", times = 50 } }
    local result = go()
    assert.equal(3, result.exit, result.stderr)
    says(result, "JSON")
    assert.same({}, lab:changes(true))
  end)
end)
