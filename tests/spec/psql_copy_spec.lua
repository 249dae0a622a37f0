-- COPY against a real PostgreSQL: as source and sink of a pipe, errors, cancelling, and lines that drop.
local host = require "pgsh.host"
local pipe = require "pgsh.pipe"
local psql = require "pgsh.psql"
local sh = require "pgsh.sh"
local postgres = require "tests.spec.support.postgres"
local pg_proxy = require "tests.spec.support.pg_proxy"
local check = require "tests.spec.support.check"
local failure, has, lacks, until_true = check.failure, check.has, check.lacks, check.until_true

local ODD = [[select g as id, case g % 7 when 0 then null when 1 then '' when 2 then E'tab\there' when 3 then E'new\nline\r\n'
  when 4 then '"quoted", ''single'' \ back \N' when 5 then 'naïve ☃ 漢字' else E'\\.' || chr(1) || chr(127) end as v,
  decode(md5(g::text), 'hex') as b from generate_series(1, 700) g]]
local SUM = "select count(*) as n, md5(string_agg(id || coalesce(v, '<null>') || coalesce(b::text, '-'), '|' order by id)) as sum from "

describe("psql copy", function()
  local server, admin, db, other

  lazy_setup(function()
    server = postgres.start()
    admin = psql(server:conninfo { application_name = "admin" })
    admin:execute "create table dst (id int, v text, b bytea)"
    admin:execute 'create schema "odd Schema"'
    admin:execute 'create table "odd Schema"."a ""b"".c" (id int, "order" text)'
    admin:execute "create table big (id int, fill text)"
  end)
  lazy_teardown(function()
    admin:close()
    server:remove()
  end)
  before_each(function()
    admin:execute "truncate dst, big"
    db, other = psql(server:conninfo { application_name = "copy" }), psql(server:conninfo { application_name = "copy" })
  end)
  after_each(function()
    db:close()
    other:close()
  end)

  local function count(name) return admin:value("select count(*) from " .. (name or "dst")) end
  local function busy()
    return admin:value "select count(*) from pg_stat_activity where application_name = 'copy' and state <> 'idle'"
  end
  local function lines(n, bad)
    local list = {}
    for i = 1, n do list[i] = (i == bad and "oops" or i) .. "\t" .. ("x"):rep(100) .. "\n" end
    return table.concat(list)
  end

  describe("round trips", function()
    it("odd values in every format", function()
      for _, options in ipairs {
        {}, { format = "text", delimiter = "|", null = "it's null" }, { format = "csv" }, { format = "csv", header = true, null = "NULL" },
        { format = "text", header = true }, { format = "binary" },
      } do
        admin:execute "truncate dst"
        local done = pipe { db:copy_out(ODD, options), other:copy_in("dst", options) }
        assert.equal(700, done.rows)
        assert.equal(done.bytes, done.out_bytes)
        local want = admin:row(SUM .. "(" .. ODD .. ") q")
        assert.same(want, admin:row(SUM .. "dst"))
        assert.equal(100, count "dst where v is null")
      end
    end)

    it("names that need quotes, and some of the columns", function()
      assert.equal(2, pipe { "y\t1\nz\t2\n", db:copy_in [["odd Schema" . "a ""b"".c" ("order", id)]] }.rows)
      assert.same({ { id = 1, order = "y" }, { id = 2, order = "z" } },
        admin:execute([[select id, "order" from "odd Schema"."a ""b"".c" order by id]]).returned)
    end)

    it("nothing at all", function()
      local done = pipe { db:copy_out "select 1 where false", other:copy_in "dst" }
      assert.equal(0, done.bytes)
      assert.equal(0, count())
    end)

    it("a query with a semicolon, a comment, parentheses; text is kept", function()
      for _, sql in ipairs { "select 1;", "select 1 -- one", "(select 1)", "values (1) ; -- it is ;", "table (select 1) q" } do
        local ok, done = pcall(pipe, { db:copy_out(sql), pipe.text() })
        if ok then assert.equal("1\n", done.text.text) else assert.equal("42601", done.sqlstate, sql) end
      end
      assert.equal("a,b\n1,\n", pipe { db:copy_out("select 1 as a, null as b", { format = "csv", header = true }), pipe.text() }.text.text)
    end)

    it("rows larger than a chunk", function()
      local done = pipe { db:copy_out "select 7, repeat('w', 3000000) from generate_series(1, 5)", other:copy_in "big" }
      assert.equal(5, done.rows)
      assert.same({ n = 5, len = 15000000 }, admin:row "select count(*) as n, sum(length(fill))::int8 as len from big")
    end)

    it("many rows, and a reader that is slow", function()
      local query = "select g, repeat('v', 50) from generate_series(1, 300000) g"
      local done = pipe { db:copy_out(query), pipe.hash "sha256", other:copy_in "big" }
      assert.equal(300000, done.rows)
      assert.equal(300000, count "big")
      assert.equal("sha256", (next(done.digest)))
    end)
  end)

  describe("what is refused", function()
    it("queries that are not reads", function()
      for _, sql in ipairs { "insert into dst values (1)", "select 1; select 2", "select pg_promote()", "copy dst to stdout",
        "delete from dst returning id" } do
        assert.equal("read_only", failure(db.copy_out, db, sql).code, sql)
      end
      for _, sql in ipairs { "show work_mem", "explain select 1", "select 1) to program 'true' --", "select 1) to stdout; --", "",
        "select (1", "select 1) union (select 2" } do
        local err = failure(db.copy_out, db, sql)
        assert.is_true(err.kind == "usage" or err.code == "read_only", sql)
      end
      assert.equal("usage", failure(db.copy_out, db, "select $1::int", {}, 1).kind)
      admin:execute "create or replace function sneaky() returns int language sql as 'insert into dst values (1) returning id'"
      assert.equal("25006", failure(pipe, { db:copy_out "select sneaky()", pipe.text() }).sqlstate)
      lacks(server:log(), "program")
      assert.equal(0, count())
    end)

    it("targets that are not a table", function()
      for _, target in ipairs { "", "dst from stdin; drop table dst; --", "dst (a", "dst (a) x", "dst()", "dst (a,)", "a.b.c.d", "dst--x",
        "dst /* x */", '""', '"dst', "(select 1)", "dst from program 'true'", "1dst", "dst.", ".dst", "dst (a b)", 'U&"dst"', "dst;" } do
        assert.equal("usage", failure(db.copy_in, db, target).kind, target)
      end
    end)

    it("options it does not know", function()
      assert.equal("usage", failure(db.copy_in, db, "dst", { formt = "csv" }).kind)
      assert.equal("usage", failure(db.copy_in, db, "dst", { format = "xml" }).kind)
      assert.equal("usage", failure(db.copy_in, db, "dst", { null = "a\0b" }).kind)
      local err = failure(pipe, { "x", db:copy_in("dst", { delimiter = "'); drop table dst; --" }) })
      assert.equal("0A000", err.sqlstate)
      assert.equal(0, count())
    end)
  end)

  describe("errors", function()
    it("in the query: the position is the caller's", function()
      local err = failure(pipe, { db:copy_out "select nonsense", pipe.text() })
      assert.equal("42703", err.sqlstate)
      assert.equal(8, err.position)
      assert.equal(1, db:value "select 1")
    end)

    it("half way out: the sink keeps nothing", function()
      local query = "select g, 1 / (50000 - g) from generate_series(1, 100000) g"
      local err = failure(pipe, { db:copy_out(query), other:copy_in "big (id, fill)" })
      assert.equal("22012", err.sqlstate)
      has(err.message, "copy_out")
      assert.equal(0, count "big")
      assert.same({ 1, 1 }, { db:value "select 1", other:value "select 1" })
      assert.equal(0, busy())
    end)

    it("in the data: the line, and nothing is left", function()
      local err = failure(pipe, { lines(1000, 700), db:copy_in "big" })
      assert.equal("22P02", err.sqlstate)
      has(err.detail, "line 700")
      assert.equal(0, count "big")
      assert.equal("42P01", failure(pipe, { "1\n", db:copy_in "no_such_table" }).sqlstate)
      assert.equal("22P04", failure(pipe, { "1\t2\t3\t4\n", db:copy_in "big" }).sqlstate)
      assert.equal(1, db:value "select 1")
    end)

    it("in the data of an endless stream: at once", function()
      for _ = 1, 10 do
        local err = failure(pipe, { sh.output { "sh", "-c", "yes '1\tx' | head -n 200000; echo oops; yes '1\tx'" },
          db:copy_in "big", timeout = 20 })
        assert.equal("22P02", err.sqlstate, tostring(err) .. (err.detail or "") .. (err.hint or ""))
        has(err.detail, "line 200001")
      end
      assert.equal(0, count "big")
      assert.equal(1, db:value "select 1")
    end)

    it("notices do not stop it", function()
      admin:execute [[create or replace function tell() returns trigger language plpgsql as
        $$begin raise notice 'row % %', new.id, repeat('x', 3000); return new; end$$]]
      admin:execute "create trigger tell before insert on big for each row execute function tell()"
      local done = pipe { lines(2000), db:copy_in "big" }
      assert.equal(2000, done.rows)
      admin:execute "drop trigger tell on big"
    end)

    it("notices of any size and text do not stop it, an error behind them does", function()
      admin:execute [[create or replace function tell() returns trigger language plpgsql as
        $$begin
          if new.id % 50 = 0 then raise notice '%', repeat('E', new.id * 37 % 90000); end if;
          if new.id < 0 then raise exception 'less than none'; end if;
          return new;
        end$$]]
      admin:execute "create trigger tell before insert on big for each row execute function tell()"
      local rows = "awk -v p=%s 'BEGIN { for (i = 1; %s; i++) print i \"\\t\" p }'"
      -- Longer than what is suspect may take, too.
      local some = rows:format(("x"):rep(70), "i <= 20000")
      assert.equal(40000, pipe({ sh.output { "sh", "-c", some .. "; sleep 1.1; " .. some }, db:copy_in "big" }).rows)
      for _ = 1, 3 do
        local endless = some .. "; printf '%s\\t\\n' -1; " .. rows:format("x", "1")
        local err = failure(pipe, { sh.output { "sh", "-c", endless }, db:copy_in "big", timeout = 20 })
        assert.equal("P0001", err.sqlstate, tostring(err))
      end
      admin:execute "drop trigger tell on big"
    end)

    it("lock_timeout, statement_timeout, and a pipe's own", function()
      local holder = host.spawn("holder", function()
        return pcall(other.transaction, other, { "lock table dst", "select pg_sleep(30)" })
      end)
      until_true("locked", function()
        return admin:value "select count(*) from pg_locks where relation = 'dst'::regclass and granted" > 0
      end)
      assert.equal("55P03", failure(pipe, { "1\n", db:copy_in("dst", { lock_timeout = "100ms" }) }).sqlstate)
      local err = failure(pipe, { "1\n", db:copy_in "dst", timeout = 0.2 })
      assert.equal("timeout", err.kind)
      holder:cancel()
      pcall(holder.join, holder)
      assert.equal("57014", failure(pipe, { db:copy_out("select pg_sleep(30)", { statement_timeout = 0.1 }), pipe.text() }).sqlstate)
      -- (A server that waits for data looks at its statement_timeout when some comes.)
      local slowly = sh.output { "sh", "-c", "while sleep 0.05; do echo '1\tx'; done" }
      assert.equal("57014", failure(pipe, { slowly, db:copy_in("big", { statement_timeout = 0.1 }), timeout = 10 }).sqlstate)
      assert.equal(1, db:value "select 1")
      assert.equal(0, count())
    end)

    it("the other end's failure rolls it back", function()
      local err = failure(pipe, { sh.output { "sh", "-c", "echo '1\tx'; sleep 0.1; exit 3" }, db:copy_in "big" })
      assert.equal(3, err.exit_code or err.exit)
      assert.equal(0, count "big")
      local endless = "select generate_series(1, 100000000)"
      failure(pipe, { db:copy_out(endless), pipe.text { limit = "1M" } })
      assert.equal(0, busy())
      assert.same({ 1, 1 }, { db:value "select 1", db:value "select 1" })
    end)

    it("a handle that is busy or closed", function()
      local err = failure(pipe, { db:copy_out "select 1", db:copy_in "dst" })
      assert.equal("busy", err.code)
      assert.equal(1, db:value "select 1")
      local part = db:copy_out "select 1"
      db:close()
      assert.equal("closed", failure(pipe, { part, pipe.text() }).code)
      assert.equal("closed", failure(db.copy_in, db, "dst").code)
    end)
  end)

  describe("cancelled", function()
    local function cancelled(parts, seconds)
      local task = host.spawn("pipe", function() return pipe(parts) end)
      host.sleep(seconds)
      task:cancel()
      local err = failure(task.join, task)
      assert.equal("cancelled", err.kind)
      assert.equal(0, busy())
      assert.same({ 1, 1 }, { db:value "select 1", other:value "select 1" })
    end

    it("out, in, and between two handles: the server is idle, nothing is left", function()
      local endless = "select g, 'x' from generate_series(1, 100000000) g"
      local pids = { db:value "select pg_backend_pid()", other:value "select pg_backend_pid()" }
      cancelled({ db:copy_out(endless), pipe.hash "sha256" }, 0.2)
      cancelled({ db:copy_out "select pg_sleep(30)", pipe.text() }, 0.1)
      cancelled({ db:copy_out(endless), other:copy_in "big" }, 0.3)
      cancelled({ sh.output { "sleep", "30" }, db:copy_in "big" }, 0.1)
      for i = 1, 12 do cancelled({ db:copy_out(endless), other:copy_in "big" }, i * 0.002) end
      assert.equal(0, count "big")
      assert.same(pids, { db:value "select pg_backend_pid()", other:value "select pg_backend_pid()" })
    end)

    it("at any moment of a short one: all or nothing", function()
      for i = 1, 30 do
        admin:execute "truncate big"
        local task = host.spawn("pipe", function() return pipe { lines(50), db:copy_in "big" } end)
        host.sleep(i * 0.0003)
        task:cancel()
        local ok, done = pcall(task.join, task)
        local n = count "big"
        assert.is_true(n == 0 or n == 50)
        if ok then assert.equal(50, done.rows) elseif done.kind == "cancelled" then assert.equal(0, n) end
        assert.equal(1, db:value "select 1")
      end
      assert.equal(0, busy())
    end)
  end)

  describe("a line that drops", function()
    local proxy, through
    lazy_setup(function() proxy = pg_proxy.start(server.port) end)
    lazy_teardown(function() proxy:stop() end)
    before_each(function()
      through = psql(server:conninfo { port = proxy.port })
      through:value "select 1"
    end)
    after_each(function() through:close() end)

    it("in the data: nothing was changed", function()
      for _, seconds in ipairs { 0.05, 0.3 } do
        local victim = db:value "select pg_backend_pid()"
        local task = host.spawn("killer", function()
          host.sleep(seconds)
          admin:execute("select pg_terminate_backend($1)", victim)
        end)
        local err = failure(pipe, { sh.output "yes '1\tx'", db:copy_in "big", timeout = 20 })
        task:join()
        assert.equal("psql_connect", err.code)
        has(err.detail, "nothing was changed")
        assert.equal(0, count "big")
      end
      local victim = db:value "select pg_backend_pid()"
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        admin:execute("select pg_terminate_backend($1)", victim)
      end)
      local err = failure(pipe, { db:copy_out "select generate_series(1, 100000000)", pipe.hash "sha256" })
      task:join()
      assert.equal("psql_connect", err.code)
      -- A server that is terminated while it cannot write does not say why.
      assert.is_true(err.sqlstate == "57P01" or err.sqlstate == "08006", err.sqlstate)
      assert.equal(1, db:value "select 1")
    end)

    it("after the COMMIT: the server's record says so", function()
      proxy:mode "cut_after"
      local done = pipe { lines(1000), through:copy_in "big" }
      assert.equal(1000, done.rows)
      has(done.settled_by, "committed")
      assert.equal(1000, count "big")
    end)

    it("before the COMMIT: nothing was changed", function()
      proxy:mode "cut_before"
      local err = failure(pipe, { lines(1000), through:copy_in "big" })
      assert.equal("psql_connect", err.code)
      has(err.detail, "rolled back")
      assert.equal(0, count "big")
      assert.equal(1, through:value "select 1")
    end)

    it("of a read at its COMMIT: it does not matter", function()
      proxy:mode "cut_after"
      assert.equal("5\n", pipe { through:copy_out "select 5", pipe.text() }.text.text)
    end)

    it("a COMMIT that hangs and is interrupted is looked up", function()
      proxy:mode "mute"
      local task = host.spawn("pipe", function() return pipe { lines(10), through:copy_in "big" } end)
      until_true("the COMMIT has come", function() return proxy:fired() end)
      host.sleep(0.1)
      task:cancel()
      local ok, done = pcall(task.join, task)
      assert.is_true(ok or done.kind == "unknown", tostring(done))
      assert.equal(10, count "big")
    end)
  end)

  it("shows what it is", function()
    has(db:copy_out("select 1 as x", { format = "csv" }), "copy (select 1 as x ) to stdout with (format csv)")
    has(db:copy_in "dst (id)", "copy dst (id) from stdin")
  end)
end)
