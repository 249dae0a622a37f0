-- The service sqitch, with the real sqitch, the real pg_partman and a server that asks for a password.
local check = require "tests.spec.support.check"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local socket = require "socket"

local PASSWORD = "s3cr'et %wörd\\ 9f3a77"
local CHANGES = "structure,vacuum_settings,log_parts_created_at_not_null,partman"

describe("sqitch", function()
  local server, box, count, database, dir

  setup(function()
    server = postgres.start()
    server:psql(("create role app superuser login password '%s'"):format((PASSWORD:gsub("'", "''"))))
  end)
  teardown(function() server:remove() end)

  before_each(function()
    count = (count or 0) + 1
    database = "logs" .. count
    server:psql("create database " .. database)
    box = run.box { ADDRESS = server:conninfo { user = "app", password = PASSWORD, dbname = database } }
    dir = box.dir .. "/project"
    os.execute(("cp -r tests/lab/partman/sqitch %s"):format(dir))
  end)
  after_each(function() box:remove() end)

  local PROLOGUE = [[
    local logs = sqitch { dir = DIR, database = function() return secret(os.getenv "ADDRESS") end, name = "logs", settle = "10s" }
    local function names(list) local out = {} for i, one in ipairs(list) do out[i] = one.name or one end return table.concat(out, ",") end
  ]]
  local function evaluate(text, env)
    return box:pgsh({ "-e", ("local DIR = %q "):format(dir) .. PROLOGUE:gsub("\n", " ") .. text }, { env = env })
  end
  local prints, fails = check.evaluated(evaluate)
  local function sql(text)
    return (postgres.must(("%s/psql -XAtq -v ON_ERROR_STOP=1 -d %s -c %s"):format(server.bin,
      run.quote(server:conninfo { dbname = database }), run.quote(text))):gsub("%s+$", ""))
  end
  local write = run.write_file
  -- A plan of the structure and a change of our own.
  local function plan_with(name, script)
    local plan = run.read_file(dir .. "/sqitch.plan"):match "^.-\nstructure [^\n]*\n"
    write(dir .. "/sqitch.plan", plan .. name .. " 2017-06-01T10:00:00Z lab <lab@example.com> # ours\n")
    write(dir .. "/deploy/" .. name .. ".sql", script)
  end
  local function old_database()
    sql("set role app; " .. run.read_file(dir .. "/deploy/structure.sql"))
  end
  local function events() return sql "select string_agg(event || ' ' || change, ',' order by committed_at) from sqitch.events" end

  it("knows the changes of the plan, and which of them the database has", function()
    prints("4 " .. CHANGES .. " 0 " .. CHANGES, [[print(#logs:plan() .. " " .. names(logs:plan()) .. " " .. #logs:deployed() .. " " ..
      names(logs:undeployed()))]])
    prints("nil " .. CHANGES .. " structure,vacuum_settings", [[local s = logs:status()
      print(tostring(s.name) .. " " .. names(s.undeployed) .. " " .. names(logs:undeployed "vacuum_settings"))]])
    fails("there is no change nosuch in " .. dir .. "/sqitch.plan; it has structure, vacuum_settings", 'logs:deploy { to = "nosuch" }')
    assert.equal("f", sql "select to_regclass('sqitch.changes') is not null")
  end)

  it("writes down what is there, deploys the rest, and pg_partman makes partitions", function()
    old_database()
    local result = prints("structure", 'logs:deploy { to = "structure", log_only = true } print(logs:status().name)')
    assert.is_truthy(result.stderr:find("+ structure .. ok", 1, true), result.stderr)
    prints("true 0 partman deploy 4 lab", [[logs:deploy { verify = true }
      local e = logs:log()
      print(table.concat({ tostring(logs:is_deployed()), #logs:undeployed(), e[1].name, e[1].event, #e, logs:deployed()[1].by }, " "))]])
    assert.equal("deploy structure,deploy vacuum_settings,deploy log_parts_created_at_not_null,deploy partman", events())
    assert.equal("p", sql "select relkind from pg_class where oid = 'public.log_parts'::regclass")
    assert.is_true(tonumber(sql "select count(*) from pg_inherits where inhparent = 'public.log_parts'::regclass") >= 8)
    -- Nothing to deploy is no error.
    prints("partman 0", "logs:deploy() local s = logs:status() print(s.name .. ' ' .. #s.undeployed)")
    assert.equal(4, tonumber(sql "select count(*) from sqitch.events"))
  end)

  it("names the change that fails, keeps those before it, and goes on when it is mended", function()
    old_database()
    evaluate 'logs:deploy { to = "structure", log_only = true }'
    sql "insert into log_parts (log_id) values (1)"
    local result = fails("the change partman failed: log_parts is not empty", "logs:deploy()")
    local kept = "deployed before it, and kept: vacuum_settings, log_parts_created_at_not_null"
    assert.is_truthy(result.stderr:find(kept, 1, true), result.stderr)
    prints("false not deployed: partman partman", [[local ok, why = logs:is_deployed()
      print(tostring(ok) .. ' ' .. why .. " " .. names(logs:undeployed()))]])
    sql "truncate log_parts"
    prints("true", "logs:deploy() print(tostring((logs:is_deployed())))")
  end)

  it("fails with the server's words when it is not let in", function()
    local result = fails("password authentication failed", "logs:deploy()",
      { ADDRESS = server:conninfo { user = "app", password = "no", dbname = database } })
    assert.is_nil(result.stderr:find("change", 1, true))
    fails("cannot be handed to it", "logs:deploy()", { ADDRESS = server:conninfo { keepalives = 0 } })
    fails("needs a name", "sqitch { dir = DIR, database = function() end }")
    fails("is missing", "sqitch { dir = DIR }")
    fails("unknown option upto", "logs:deploy { upto = 1 }")
  end)

  describe("in a run", function()
    local SCRIPT = [[
      procedure { name = "migrate", summary = "the changes of a project" }
      local dir = param.string { "dir", "project" }
      local logs = sqitch { dir = dir, database = function() return secret(os.getenv "ADDRESS") end, name = "logs", settle = "20s" }
      step "Migrate" {
        run = function() logs:deploy() end,
        verify = { "all is deployed", function() return logs:is_deployed() end },
      }
    ]]
    local function arguments(...)
      return { write(box.dir .. "/migrate.lua", SCRIPT), "--dir", dir, "-y", "--no-input", "--on-failure", "stop", ... }
    end
    local function wait_for(test, what)
      local deadline = socket.gettime() + 20
      while not test() do
        if socket.gettime() > deadline then error(what .. ": it did not happen", 2) end
        socket.sleep(0.02)
      end
    end
    local HERE = " from pg_stat_activity where datname = current_database() and query ~ 'pg_sleep' and pid <> pg_backend_pid()"
    local function sleeps() return sql("select count(*)" .. HERE) == "1" end
    local function alone() sql("select pg_terminate_backend(pid)" .. HERE) end

    it("is planned without a change", function()
      local file = arguments()
      table.insert(file, 1, "plan")
      local result = box:pgsh(file)
      assert.equal(0, result.exit, result.stderr)
      local text = result.stdout .. result.stderr
      assert.is_truthy(text:find("sqitch logs", 1, true), text)
      assert.is_truthy(text:find("deploy", 1, true), text)
      assert.is_nil(text:find("env --", 1, true), text)
      assert.equal("f", sql "select to_regclass('sqitch.changes') is not null")
    end)

    it("shows its lines as they come, and the address to nobody", function()
      plan_with("slow", "select pg_sleep(100);\n")
      local process = box:start(arguments())
      process:expect("sqitch: %+ structure %.+ ok")
      wait_for(sleeps, "the slow change")
      local seen, ours = 0, 0
      for pid in run.shell("ls /proc"):gmatch "%d+" do
        local line = run.read_file(("/proc/%s/cmdline"):format(pid)):gsub("%z", " ")
        if line:find("sqitch", 1, true) or line:find("psql", 1, true) then seen = seen + 1 end
        if line:find("db:pg:", 1, true) then
          ours = ours + 1
          assert.is_nil(line:find(database, 1, true), line)
        end
        assert.is_nil(line:find("9f3a77", 1, true), "the password is in " .. line)
      end
      assert.is_true(seen >= 2 and ours >= 1, "no sqitch was seen")
      alone()
      local result = process:wait()
      assert.equal(5, result.exit, result.stderr)
      assert.is_truthy(result.stderr:find("the change slow failed: terminating connection", 1, true), result.stderr)
      local _, journal = box:journal()
      for _, text in ipairs { result.stdout, result.stderr, run.read_file(journal) } do
        assert.is_nil(text:find("9f3a77", 1, true), text)
      end
    end)

    it("is not made twice when pgsh was killed and sqitch went on", function()
      plan_with("slow", "select pg_sleep(2);\n")
      local process = box:start(arguments())
      wait_for(sleeps, "the slow change")
      process:signal "KILL"
      assert.equal(137, process:wait().exit)
      local result = box:pgsh { "resume", "last", "-y", "--no-input", "--on-failure", "stop" }
      assert.equal(0, result.exit, result.stderr)
      assert.equal("deploy structure,deploy slow", events())
    end)

    it("goes on where it stopped when sqitch was killed as well", function()
      plan_with("slow", "create table slow (); select pg_sleep(100);\n")
      local process = box:start(arguments())
      wait_for(sleeps, "the slow change")
      process:signal "KILL"
      process:wait()
      -- psql and sqitch of this database, by what they have open: their servers' processes.
      sql "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
      sql "drop table if exists slow"
      write(dir .. "/deploy/slow.sql", "create table slow ();\n")
      local result = box:pgsh { "resume", "last", "-y", "--no-input", "--on-failure", "stop" }
      assert.equal(0, result.exit, result.stderr)
      assert.equal("t", sql "select to_regclass('slow') is not null")
      assert.equal("1", sql "select count(*) from sqitch.events where event = 'deploy' and change = 'structure'")
    end)
  end)
end)
