-- What a session leaves behind: a procedure with its changes, and a script with all of it. Both are really run again.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"

describe("a saved session", function()
  local server, box

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function() box = run.box() end)
  after_each(function() box:remove() end)

  local function conninfo(database) return ("host=127.0.0.1 port=%d user=postgres dbname=%s"):format(server.port, database) end
  local function fresh(...)
    for _, name in ipairs { ... } do
      server:psql("drop database if exists " .. name)
      server:psql("create database " .. name)
      server:psql("create table t (a int, b text)", name)
    end
  end
  local function rows(database) return server:psql("select string_agg(format('%s %s', a, b), ', ' order by a, b) from t", database) end
  -- Entries as they are typed, then save and transcript: what each of them wrote.
  local function session(entries, arguments, env)
    local procedure, script = box.dir .. "/again.lua", box.dir .. "/all.lua"
    os.remove(procedure)
    os.remove(script)
    local words = { "-y", table.unpack(arguments or {}) }
    local result = box:pgsh(words, { stdin = ("%s\nsave %q\ntranscript %q\n"):format(entries, procedure, script), env = env })
    assert.equal(0, result.exit, result.stderr)
    return procedure, script
  end
  local function accepted(result)
    assert.equal(0, result.exit, result.stdout .. result.stderr)
    return result.stdout
  end

  local TWO = [[
factor = 10
function tenfold(x) return x * factor end
insert into t values (1, 'first');
\c host=127.0.0.1 port=PORT user=postgres dbname=two password=correcthorse
insert into t values (2, 'second');
db:execute("insert into t values ($1, 'tenfold')", tenfold(3))
factor = 20
db:execute("insert into t values ($1, 'tenfold')", tenfold(3))
insert into t values (2, 'second');
vacuum t; insert into t values (7, 'after');
other = psql "postgresql://postgres:batterystaple@127.0.0.1:PORT/one"
other:execute "update t set b = 'changed' where a = 1"
\c host=127.0.0.1 port=PORT user=postgres dbname=one
list = db:rows "select a from t order by a"
for _, r in ipairs(list) do db:execute("insert into t values ($1, 'copied')", r.a) end
n = 5 db:execute("insert into t values ($1, 'own')", n)
db = psql "host=127.0.0.1 port=PORT user=postgres dbname=two" db:execute "insert into t values (9, 'made here')"
insert into t values (8, 'last')
]]

  it("of two databases does to each what was done to it", function()
    fresh("one", "two", "three", "four")
    local procedure, script = session(TWO:gsub("PORT", tostring(server.port)), { "shell", conninfo "one" .. " password=tr0ub4dor" })
    local one, two = rows "one", rows "two"
    assert.equal("1 changed, 1 copied, 5 own", one)
    assert.equal("2 second, 2 second, 7 after, 8 last, 9 made here, 30 tenfold, 60 tenfold", two)
    local texts = run.read_file(procedure) .. run.read_file(script)
    for _, secret in ipairs { "correcthorse", "batterystaple", "tr0ub4dor" } do assert.is_nil(texts:find(secret, 1, true), secret) end

    local to = { "--db", conninfo "three", "--db-two", conninfo "four" }
    server:psql("insert into t values (1, 'x')", "three") -- the loop has something to show
    local plan = accepted(box:pgsh { "plan", procedure, table.unpack(to) })
    for _, change in ipairs { "three insert into t values (1, 'first')", "four insert into t values (2, 'second')",
      "four insert into t values ($1, 'tenfold') ($1 = 30)", "four insert into t values ($1, 'tenfold') ($1 = 60)", "four vacuum t",
      "three update t set b = 'changed'", "three insert into t values ($1, 'copied')", "four insert into t values (9, 'made here')" } do
      local shown = "/" .. change:gsub(" ", "   execute   ", 1)
      assert.truthy(plan:find(shown, 1, true), shown .. "\n" .. plan)
    end
    server:psql("truncate t", "three")
    accepted(box:pgsh { "-y", procedure, table.unpack(to) })
    assert.equal(one, rows "three")
    assert.equal(two, rows "four")
    assert.equal(one, rows "one")

    fresh("one", "two")
    accepted(box:pgsh({ "-y" }, { stdin = run.read_file(script), env = { PGHOST = "/nowhere", PGDATABASE = "nothing" } }))
    assert.equal(one, rows "one")
    assert.equal(two, rows "two")
  end)

  it("follows \\c to another database of the server, another user, a handle", function()
    fresh("one", "two")
    server:psql "drop role if exists fred"
    server:psql "create role fred login superuser"
    local _, script = session(([[
insert into t values (1, 'x');
\c two
insert into t values (2, 'x');
\c - fred
insert into t values (3, current_user);
back = psql %q
\c back
insert into t values (4, current_user);]]):format(conninfo "one"), { "shell", conninfo "one" .. " application_name=kept" })
    local one, two = rows "one", rows "two"
    assert.equal("1 x, 4 postgres", one)
    assert.equal("2 x, 3 fred", two)
    local text = run.read_file(script)
    assert.truthy(text:find "application_name=kept dbname=two user=postgres", text)
    assert.truthy(text:find "application_name=kept dbname=two user=fred", text)
    fresh("one", "two")
    accepted(box:pgsh({ "-y" }, { stdin = text }))
    assert.equal(one, rows "one")
    assert.equal(two, rows "two")
  end)

  it("keeps two users of one database apart", function()
    fresh("one", "three")
    server:psql "drop role if exists bob"
    server:psql "create role bob login superuser"
    local procedure = session("insert into t values (1, current_user);\n\\c - bob\ninsert into t values (2, current_user);\n"
      .. "\\c - postgres\ninsert into t values (3, current_user);", { "shell", conninfo "one" })
    assert.equal("1 postgres, 2 bob, 3 postgres", rows "one")
    local text = run.read_file(procedure)
    assert.truthy(text:find("/one as postgres)", 1, true), text)
    assert.truthy(text:find("/one as bob)", 1, true), text)
    local bob = conninfo "three":gsub("user=postgres", "user=bob")
    accepted(box:pgsh { "-y", procedure, "--db", conninfo "three", "--db-bob", bob })
    assert.equal("1 postgres, 2 bob, 3 postgres", rows "three")
  end)

  it("says the whole of each connection string that is typed, and leaves other texts alone", function()
    fresh("one", "two")
    local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres", PGDATABASE = "one" }
    local _, script = session([[
a = psql()
b = psql "dbname=two"
c = psql('postgresql:///two?application_name=c')
d = psql { conninfo = 'two' }
for i, db in ipairs { a, b, c, d, psql "two" } do db:execute("insert into t values ($1, 'psql ''one''')", i) end
note = 'psql "two"' -- psql "two"
db = psql "service=nowhere"]], nil, env)
    local text = run.read_file(script)
    local there = ("host=127.0.0.1 port=%d"):format(server.port)
    for _, line in ipairs { ('a = psql "%s dbname=one user=postgres"'):format(there),
      ('b = psql "dbname=two %s user=postgres"'):format(there),
      ('c = psql("postgresql:///two?application_name=c&%s&user=postgres")'):format((there:gsub(" ", "&"))),
      ('d = psql { conninfo = "dbname=two %s user=postgres" }'):format(there),
      ('psql "dbname=two %s user=postgres" } do'):format(there), [[note = 'psql "two"' -- psql "two"]], 'db = psql "service=nowhere"' } do
      assert.truthy(text:find(line, 1, true), line .. "\n" .. text)
    end
    assert.equal(5, #rows "one":gsub("[^,]", "") + #rows "two":gsub("[^,]", "") + 2)
    local one, two = rows "one", rows "two"
    fresh("one", "two")
    accepted(box:pgsh({ "-y" }, { stdin = text, env = { PGHOST = "/nowhere", PGDATABASE = "nothing", PGUSER = "nobody" } }))
    assert.same({ one, two }, { rows "one", rows "two" })
  end)

  it("names the database also when only the environment did", function()
    fresh "one"
    local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres", PGDATABASE = "one" }
    local _, script = session("select 1;\ninsert into t values (1, 'x');", nil, env)
    local made = ('db = psql "host=127.0.0.1 port=%d dbname=one user=postgres"'):format(server.port)
    assert.equal(made, run.read_file(script):match "\n(.-)\n")
    accepted(box:pgsh({ "-y" }, { stdin = run.read_file(script) }))
    assert.equal("1 x, 1 x", rows "one")
  end)

  it("has nothing of what was only shown", function()
    fresh "one"
    local entries = ("dry_run()\ninsert into t values (1, 'x');\nsave %q\n"):format(box.dir .. "/none.lua")
    local result = box:pgsh({ "-y", "shell", conninfo "one" }, { stdin = entries })
    assert.equal(2, result.exit)
    assert.truthy(result.stderr:find("nothing was changed in this session", 1, true), result.stderr)
  end)

  it("stops where nobody knows how a database is reached", function()
    fresh "one"
    local entry = ('db = psql { name = "late", conninfo = function() local password = "x" return %q end }'):format(conninfo "one")
    local _, script = session(entry .. "\ninsert into t values (1, 'x');")
    local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres" }
    local result = box:pgsh({ "-y" }, { stdin = run.read_file(script), env = env })
    assert.equal(1, result.exit)
    assert.truthy(result.stderr:find("db was psql late: write here how it is made", 1, true), result.stderr)
    assert.equal("1 x", rows "one")
  end)
end)
