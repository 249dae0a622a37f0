-- A plan makes every read and no change; it shows each change as the request that would be sent.
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"
local has = require("tests.spec.support.check").has

local PRIMARY, FOLLOWER = "procedures/heroku-primary.lua", "procedures/heroku-follower.lua"

describe("a plan", function()
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

  it("of the primary changes nothing and shows every request", function()
    local before = lab:state()
    local result = box:pgsh { "plan", PRIMARY, "--app", lab.app, "--page", lab.page }
    assert.equal(0, result.exit, result.stderr)
    assert.same({}, lab:changes(true))
    assert.same(before.config, lab:state().config)
    has(result.stdout, "PATCH /formation background_worker=0",
      'POST /pages/' .. lab.page .. '/incidents in_progress "Database maintenance"',
      "PATCH /config-vars DB_OFFLINE=follower READ_ONLY_MODE=1", "POST /data/maintenances/v1/", "forced",
      "PATCH /config-vars READ_ONLY_MODE unset", "PATCH /formation background_worker=1:Standard-1X",
      "PATCH /config-vars DB_OFFLINE unset", "8 changes", "nothing changed")
    has(result.stdout, "procedures/heroku-primary.lua:", "known after the run")
  end)

  it("only reads: every request is a GET", function()
    box:pgsh { "plan", PRIMARY, "--app", lab.app, "--page", lab.page }
    for _, entry in ipairs(lab:log()) do assert.equal("GET", entry.method, entry.path) end
  end)

  it("says what is left out and why", function()
    lab:reset { followers = 0, scheduler = false }
    local result = box:pgsh { "plan", PRIMARY, "--app", lab.app }
    assert.equal(0, result.exit, result.stderr)
    has(result.stdout, "no status page is given (--page)", "no follower: ", "has no add-on scheduler",
      "PATCH /config-vars READ_ONLY_MODE=1")
    assert.is_nil(result.stdout:find("DB_OFFLINE", 1, true))
    assert.same({}, lab:changes(true))
  end)

  it("of an announcement shows the scheduled maintenance too", function()
    local result = box:pgsh {
      "plan", PRIMARY, "--app", lab.app, "--page", lab.page, "--announce-from", "2030-01-02T10:00:00Z",
      "--announce-to", "2030-01-02T10:30:00Z",
    }
    assert.equal(0, result.exit, result.stderr)
    has(result.stdout, 'incidents scheduled "Database maintenance"', "9 changes")
    assert.same({}, lab:changes(true))
  end)

  it("of the follower changes nothing", function()
    local result = box:pgsh { "plan", FOLLOWER, "--app", lab.app }
    assert.equal(0, result.exit, result.stderr)
    assert.same({}, lab:changes(true))
    has(result.stdout, "PATCH /config-vars DB_OFFLINE=follower", "READ_ONLY_REPLICA", "PATCH /config-vars DB_OFFLINE unset",
      "Is traffic away from its peak?", "3 changes")
  end)

  it("that would be refused says so and exits 3", function()
    lab:reset { config = { READ_ONLY_MODE = "1" } }
    local result = box:pgsh { "plan", PRIMARY, "--app", lab.app }
    assert.equal(3, result.exit)
    has(result.stdout .. result.stderr, "READ_ONLY_MODE is set already")
    assert.same({}, lab:changes(true))
  end)

  it("leaves no run behind", function()
    local other = run.box(lab.env)
    other:pgsh { "plan", PRIMARY, "--app", lab.app }
    assert.equal("", run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(other.dir)))
    other:remove()
  end)
end)

describe("a checklist", function()
  it("needs neither credential nor network, and holds the document's steps in order", function()
    local box = run.box { HEROKU_API_KEY = false }
    for _, case in ipairs {
      { PRIMARY, { "Disable the downloads-count job", "Stop the background worker", "Announce the start", "Read-only, without the follower",
        "Wait for the redeploy", "Run the maintenance", "Wait for the maintenance", "All databases are online", "The primary has recovered",
        "Leave read-only mode", "red badge", "Wait for the redeploy", "Announce the end", "Start the background worker",
        "The follower is available", "Connect the follower", "Wait for the redeploy", "Enable the downloads-count job again" } },
      { FOLLOWER, { "Do without the follower", "Wait for the redeploy", "Run the maintenance", "Wait for the maintenance",
        "The follower is ready", "The follower responds to queries", "Connect the follower", "Wait for the redeploy" } },
    } do
      local result = box:pgsh { "checklist", case[1], "--app", "crates-io" }
      assert.equal(0, result.exit, result.stderr)
      local from = 1
      for _, part in ipairs(case[2]) do
        local at = result.stdout:find(part, from, true)
        assert.is_truthy(at, part .. " is missing or out of order")
        from = at + #part
      end
    end
    box:remove()
  end)
end)
