-- In a real run: the plan, the journal, a resume after kill -9.
local host = require "pgsh.host"
local sh = require "pgsh.sh"
local run = require "tests.spec.support.run"

local SCRIPT = [[
procedure { name = "rehearse", summary = "Dump, and try the dump" }
local dir = param.string { "dir", "where" }
local source = psql(param.string { "source", "server" })
local scratch = postgres.throwaway { dir = dir .. "/pg", name = "rehearsal" }
local hold = param.boolean { "hold", "wait at the end", default = false, changeable = true }

local dumped = step "Dump" (function()
  return postgres.dump { from = "%s", to = dir .. "/x.sql.gz" }
end)

step "Validate" (function() postgres.validate(dir .. "/x.sql.gz") end)

step "Rehearse" {
  run = function()
    local before = postgres.inventory(source, { databases = { "postgres" } })
    local mine = postgres.exists_already { roles = { "postgres" } }
    local result = postgres.restore { from = dir .. "/x.sql.gz", into = scratch, allow = mine }
    log("restored " .. tostring(result.bytes))
    if hold then wait(60) end
    local difference = postgres.compare(before, postgres.inventory(scratch, { databases = { "postgres" } }))
    if not difference.same then fail("%%s", difference.text) end
    log("compared " .. tostring(difference.text))
    scratch:anew(function()
      local db <close> = scratch:psql()
      db:execute "create table made_here ()"
    end)
    local db <close> = scratch:psql()
    log("rows " .. tostring(db:value "select count(*) from made_here"))
  end,
}
]]

describe("a procedure with a rehearsal", function()
  local box, server, password
  setup(function()
    server = require("tests.spec.support.postgres").start()
    password = "hide-me-9f3a77"
    server:psql(("create role app superuser login password '%s'"):format(password))
    server:psql "create table t as select i from generate_series(1, 100) i"
  end)
  teardown(function() server:remove() end)
  before_each(function()
    box = run.box()
    sh.run { "mkdir", box.dir .. "/pg" }
    sh.run { "chmod", "755", box.dir, box.dir .. "/pg" }
    run.write_file(box.dir .. "/p.lua", SCRIPT:format(("postgresql://app:%s@127.0.0.1:%d/postgres"):format(password, server.port)))
  end)
  after_each(function() box:remove() end)

  local function arguments(command, ...)
    local list = { command, box.dir .. "/p.lua", "--dir", box.dir, "--source", server:conninfo(), ... }
    if not command then table.remove(list, 1) end
    return list
  end

  local function call(...)
    local list = arguments(...)
    if list[1] == "run" then table.remove(list, 1) end
    return box:pgsh(list)
  end

  local function nothing_left()
    local deadline = host.mono() + 8000
    repeat -- a server that was not closed ends just after pgsh
      host.sleep(0.05)
      local left = sh.read({ "ls", "-A", box.dir .. "/pg" }).out
    until left == "" or host.mono() > deadline
    assert.equal("", sh.read({ "ls", "-A", box.dir .. "/pg" }).out)
  end

  it("is planned without anything being there afterwards", function()
    local result = call "plan"
    assert.equal(0, result.exit, result.stderr)
    assert.matches("start a throwaway PostgreSQL", result.stdout .. result.stderr)
    assert.matches("restore .*x.sql.gz into rehearsal", result.stdout .. result.stderr)
    assert.equal("", sh.read("ls " .. box.dir .. "/x.sql* 2>/dev/null || true").out)
    nothing_left()
  end)
  it("runs, and its journal has no password", function()
    local result = call("run", "--yes")
    assert.equal(0, result.exit, result.stderr)
    assert.matches("compared no difference", result.stderr .. result.stdout)
    assert.matches("rows 0", result.stderr .. result.stdout)
    assert.equal("", sh.read({ "grep", "-rlF", "--", password, box.dir .. "/state", box.dir .. "/out" }, { ok = { 0, 1 } }).out
      :gsub("[^\n]*%.sh\n", ""))
    nothing_left()
  end)
  it("is resumed after kill -9 with a new server, and the dump is not made twice", function()
    local list = arguments("run", "--yes", "--hold")
    table.remove(list, 1)
    local process = box:start(list)
    process:expect "restored %d"
    process:signal "KILL"
    process:wait(20)
    local before = sh.read({ "stat", "-c", "%Y %i", box.dir .. "/x.sql.gz" }).out
    local result = box:pgsh { "resume", "last", "--yes", "--no-hold" }
    assert.equal(0, result.exit, result.stderr)
    assert.matches("compared no difference", result.stderr .. result.stdout)
    assert.equal(before, sh.read({ "stat", "-c", "%Y %i", box.dir .. "/x.sql.gz" }).out)
    nothing_left()
  end)
  it("makes a dump anew that was cut off", function()
    local slow = ([[
      procedure { name = "slow", summary = "slow" }
      step "Dump" (function()
        local source = sh.output "head -c 100000 /dev/zero; sleep $(cat %s/pause); printf '%s'"
        return postgres.dump { source = source, to = "%s/y.sql" }
      end)
    ]]):format(box.dir, "\\n-- PostgreSQL database cluster dump complete\\n--\\n", box.dir)
    run.write_file(box.dir .. "/slow.lua", slow)
    sh.run("echo 60 >" .. box.dir .. "/pause")
    local process = box:start { box.dir .. "/slow.lua", "--yes" }
    for _ = 1, 100 do
      host.sleep(0.05)
      if sh.read({ "ls", "-A", box.dir }).out:find "%.part" then break end
    end
    process:signal "KILL"
    process:wait(20)
    assert.is_falsy(sh.read({ "ls", box.dir }).out:find "y.sql")
    sh.run("echo 0 >" .. box.dir .. "/pause")
    local result = box:pgsh { "resume", "last", "--yes" }
    assert.equal(0, result.exit, result.stderr)
    assert.matches("y.sql: OK", sh.read({ "sha512sum", "-c", "y.sql.sha512" }, { cwd = box.dir }).out)
  end)
  it("goes on behind a restore that was made, and not behind one that failed", function()
    local conninfo = server:conninfo { dbname = "other" }
    server:psql "create database other"
    local path = box.dir .. "/o.sql"
    local function dump(sql)
      local command = "printf '%s\\n-- PostgreSQL database dump complete\\n--\\n' >%s; cd %s; sha512sum o.sql >o.sql.sha512"
      sh.run(command:format(sql, path, box.dir))
    end
    local file = assert(io.open(box.dir .. "/r.lua", "w"))
    file:write(([[
      procedure { name = "r", summary = "r" }
      local target = psql %q
      step "Restore" (function()
        local result = postgres.restore { from = %q, into = %q, allow = { { sqlstate = "42710", name = "app" } } }
        log("allowed " .. result.allowed_count)
        if not file.read(%q):find "go on" then fail "not yet" end
      end)
    ]]):format(conninfo, path, conninfo, box.dir .. "/flag"))
    file:close()
    sh.run("echo wait >" .. box.dir .. "/flag")
    dump "create table a ();\\ncreate role app;\\nselect 1/0;"
    local result = box:pgsh { box.dir .. "/r.lua", "--yes" }
    assert.matches("division by zero", result.stderr)
    result = box:pgsh { "resume", "last", "--yes" }
    assert.matches("not empty: table public.a in other", result.stderr)
    server:psql "drop database other"
    server:psql "create database other"
    dump "create table a ();\\ncreate role app;"
    result = box:pgsh { "resume", "last", "--yes" }
    assert.matches("allowed 1", result.stderr)
    assert.matches("not yet", result.stderr)
    sh.run("echo go on >" .. box.dir .. "/flag")
    result = box:pgsh { "resume", "last", "--yes" }
    assert.equal(0, result.exit, result.stderr)
    assert.matches("allowed 1", result.stderr)
    server:psql "drop database other"
  end)
  it("does not restore into a server that was not named", function()
    local file = assert(io.open(box.dir .. "/q.lua", "w"))
    file:write(([[
      procedure { name = "q", summary = "q" }
      step "Restore" (function() postgres.restore { from = %q, into = %q } end)
    ]]):format(box.dir .. "/x.sql.gz", server:conninfo { user = "app", password = password, dbname = "template1" }))
    file:close()
    sh.run(("printf 'x\\n-- PostgreSQL database dump complete\\n--\\n' | gzip > %s/x.sql.gz; cd %s; sha512sum x.sql.gz > x.sql.gz.sha512")
      :format(box.dir, box.dir))
    local result = box:pgsh { box.dir .. "/q.lua", "--yes" }
    assert.equal(3, result.exit, result.stderr)
    assert.matches("was not named before the run began", result.stderr)
  end)
end)
