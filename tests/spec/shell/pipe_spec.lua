-- The shell without a terminal: entries from standard input, machine formats, no questions; and what a session leaves behind.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell without a terminal", function()
  local server, box

  setup(function()
    server = postgres.start()
    server:psql "create table t (a int, b text); insert into t values (1, 'x'), (2, null)"
  end)
  teardown(function() server:remove() end)
  before_each(function() box = run.box() end)
  after_each(function() box:remove() end)

  local function shell(input, ...)
    local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres", PGDATABASE = "postgres" }
    return box:pgsh({ ... }, { stdin = input, env = env })
  end

  it("evaluates entries of several lines, SQL and Lua, and prints what machines read", function()
    local result = shell [[
#!/usr/bin/env pgsh
select a,
  b from t
 order by a;
local function twice(n)
  return n * 2
end
twice(21)
]]
    assert.equal("a\tb\n1\tx\n2\t\\N\n42\n", result.stdout)
    assert.equal(0, result.exit)
    for _, sign in ipairs { "\27", "RO>" } do assert.is_nil((result.stdout .. result.stderr):find(sign, 1, true)) end
  end)

  it("takes a file as psql does: comments, several statements in a line, SQL and Lua", function()
    local result = shell [[
-- what this is
/* and
   why; */
select 1 as one; select 2 as two;
(select 3 as three);
x = db:value "select 4" -- ; not an end
x
create or replace function pg_temp.f() returns int begin atomic select 1; select 5; end; select 'a;b' as text
;
]]
    assert.truthy(result.stderr:find("\n[^\n]*create or replace function pg_temp%.f%(%)"), result.stderr) -- nobody is there to allow it
    assert.equal("one\n1\ntwo\n2\nthree\n3\n4\n", result.stdout)
    assert.equal(4, result.exit)
    result = shell("create function f() returns int begin atomic select 1; select 5; end; select f();\ndrop function f();\n", "--yes")
    assert.truthy(result.stdout:find("\nf\n5\n", 1, true), result.stdout)
    assert.equal(0, result.exit)
    assert.equal(1, shell("select 1; select 1/0; select 2;\n").exit)
    assert.is_nil(shell("select 1; select 1/0; select 2;\n").stdout:find "2")
  end)

  it("runs nothing of what is too long to be read whole", function()
    local result = shell("create table half (a int);\n" .. ("-- 16 bytes long\n"):rep(1 << 20), "--yes")
    assert.equal(2, result.exit)
    assert.truthy(result.stderr:find("more than 16 MiB", 1, true), result.stderr)
    assert.equal("", server:psql "select to_regclass('half')")
    result = shell("print 'half'\n" .. ("-- 16 bytes long\n"):rep(1 << 18), "-")
    assert.equal(2, result.exit)
    assert.truthy(result.stderr:find("more than 4 MiB", 1, true), result.stderr)
    assert.equal("", result.stdout)
  end)

  it("takes entries from the command line", function()
    local result = shell("", "-c", "select 1 as one; select 2 as two;", "-c", "x = 3\nx")
    assert.equal("one\n1\ntwo\n2\n3\n", result.stdout)
    assert.equal("a\n1\n", shell("", "shell", server:conninfo(), "-c", "select a from t where a = 1").stdout)
    assert.equal(4, shell("", "-c", "delete from t;").exit)
    assert.equal(2, shell("", "plan", "x.lua", "-c", "select 1;").exit)
    assert.truthy(shell("", "-e", "select 1;").stderr:find("SQL: pgsh -c", 1, true))
    assert.truthy(shell("select 1;", "-").stderr:find("SQL: pgsh without the -", 1, true))
  end)

  it("makes what writes under the name of a read a change", function()
    server:psql "create sequence counter"
    local result = shell "select nextval('counter');\n"
    assert.equal(4, result.exit)
    assert.truthy(result.stderr:find("--yes", 1, true))
    result = shell("select nextval('counter') as n;\n", "--yes")
    assert.truthy(result.stdout:find("\nn\n1\n", 1, true), result.stdout .. result.stderr)
    result = shell("explain analyze delete from t where a = 0;\n", "--yes")
    assert.truthy(result.stdout:find "Delete on t")
    assert.equal(0, result.exit)
    server:psql "drop sequence counter"
  end)

  it("says what to do instead of what cannot be done here", function()
    for text, says in pairs {
      ["begin;"] = "db:transaction", ["set search_path to x;"] = "psql.options", ["copy t to stdout;"] = "db:copy_out",
      ["lock table t;"] = "db:transaction", ["listen q;"] = "db:listen", ["declare c cursor for select 1;"] = "db:each",
      ["select a from t where a = 1 for update;"] = "db:transaction", ["select a from t for no key update of t;"] = "db:transaction",
      ["select 1; \\gset"] = "row = db:row", ["insert into t values (9, 'x') returning a \\gset"] = "nothing was run",
      ["--\n-- PostgreSQL database dump\n--\n\nSET x = 0;"] = "psql -f FILE", ["select 'a"] = "not complete",
      ["select 1;\n\nselect 1/0;"] = "in the entry that begins at line 3",
      ["prepare p as select 1;"] = "run it as it is", ["begin"] = "SQL ends with a semicolon", ["selct 1;"] = "did you mean select?",
    } do
      local result = shell(text .. "\n", "--yes")
      assert.truthy(result.stderr:find(says, 1, true), text .. ": " .. result.stderr)
      assert.is_nil(result.stderr:find("pgsh:/pgsh", 1, true), result.stderr)
      assert.equal(text:find "1/0" and 1 or 2, result.exit, text)
    end
    assert.equal("0", server:psql "select count(*) from t where a = 9")
  end)

  it("takes one connection string, and goes back to it", function()
    local at = ("host=127.0.0.1 port=%d dbname=template1 user=postgres"):format(server.port)
    local words = {}
    for word in at:gmatch "%S+" do words[#words + 1] = word end
    local ask = "select current_database() as d;"
    assert.equal("d\ntemplate1\n", shell("", "shell", "-c", ask, table.unpack(words)).stdout)
    local result = shell("", "shell", "postgres", "bob", "-c", ask)
    assert.equal(2, result.exit)
    assert.truthy(result.stderr:find("in quotes", 1, true))
    assert.equal("d\ntemplate1\n", shell("", "shell", at, "-c", "db = 1", "-c", "db = nil", "-c", ask).stdout)
    assert.equal("a\n1\nb\n2\n", shell("", "-c", "select 1 as a", "-c", "select 2 as b").stdout)
  end)

  it("stops at the first entry that fails, with its status", function()
    local result = shell "print 'one'\nselect * from nowhere;\nprint 'two'\n"
    assert.equal("one\n", result.stdout)
    assert.truthy(result.stderr:find('relation "nowhere" does not exist', 1, true))
    assert.equal(1, result.exit)
    assert.equal(2, shell("print(\n").exit)
    assert.equal(2, shell("nonsense\n").exit)
  end)

  it("changes nothing that a flag does not allow", function()
    local result = shell "delete from t where a = 1;\n"
    assert.equal(4, result.exit)
    assert.truthy(result.stderr:find("--yes", 1, true))
    assert.equal("2", server:psql "select count(*) from t")
    result = shell("insert into t values (3, 'y');\nselect count(*) from t;\n", "--yes")
    assert.equal("INSERT 0 1", result.stdout:match "^[^·\n]*%d")
    assert.equal(0, result.exit)
    server:psql "delete from t where a = 3"
  end)

  it("ends with the status of an unknown outcome", function()
    local far = require("tests.spec.support.httpd").start "return { request = function(_, conn) conn:reset() end }"
    local result = shell(("http(%q):post('/x', { json = { a = 1 } })\nprint 'after'\n"):format(far.url), "--yes")
    far:stop()
    assert.equal(6, result.exit, result.stderr)
    assert.truthy(result.stderr:find("POST was sent, and its answer did not come", 1, true), result.stderr)
    assert.is_nil(result.stdout:find("after", 1, true))
  end)

  it("changes production only with its name", function()
    box.env.PGSH_PRODUCTION = "127.0.0.1"
    local name = ("127.0.0.1:%d/postgres"):format(server.port)
    local result = shell("insert into t values (3, 'y');\n", "--yes")
    assert.equal(4, result.exit)
    assert.truthy(result.stderr:find("--confirm " .. name, 1, true))
    result = shell("insert into t values (3, 'y');\n", "--confirm", name)
    assert.equal(0, result.exit)
    server:psql "delete from t where a = 3"
  end)

  it("uses a handle that a job keeps busy: each task has a connection of its own, also for a pipe", function()
    local result = shell([[
db = psql ""
own = db:value "select pg_backend_pid()"
spawn("sleeper", function() db:value "select pg_sleep(30)" end)
asleep = "select count(*) from pg_stat_activity where state = 'active' and query ~ 'pg_sleep.30' and pid <> pg_backend_pid()"
wait.upto("10s", "it sleeps", function() return psql(""):value(asleep) == 1 end, { every = "50ms" })
further = db:value "select pg_backend_pid()"
print(further ~= own, further == db:value "select pg_backend_pid()")
print(pipe{ db:copy_out "select pg_backend_pid()", pipe.text() }.text.text == further .. "\n")
rows = db:each "select pg_backend_pid() as pid from generate_series(1, 100000)"
print(rows().pid == further, db:value "select pg_backend_pid()" ~= further, rows().pid == further)
print(select(2, pcall(pipe, { db:copy_out "select 1", db:copy_in "t" })).code)
print(select(2, pcall(function() for _ in db:each "select generate_series(1, 100000)" do db:value "select 1" end end)).code)
db:close()
print(select(2, pcall(rows)).code, select(2, pcall(db.value, db, "select 1")).code)
jobs.cancel(1)
]], "--yes")
    assert.equal("true\ntrue\ttrue\ntrue\ntrue\ttrue\ttrue\nbusy\nbusy\nclosed\tclosed\n", result.stdout, result.stderr)
  end)

  it("waits for its jobs", function()
    assert.equal("[job 1] later\n", shell("spawn(function() wait(0.2) print 'later' end)\n").stdout:match "%[job 1%] later\n")
  end)

  it("takes other formats", function()
    assert.equal('{"a":1,"b":"x"}\n{"a":2,"b":null}\n', shell("format 'jsonl'\nselect * from t order by a;\n").stdout)
    assert.equal("a,b\n1,x\n2,\n", shell("format 'csv'\nselect * from t order by a;\n").stdout)
    assert.equal("| a | b |\n| --- | --- |\n| 1 | x |\n| 2 |  |\n", shell("format 'markdown'\nselect * from t order by a;\n").stdout)
  end)

  it("shows changes only, in a dry run", function()
    local result = shell "dry_run()\ndelete from t;\n"
    assert.equal(0, result.exit)
    assert.truthy(result.stdout:find("delete from t", 1, true), result.stdout .. result.stderr)
    assert.equal("2", server:psql "select count(*) from t")
  end)

  it("saves the changes of a session as a procedure that runs, and all of it as a script", function()
    local file, script = box.dir .. "/fix.lua", box.dir .. "/all.lua"
    local result = shell(([[
factor = 10
select count(*) from t;
update t set a = a * 10 where b = 'x';
db:execute("update t set b = $1 where a = $2", 'z', factor)
alter role postgres password 'hunter2';
save %q
transcript %q
]]):format(file, script), "--yes")
    assert.equal(0, result.exit, result.stderr)
    local text = run.read_file(file)
    assert.truthy(text:find('procedure { name = "fix"', 1, true), text)
    assert.is_nil((text .. run.read_file(script)):find("hunter2", 1, true))
    assert.truthy(text:find("Line 5 is left out: it seems to hold a secret", 1, true), text)
    server:psql "update t set a = 1, b = 'x' where a = 10"
    result = box:pgsh({ "-y", file, "--db", server:conninfo() })
    assert.equal(0, result.exit, result.stderr)
    assert.equal("z", server:psql "select b from t where a = 10")
    server:psql "update t set a = 1, b = 'x' where a = 10"
    assert.equal(0, shell(run.read_file(script), "--yes").exit)
    assert.equal("z", server:psql "select b from t where a = 10")
    server:psql "update t set a = 1, b = 'x' where a = 10"
  end)

  it("is journaled as a run, for the operator only", function()
    shell "select 1;\n"
    local events, path = box:journal()
    local kinds = {}
    for _, event in ipairs(events) do kinds[#kinds + 1] = event.type end
    assert.same({ "run.started", "shell.line", "effect.read", "shell.done", "run.ended" }, kinds)
    assert.equal("600", run.shell("stat -c %a " .. path))
  end)

  it("keeps secrets that are typed out of the journal and off the screen", function()
    local result = shell([[
alter role postgres password 'correcthorse';
select 'correcthorse' as shown;
x = { token = 'Zaphod99' }
-- the secret: abc
x.y = 'a password of nobody'
]], "--yes")
    assert.equal(0, result.exit, result.stderr)
    local _, path = box:journal()
    local text = run.read_file(path) .. result.stdout .. result.stderr
    for _, gone in ipairs { "correcthorse", "Zaphod99", "abc" } do assert.is_nil(text:find(gone, 1, true), gone) end
    assert.truthy(text:find("alter role postgres password '•••'", 1, true), text)
    assert.truthy(text:find("(left out: it may hold a secret)", 1, true))
  end)

  it("cannot change anything when nothing can be journaled, but reads", function()
    local input = "select a from t order by a limit 1;\ndelete from t;\n"
    local result = box:pgsh({ "--yes", "--state", "/proc/nowhere", "shell", server:conninfo() }, { stdin = input })
    assert.equal("a\n1\n", result.stdout)
    assert.truthy(result.stderr:find("nothing can be journaled", 1, true))
    assert.equal(3, result.exit)
    assert.equal("2", server:psql "select count(*) from t")
  end)

  it("standard input that is no terminal behind a terminal's output does not ask", function()
    local screen = terminal.open(box)
    screen:line("clear; echo '1 + 1' | " .. terminal.binary .. "; echo \"[exit $?]\"")
    assert.truthy(screen:see "%[exit 0%]":find "\n2\n" or screen:text():find "^2\n")
    screen:close()
  end)
end)
