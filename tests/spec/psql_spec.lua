-- psql against a real PostgreSQL: values, reads that stay reads, streams, changes.
local json = require "pgsh.json"
local psql = require "pgsh.psql"
local secret = require "pgsh.secret"
local unknown = require "pgsh.unknown"
local postgres = require "tests.spec.support.postgres"
local check = require "tests.spec.support.check"
local failure, has, lacks = check.failure, check.has, check.lacks

local function rss_kib()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmRSS:%s+(%d+)"
    if kib then return tonumber(kib) end
  end
end

-- A sanitizer keeps freed memory for a while.
local function sanitized()
  local file = assert(io.open "/proc/self/maps")
  local text = file:read "a"
  file:close()
  return text:find("libasan", 1, true) ~= nil or text:find("libtsan", 1, true) ~= nil
end

describe("psql", function()
  local server, admin, db

  lazy_setup(function()
    server = postgres.start()
    server:psql "create role app login password 's3cr3t-Pa%ss w0rd'; grant pg_monitor to app; create role plain login"
    admin = psql(server:conninfo { application_name = "admin" })
  end)
  lazy_teardown(function()
    admin:close()
    server:remove()
  end)
  before_each(function() db = psql(server:conninfo()) end)
  after_each(function() db:close() end)

  local function pid() return db:value "select pg_backend_pid()" end
  local function kill(victim) return admin:execute("select pg_terminate_backend($1)", victim) end

  describe("values", function()
    it("types", function()
      local row = db:row [[select true as yes, false as no, 1::int2 as a, 2::int4 as b, 9007199254740993::int8 as c, 4294967295::oid as o,
        1.5::float8 as f, 5::float8 as whole, 'NaN'::float8 as nan, '-Infinity'::float4 as inf, 42::numeric as n,
        1.10::numeric as exact, 123456789012345678901234567890::numeric as big, 'text' as t, '\x00ff41'::bytea as bytes,
        '{"a":[1,null,{"b":true}]}'::jsonb as j, '"x"'::json as js, '2026-11-21 14:00:00+00'::timestamptz as at,
        'c'::"char" as ch, '1 day'::interval as span]]
      assert.is_true(row.yes)
      assert.is_false(row.no)
      assert.same({ 1, 2, 9007199254740993, 4294967295 }, { row.a, row.b, row.c, row.o })
      for _, key in ipairs { "a", "b", "c", "o", "n" } do assert.equal("integer", math.type(row[key])) end
      assert.equal("float", math.type(row.whole))
      assert.equal(1.5, row.f)
      assert.is_true(row.nan ~= row.nan)
      assert.equal(-math.huge, row.inf)
      assert.equal(42, row.n)
      assert.equal("1.10", row.exact)
      assert.equal("123456789012345678901234567890", row.big)
      assert.equal("\0\255A", row.bytes)
      assert.equal(1, row.j.a[1])
      assert.equal(json.null, row.j.a[2])
      assert.is_true(row.j.a[3].b)
      assert.equal("x", row.js)
      has(row.at, "2026-11-21")
      assert.equal("c", row.ch)
      assert.equal("1 day", row.span)
    end)

    it("arrays", function()
      local row = db:row [=[select array[1,2,null,4] as i, array['a','b "q" \ ,}','NULL',''] as t, array[[1,2],[3,4]] as nested,
        '{}'::int[] as none, array[true,false] as bools, '[0:1]={7,8}'::int[] as bounds, array['{"k": 1}'::jsonb] as docs,
        array[1.50,3]::numeric[] as n, array[1.5]::float8[] as f]=]
      assert.same({ 1, 2, json.null, 4 }, row.i)
      assert.same({ "a", 'b "q" \\ ,}', "NULL", "" }, row.t)
      assert.same({ { 1, 2 }, { 3, 4 } }, row.nested)
      assert.same({}, row.none)
      assert.same({ true, false }, row.bools)
      assert.same({ 7, 8 }, row.bounds)
      assert.same({ { k = 1 } }, row.docs)
      assert.same({ "1.50", 3 }, row.n)
      assert.same({ 1.5 }, row.f)
    end)

    it("NULL is an absent key", function()
      local row = db:row "select null as nothing, 1 as one"
      assert.is_nil(row.nothing)
      assert.same({ one = 1 }, row)
      assert.is_nil(db:value "select null")
    end)

    it("columns by number, also when a name comes twice", function()
      local row = db:row "select 1 as a, 2 as a, null as b, 3 as b, 4 as c"
      assert.same({ 1, 2, nil, 3, 4 }, { row[1], row[2], row[3], row[4], row[5] })
      assert.same({ 2, 3, 4 }, { row.a, row.b, row.c })
      assert.is_nil(row[6])
      local rows = db:rows "select 1 as x, 'y' as y union all select 2, 'z' order by 1"
      assert.same({ "x", "y" }, rows.columns)
      assert.equal(2, #rows)
      assert.equal("z", rows[2][2])
      local keys = {}
      for key in pairs(rows) do keys[#keys + 1] = key end
      assert.same({ 1, 2 }, keys)
    end)

    it("rows obey row-level security, and bytea comes as bytes however the server writes it", function()
      server:psql [[create table secluded (who text, bytes bytea); alter table secluded enable row level security;
        create policy own on secluded using (who = current_user); grant select on secluded to plain;
        insert into secluded values ('plain', '\x005c0aff'), ('app', '\x01')]]
      local plain <close> = psql(server:conninfo { user = "plain", options = "-c bytea_output=escape" })
      assert.equal("escape", plain:value "show bytea_output")
      for _, sql in ipairs {
        "select * from secluded", "table secluded;", "with all_of as (select * from secluded) select * from all_of -- all",
      } do
        local rows, each = plain:rows(sql), {}
        for row in plain:each(sql) do each[#each + 1] = row.who end
        assert.same({ 1, "plain", "\0\\\n\255" }, { #rows, rows[1].who, rows[1].bytes })
        assert.same({ "plain" }, each)
      end
      assert.equal("25006", failure(plain.rows, plain, "select * from secluded for update").sqlstate)
      server:psql "drop table secluded"
    end)

    it("rows, row and value of nothing and of too much", function()
      assert.same(0, #db:rows "select 1 where false")
      assert.same({ "a" }, db:rows("select 1 as a where false").columns)
      assert.is_nil(db:row "select 1 where false")
      assert.is_nil(db:value "select 1 where false")
      has(failure(db.row, db, "select generate_series(1,3)").message, "3 rows where one was expected")
      assert.equal("usage", failure(db.value, db, "select generate_series(1,2)").kind)
    end)

    it("parameters", function()
      local row = db:row([[select $1::text as s, $2::int as i, $3::float8 as f, $4::bool as b, $5::text as n, $6::jsonb as j,
        $7::text as last]], "naïve", 7, 0.1, true, json.null, { a = { 1, "two" }, b = json.null }, nil)
      assert.equal("naïve", row.s)
      assert.equal(7, row.i)
      assert.equal(0.1, row.f)
      assert.is_true(row.b)
      assert.is_nil(row.n)
      assert.same({ 1, "two" }, row.j.a)
      assert.equal(json.null, row.j.b)
      assert.is_nil(row.last)
      assert.equal("Infinity", db:value("select $1::float8::text", math.huge))
      assert.same({ "x", 'a"b', "\\", "" }, db:value("select $1::text[]", psql.array { "x", 'a"b', "\\", "" }))
      assert.same({ 1, json.null, 3 }, db:value("select $1::int[]", psql.array { 1, json.null, 3 }))
    end)

    it("parameters that look like SQL stay values", function()
      for _, nasty in ipairs { "'; drop table t; --", "\\'; --", "$1", "$$", "1 or 1=1", "\u{2019}; select 1", "'||'", "/*" } do
        assert.equal(nasty, db:value("select $1::text", nasty))
      end
      assert.equal("usage", failure(db.value, db, "select $1::text", "a\0b").kind)
      assert.equal("usage", failure(db.value, db, "select 1\0").kind)
      assert.equal("usage", failure(db.value, db, "select $1::text", print).kind)
    end)

    it("an unknown parameter makes the answer unknown; a change refuses it outside a plan", function()
      local later = unknown.new "incident.id"
      has(db:value("select $1::int", later), "known after the run")
      has(db:rows("select $1::jsonb", { id = later }), "known after the run")
      assert.equal("usage", failure(db.execute, db, "select $1::int", later).kind)
      local nowhere = psql(later, { name = "to be made" })
      has(nowhere:value "select 1", "known after the run")
    end)

    it("a secret parameter is sent and not shown", function()
      local hidden = secret "very-secret-value"
      assert.equal("very-secret-value", (db:value("select reverse(reverse($1))", hidden)))
      local err = failure(db.value, db, "select $1::int", hidden)
      assert.equal("22P02", err.sqlstate)
      lacks(tostring(err) .. (err.detail or "") .. (err.hint or ""), "very-secret-value")
    end)
  end)

  describe("a read is a read", function()
    it("in a READ ONLY transaction", function()
      admin:execute "create table if not exists guarded (id int)"
      admin:execute "create or replace function sneaky() returns int language sql as 'insert into guarded values (1) returning id'"
      local err = failure(db.value, db, "select sneaky()")
      assert.equal("refused", err.kind)
      assert.equal("25006", err.sqlstate)
      has(err.hint, "execute")
      assert.equal("refused", failure(db.value, db, "with x as (insert into guarded values (1) returning id) select id from x").kind)
      assert.equal("25006", failure(db.value, db, "select id from guarded for update").sqlstate)
      assert.equal("on", db:value "show transaction_read_only")
      assert.equal(0, db:value "select count(*) from guarded")
    end)

    it("refuses statements that are not reads, before anything is sent", function()
      for _, sql in ipairs { "insert into guarded values (1)", "commit", "begin", "copy guarded to program 'true'", "do $$begin end$$",
        "call x()", "listen x", "vacuum", "set role app", "; drop table guarded", "select 1; drop table guarded", "lock guarded" } do
        local err = failure(db.rows, db, sql)
        assert.equal("read_only", err.code, sql)
      end
      lacks(server:log(), "drop table guarded")
      assert.equal("usage", failure(db.rows, db, " -- nothing\n").kind)
    end)

    it("refuses functions that act, however they are written", function()
      for _, call in ipairs {
        "pg_terminate_backend(1)", "PG_Terminate_Backend (1)", "pg_catalog.pg_promote()", '"pg_terminate_backend"(1)',
        'pg_catalog . "pg_reload_conf" ( )', "pg_switch_wal/* x /* nested */ */()", "pg_cancel_backend--c\n(1)",
        'U&"pg_terminat\\0065_backend"(1)', 'u&"\\+000070g_promote"()', "dblink('x','y')", "public.dblink_exec('x')",
        "pg_stat_reset()", "pg_stat_reset_shared('wal')", "lo_unlink(1)", "pg_notify('a','b')", "cron.schedule('a','b')",
        "query_to_xml('select pg_promote()',true,true,'')", "pg_drop_replication_slot('x')",
        "pg_create_restore_point(E'a\\'b')", "(select pg_rotate_logfile())", "pg_logical_emit_message(false,'a','b')",
      } do
        local err = failure(db.value, db, "select 1, " .. call)
        assert.equal("read_only", err.code, call)
      end
      assert.equal("read_only", failure(db.value, db, "select E'a'\n'\\\\', pg_promote()").code)
      assert.equal("read_only", failure(db.value, db, "select 'a'\n'\\', pg_promote()").code)
      lacks(server:log(), "pg_promote")
      lacks(server:log(), "pg_stat_reset")
    end)

    it("is not misled by text", function()
      for _, sql in ipairs {
        "select 'pg_terminate_backend(1)'", "select $$pg_promote()$$", "select $a$ $$ pg_promote() $a$", "select 1 -- pg_promote()",
        "select 1 /* pg_promote() /* */ */", "select 1 as pg_promote", 'select 1 as "pg_promote("', "select 1;", "((select 1))",
        "select E'\\' pg_promote()'", "values (1)", "with a as (select 1) select * from a", "show work_mem",
        "explain select 1", "table pg_database", "select pg_try_advisory_lock(7), pg_advisory_unlock(7)",
        [[select 'a' "b pg_promote()" where false]], "select E'a'\n'\\', pg_promote()--', 1",
        "select '\\', 1 as x where 'pg_promote()' <> '\\'",
      } do
        local ok, err = pcall(db.rows, db, sql)
        if not ok then assert.equal("42601", err.sqlstate, sql .. ": " .. tostring(err)) end
      end
    end)

    it("also when the session says otherwise", function()
      local loose = psql(server:conninfo { options = "-c standard_conforming_strings=off -c default_transaction_read_only=off" })
      assert.equal("on", loose:value "show standard_conforming_strings")
      assert.equal("read_only", failure(loose.value, loose, "select '\\', pg_promote(), ''").code)
      loose:close()
    end)
  end)

  describe("each", function()
    it("streams in constant memory", function()
      collectgarbage()
      local n, sum, before = 0, 0, rss_kib()
      for row in db:each "select g as id, repeat('x', 1000) as fill from generate_series(1, 200000) g" do
        n, sum = n + 1, sum + row.id
      end
      assert.equal(200000, n)
      assert.equal(200000 * 200001 // 2, sum)
      assert.is_true(sanitized() or rss_kib() - before < 40000, "grew by KiB: " .. rss_kib() - before)
      assert.equal(1, db:value "select 1")
    end)

    it("of nothing, of one batch, of exactly one batch and one more", function()
      for _, want in ipairs { 0, 1, 511, 512, 513, 1024 } do
        local n = 0
        for row in db:each("select generate_series(1, $1) as g", want) do n = row.g end
        assert.equal(want, n)
      end
    end)

    it("lets go of the server on break, on error, on close, and when it is forgotten", function()
      local backend = pid()
      local endless = "select generate_series(1, 100000000) as g, repeat('y', 100) as fill"
      for row in db:each(endless) do if row.g > 10 then break end end
      assert.equal(backend, pid())
      has(failure(function() for _ in db:each(endless) do error "mine" end end), "mine")
      assert.equal(backend, pid())
      local rows = db:each(endless)
      assert.equal(1, rows().g)
      rows:close()
      rows:close()
      assert.is_nil(rows())
      assert.equal(backend, pid())
      local function forget() db:each(endless)() end
      forget()
      collectgarbage()
      assert.equal(backend, pid())
    end)

    it("keeps the handle busy", function()
      local err
      for _ in db:each "select generate_series(1, 5000)" do
        err = err or failure(db.value, db, "select 1")
      end
      assert.equal("busy", err.code)
      has(err.message, "each")
      assert.equal(1, db:value "select 1")
    end)

    it("raises an error in the middle, and what comes of a closed handle", function()
      local n = 0
      local err = failure(function()
        for _ in db:each "select 1 / (3000 - g) from generate_series(1, 5000) g" do n = n + 1 end
      end)
      assert.equal("22012", err.sqlstate)
      assert.is_true(n < 3000)
      assert.equal(1, db:value "select 1")
      local rows = db:each "select generate_series(1, 100000)"
      rows()
      db:close()
      assert.equal("closed", failure(function() for _ in rows do end end).code)
    end)

    it("notices the line dropping", function()
      local victim = pid()
      local err = failure(function()
        for row in db:each "select generate_series(1, 1000000) as g, repeat('z', 1000)" do
          if row.g == 10 then kill(victim) end
        end
      end)
      assert.equal("psql_connect", err.code)
      assert.equal(1, db:value "select 1")
    end)
  end)

  describe("execute", function()
    before_each(function()
      db:execute "drop table if exists t"
      db:execute "create table t (id int primary key, v text)"
    end)

    it("says what it did", function()
      assert.same({ rows = 3, command = "INSERT 0 3" }, db:execute "insert into t select g, 'v' || g from generate_series(1, 3) g")
      local done = db:execute("update t set v = $1 where id <= $2 returning id, v, null as n, '\\x41'::bytea as b", "new", 2)
      assert.equal(2, done.rows)
      assert.equal("UPDATE 2", done.command)
      assert.same({ { id = 1, v = "new", b = "\\x41" }, { id = 2, v = "new", b = "\\x41" } }, done.returned)
      assert.same({}, db:execute("delete from t where false returning id").returned)
      assert.equal(0, db:execute("analyze t").rows)
    end)

    it("rolls back on an error", function()
      local err = failure(db.execute, db, "insert into t values (1, 'a'), (1, 'b')")
      assert.equal("psql", err.kind)
      assert.equal("23505", err.sqlstate)
      has(err.detail, "already exists")
      assert.equal(0, db:value "select count(*) from t")
      local position = failure(db.execute, db, "select nonsense")
      assert.equal("42703", position.sqlstate)
      assert.equal(8, position.position)
    end)

    it("expects", function()
      db:execute "insert into t select g, 'x' from generate_series(1, 3) g"
      local err = failure(db.execute, db, "update t set v = 'y'", psql.options { expect = 1 })
      has(err.message, "expected 1 row")
      assert.equal(0, db:value "select count(*) from t where v = 'y'")
      assert.equal(1, db:execute("update t set v = 'y' where id = 1", psql.options { expect = 1 }).rows)
    end)

    it("without a transaction when told", function()
      local err = failure(db.execute, db, "vacuum t")
      assert.equal("25001", err.sqlstate)
      has(err.hint, "transaction=false")
      assert.equal("VACUUM", db:execute("vacuum t", psql.options { transaction = false }).command)
      local options = psql.options { transaction = false, lock_timeout = "2s", statement_timeout = 30 }
      assert.equal("REINDEX", db:execute("reindex table concurrently t", options).command)
      assert.same({ "0", "0" }, { db:value "show lock_timeout", db:value "show statement_timeout" })
    end)

    it("refuses what is its own business, options it does not know, COPY", function()
      for _, sql in ipairs { "begin", "COMMIT", "rollback", "start transaction", "end" } do
        assert.equal("usage", failure(db.execute, db, sql).kind)
      end
      assert.equal("usage", failure(psql.options, { lock_timeot = 1 }).kind)
      assert.equal("usage", failure(db.rows, db, "select 1", psql.options { transaction = false }).kind)
      assert.equal("usage", failure(db.execute, db, "copy t from stdin").kind)
      assert.equal("usage", failure(db.execute, db, "copy t to stdout").kind)
      assert.equal(0, db:value "select count(*) from t")
      assert.equal("42601", failure(db.execute, db, "select 1; select 2").sqlstate)
    end)

    it("limits what it keeps", function()
      local err = failure(db.rows, db, "select repeat('x', 1000000) from generate_series(1, 100)", psql.options { limit = "4M" })
      assert.equal("limit", err.kind)
      has(err.hint, "each")
      assert.equal(1, db:value "select 1")
      local insert = "insert into t select g, repeat('x', 1000) from generate_series(1, 10000) g returning v"
      assert.equal("limit", failure(db.execute, db, insert, psql.options { limit = "1M" }).kind)
      assert.equal(0, db:value "select count(*) from t")
    end)

    it("several in one transaction, all or none", function()
      local done = db:transaction {
        "insert into t values (1, 'a')",
        { "insert into t values ($1, $2), (3, $3) returning id", 2, "b", json.null },
        { "update t set v = 'z' where id = $1", 1, expect = 1 },
      }
      assert.equal(4, done.rows)
      assert.equal("INSERT 0 2", done.results[2].command)
      assert.same({ { id = 2 }, { id = 3 } }, done.results[2].returned)
      local err = failure(db.transaction, db, { "delete from t", { "update t set v = 'q'", expect = 1 } })
      has(err.message, "rolled back")
      assert.equal("23505", failure(db.transaction, db, { "delete from t where id = 2", "insert into t values (1, 'twice')" }).sqlstate)
      assert.equal(3, db:value "select count(*) from t")
      assert.equal("usage", failure(db.transaction, db, {}).kind)
      assert.equal("usage", failure(db.transaction, db, "select 1").kind)
      assert.equal("usage", failure(db.transaction, db, { { "select 1", expekt = 1 } }).kind)
    end)
  end)
end)
