-- The service cloudflare against its simulator, as scripts use it.
local check = require "tests.spec.support.check"
local clouds = require "tests.spec.support.clouds"
local run = require "tests.spec.support.run"

describe("cloudflare", function()
  local lab, box

  setup(function()
    lab = clouds.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  before_each(function() lab:reset() end)

  local function evaluate(text, env, zone)
    local script = ('local zone = cloudflare.zone(%q, { settle = "1s" }) '):format(zone or "pythondiscord.com") .. text
    return box:pgsh({ "-e", script }, { env = env })
  end
  local prints, fails = check.evaluated(evaluate)
  local function routes() return lab:state().zones["pythondiscord.com"].routes end

  local MAKE = 'local r = zone:create { pattern = "pythondiscord.com/*", script = "maintenance" } '

  it("lists and finds routes, by the zone's name or id", function()
    prints("2\tredirects\tnil\tnil", [[
      local all = zone:routes()
      print(#all, zone:find("pythondiscord.com/redirects/*").script, zone:find("pythondiscord.com/static/*").script, (zone:find "x"))]])
    prints("redirects", 'print(zone:routes()[1].script)', nil, lab:state().zones["pythondiscord.com"].id)
    prints("0", "print(#zone:routes())", nil, "pydis.wtf")
  end)

  it("makes a route and removes it, again without harm", function()
    prints("true\ttrue", MAKE .. 'print(zone:find("pythondiscord.com/*").id == r.json.result.id, #r.json.result.id == 32)')
    assert.equal("maintenance", routes()[3].script)
    prints("nil\ttrue", [[
      local id = zone:find("pythondiscord.com/*").id
      zone:delete(id)
      print(zone:find "pythondiscord.com/*", (pcall(zone.delete, zone, id)))]])
    assert.equal(2, #routes())
  end)

  it("passes on what the service refuses, in its own words, and says what that means", function()
    local taken = fails("duplicate_route", 'zone:create { pattern = "pythondiscord.com/static/*", script = "maintenance" }')
    assert.is_truthy(taken.stderr:find("409", 1, true) and taken.stderr:find("another route has this pattern", 1, true), taken.stderr)
    fails("Route pattern must include zone name: pythondiscord.com", 'zone:create { pattern = "example.com/*", script = "maintenance" }')
    fails("script_not_found", 'zone:create { pattern = "pythondiscord.com/*", script = "nothing" }')
    fails("wildcards", 'zone:create { pattern = "pythondiscord.com/*/x", script = "maintenance" }')
    fails("query", 'zone:create { pattern = "pythondiscord.com/x?y=*", script = "maintenance" }')
    assert.equal(2, #routes())
  end)

  it("says what is wrong with the credential, or with the zone", function()
    fails("CLOUDFLARE_API_TOKEN is not set", "zone:check()", { CLOUDFLARE_API_TOKEN = false })
    fails("Invalid access token", "zone:check()", { CLOUDFLARE_API_TOKEN = "wrong" })
    fails("knows no zone example.org", "zone:check()", nil, "example.org")
    fails("Authentication error", "zone:check()", nil, ("0"):rep(32))
    fails("is no zone's name or id", "zone:check()", nil, "a/b")
    lab:reset { cloudflare_read_only = true }
    fails("Workers Routes Write", MAKE)
    local result = evaluate "zone:check() error(os.getenv 'nothing')"
    assert.is_nil((result.stdout .. result.stderr):find(lab.env.CLOUDFLARE_API_TOKEN, 1, true))
  end)

  it("asks the zone whether a route is there when the answer to its creation was lost", function()
    lab:faults { { service = "cloudflare", method = "POST", action = "reset_after" } }
    prints("true", MAKE .. 'print(zone:find("pythondiscord.com/*").id == r.json.result.id)')
    assert.equal(1, #lab:requests("cloudflare", "POST"))
    for _, fault in ipairs { { action = "status", code = 500, process = true }, { action = "truncate" }, { action = "garbage" } } do
      lab:reset()
      fault.service, fault.method = "cloudflare", "POST"
      lab:faults { fault }
      evaluate(MAKE)
      assert.equal(1, #lab:requests("cloudflare", "POST"), fault.action)
      assert.equal(3, #routes(), fault.action)
    end
  end)

  it("does not take the route of somebody else for its own", function()
    lab:faults { { service = "cloudflare", method = "POST", action = "reset_before" } }
    local result = evaluate 'zone:create { pattern = "pythondiscord.com/static/*", script = "maintenance" }'
    assert.is_true(result.exit ~= 0)
    assert.equal(2, #routes())
    assert.is_nil(routes()[2].script)
  end)

  it("waits when it is told to", function()
    lab:reset { cloudflare_limit = 2, cloudflare_window_s = 1 }
    prints("2", "zone:routes() zone:routes() print(#zone:routes())")
  end)

  it("repeats reads, and removals whose answer was lost", function()
    lab:faults { { service = "cloudflare", method = "GET", action = "status", code = 502, times = 2 } }
    prints("2", "print(#zone:routes())")
    lab:faults { { service = "cloudflare", method = "DELETE", action = "reset_after" } }
    evaluate 'zone:delete(zone:find("pythondiscord.com/static/*").id)'
    assert.equal(1, #routes())
  end)

  it("shows in a plan what it would do, and does not do it", function()
    local file = box.dir .. "/plan.lua"
    run.write_file(file, [[
      procedure { name = "p", summary = "s" }
      local zone = cloudflare.zone "pythondiscord.com"
      local made = step "Make" (function()
        return { id = zone:create { pattern = "pythondiscord.com/*", script = "maintenance" }.json.result.id }
      end)
      step "Remove" (function() zone:delete(made.result.id) end)
    ]])
    local result = box:pgsh { "plan", file }
    assert.equal(0, result.exit, result.stderr)
    local text = result.stdout .. result.stderr
    assert.is_truthy(text:find("route pythondiscord.com/* → maintenance", 1, true), text)
    assert.is_truthy(text:find("remove the route", 1, true), text)
    assert.equal(2, #routes())
  end)
end)
