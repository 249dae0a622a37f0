-- A database that takes a name over: with the real servers behind it, when the answer comes late or never, and when pgsh is killed.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"

local OLD, NEW = "postgresql-deep-40411", "postgresql-wide-52018"

local PROCEDURE = [[
procedure { name = "promote", summary = "the follower becomes the logs' database" }
local app = heroku.app("logs-app", { settle = "100ms" })
local api = heroku.app("api-app", { settle = "100ms" })
local db = app:database "LOGS_READONLY_DATABASE"
step "Unfollow" { run = function() db:unfollow() db:wait_available() end }
step "Promote" {
  keep = function() return app:promote_before "LOGS_DATABASE" end,
  run = function(kept)
    local done = app:promote(db, { as = "LOGS_DATABASE", before = kept })
    app:wait_for_release()
    return { release = done.release }
  end,
  verify = function() return app:attachment("LOGS_DATABASE").addon == db:addon().name end,
}
step "Attach" { run = function() api:attach(db, { as = "LOGS_DATABASE" }) end }
]]

local WHOLE = {
  "PUT unfollow", ("attach logs-app %s -"):format(OLD), ("attach logs-app %s LOGS_DATABASE"):format(NEW),
  ("attach api-app %s LOGS_DATABASE"):format(NEW),
}

local function names_of(app)
  local out = {}
  for _, item in ipairs(app.attachments) do out[#out + 1] = item.name .. "=" .. item.addon end
  table.sort(out)
  return out
end

-- Without the id in the path.
local function changes_of(lab, all)
  local out = lab:changes(all)
  for i, text in ipairs(out) do
    if text:find "unfollow" then out[i] = "PUT unfollow" end
  end
  return out
end

describe("a promotion", function()
  local lab, box, file

  local function use(options)
    setup(function() lab = labs.start(options) end)
    teardown(function() lab:stop() end)
    before_each(function()
      lab:reset { fixture = "partman" }
      box = run.box(lab.env)
      file = box.dir .. "/promote.lua"
      run.write_file(file, PROCEDURE)
    end)
    after_each(function() box:remove() end)
  end
  local function go(env) return box:pgsh({ file, "-y", "--on-failure", "stop" }, { env = env }) end
  local function resume() return box:pgsh { "resume", "last", "-y", "--on-failure", "stop" } end
  local function evaluate(text) return box:pgsh { "-e", 'local app = heroku.app "logs-app" ' .. text } end

  local function is_whole(result)
    assert.equal(0, result.exit, result.stderr)
    local apps = lab:state().apps
    local logs, api = apps["logs-app"], apps["api-app"]
    assert.same({ "HEROKU_POSTGRESQL_AMBER=" .. OLD, "LOGS_DATABASE=" .. NEW, "LOGS_READONLY_DATABASE=" .. NEW }, names_of(logs))
    assert.same({ "LOGS_DATABASE=" .. NEW }, names_of(api))
    assert.equal(logs.config.LOGS_READONLY_DATABASE_URL, logs.config.LOGS_DATABASE_URL)
    assert.equal(logs.config.LOGS_DATABASE_URL, api.config.LOGS_DATABASE_URL)
    assert.same(WHOLE, changes_of(lab))
  end
  local function fails(result, text)
    assert.is_true(result.exit ~= 0)
    check.has(result.stderr, text)
  end
  local function lost(fault)
    fault.service, fault.method, fault.path = "heroku", "POST", "^/addon%-attachments$"
    lab:faults { fault }
  end

  describe("of real servers", function()
    use()

    it("leaves a writable one behind the name, and the old one out of it", function()
      local result = evaluate [[
        local db, ro = app:database "LOGS_DATABASE", app:database "LOGS_READONLY_DATABASE"
        print(db:value "select count(*) from log_parts", ro:value "select pg_is_in_recovery()", ro:accepts_writes())
        local before, kept = ro:upgrade_before(), app:promote_before "LOGS_DATABASE"
        ro:run_upgrade { before = before }
        print(ro:wait_upgrade { before = before })
        app:promote(ro, { as = "LOGS_DATABASE", before = kept })
        print(db:accepts_writes())
        db:execute "truncate log_parts"
        print(db:value "select count(*) from log_parts", ro:value "select count(*) from log_parts", ro:addon().name == db:addon().name)
        local old = app:database "HEROKU_POSTGRESQL_AMBER"
        print(old:value "select count(*) from log_parts", old:addon().name)
      ]]
      assert.equal(0, result.exit, result.stderr)
      assert.equal("200\ttrue\tfalse\tin recovery\n14.20 → 15.15\ntrue\n0\t0\ttrue\n200\t" .. OLD .. "\n", result.stdout)
      assert.same({ { "0" } }, lab:sql("follower", "select count(*) from log_parts"))
      assert.same({ { "0" } }, lab:sql("primary", "select count(*) from pg_stat_replication"))
    end)

    it("takes pg_partman there, and gives the next one its follower back", function()
      lab:reset { fixture = "partman" }
      local result = evaluate [[
        local ro = app:database "LOGS_READONLY_DATABASE"
        ro:unfollow()
        ro:wait_available()
        wait.upto("10s", "it takes writes", function() return ro:accepts_writes() end)
        ro:execute "create schema partman"
        ro:execute "create extension pg_partman schema partman"
        print(ro:value "select count(*) from partman.part_config")
        local url = ro:url()
        print(url, secret.is(url), (secret.reveal(url):match "^postgres://"))
      ]]
      assert.equal("0\n•••\ttrue\tpostgres://\n", result.stdout, result.stderr)
      lab:reset()
      assert.same({ { "t" } }, lab:sql("follower", "select pg_is_in_recovery()"))
      assert.same({ { "0" } }, lab:sql("follower", "select count(*) from pg_namespace where nspname = 'partman'"))
    end)
  end)

  describe("as Heroku sees it", function()
    use { postgres = false }

    it("gives the name, keeps the old one attached, and says the release", function()
      is_whole(go())
      for _, event in ipairs((box:journal())) do
        if event.type == "step.done" and event.step == "promote" then assert.equal(42, event.result.release) end
      end
    end)

    for name, fault in pairs {
      ["comes late"] = { action = "delay", ms = 400 }, ["is lost"] = { action = "reset_after" },
      ["of the second is lost"] = { action = "reset_after", skip = 1 }, ["is garbage"] = { action = "garbage" },
      ["of the last is lost"] = { action = "reset_after", skip = 2 },
      ["is a gateway's"] = { action = "status", code = 502, process = true },
      ["of a request that never arrived is lost"] = { action = "reset_before", skip = 1 },
    } do
      it("whose answer " .. name .. " is made once", function()
        lost(fault)
        is_whole(go())
      end)
    end

    it("survives kills of pgsh at every second write of its journal", function()
      local count = box.dir .. "/count"
      assert.equal(0, go(run.crash(nil, nil, count)).exit)
      local writes = tonumber(run.read_file(count))
      for number = 3, writes, 2 do
        lab:reset { fixture = "partman" }
        os.execute("rm -rf " .. box.dir .. "/state/pgsh")
        local result = go(run.crash(number, number % 4 == 1 and "torn" or "after"))
        if result.exit == 137 then result = resume() end
        if result.exit == 2 then result = go() end -- killed before it began
        is_whole(result)
      end
    end)

    it("is planned while the database still follows", function()
      local result = box:pgsh { "plan", file }
      assert.equal(0, result.exit, result.stderr)
      for _, text in ipairs { OLD .. ", as it loses LOGS_DATABASE", NEW .. " as LOGS_DATABASE" } do
        assert.is_truthy((result.stdout .. result.stderr):find(text, 1, true), result.stdout .. result.stderr)
      end
      assert.same({}, lab:changes(true))
    end)

    it("of what has the name already does nothing", function()
      local result = evaluate 'print(app:promote("LOGS_DATABASE", { as = "LOGS_DATABASE" }).already)'
      assert.equal("true\n", result.stdout, result.stderr)
      assert.same({}, lab:changes(true))
    end)

    it("is refused while the database follows or something runs on it, unless forced", function()
      fails(evaluate 'app:promote("LOGS_READONLY_DATABASE", { as = "LOGS_DATABASE" })',
        "LOGS_READONLY_DATABASE follows postgresql-deep-40411 and takes no writes")
      assert.same({}, lab:changes(true))
      lab:options { behind_commits = 1 }
      fails(evaluate [[
        local ro = app:database "LOGS_READONLY_DATABASE"
        ro:run_upgrade()
        app:promote(ro, { as = "LOGS_DATABASE" })
      ]], "is not ready to be promoted: upgrading")
      assert.equal(0, evaluate('app:promote("LOGS_READONLY_DATABASE", { as = "LOGS_DATABASE", force = true })').exit)
      assert.equal(NEW, lab:state().apps["logs-app"].attachments[3].addon)
    end)

    it("takes DATABASE where nothing else is said", function()
      local result = evaluate 'print(app:promote("LOGS_DATABASE").release, app:attachment("DATABASE").addon)'
      assert.equal("41\t" .. OLD .. "\n", result.stdout, result.stderr)
      assert.same({ ("attach logs-app %s DATABASE"):format(OLD) }, lab:changes(true))
    end)
  end)
end)
