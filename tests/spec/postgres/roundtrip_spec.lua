-- A cluster that has everything a dump finds hard: dumped, validated, restored into an empty server, compared.
local host, json, postgres, sh = require "pgsh.host", require "pgsh.json", require "pgsh.postgres", require "pgsh.sh"
local psql = require "pgsh.psql"
local world = require "tests.spec.support.pg_world"
local failure = require("tests.spec.support.check").failure

local function by_name(list, name, schema)
  for _, one in ipairs(list) do
    if one.name == name and (not schema or one.schema == schema) then return one end
  end
end

describe("the round trip", function()
  local dir, source, before
  setup(function()
    dir = sh.run({ "mktemp", "-d" }).out:match "%S+"
    source = postgres.throwaway {}
    world.build(source)
    before = postgres.inventory(source)
  end)
  teardown(function()
    source:close()
    sh.run { "rm", "-rf", dir }
  end)

  local MINE = { roles = { "postgres" } }

  describe("inventory", function()
    local function content(name) return by_name(before.databases, name).content end

    it("is plain and deterministic", function()
      local again = postgres.inventory(source)
      for _, inventory in ipairs { before, again } do
        for _, one in ipairs(inventory.databases) do one.size = nil end
      end
      assert.same(json.encode(before), json.encode(again))
      assert.same(json.decode(json.encode(before)), json.decode(json.encode(again)))
    end)
    it("has the databases and roles, and no password", function()
      local app = by_name(before.databases, "app")
      assert.same({ "app", 33, "UTF8", "C", "C", "it's \"the\" one", false }, { app.owner, app.connection_limit, app.encoding, app.collate,
        app.ctype, app.comment, app.is_template })
      assert.equal("LATIN1", by_name(before.databases, "back\\slash it's").encoding)
      assert.matches("C.utf8", by_name(before.databases, 'we"ird ü db').collate)
      assert.is_nil(by_name(before.databases, "template1").content)
      for _, name in ipairs(world.ROLES) do assert.is_truthy(by_name(before.roles, name), name) end
      local role = by_name(before.roles, "app")
      assert.same({ true, false, 7 }, { role.login, role.superuser, role.connection_limit })
      assert.matches("^2031%-02%-03T04:05:06.500000Z", role.valid_until)
      local text = json.encode(before)
      for _, word in ipairs { "SCRAM", "not-so-secret", "far-away-secret" } do assert.is_falsy(text:find(word, 1, true)) end
      assert.equal("app", before.memberships[1].member)
      assert.is_true(before.memberships[1].admin)
    end)
    it("counts rows exactly: of a table its own, of a partitioned one none, of a foreign one none", function()
      local tables = content("app").tables
      for name, wanted in pairs { everything = 500, ["ta\"ble\nnew line"] = 9, parent = 1, child = 2, unlogged_one = 17, nothing = 1,
        mv = 500, parts_1_1 = 8, bad_index = 2 } do
        assert.equal(wanted, by_name(tables, name).rows, name)
      end
      local sum = 0
      for _, name in ipairs { "parts_1_1", "parts_1_rest", "parts rest" } do sum = sum + by_name(tables, name).rows end
      assert.equal(100, sum)
      for _, name in ipairs { "parts", "parts_1", "elsewhere", "stale" } do assert.is_nil(by_name(tables, name).rows, name) end
      assert.equal("partitioned", by_name(tables, "parts").kind)
      assert.equal("foreign", by_name(tables, "elsewhere").kind)
      assert.equal(2, by_name(content('we"ird ü db').tables, "漢字", "ü").rows)
      assert.equal(2, by_name(content("back\\slash it's").tables, "tést").rows)
    end)
    it("has sequences with is_called", function()
      local sequences = content("app").sequences
      local function of(name)
        local one = by_name(sequences, name)
        return { one.last_value, one.is_called }
      end
      assert.same({ 42, false }, of "untouched")
      assert.same({ 99, true }, of "called")
      assert.same({ 99, false }, of "not called")
      assert.same({ 6, true }, of 'down "it"')
    end)
    it("has large objects, and what is only counted", function()
      local found = content("app")
      assert.equal(4, found.large_objects.count)
      assert.equal(10000 + 1000002, found.large_objects.bytes)
      assert.matches("^%x+$", found.large_objects.digest)
      assert.equal(1, found.counts.event_triggers)
      assert.equal(1, found.counts.disabled_triggers)
      assert.equal(1, found.counts.constraints_not_valid)
      assert.equal(1, found.counts.policies)
      assert.same({ "all of it", "pub" }, { found.publications[1].name, found.publications[2].name })
      assert.equal("german ü", found.collations[1].name)
    end)
    it("leaves out what it is told to", function()
      local less = postgres.inventory(source, { databases = { "empty one" }, global = false, sizes = false })
      assert.is_nil(less.roles)
      assert.is_nil(by_name(less.databases, "app").content)
      assert.is_nil(by_name(less.databases, "app").size)
      assert.is_truthy(by_name(less.databases, "empty one").content)
      local estimates = postgres.inventory(source, { databases = { "app" }, exact = false })
      assert.equal(500, by_name(by_name(estimates.databases, "app").content.tables, "everything").rows)
      assert.matches("no database appp %(did you mean app%?%)", failure(postgres.inventory, source, { databases = { "appp" } }).message)
      assert.matches("allows no connections", failure(postgres.inventory, source, { databases = { "template0" } }).message)
      assert.matches("unknown option database", failure(postgres.inventory, source, { database = "app" }).message)
    end)
    it("takes a handle, a function, a connection string", function()
      local db <close> = source:psql "app"
      local one = postgres.inventory(db)
      assert.is_truthy(by_name(one.databases, "app").content)
      assert.is_nil(by_name(one.databases, "postgres").content)
      assert.equal("app", db:value "select current_database()::text") -- still open
      assert.matches("reaches only app", failure(postgres.inventory, db, { databases = { "postgres" } }).message)
      local opened = {}
      local all = postgres.inventory(function(name)
        opened[#opened + 1] = source:psql(name)
        return opened[#opened]
      end)
      assert.is_true(postgres.compare(before, all).same)
      assert.equal(6, #opened)
      for _, handle in ipairs(opened) do assert.equal("closed", failure(handle.value, handle, "select 1").code) end
      assert.is_true(postgres.compare(before, postgres.inventory(source:conninfo "postgres")).same)
      assert.is_true(postgres.compare(before, postgres.inventory(db, { connect = function(name) return source:psql(name) end })).same)
    end)
    it("counts what it may count", function()
      local db <close> = psql((source:conninfo("app"):gsub("user='postgres'", "user='app'")))
      local found = by_name(postgres.inventory(db).databases, "app").content
      assert.equal("not permitted", by_name(found.tables, "parent").not_counted)
      assert.is_nil(by_name(found.tables, "parent").rows)
      assert.equal(4, found.large_objects.count)
      assert.is_nil(found.large_objects.digest)
    end)
  end)

  local function restored(path, given)
    local server = postgres.throwaway {}
    given.from, given.into = path, server
    local ok, result = pcall(postgres.restore, given)
    if not ok then
      server:close()
      error(result, 0)
    end
    return server, result
  end

  local function text_of(path)
    return (sh.read({ "gzip", "-dcf", "--", path }, { limit = "64M" }).out:gsub("\n\\u?n?restrict %w+", "\n\\restrict"))
  end

  it("of a cluster makes no difference", function()
    local path = dir .. "/cluster.sql.gz"
    local made = postgres.dump { from = source, to = path }
    assert.equal("cluster", made.format)
    local checked = postgres.validate(path)
    assert.same(made.sha512, checked.sha512)
    assert.equal(made.bytes, checked.bytes)
    assert.equal(made.plain_bytes, checked.plain_bytes)
    assert.same(made.checksums, checked.checked)
    for _, name in ipairs { "cluster.sql.gz.sha512", "cluster.sql.sha512" } do
      local plain = name:find "gz" and "" or "gzip -dk cluster.sql.gz && "
      assert.matches("OK", sh.run(plain .. "sha512sum --strict -c " .. name, { cwd = dir }).out)
    end
    os.remove(dir .. "/cluster.sql")
    assert.equal("600", sh.read({ "stat", "-c", "%a", path }).out:match "%d+")

    local server <close>, result = restored(path, { validated = checked, allow = postgres.exists_already(MINE) })
    assert.equal(1, result.allowed_count)
    assert.equal("42710", result.allowed[1].sqlstate)
    assert.same({ "C", "C.utf8" }, { table.unpack(result.locales.libc) })
    local difference = postgres.compare(before, postgres.inventory(server))
    assert.equal("no difference", difference.text)
    assert.is_true(difference.same)
    -- and as another witness: what is dumped of it is the same text
    postgres.dump { from = server, to = dir .. "/again.sql.gz" }
    assert.is_true(text_of(path) == text_of(dir .. "/again.sql.gz"))
    -- it is not restored twice
    local err = failure(postgres.restore, { from = path, into = server })
    assert.equal("refused", err.kind)
    assert.matches("not empty: database app, ", err.message)
  end)

  it("of one database, plain and custom, makes no difference", function()
    local only = postgres.inventory(source, { databases = { "app" }, global = false })
    for format, name in pairs { plain = "app.sql", custom = "app.dump" } do
      local path = dir .. "/" .. name
      postgres.dump { from = source, database = "app", to = path, format = format }
      assert.equal(format, postgres.validate(path).format)
      local server <close> = postgres.throwaway {}
      sh.run({ server.bin .. "/psql", "-XAtq", "-d", server:conninfo(), "-f", "-" }, { input = world.SQL[1][2] })
      local result = postgres.restore { from = path, into = server, database = "app" }
      assert.equal(format, result.format)
      assert.equal(0, result.allowed_count)
      local after = postgres.inventory(server, { databases = { "app" }, global = false })
      assert.equal("no difference", postgres.compare(only, after, { ignore = { "database privileges" } }).text, format)
      local err = failure(postgres.restore, { from = path, into = server, database = "app" })
      assert.equal("refused", err.kind)
    end
  end)

  it("shows every difference there is", function()
    local server <close> = postgres.throwaway {}
    world.build(server)
    assert.is_true(postgres.compare(before, postgres.inventory(server)).same)
    local db <close> = server:psql "app"
    local other <close> = server:psql 'we"ird ü db'
    local outside = psql.options { transaction = false }
    local changes = {
      { "delete from \"ta\"\"ble\nnew line\" where \"ü 漢字\" = 1", "table rows", [[app: public."ta""ble\nnew line"]] },
      { "select setval('called', 99, false)", "sequence is_called", "app: public.called" },
      { "alter table parent add column new text", "table columns", "app: public.parent" },
      { "alter table parent alter column a set default 7", "table columns_md5", "app: public.parent" },
      { "alter role \"it's\" superuser", "role superuser", [["it's"]] },
      { "drop role \"sp ace\"", "role", [["sp ace"]] },
      { "alter role app set work_mem = '8MB'", "setting setting", "role app: work_mem" },
      { "alter database \"empty one\" connection limit 3", "database connection_limit", [["empty one"]] },
      { "drop extension pg_trgm", "extension", "app: pg_trgm" },
      { "revoke all on \"ta\"\"ble\nnew line\" from public", "table privileges", [[app: public."ta""ble\nnew line"]] },
      { "update pg_largeobject set data = '\\x01ff' || substr(data, 3) where loid = 70001 and pageno = 0", "large objects digest", "app" },
      { "drop table bad_index", "table", "app: public.bad_index" },
      { "alter table child enable trigger off", "number of disabled_triggers", "app" },
      { "drop function \"odd \"\"f\"\"\"", "number of functions", "app" },
      { "alter schema \"Sch\"\"ema\" owner to app", "schema owner", [[app: "Sch""ema"]] },
    }
    sh.run({ server.bin .. "/psql", "-XAtq", "-d", server:conninfo "app" },
      { input = "drop owned by \"sp ace\"; revoke connect on database app from \"sp ace\";" })
    for _, change in ipairs(changes) do
      if change[1]:find "^select" then
        sh.run({ server.bin .. "/psql", "-XAtq", "-d", server:conninfo "app" }, { input = change[1] })
      else
        db:execute(change[1])
      end
    end
    failure(db.execute, db, "create unique index concurrently \"bad ix\" on everything ((1))", outside)
    db:execute("drop database \"back\\slash it's\"", outside)
    other:execute "insert into \"ü\".\"漢字\" values (3, 'x')"
    local difference = postgres.compare(before, postgres.inventory(server))
    assert.is_false(difference.same)
    local function seen(what, object)
      for _, one in ipairs(difference.differences) do
        if one.what == what and one.object == object then return one end
      end
    end
    for _, change in ipairs(changes) do
      assert.is_truthy(seen(change[2], change[3]), change[2] .. " of " .. change[3] .. " is not in:\n" .. difference.text)
    end
    assert.is_truthy(seen("invalid index", [[app: public."bad ix"]]), difference.text)
    assert.same({ 2, 3 }, { seen("table rows", [["we""ird ü db": ü.漢字]]).before, seen("table rows", [["we""ird ü db": ü.漢字]]).after })
    -- a database that is missing is one line
    local lines = 0
    for _, one in ipairs(difference.differences) do
      if one.object:find("back\\\\slash it's", 1, true) then lines = lines + 1 end
    end
    assert.equal(1, lines)
    for line in difference.text:gmatch "[^\n]+" do assert.is_truthy(utf8.len(line)) end
    local less = postgres.compare(before, postgres.inventory(server), { ignore = { "table rows", { object = "app" }, "database" } })
    assert.is_true(#less.differences < #difference.differences)
    assert.is_falsy(less.text:find "table rows")
    assert.is_true(postgres.compare(before, postgres.inventory(server), { ignore = function() return true end }).same)
    local sizes = postgres.compare(before, postgres.inventory(server), { also = { "size" } })
    assert.is_truthy(sizes.text:find("table size", 1, true))
  end)

  it("says what is wrong with its arguments", function()
    assert.equal("usage", failure(postgres.compare, before, {}).kind)
    assert.equal("usage", failure(postgres.compare, before, before, { ingore = {} }).kind)
    assert.matches("did you mean ignore", failure(postgres.compare, before, before, { ingore = {} }).message)
    assert.equal("usage", failure(postgres.inventory, 7).kind)
    assert.is_truthy(host.pid)
  end)
end)

describe("is_empty", function()
  it("is true of a new server, and names what is in another", function()
    local server <close> = postgres.throwaway {}
    assert.is_true((postgres.is_empty(server)))
    assert.is_true((postgres.is_empty(server, { database = true })))
    assert.is_true((postgres.is_empty(server:conninfo())))
    local db <close> = server:psql()
    assert.is_true((postgres.is_empty(db)))
    for _, one in ipairs {
      { "create role \"x y\"", "drop role \"x y\"", "role", '"x y"' },
      { "create table t ()", "drop table t", "table", "public.t" },
      { "create schema s", "drop schema s", "schema", "s" },
      { "create function f() returns int language sql as 'select 1'", "drop function f", "function", "f()" },
      { "create type e as enum ()", "drop type e", "type", "e" },
      { "create extension pg_trgm", "drop extension pg_trgm", "extension", "pg_trgm" },
      { "do $$ begin perform lo_create(71); end $$", "do $$ begin perform lo_unlink(71); end $$", "large object", "71" },
      { "create publication p", "drop publication p", "publication", "p" },
      { "create view v as select 1", "drop view v", "view", "public.v" },
    } do
      db:execute(one[1])
      local ok, found = postgres.is_empty(db)
      assert.is_false(ok)
      assert.same({ { one[3], one[4] } }, { { found[1].what, found[1].name } }, one[1])
      assert.equal(1, #found, one[1])
      db:execute(one[2])
      assert.is_true((postgres.is_empty(db)))
    end
    db:execute "create role mine"
    db:execute("create database \"my db\"", psql.options { transaction = false })
    assert.is_false((postgres.is_empty(server)))
    assert.is_true((postgres.is_empty(server, { database = true })))
    assert.is_true((postgres.is_empty(server, { roles = { "mine" }, databases = { "my db" } })))
    local mine <close> = server:psql "my db"
    mine:execute "create table t ()"
    local ok, found = postgres.is_empty(server, { roles = { "mine" }, databases = { "my db" } })
    assert.is_false(ok)
    assert.same({ { what = "table", name = "public.t", database = '"my db"' } }, found)
    local one <close> = server:psql "template1"
    one:execute "create table in_the_template ()"
    ok, found = postgres.is_empty(server)
    assert.is_false(ok)
    local words = require("pgsh.postgres.empty").text(found)
    assert.is_truthy(words:find("table public.in_the_template in template1", 1, true), words)
  end)
end)
