-- Add-ons: attached, detached and created only where they are not yet, whatever happens to the answers or to pgsh.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local OLD, NEW = "postgresql-deep-40411", "postgresql-wide-52018"

local PROCEDURE = [[
procedure { name = "attach", summary = "attach, create, detach" }
local logs, api = heroku.app("logs-app", { settle = "100ms" }), heroku.app("api-app", { settle = "100ms" })
step "All at once" {
  run = function()
    api:attach("postgresql-wide-52018", { as = "LOGS_DATABASE", replace = true })
    logs:create_addon("scheduler:standard", { as = "CRON" })
    api:detach "OLD_LOGS"
    api:attach("postgresql-wide-52018", { as = "MORE" })
  end,
}
]]

describe("an add-on", function()
  local lab, box, file

  setup(function() lab = labs.start { postgres = false } end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:reset { fixture = "partman" }
    box = run.box(lab.env)
    file = box.dir .. "/attach.lua"
    run.write_file(file, PROCEDURE)
  end)
  after_each(function() box:remove() end)

  local function evaluate(text)
    return box:pgsh { "-e", 'local logs, api = heroku.app "logs-app", heroku.app "api-app" ' .. text }
  end
  local prints, fails = check.evaluated(evaluate)
  -- An app that has the old primary under two names.
  local function prepare()
    lab:reset { fixture = "partman", api_attached = true }
    assert.equal(0, evaluate('api:attach("postgresql-deep-40411", { as = "OLD_LOGS" })').exit)
    lab:call("DELETE", "/log")
  end
  local ATTACHED = ("attach api-app %s LOGS_DATABASE"):format(NEW)
  local WHOLE = { ATTACHED, "create scheduler:standard", "detach", ("attach api-app %s MORE"):format(NEW) }
  local function go(env) return box:pgsh({ file, "-y", "--on-failure", "stop" }, { env = env }) end
  local function is_whole(result)
    assert.equal(0, result.exit, result.stderr)
    assert.same(WHOLE, lab:changes())
    local api = lab:state().apps["api-app"].attachments
    assert.equal(2, #api)
    for _, item in ipairs(api) do assert.equal(NEW, item.addon) end
    assert.equal(1, #lab:state().apps["logs-app"].addons - 2)
  end

  it("is attached to another app under a name, and its config var is there", function()
    prints("41\ttrue", [[
      print(api:attach("postgresql-wide-52018", { as = "LOGS_DATABASE" }).release, api:database("LOGS_DATABASE"):lookup().found)
    ]])
    assert.same({ ATTACHED }, lab:changes(true))
    local apps = lab:state().apps
    assert.equal(apps["logs-app"].config.LOGS_READONLY_DATABASE_URL, apps["api-app"].config.LOGS_DATABASE_URL)
  end)

  it("is named by a database too, and attached once", function()
    prints("nil\ttrue", [[
      local ro = logs:database "LOGS_READONLY_DATABASE"
      print(api:attach(ro, { as = "X" }).already, api:attach(ro, { as = "X" }).already)
    ]])
    assert.equal(1, #lab:changes(true))
  end)

  it("takes a name from another one only when it is told to", function()
    lab:options { api_attached = true }
    fails("LOGS_DATABASE of api-app is " .. OLD .. " already", 'api:attach("postgresql-wide-52018", { as = "LOGS_DATABASE" })')
    assert.same({}, lab:changes(true))
    prints(NEW, [[
      api:attach("postgresql-wide-52018", { as = "LOGS_DATABASE", replace = true })
      print(api:attachment("LOGS_DATABASE").addon)
    ]])
  end)

  it("is detached, and not asked for when it is not there", function()
    lab:options { api_attached = true }
    prints("41\tnil\ttrue", [[
      print(api:detach("LOGS_DATABASE").release, api:attachment "LOGS_DATABASE", api:detach("LOGS_DATABASE").already)
    ]])
    assert.same({ "detach" }, lab:changes(true))
  end)

  it("keeps its last name on the app that pays for it", function()
    fails("Cannot destroy last attachment to billing app for resource " .. OLD, 'logs:detach "LOGS_DATABASE"')
    fails("Cannot destroy last attachment to billing app for resource " .. OLD,
      'logs:attach("postgresql-wide-52018", { as = "LOGS_DATABASE", replace = true })')
  end)

  it("is named as Heroku names things", function()
    fails("logs is no name of an attachment", 'api:attach("postgresql-wide-52018", { as = "logs" })')
    fails("is neither a database nor the name of an add-on", 'api:attach("no such/thing", { as = "X" })')
    fails("unknown option ass", 'api:attach("postgresql-wide-52018", { ass = "X" })')
    fails("Couldn't find that add-on.", 'api:attach("postgresql-none-1", { as = "X" })')
    fails("Couldn't find either the add-on service or the add-on plan", 'logs:create_addon "nonsense:plan"')
    fails("is no plan", 'logs:create_addon "a b"')
  end)

  describe("that is created", function()
    it("is waited for, and created once", function()
      lab:options { addon_provision_ms = 300 }
      prints("provisioned\tscheduler:standard\ttrue", [[
        local made = logs:create_addon "scheduler:standard"
        print(made.state, made.plan, logs:create_addon("scheduler:standard").name == made.name)
      ]])
      assert.same({ "create scheduler:standard" }, lab:changes(true))
    end)

    it("and not provisioned in the end is an error", function()
      lab:options { addon_provision_ms = 100, addon_fails = true }
      fails("scheduler was not provisioned", 'logs:create_addon "scheduler:standard"')
    end)
  end)

  it("is only shown in a plan", function()
    prepare()
    local result = box:pgsh { "plan", file }
    assert.equal(0, result.exit, result.stderr)
    for _, text in ipairs { NEW .. " as LOGS_DATABASE", "POST /addons scheduler:standard", "DELETE /addon-attachments OLD_LOGS" } do
      assert.is_truthy((result.stdout .. result.stderr):find(text, 1, true), text)
    end
    assert.same({}, lab:changes(true))
  end)

  for _, path in ipairs { "^/addon%-attachments$", "/addons$", "^/addon%-attachments/" } do
    it("whose answer is lost is not asked for again: " .. path, function()
      prepare()
      lab:faults { { service = "heroku", path = path, method = path:find "/$" and "DELETE" or "POST", action = "reset_after" } }
      is_whole(go())
    end)
  end

  it("survives kills of pgsh at every write of its journal", function()
    prepare()
    local count = box.dir .. "/count"
    is_whole(go(run.crash(nil, nil, count)))
    for number = 2, tonumber(run.read_file(count)) do
      prepare()
      os.execute("rm -rf " .. box.dir .. "/state/pgsh")
      local result = go(run.crash(number, number % 2 == 0 and "torn" or "after"))
      if result.exit == 137 then result = box:pgsh { "resume", "last", "-y", "--on-failure", "stop" } end
      if result.exit == 2 then result = go() end -- killed before it began
      is_whole(result)
    end
  end)
end)
