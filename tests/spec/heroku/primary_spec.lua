-- heroku-primary against the lab: the documented order, and everything as it was afterwards.
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

  local function go(more, options)
    local arguments = { FILE, "--app", lab.app, "--page", lab.page, "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }
    table.move(more or {}, 1, #(more or {}), #arguments + 1, arguments)
    return box:pgsh(arguments, options)
  end

  local function succeeds(result)
    assert.equal(0, result.exit, result.stderr)
    assert.equal("", lab:errors())
    return result
  end

  local ALL = {
    "scale background_worker=0", "incident in_progress", "config DB_OFFLINE=follower READ_ONLY_MODE=1", "run current",
    "config READ_ONLY_MODE-", "update completed", "scale background_worker=1:Standard-1X", "config DB_OFFLINE-",
  }

  local function is_as_before(starts)
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker)
    assert.is_nil(outcome.read_only)
    assert.is_nil(outcome.offline)
    assert.equal(starts or 1, outcome.starts["postgresql-concave-10231"])
    return outcome
  end

  it("makes the changes in the documented order and leaves everything as it was", function()
    local result = succeeds(go())
    assert.same(ALL, lab:changes(true))
    local outcome = is_as_before()
    assert.same({ "completed < in_progress" }, outcome.incidents)
    assert.equal(0, outcome.starts["postgresql-shaped-20477"])
    assert.is_truthy(result.stderr:find "read%-only lasted 0:%d%d of 5:00")
  end)

  it("gives the worker its former quantity and size back", function()
    lab:reset { formation = { background_worker = { quantity = 3, size = "Standard-2X" } } }
    succeeds(go())
    assert.equal("3:Standard-2X", lab:outcome().worker)
    assert.equal("scale background_worker=3:Standard-2X", lab:changes()[7])
  end)

  it("scales the worker to --worker-restore when it is given", function()
    succeeds(go { "--worker-restore", "2:Standard-2X" })
    assert.equal("2:Standard-2X", lab:outcome().worker)
  end)

  it("stops the worker before users are read-only, and starts it when they are not", function()
    succeeds(go())
    local down, up = false, false
    for _, entry in ipairs(lab:log { service = "heroku" }) do
      if entry.path:find "/formation$" and entry.method == "PATCH" then
        if down then up = true end
        down = true
      end
      if entry.path:find "/maintenances/v1/.*/run" then assert.is_true(down and not up) end
    end
  end)

  it("says in capitals when read-only took longer than its budget", function()
    local result = succeeds(go { "--budget", "300ms" })
    assert.is_truthy(result.stderr:find("READ%-ONLY [^\n]*OVER ITS BUDGET"), result.stderr)
  end)

  it("leaves the status page alone without --page", function()
    local result = box:pgsh { FILE, "--app", lab.app, "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }
    succeeds(result)
    assert.same({}, lab:log { service = "statuspage" })
    is_as_before()
  end)

  it("announces ahead of time and goes on with that maintenance", function()
    succeeds(go { "--announce-from", "2030-01-02T10:00:00Z", "--announce-to", "2030-01-02T10:30:00Z", "--site", "crates.io" })
    local incidents = lab:state().incidents
    assert.equal(1, #incidents)
    assert.same({ "completed < in_progress < scheduled" }, lab:outcome().incidents)
    local announcement = incidents[1].incident_updates[3].body
    assert.is_truthy(announcement:find("database maintenance on 2030-01-02 from 10:00 to 10:30 UTC", 1, true), announcement)
    assert.is_truthy(announcement:find("less than 5 minutes", 1, true))
  end)

  it("shows the page's components as under maintenance, then operational", function()
    local component = lab:state().components[1].id
    succeeds(go { "--page-components", component })
    local updates = lab:state().incidents[1].incident_updates
    assert.equal("under_maintenance", updates[2].affected_components[1].new_status)
    assert.equal("operational", updates[1].affected_components[1].new_status)
  end)

  it("uses the older maintenance interface when the current one is not there", function()
    for _, status in ipairs { 404, 410 } do
      lab:reset { maintenance_interface = "older", missing_status = status, visible_delay = 200 }
      succeeds(go())
      assert.equal("run older", lab:changes()[4])
      is_as_before()
    end
  end)

  it("does without a follower when there is none", function()
    lab:reset { followers = 0 }
    local result = succeeds(go())
    assert.same({ "config READ_ONLY_MODE=1", "run current", "config READ_ONLY_MODE-" }, { table.unpack(lab:changes(), 3, 5) })
    assert.is_truthy(result.stderr:find("has no follower", 1, true))
    is_as_before()
  end)

  it("takes the follower that READ_ONLY_REPLICA means, when there are two", function()
    lab:reset { followers = 2 }
    succeeds(go())
    assert.same(ALL, lab:changes())
    is_as_before()
  end)

  it("finds a follower by a URL copied by hand, and warns", function()
    lab:reset { hand_copied_replica_url = true }
    local result = succeeds(go())
    assert.is_truthy(result.stderr:find("READ_ONLY_REPLICA_URL is a copy of the URL of postgresql-shaped-20477", 1, true))
    is_as_before()
  end)

  it("leaves the manual steps out when there is no Scheduler", function()
    lab:reset { scheduler = false }
    local result = box:pgsh { FILE, "--app", lab.app, "--yes" }
    succeeds(result)
    is_as_before()
  end)

  it("begins at the time that is given", function()
    -- Everything is due at --start-at: the worker five minutes before it, which is in the past.
    local process = box:start { FILE, "--app", lab.app, "--yes", "--confirm", "disable-job", "--confirm", "enable-job",
      "--start-at", "+2s" }
    process:expect("Announce the start", 10)
    assert.same({ "scale background_worker=0" }, lab:changes())
    succeeds(process:wait())
    is_as_before()
  end)

  it("is not misled by lists in pages", function()
    lab:reset { page_size = 1 }
    succeeds(go())
    is_as_before()
  end)
end)
