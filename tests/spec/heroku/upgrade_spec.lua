-- Upgrades of a follower: started once whatever happens to the answer or to pgsh, waited for, and what goes wrong with them.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local NAME = "postgresql-wide-52018"

local PROCEDURE = [[
procedure { name = "upgrade", summary = "upgrade the follower" }
local version = param.string { "to", "major version" }
local settle = param.string { "settle", "how long to look", default = "300ms" }
local app = heroku.app("logs-app", { settle = settle })
local db = app:database "LOGS_READONLY_DATABASE"
preflight "It can be upgraded" (function() return db:upgrade_problems { version = version } end)
local upgrade = step "Upgrade" {
  keep = function() return db:upgrade_before() end,
  run = function(kept) return db:run_upgrade { before = kept, version = version } end,
}
step "Wait" { run = function()
  return db:wait_upgrade { before = upgrade.kept, version = version, timeout = "1m", settle = "2s" }
end }
]]

describe("an upgrade", function()
  local lab, box, file

  setup(function() lab = labs.start { postgres = false } end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:reset { fixture = "partman" }
    box = run.box(lab.env)
    file = box.dir .. "/upgrade.lua"
    run.write_file(file, PROCEDURE)
  end)
  after_each(function() box:remove() end)

  local FLAGS = { "-y", "--on-failure", "stop" }
  local function words(...)
    local all = { ... }
    return table.move(FLAGS, 1, #FLAGS, #all + 1, all)
  end
  local function go(...) return box:pgsh(words(file, ...)) end
  local function resume() return box:pgsh(words("resume", "last")) end

  local function is_upgraded(result, starts)
    assert.equal(0, result.exit, result.stderr)
    local seen = lab:state().databases[NAME]
    assert.equal(starts or 1, seen.starts)
    assert.is_nil(seen.leader)
    assert.equal("completed", seen.upgrade)
    return seen
  end
  local function fails(result, text)
    assert.equal(5, result.exit, result.stderr)
    check.has(result.stderr, text)
  end
  local function post(fault)
    fault.service, fault.method, fault.path = "heroku", "POST", "/upgrade"
    lab:faults { fault }
  end

  it("is run and waited for, to the version that Heroku chooses", function()
    local result = go()
    assert.equal("15.15", is_upgraded(result).version)
    assert.is_truthy(result.stderr:find("14.20 → 15.15", 1, true), result.stderr)
    assert.same({ "upgrade run" }, lab:changes(true))
  end)

  it("is planned: what is there is read, nothing is changed", function()
    local result = box:pgsh { "plan", file, "--to", "16" }
    assert.equal(0, result.exit, result.stderr)
    for _, text in ipairs { "to version 16", "LOGS_READONLY_DATABASE is upgraded and available (limit 1:00)" } do
      assert.is_truthy((result.stdout .. result.stderr):find(text, 1, true), result.stdout .. result.stderr)
    end
    assert.same({}, lab:changes(true))
  end)

  it("is run to the version asked for", function()
    assert.equal("16.11", is_upgraded(go("--to", "16")).version)
    assert.same({ "upgrade run 16" }, lab:changes(true))
  end)

  it("is run by the older interface where the current one is not there", function()
    for status, visible in pairs { [404] = 0, [410] = 200 } do
      lab:reset { fixture = "partman", upgrade_interface = "older", missing_status = status, visible_delay = visible }
      is_upgraded(go())
      assert.same({ "upgrade older" }, lab:changes(true))
    end
  end)

  it("is not taken for finished before it shows, nor while the follower lags", function()
    lab:options { visible_delay = 300, behind_commits = 500 }
    local process = box:start(words(file))
    process:expect "%(1/3%) Waiting for the replica to catch up, behind by 500 commits"
    assert.equal("running", lab:state().databases[NAME].upgrade)
    lab:options { behind_commits = 0 }
    is_upgraded(process:wait())
  end)

  it("whose answer is lost is looked for, and started once", function()
    post { action = "reset_after" }
    is_upgraded(go())
    assert.same({ "upgrade run" }, lab:changes(true))
  end)

  it("whose request never arrived is started then", function()
    post { action = "reset_before" }
    is_upgraded(go())
    assert.same({ "upgrade run", "upgrade run" }, lab:changes(true))
  end)

  it("that shows later than it was looked for is refused a second time, and that is no failure", function()
    lab:options { behind_commits = 1 }
    post { action = "reset_after" }
    -- The third look, the one for the lost answer, comes too early.
    lab:faults { { service = "heroku", method = "GET", path = "/upgrade/wait_status$", skip = 2, action = "status", code = 200,
      body = { message = "No upgrade is in progress", ["waiting?"] = false } } }
    local process = box:start(words(file, "--settle", "0"))
    process:expect "has begun already"
    lab:options { behind_commits = 0 }
    is_upgraded(process:wait())
    assert.equal(1, lab:state().databases[NAME].refused)
  end)

  it("survives kills of pgsh at every write of its journal", function()
    local count = box.dir .. "/count"
    assert.equal(0, box:pgsh(words(file), { env = run.crash(nil, nil, count) }).exit)
    local writes = tonumber(run.read_file(count))
    assert.is_true(writes >= 8, tostring(writes))
    for number = 2, writes do
      lab:reset { fixture = "partman" }
      os.execute("rm -rf " .. box.dir .. "/state/pgsh")
      local result = box:pgsh(words(file), { env = run.crash(number, number % 2 == 0 and "after" or "torn") })
      assert.is_true(result.exit == 137 or number == writes, result.stderr)
      if result.exit == 137 then result = resume() end
      if result.exit == 2 then result = go() end -- killed before it began
      is_upgraded(result)
    end
  end)

  it("goes on while nobody watches, and a resume finds it done", function()
    lab:options { behind_commits = 1 }
    local process = box:start(words(file))
    process:expect "catch up"
    process:signal "KILL"
    process:wait()
    lab:options { behind_commits = 0 }
    lab:wait_until(function(state) return state.databases[NAME].upgrade == "completed" end)
    is_upgraded(resume())
  end)

  it("that fails says what Heroku says of it", function()
    lab:options { upgrade_error = "the extension foo is not available" }
    fails(go(), "the upgrade of LOGS_READONLY_DATABASE failed: the extension foo is not available")
    assert.equal(1, lab:state().databases[NAME].starts)
  end)

  it("that failed before does not spoil the next one", function()
    lab:options { upgrade_error = "no room" }
    fails(go(), "no room")
    lab:options { upgrade_error = "", visible_delay = 200 }
    is_upgraded(go(), 2)
  end)

  it("that is accepted and never shows is an error", function()
    post { action = "status", code = 200, body = { message = "started" } }
    fails(go(), "was accepted, but nothing of it shows")
  end)

  it("is refused beforehand where it cannot be", function()
    local cases = {
      { {}, { "--to", "14" }, "runs version 14.20 already, asked for is 14" },
      { { plan = "mini" }, {}, "plan mini cannot be upgraded" },
    }
    for _, case in ipairs(cases) do
      lab:reset { fixture = "partman" }
      lab:options(case[1])
      local result = go(table.unpack(case[2]))
      assert.equal(3, result.exit, result.stderr)
      assert.is_truthy(result.stderr:find(case[3], 1, true), result.stderr)
    end
    local leader = box:pgsh { "-e", 'heroku.app("logs-app"):database("LOGS_DATABASE"):run_upgrade()' }
    assert.is_truthy(leader.stderr:find("LOGS_DATABASE follows nobody: it is a leader", 1, true), leader.stderr)
    assert.same({}, lab:changes(true))
  end)

  it("of a leader is prepared, taken back, prepared again and run", function()
    local result = box:pgsh { "-e", [[
      local db = heroku.app("logs-app"):database "LOGS_DATABASE"
      local function prepared()
        local before = db:upgrade_before()
        db:prepare_upgrade { before = before, version = 16 }
        return db:wait_upgrade { before = before, prepared = true }
      end
      print(prepared())
      db:cancel_upgrade()
      prepared()
      local before = db:upgrade_before()
      db:run_upgrade { leader = true, before = before }
      print(db:wait_upgrade { before = before })
    ]] }
    assert.equal(0, result.exit, result.stderr)
    assert.is_truthy(result.stdout:find("scheduled for the next maintenance window", 1, true), result.stdout)
    assert.is_truthy(result.stdout:find("14.20 → 16.11", 1, true), result.stdout)
    assert.same({ "upgrade prepare 16", "upgrade cancel", "upgrade prepare 16", "upgrade run" }, lab:changes(true))
    assert.equal("16.11", lab:state().databases[NAME].version)
  end)

  it("can be done without: a follower stops following", function()
    lab:options { behind_commits = 1234 }
    local result = box:pgsh { "-e", [[
      local db = heroku.app("logs-app"):database "LOGS_READONLY_DATABASE"
      print(db:behind())
      db:unfollow()
      db:wait_available()
      print(db:follower_of(), db:behind())
    ]] }
    assert.equal("1234\t1234 commits\nnil\tnil\tnil\n", result.stdout, result.stderr)
  end)
end)
