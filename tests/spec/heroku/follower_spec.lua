-- heroku-follower against the lab.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local FILE = "procedures/heroku-follower.lua"

describe("heroku-follower", function()
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

  local function go(...)
    return box:pgsh { FILE, "--app", lab.app, "--yes", "--on-failure", "stop", ... }
  end

  local function says(result, ...) check.has(result.stderr, ...) end

  local function is_whole(result)
    assert.equal(0, result.exit, result.stderr)
    assert.same({ "config DB_OFFLINE=follower", "run current", "config DB_OFFLINE-" }, lab:changes())
    local outcome = lab:outcome()
    assert.is_nil(outcome.offline)
    assert.is_nil(outcome.read_only)
    assert.same({}, outcome.incidents)
    assert.equal("1:Standard-1X", outcome.worker)
    assert.equal(1, outcome.starts["postgresql-shaped-20477"])
    assert.equal(0, outcome.starts["postgresql-concave-10231"])
  end

  it("makes the changes in the documented order, on the follower only", function()
    is_whole(go())
    assert.same({}, lab:log { service = "statuspage" })
  end)

  it("works with a URL copied by hand", function()
    lab:options { hand_copied_replica_url = true }
    is_whole(go())
  end)

  it("takes the follower that is named", function()
    lab:options { followers = 2 }
    local result = go("--follower", "HEROKU_POSTGRESQL_ROSE")
    assert.equal(0, result.exit, result.stderr)
    assert.equal(1, lab:outcome().starts["postgresql-round-30915"])
    assert.equal(0, lab:outcome().starts["postgresql-shaped-20477"])
  end)

  it("says how busy the primary is when it asks about the traffic", function()
    local result = go()
    says(result, "The primary takes the whole load meanwhile", "Is traffic away from its peak?")
  end)

  it("does not connect a follower that does not answer", function()
    lab:options { maintenance_ms = 700 }
    local process = box:start { FILE, "--app", lab.app, "--yes", "--on-failure", "stop", "--database-timeout", "1s" }
    process:expect "Wait for the maintenance"
    lab:faults { { service = "heroku", path = "^/client/v11/databases/[^/]+/wait_status", action = "delay", ms = 600 } }
    process:expect "The follower is ready"
    lab:postgres("follower", "stop")
    local result = process:wait()
    assert.equal(124, result.exit, result.stderr)
    assert.equal("follower", lab:outcome().offline)
    lab:postgres("follower", "start")
    is_whole(box:pgsh { "resume", "last", "--yes" })
  end)

  it("goes back only once the follower answers", function()
    lab:options { maintenance_error = "disk is full" }
    local result = go()
    assert.equal(5, result.exit, result.stderr)
    lab:postgres("follower", "stop")
    local process = box:start { "undo", "last", "--yes" }
    process:expect "READ_ONLY_REPLICA answers"
    process:expect "now: "
    assert.same({ "config DB_OFFLINE=follower", "run current" }, lab:changes())
    lab:postgres("follower", "start")
    local undone = process:wait()
    assert.equal(0, undone.exit, undone.stderr)
    assert.is_nil(lab:outcome().offline)
  end)

  it("is whole after a kill in the middle of the maintenance", function()
    lab:options { maintenance_ms = 500 }
    local process = box:start { FILE, "--app", lab.app, "--yes" }
    process:expect "Wait for the maintenance"
    process:signal "KILL"
    assert.equal(137, process:wait().exit)
    is_whole(box:pgsh { "resume", "last", "--yes" })
  end)
end)
