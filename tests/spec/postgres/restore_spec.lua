-- What psql says, which of it is an error, and what is done about it.
local postgres, psql, sh = require "pgsh.postgres", require "pgsh.psql", require "pgsh.sh"
local allow, psql_errors = require "pgsh.postgres.allow", require "pgsh.postgres.psql_errors"
local marker = require "pgsh.postgres.marker"
local failure = require("tests.spec.support.check").failure
local run = require "tests.spec.support.run"

local function read(entries, text)
  local reader = psql_errors.new(allow.check(entries))
  local ok, err = pcall(function()
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do reader:line(line) end
    reader:finish()
  end)
  return ok, ok and reader or err
end

describe("what psql says", function()
  it("is an error when its SQLSTATE says so, in whatever language", function()
    local ok, err = read({}, 'psql:<stdin>:16: FEHLER:  42710: Rolle »postgres« existiert bereits\nLOCATION:  CreateRole, user.c:308')
    assert.is_false(ok)
    assert.same({ "psql", "42710" }, { err.kind, err.sqlstate })
    assert.matches('line 16 of the dump: Rolle »postgres« existiert bereits', err.message)
    ok, err = read({ { sqlstate = "42710", name = "postgres" } }, 'psql:<stdin>:16: FEHLER:  42710: Rolle »postgres« existiert bereits')
    assert.is_true(ok)
    assert.same({ { sqlstate = "42710", line = 16, message = 'Rolle »postgres« existiert bereits' } }, err.allowed)
  end)
  it("is no error when it is a warning or a notice", function()
    local ok, reader = read({}, 'psql:<stdin>:1: WARNUNG:  01000: x\nLOCATION:  a\n'
      .. 'psql:<stdin>:2: NOTICE:  42710: extension "x" already exists, skipping\n'
      .. "psql:<stdin>:3: HINWEIS:  00000: y\npsql: warning: z\nDefaulted container")
    assert.is_true(ok)
    assert.equal(5, #reader.notices)
  end)
  it("keeps what belongs together", function()
    local text = 'psql:<stdin>:9: ERROR:  23505: duplicate key\nDETAIL:  Key (a)=(1).\nHINT:  no.\nCONTEXT:  COPY t, line 1\nLOCATION:  x'
    local ok, err = read({ { sqlstate = "42710", object = "x" } }, text)
    assert.is_false(ok)
    assert.equal("DETAIL:  Key (a)=(1).\nHINT:  no.\nCONTEXT:  COPY t, line 1", err.detail)
    assert.matches("23505", err.hint)
  end)
  it("names objects with line breaks in them", function()
    local text = 'psql:<stdin>:9: ERROR:  42710: role "new\nline" already exists\nLOCATION:  x'
    local ok, reader = read({ { sqlstate = "42710", object = 'role "new\nline"' } }, text)
    assert.is_true(ok)
    assert.equal('role "new\nline" already exists', reader.allowed[1].message)
    assert.is_false((read({ { sqlstate = "42710", object = 'role "new"' } }, text)))
    assert.is_true((read(allow.exists_already { roles = { "new\nline" } }, text)))
  end)
  it("is fatal when it is psql's own", function()
    local anything = { { sqlstate = "08006", pattern = "" } }
    for _, line in ipairs {
      "psql: error: connection to server on socket \"x\" failed: No such file",
      "psql:<stdin>:1: error: \\connect: connection to server failed: FATAL:  database \"x\" does not exist",
      "psql:<stdin>:1: server closed the connection unexpectedly", "psql:<stdin>:1: error: connection to server was lost",
      "psql:<stdin>:2: error: \\unrestrict: wrong key", "psql:<stdin>:2: error: invalid command \\foo", "psql:<stdin>:2: ERROR:  no state",
    } do
      local ok, err = read(anything, line)
      assert.is_false(ok, line)
      assert.equal("psql", err.kind)
      assert.matches("^psql: ", err.message)
    end
  end)
  it("is allowed only by what names it", function()
    local text = 'psql:<stdin>:9: ERROR:  42710: role "app" already exists'
    for entry, wanted in pairs {
      [{ sqlstate = "42710", object = 'role "app"' }] = true, [{ sqlstate = "42710", name = "app" }] = true,
      [{ sqlstate = "42710", pattern = '^role "a%l+" already' }] = true, [{ sqlstate = "42P04", name = "app" }] = false,
      [{ sqlstate = "42710", name = "ap" }] = false, [{ sqlstate = "42710", object = 'role "app2"' }] = false,
      [{ sqlstate = "42710", name = "app", pattern = "gone" }] = false,
    } do
      assert.equal(wanted, (read({ entry }, text)))
    end
    for _, bad in ipairs { { {} }, { { sqlstate = "42710" } }, { { sqlstate = 42710, name = "x" } }, { { sqlstate = "4271", name = "x" } },
      { { sqlstate = "42710", nam = "x" } }, "x" } do
      assert.equal("usage", failure(allow.check, bad).kind)
    end
  end)
end)

describe("a restore", function()
  local dir
  setup(function() dir = sh.run({ "mktemp", "-d" }).out:match "%S+" end)
  teardown(function() sh.run { "rm", "-rf", dir } end)

  local count = 0
  -- A plain dump with these statements, and its checksum.
  local function dump(sql, format)
    count = count + 1
    local path = ("%s/%d.sql"):format(dir, count)
    run.write_file(path, ("%s\n--\n%s\n--\n\n"):format(sql, format == "cluster" and marker.CLUSTER or marker.PLAIN))
    sh.run("sha512sum " .. count .. ".sql > " .. count .. ".sql.sha512", { cwd = dir })
    return path
  end

  local server, db
  setup(function()
    server = postgres.throwaway {}
    db = server:psql()
  end)
  teardown(function()
    db:close()
    server:close()
  end)
  after_each(function()
    db:execute "drop schema public cascade"
    db:execute "create schema public"
  end)

  local function restore(sql, more)
    local given = { from = dump(sql, (more or {}).format), into = server }
    for key, value in pairs(more or {}) do given[key] = value end
    given.format = nil
    return postgres.restore(given)
  end

  it("stops at the first error that is not allowed", function()
    local sql = "create table a ();\ncreate role postgres;\nselect 1/0;\nselect pg_sleep(1);\ncreate table b ();\n"
    local err = failure(restore, sql, { allow = postgres.exists_already { roles = { "postgres" } } })
    assert.same({ "psql", "22012" }, { err.kind, err.sqlstate })
    assert.matches("line 3 of the dump: division by zero", err.message)
    assert.equal("public.a", db:value "select to_regclass('a')::regclass::text" and "public.a")
    assert.is_nil(db:value "select to_regclass('b')::text")
  end)
  it("collects those that are allowed, and goes on", function()
    local result = restore("create role postgres;\ncreate database postgres;\ncreate table b ();\ncreate role postgres;\n",
      { allow = postgres.exists_already { roles = { "postgres" }, databases = { "postgres" } } })
    assert.equal(3, result.allowed_count)
    assert.same({ sqlstate = "42P04", line = 2, message = 'database "postgres" already exists' }, result.allowed[2])
    assert.is_truthy(db:value "select to_regclass('b')::text")
  end)
  it("without an allow-list ends with psql itself", function()
    local err = failure(restore, "select 1/0;\ncreate table c ();\n")
    assert.equal("22012", err.sqlstate)
    assert.is_nil(db:value "select to_regclass('c')::text")
  end)
  it("in one transaction leaves nothing", function()
    failure(restore, "create table d ();\nselect 1/0;\n", { transaction = true })
    assert.is_nil(db:value "select to_regclass('d')::text")
  end)
  it("stops when the connection is lost, when \\connect fails, at a wrong \\unrestrict", function()
    for _, sql in ipairs {
      "select pg_terminate_backend(pg_backend_pid());\n", "\\connect nonesuch\n", "\\restrict abc\n\\unrestrict def\n", "\\nonsense\n\n",
    } do
      sql = sql .. "select pg_sleep(1);\ncreate table e ();\n" -- psql goes on until it is ended
      local err = failure(restore, sql, { allow = { { sqlstate = "57P01", pattern = "" } } })
      assert.equal("psql", err.kind, sql)
      assert.is_nil(db:value "select to_regclass('e')::text")
    end
  end)
  it("does not begin when something is there", function()
    db:execute "create table there ()"
    local path = dump("create table f ();\n")
    local err = failure(postgres.restore, { from = path, into = server })
    assert.equal("refused", err.kind)
    assert.matches("not empty: table public.there in postgres", err.message)
    assert.equal(0, postgres.restore({ from = path, into = server, empty = false }).allowed_count)
    assert.is_truthy(db:value "select to_regclass('f')::text")
  end)
  it("of a whole server looks at the whole server", function()
    db:execute "create role leftover"
    local err = failure(restore, "select 1;\n", { format = "cluster" })
    assert.matches("not empty: role leftover", err.message)
    assert.is_truthy(restore("select 1;\n", { format = "cluster", empty = { roles = { "leftover" } } }))
    db:execute "drop role leftover"
  end)
  it("replaces locales in the stream, and says before which are missing", function()
    local sql = "create collation x (provider = libc, locale = 'xx_YY.utf8');\nCREATE DATABASE \"new\nline\" WITH TEMPLATE = template0 "
      .. "ENCODING = 'UTF8' LOCALE = 'xx_YY.utf8';\nCREATE COLLATION public.y (provider = libc, locale = 'xx_YY.utf8');\n"
    local path = dump(sql)
    assert.same({ "xx_YY.utf8" }, { table.unpack(postgres.locales(path).libc) })
    local err = failure(postgres.restore, { from = path, into = server })
    assert.equal("refused", err.kind)
    assert.matches("lacks locales that the dump wants: xx_YY.utf8", err.message)
    local result = postgres.restore { from = path, into = server, replace = { { "xx_YY.utf8", "C.utf8" } } }
    assert.same({ { from = "xx_YY.utf8", to = "C.utf8", count = 3 } }, result.replaced)
    assert.same({ "C.utf8" }, { table.unpack(result.locales.libc) })
    local some = postgres.locales(path, { replace = { { "LOCALE = 'xx_YY.utf8'", "LOCALE = 'C.utf8'" } } })
    assert.same({ "C.utf8", "xx_YY.utf8" }, { table.unpack(some.libc) })
    assert.equal("C.utf8", db:value "select datcollate::text from pg_database where datname = E'new\\nline'")
    db:execute("drop database \"new\nline\"", psql.options { transaction = false })
    assert.is_truthy(postgres.validate(path)) -- the file is what it was
  end)
  it("takes the proof of a validation, and only of that file", function()
    local path = dump "create table g ();\n"
    local proof = postgres.validate(path)
    local file = assert(io.open(path, "ab"))
    file:write "-- changed since\n"
    file:close()
    local err = failure(postgres.restore, { from = path, into = server, validated = proof })
    assert.is_truthy(err.kind == "io" or err.kind == "unknown", err.kind)
    assert.matches("sha512", tostring(err) .. tostring(err.detail))
    local made = postgres.dump { from = server, to = dir .. "/a.dump", format = "custom", database = "postgres" }
    proof = postgres.validate(made.path)
    file = assert(io.open(made.path, "ab"))
    file:write "x"
    file:close()
    assert.equal("io", failure(postgres.restore, { from = made.path, into = server, validated = proof, empty = false }).kind)
    assert.equal("usage", failure(postgres.restore, { from = dump "", into = server, validated = proof }).kind)
    assert.equal("usage", failure(postgres.restore, { from = path, into = server, validated = {} }).kind)
  end)
  it("goes through whatever starts psql, and is looked at through a handle", function()
    local seen
    local path = dump "create table i ();\n"
    local given = { from = path, into = "", database = "postgres", db = db, through = function(command, options)
      seen = command
      options.env.PGHOST, options.env.PGUSER = server.env.PGHOST, server.env.PGUSER
      return sh.input(command, options)
    end }
    assert.equal("plain", postgres.restore(given).format)
    assert.equal("psql", seen[1])
    assert.is_truthy(db:value "select to_regclass('i')::text") -- not closed
    assert.equal("refused", failure(postgres.restore, given).kind)
  end)
  it("that is interrupted is unknown", function()
    local host = require "pgsh.host"
    local path = dump "create table h ();\nselect pg_sleep(30);\n"
    local task = host.spawn("spec", function() return postgres.restore { from = path, into = server } end)
    host.sleep(1.5)
    task:cancel()
    local err = failure(task.join, task)
    assert.is_truthy(err.kind == "unknown" or err.kind == "cancelled", err.kind)
  end)
  it("says what is wrong with its arguments", function()
    for _, given in ipairs { {}, { from = "x" }, { into = "x" }, { from = "x", into = "y", allows = {} },
      { from = "x", into = 7, validated = {} }, { from = "x", into = "y", through = function() end }, { from = "x", into = "y", db = db },
      { from = "x", into = "y", replace = { "a" } }, { from = "x", into = "y", empty = "no" },
      { from = "x", into = "y", allow = { { sqlstate = "42710" } } } } do
      assert.equal("usage", failure(postgres.restore, given).kind)
    end
  end)
end)
