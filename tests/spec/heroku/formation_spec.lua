-- Formations of many types: scaled down in one request, waited for until their dynos are gone, and restored exactly.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local PROCEDURE = [[
procedure { name = "formation", summary = "down and up again" }
local app = heroku.app("logs-app", { settle = "100ms" })
local types = { "aggregate", "aggregate_sweeper", "archive", "drain", "logs", "purge", "web" }
local down = step "Down" {
  keep = function() return app:formation(types) end,
  run = function()
    local none = {}
    for i, name in ipairs(types) do none[name] = 0 end
    app:scale(none)
    app:wait_for_dynos(types, { timeout = "20s" })
  end,
  verify = function() return app:dynos_up(types) == 0 end,
}
step "Up" {
  run = function() app:scale(down.kept) app:wait_for_dynos(types, { timeout = "20s" }) end,
  verify = function() return app:is_scaled(down.kept) end,
}
]]

local DOWN = "scale aggregate=0 aggregate_sweeper=0 archive=0 drain=0 logs=0 purge=0 web=0"
local UP = "scale aggregate=2:Standard-2X aggregate_sweeper=1:Standard-1X archive=1:Standard-1X drain=3:Standard-2X logs=15:Standard-2X "
  .. "purge=1:Standard-1X web=2:Standard-1X"

describe("a formation of many types", function()
  local lab, box, file

  setup(function() lab = labs.start { postgres = false } end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:reset { fixture = "partman" }
    box = run.box(lab.env)
    file = box.dir .. "/formation.lua"
    run.write_file(file, PROCEDURE)
  end)
  after_each(function() box:remove() end)

  local function go(env) return box:pgsh({ file, "-y", "--on-failure", "stop" }, { env = env }) end
  local function evaluate(text) return box:pgsh { "-e", 'local app = heroku.app "logs-app" ' .. text } end
  local _, fails = check.evaluated(evaluate)

  it("goes down and up in one request each, and is what it was", function()
    lab:options { dyno_delay_ms = 30, dyno_stop_ms = 150 }
    local before = lab:state().formation
    local result = go()
    assert.equal(0, result.exit, result.stderr)
    assert.same({ DOWN, UP }, lab:changes(true))
    assert.same(before, lab:state().formation)
    assert.equal(25, #lab:state().dynos)
  end)

  it("says which types are late", function()
    lab:options { dyno_stop_ms = 60000 }
    fails("logs 15 of 0 up; web 2 of 0 up", 'app:scale { logs = 0, web = 0 } app:wait_for_dynos({ "logs", "web" }, { timeout = "300ms" })')
  end)

  it("is restored exactly by a resume after a kill, though the first attempt had read other quantities", function()
    lab:options { dyno_stop_ms = 60000 }
    local process = box:start { file, "-y" }
    process:expect "of 0 up"
    process:signal "KILL"
    process:wait()
    assert.equal(0, lab:state().formation.logs.quantity)
    local gone = {}
    for name in pairs(lab:state().formation) do gone[name] = 0 end
    lab:options { formation = gone }
    local result = box:pgsh { "resume", "last", "-y" }
    assert.equal(0, result.exit, result.stderr)
    assert.same({ DOWN, UP }, lab:changes())
    assert.same({ quantity = 15, size = "Standard-2X" }, lab:state().formation.logs)
  end)

  for _, action in ipairs { "reset_after", "reset_before" } do
    it("whose answer is lost (" .. action .. ") ends as it should", function()
      lab:faults { { service = "heroku", method = "PATCH", path = "/formation$", action = action } }
      assert.equal(0, go().exit)
      local changes = lab:changes()
      assert.same({ DOWN, UP }, changes)
    end)
  end

  it("is refused whole when one type is not there, here and by Heroku", function()
    fails("logs-app has no process type nosuch; it has aggregate, aggregate_sweeper", 'app:formation { "logs", "nosuch" }')
    fails("Couldn't find that process type (nosuch)", "app:scale { logs = 0, nosuch = 0 }")
    fails("is not a dyno size", 'app:scale { logs = { quantity = 1, size = "Huge" }, web = 0 }')
    assert.equal(15, lab:state().formation.logs.quantity)
    assert.equal(2, lab:state().formation.web.quantity)
  end)

  it("waits out Heroku's rate limit", function()
    lab:options { rate_limit = 3, rate_refill_per_min = 6000 }
    local result = go()
    assert.equal(0, result.exit, result.stderr)
    assert.same({ DOWN, UP }, lab:changes())
  end)
end)
