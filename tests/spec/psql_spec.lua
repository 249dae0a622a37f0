-- psql against a real PostgreSQL: values, reads that stay reads, changes and their outcomes, lines that drop.
local host = require "pgsh.host"
local json = require "pgsh.json"
local psql = require "pgsh.psql"
local secret = require "pgsh.secret"
local postgres = require "tests.spec.support.postgres"
local pg_proxy = require "tests.spec.support.pg_proxy"

-- The error of f(...), which must be one.
local function failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

local function has(text, part)
  assert.is_truthy(tostring(text):find(part, 1, true), ("%q is not in: %s"):format(part, tostring(text)))
end

local function lacks(text, part)
  assert.is_falsy(tostring(text):find(part, 1, true), ("%q is in: %s"):format(part, tostring(text)))
end

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

local function open_files()
  local n = 0
  for _ in require("lfs").dir "/proc/self/fd" do n = n + 1 end
  return n
end

local function until_true(what, f)
  for _ = 1, 200 do
    if f() then return end
    host.sleep(0.02)
  end
  error("waited in vain: " .. what)
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
  local function busy_sleepers()
    return admin:value "select count(*) from pg_stat_activity where query ~ 'pg_sleep' and state = 'active' and pid <> pg_backend_pid()"
  end

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

    it("rows, row and value of nothing and of too much", function()
      assert.same(0, #db:rows "select 1 where false")
      assert.same({ "a" }, db:rows("select 1 as a where false").columns)
      assert.is_nil(db:row "select 1 where false")
      assert.is_nil(db:value "select 1 where false")
      has(failure(db.row, db, "select generate_series(1,3)").message, "3 rows where one was expected")
      assert.equal("usage", failure(db.value, db, "select generate_series(1,2)").kind)
    end)

    it("parameters", function()
      local row = db:row("select $1::text as s, $2::int as i, $3::float8 as f, $4::bool as b, $5::text as n, $6::jsonb as j, $7::text as last",
        "naïve", 7, 0.1, true, json.null, { a = { 1, "two" }, b = json.null }, nil)
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
      assert.equal("limit", failure(db.execute, db, "insert into t select g, repeat('x', 1000) from generate_series(1, 10000) g returning v",
        psql.options { limit = "1M" }).kind)
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

  describe("time", function()
    before_each(function()
      admin:execute "drop table if exists locked"
      admin:execute "create table locked (id int)"
    end)

    -- Holds a lock on the table while f runs.
    local function while_locked(f)
      local holder = psql(server:conninfo { application_name = "the-holder" })
      local task = host.spawn("holder", function()
        return pcall(holder.transaction, holder, { "lock table locked", "select pg_sleep(30)" })
      end)
      until_true("locked", function() return admin:value "select count(*) from pg_locks where relation = 'locked'::regclass and granted" > 0 end)
      local result = table.pack(pcall(f, task))
      task:cancel()
      pcall(task.join, task)
      holder:close()
      if not result[1] then error(result[2], 0) end
    end

    it("lock_timeout names who is in the way", function()
      while_locked(function()
        local err = failure(db.execute, db, "alter table locked add column x int", psql.options { lock_timeout = "600ms" })
        assert.equal("55P03", err.sqlstate)
        has(err.detail, "blocked by pid")
        has(err.detail, "the-holder")
        has(err.hint, "retry")
      end)
    end)

    it("retries a lock_timeout, and nothing else", function()
      while_locked(function(holder)
        local trying = host.spawn("ddl", function()
          return db:execute("alter table locked add column y int",
            psql.options { lock_timeout = "100ms", retry = { times = 100, every = "50ms" } })
        end)
        host.sleep(0.5)
        assert.is_false(trying:done())
        holder:cancel()
        assert.equal("ALTER TABLE", trying:join().command)
      end)
      assert.equal("usage", failure(db.execute, db, "select 1", psql.options { retry = { times = 2 } }).kind)
      local started = os.time()
      assert.equal("22012", failure(db.execute, db, "select 1/0", psql.options { lock_timeout = 1, retry = { times = 50, every = 1 } }).sqlstate)
      assert.is_true(os.time() - started < 5)
    end)

    it("statement_timeout is the server's", function()
      local err = failure(db.rows, db, "select pg_sleep(10)", psql.options { statement_timeout = "200ms" })
      assert.equal("psql", err.kind)
      assert.equal("57014", err.sqlstate)
      has(err.hint, "statement_timeout")
      assert.equal("0", db:value "show statement_timeout")
    end)

    it("timeout stops the statement on the server and keeps the connection", function()
      local backend = pid()
      local err = failure(db.rows, db, "select pg_sleep(30)", psql.options { timeout = "200ms" })
      assert.equal("timeout", err.kind)
      assert.equal(0, busy_sleepers())
      assert.equal(backend, pid())
      err = failure(db.execute, db, "insert into locked select 1 from pg_sleep(30)", psql.options { timeout = 0.2 })
      assert.equal("timeout", err.kind)
      assert.equal("timeout", failure(db.execute, db, "vacuum full pg_class, locked, pg_attribute",
        psql.options { timeout = 0.001, transaction = false }).kind)
      assert.equal(backend, pid())
      assert.equal(0, db:value "select count(*) from locked")
    end)

    it("a cancelled task leaves the server idle and the handle usable", function()
      local backend = pid()
      local task = host.spawn("sleeper", function() return db:value "select pg_sleep(30)" end)
      until_true("it sleeps", function() return busy_sleepers() == 1 end)
      task:cancel()
      local err = failure(task.join, task)
      assert.equal("cancelled", err.kind)
      assert.equal(0, busy_sleepers())
      assert.equal(backend, pid())
    end)

    it("a cancel at any moment does no harm", function()
      for i = 1, 40 do
        local task = host.spawn("quick", function()
          while true do db:execute("insert into locked values ($1)", i) end
        end)
        host.sleep(i * 0.0007)
        task:cancel()
        local err = failure(task.join, task)
        assert.is_true(err.kind == "cancelled" or err.kind == "unknown", tostring(err))
        assert.equal(1, db:value "select 1")
      end
      assert.equal(0, admin:value "select count(*) from pg_stat_activity where state like 'idle in transaction%'")
    end)

    it("one task at a time", function()
      local task = host.spawn("sleeper", function() return pcall(db.value, db, "select pg_sleep(30)") end)
      until_true("it sleeps", function() return busy_sleepers() == 1 end)
      local err = failure(db.value, db, "select 1")
      assert.equal("busy", err.code)
      has(err.message, "another task")
      assert.equal("busy", failure(db.rebind, db).code)
      task:cancel()
      pcall(task.join, task)
      assert.equal(1, db:value "select 1")
    end)

    it("listens", function()
      local listening = host.spawn("listener", function() return db:listen("news", "10s") end)
      until_true("it listens", function() return admin:value "select count(*) from pg_stat_activity where query = 'listen \"news\"'" == 1 end)
      admin:execute("select pg_notify('news', 'hello')")
      local got = listening:join()
      assert.same({ "news", "hello" }, { got.channel, got.payload })
      assert.is_nil(db:listen("news", 0.1))
      assert.is_nil(db:listen('we"ird', 0.05))
      assert.equal(1, db:value "select 1")
      local task = host.spawn("listener", function() return db:listen "news" end)
      host.sleep(0.1)
      task:cancel()
      assert.equal("cancelled", failure(task.join, task).kind)
      assert.equal(1, db:value "select 1")
    end)
  end)

  describe("connecting", function()
    local password = "s3cr3t-Pa%ss w0rd"

    it("wrong password", function()
      local bad = psql(server:conninfo { user = "app", password = "wrong-passw0rd" })
      local err = failure(bad.value, bad, "select 1")
      assert.equal("psql_connect", err.code)
      assert.equal("28P01", err.sqlstate)
      assert.is_true(err.retryable)
      has(err.message, "password authentication failed")
      lacks(tostring(err) .. tostring(err.detail), "wrong-passw0rd")
      bad:close()
      local good = psql(server:conninfo { user = "app", password = password })
      assert.equal("app", good:value "select current_user")
      good:close()
    end)

    it("nobody there, no such host, no such database", function()
      local refused = psql("postgresql://app:topsecret@127.0.0.1:1/x")
      local err = failure(refused.value, refused, "select 1")
      assert.equal("psql_connect", err.code)
      has(err.message, "refused")
      lacks(tostring(err), "topsecret")
      assert.equal("psql 127.0.0.1:1/x", tostring(refused))
      local nowhere = psql("host=no-such-host.invalid dbname=x")
      err = failure(nowhere.value, nowhere, "select 1")
      assert.equal("psql_connect", err.code)
      has(err.message, "no-such-host.invalid")
      local missing = psql(server:conninfo { dbname = "missing" })
      assert.equal("3D000", failure(missing.value, missing, "select 1").sqlstate)
    end)

    it("a host that does not answer", function()
      local silent = require("socket").bind("127.0.0.1", 0)
      local _, port = silent:getsockname()
      local mute = psql(("host=127.0.0.1 port=%d"):format(port), { connect_timeout = "200ms" })
      local err = failure(mute.value, mute, "select 1")
      assert.equal("psql_connect", err.code)
      has(err.message, "connect_timeout")
      mute = psql(("host=127.0.0.1 port=%d"):format(port))
      err = failure(mute.value, mute, "select 1", psql.options { timeout = "100ms" })
      assert.equal("timeout", err.kind)
      silent:close()
    end)

    it("a connection string that does not parse does not leak", function()
      for _, text in ipairs { "password=topsecret host", "postgresql://u:topsecret@h/x?nonsense", "postgresql://u:tops%zzcret@h/x",
        "host=h password='topsecret" } do
        local err = failure(psql, text)
        assert.equal("usage", err.kind)
        lacks(tostring(err) .. tostring(err.hint) .. tostring(err.detail), "tops")
      end
      lacks(tostring(psql "postgres://u:top@secret@h/x"), "secret")
    end)

    it("names", function()
      assert.equal("psql crates-io DATABASE", tostring(psql { name = "crates-io DATABASE", conninfo = function() end }))
      assert.equal("psql db.example:5433/app", tostring(psql "postgresql://u:pw@db.example:5433/app"))
      assert.equal("psql service main", tostring(psql "service=main"))
      assert.equal("usage", failure(psql, { conninfo = function() end }).kind)
      assert.equal("usage", failure(psql, 5).kind)
      assert.equal("usage", failure(psql, "x", { nam = "y" }).kind)
    end)

    it("PG* variables, service file and password file, as libpq does them", function()
      local dir = os.tmpname()
      os.remove(dir)
      postgres.must("mkdir " .. dir)
      local function write(name, text)
        local file = assert(io.open(dir .. "/" .. name, "w"))
        file:write(text)
        file:close()
      end
      write("service", ("[main]\nhost=127.0.0.1\nport=%d\nuser=app\ndbname=postgres\n"):format(server.port))
      write("pass", ("127.0.0.1:%d:*:app:%s\n"):format(server.port, password))
      postgres.must("chmod 600 " .. dir .. "/pass")
      write("s.lua", [[
        local psql = require "pgsh.psql"
        for _, conninfo in ipairs { arg[1] } do
          local db = psql(conninfo ~= "" and conninfo or nil)
          print(tostring(db), db:value "select current_user || ' ' || current_setting('application_name')")
        end]])
      local pgsh = postgres.must("readlink /proc/$PPID/exe"):match "%S+"
      local function run(env, conninfo)
        return postgres.must(("env PGSERVICEFILE=%s/service PGPASSFILE=%s/pass %s %s lua %s/s.lua %s"):format(dir, dir, env, pgsh, dir,
          postgres.quote(conninfo)))
      end
      has(run("", "service=main"), "app pgsh")
      has(run("PGSERVICE=main", ""), "app pgsh")
      has(run(("PGHOST=127.0.0.1 PGUSER=app PGDATABASE=postgres PGPORT=%d PGAPPNAME=mine"):format(server.port), ""), "app mine")
      postgres.must("rm -r " .. dir)
    end)

    it("a late-bound address is asked for on first need, again when refused, and after rebind", function()
      local asked, answers = 0, {}
      local late = psql { name = "late", conninfo = function()
        asked = asked + 1
        host.sleep(0.01) -- it may wait
        return answers[math.min(asked, #answers)]
      end }
      assert.equal(0, asked)
      answers[1] = server:conninfo { user = "app", password = "old" }
      answers[2] = server:conninfo { user = "app", password = password }
      -- The first answer is fresh, so a refusal is the answer's own.
      assert.equal("28P01", failure(late.value, late, "select 1").sqlstate)
      assert.equal(1, asked)
      -- The next attempt finds a remembered answer refused, and asks again.
      assert.equal("app", late:value "select current_user")
      assert.equal(2, asked)
      late:value "select 1"
      assert.equal(2, asked)
      answers[3] = secret(server:conninfo { user = "plain" })
      late:rebind()
      assert.equal("plain", late:value "select current_user")
      assert.equal(3, asked)
      late:close()
    end)

    it("what the function raises, or returns by mistake", function()
      local late = psql { name = "late", conninfo = function() error "no luck" end }
      has(tostring(failure(late.value, late, "select 1")), "no luck")
      late = psql { name = "late", conninfo = function() return 5 end }
      has(failure(late.value, late, "select 1").message, "returned number")
      late = psql { name = "late", conninfo = function() host.sleep(30) end }
      local err = failure(late.value, late, "select 1", psql.options { timeout = 0.1 })
      assert.equal("timeout", err.kind)
      late = psql { name = "late", conninfo = function() return "password=topsecret host" end }
      err = failure(late.value, late, "select 1")
      assert.equal("usage", err.kind)
      lacks(tostring(err), "topsecret")
    end)

    it("closing", function()
      assert.equal(1, db:value "select 1")
      db:close()
      db:close()
      assert.equal("closed", failure(db.value, db, "select 1").code)
      assert.equal("closed", failure(db.rebind, db).code)
      has(tostring(db), "closed")
      do
        local scoped <close> = psql(server:conninfo())
        assert.equal(1, scoped:value "select 1")
      end
      local files = open_files()
      for _ = 1, 20 do
        local one <close> = psql(server:conninfo())
        one:value "select 1"
      end
      host.sleep(0.01)
      assert.is_true(open_files() <= files + 1)
    end)

    it("closing under a running statement", function()
      local task = host.spawn("sleeper", function() return pcall(db.value, db, "select pg_sleep(30)") end)
      until_true("it sleeps", function() return busy_sleepers() == 1 end)
      db:close()
      local ok, err = task:join()
      assert.is_false(ok)
      assert.equal("closed", err.code)
      admin:execute "select pg_cancel_backend(pid) from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()"
    end)

    it("who answers", function()
      local id = db:identity()
      assert.equal(server:psql "select system_identifier from pg_control_system()", id.system_identifier)
      assert.equal("00000001", id.timeline)
      assert.is_false(id.in_recovery)
      assert.is_true(id.server_version >= 150000)
    end)
  end)

  describe("a line that drops", function()
    local proxy, through
    lazy_setup(function()
      proxy = pg_proxy.start(server.port)
      admin:execute "create table if not exists dropped (id int)"
    end)
    lazy_teardown(function() proxy:stop() end)
    before_each(function()
      admin:execute "truncate dropped"
      through = psql(server:conninfo { port = proxy.port })
    end)
    after_each(function() through:close() end)
    local function count() return admin:value "select count(*) from dropped" end

    it("while idle: nobody notices", function()
      local first = pid()
      kill(first)
      host.sleep(0.1)
      assert.are_not.equal(first, pid())
      first = pid()
      kill(first)
      assert.equal("INSERT 0 1", db:execute("insert into dropped values (1)").command)
      kill(pid())
      assert.equal("VACUUM", db:execute("vacuum dropped", psql.options { transaction = false }).command)
      assert.equal(1, count())
    end)

    it("while idle, by a restart", function()
      assert.equal(1, db:value "select 1")
      server:stop "immediate"
      local err = failure(db.value, db, "select 1")
      assert.equal("psql_connect", err.code)
      server:start()
      assert.equal(1, db:value "select 1")
    end)

    it("in a read", function()
      local victim = pid()
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local err = failure(db.value, db, "select pg_sleep(30)")
      task:join()
      assert.equal("psql_connect", err.code)
      assert.equal("57P01", err.sqlstate)
      has(err.message, "terminating connection")
      assert.equal(1, db:value "select 1")
    end)

    it("in a change before the COMMIT: nothing was changed", function()
      local victim = pid()
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local err = failure(db.execute, db, "insert into dropped select 1 from pg_sleep(30)")
      task:join()
      assert.equal("psql_connect", err.code)
      has(err.detail, "nothing was changed")
      assert.equal(0, count())
    end)

    it("outside a transaction: not known", function()
      local victim = pid()
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local err = failure(db.execute, db, "select pg_sleep(30)", psql.options { transaction = false })
      task:join()
      assert.equal("unknown", err.kind)
      has(err.detail, "outside a transaction")
    end)

    it("in a function that acts at once: not known, and resolve is asked", function()
      local victim = pid()
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local act = "select pg_sleep(30), pg_create_restore_point('x')"
      assert.equal("unknown", failure(db.execute, db, act).kind)
      task:join()
      victim = pid()
      task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local done = db:execute(act, psql.options { resolve = function() return true, { command = "resolved" } end })
      task:join()
      assert.equal("resolved", done.command)
    end)

    it("at the COMMIT, which was made: the server's record says so", function()
      through:value "select 1"
      proxy:mode "cut_after"
      local done = through:execute "insert into dropped values (1) returning id"
      assert.equal(1, done.rows)
      assert.same({ { id = 1 } }, done.returned)
      has(done.settled_by, "committed")
      assert.equal(1, count())
    end)

    it("at the COMMIT, which was not made: nothing was changed", function()
      through:value "select 1"
      proxy:mode "cut_before"
      local err = failure(through.execute, through, "insert into dropped values (1)")
      assert.equal("psql_connect", err.code)
      has(err.detail, "rolled back")
      assert.equal(0, count())
      assert.equal(1, through:value "select 1")
    end)

    it("at the COMMIT of a read: it does not matter", function()
      through:value "select 1"
      proxy:mode "cut_after"
      assert.equal(5, through:value "select 5")
      assert.equal(6, through:value "select 6")
    end)

    it("at the COMMIT, by a restart", function()
      -- A deferred trigger makes the COMMIT last.
      admin:execute "create or replace function slow() returns trigger language plpgsql as $$begin perform pg_sleep(30); return null; end$$"
      admin:execute "create constraint trigger slow after insert on dropped deferrable initially deferred for each row execute function slow()"
      local task = host.spawn("restart", function()
        host.sleep(0.3)
        server:stop "immediate"
        server:start()
      end)
      local err = failure(db.execute, db, "insert into dropped values (1)")
      task:join()
      assert.equal("psql_connect", err.code)
      has(err.detail, "nothing was changed")
      admin:execute "drop trigger slow on dropped"
      assert.equal(0, count())
    end)

    it("at the COMMIT, and the server is not to be asked: unknown", function()
      local other = pg_proxy.start(server.port)
      local cut = psql(server:conninfo { port = other.port })
      cut:value "select 1"
      other:mode "refuse_after"
      local err = failure(cut.execute, cut, "insert into dropped values (1)", psql.options { timeout = "1s" })
      assert.equal("unknown", err.kind)
      assert.equal(1, count())
      local done = pcall(cut.value, cut, "select 1")
      assert.is_false(done)
      cut:close()
      other:stop()
    end)

    it("a COMMIT that is never answered: after the deadline the record is asked over another connection", function()
      through:value "select 1"
      proxy:mode "mute"
      local done = through:execute("insert into dropped values (1)", psql.options { timeout = "300ms" })
      has(done.settled_by, "committed")
      assert.equal(1, through:value "select 1")
      assert.equal(1, count())
    end)

    it("outside a transaction and never answered: unknown, and the handle goes on", function()
      through:value "select 1"
      proxy:mode "mute"
      local err = failure(through.execute, through, "select 'commit\0'", psql.options { timeout = "100ms", transaction = false })
      assert.equal("usage", err.kind)
      err = failure(through.execute, through, "do 'begin commit; end'", psql.options { timeout = "100ms", transaction = false })
      assert.equal("unknown", err.kind)
      assert.equal(1, through:value "select 1")
    end)

    it("another cluster at the same address is refused until rebound", function()
      local first = postgres.start()
      local moved = psql(first:conninfo())
      local old = moved:identity().system_identifier
      first:stop()
      local second = postgres.start { port = first.port }
      local err = failure(moved.value, moved, "select 1")
      assert.equal("refused", err.kind)
      has(err.message, old)
      has(err.message, second:psql "select system_identifier from pg_control_system()")
      has(err.hint, "rebind")
      moved:rebind()
      assert.equal(1, moved:value "select 1")
      moved:close()
      second:remove()
      first:remove()
    end)

    it("a standby that was promoted in between cannot answer for the old timeline", function()
      -- The same cluster on a new timeline: the number may mean another transaction there.
      local old = postgres.start()
      local cut_proxy = pg_proxy.start(old.port)
      local cut = psql(old:conninfo { port = cut_proxy.port })
      cut:execute "create table x (id int)"
      cut_proxy:mode "cut_after"
      local task = host.spawn("promote", function()
        until_true("committed", function() return old:psql "select count(*) from x" == "1" end)
        old:stop "immediate"
        io.open(old.dir .. "/data/standby.signal", "w"):close()
        old:start()
        old:psql "select pg_promote()"
      end)
      local ok, result = pcall(cut.execute, cut, "insert into x values (1)")
      task:join()
      -- Asked before the server went down: committed. After: unknown, and it says why.
      if ok then
        has(result.settled_by, "committed")
      else
        assert.equal("unknown", result.kind)
        has(result.detail, "timeline")
      end
      cut:close()
      cut_proxy:stop()
      old:remove()
    end)
  end)
end)
