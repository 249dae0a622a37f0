-- psql against a real PostgreSQL: time, cancelling, connecting, and lines that drop.
local host = require "pgsh.host"
local psql = require "pgsh.psql"
local secret = require "pgsh.secret"
local postgres = require "tests.spec.support.postgres"
local pg_proxy = require "tests.spec.support.pg_proxy"
local check = require "tests.spec.support.check"
local write_file = require("tests.spec.support.run").write_file
local failure, has, lacks, until_true, open_files = check.failure, check.has, check.lacks, check.until_true, check.open_files

describe("psql and its server", function()
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
      until_true("locked", function()
        return admin:value "select count(*) from pg_locks where relation = 'locked'::regclass and granted" > 0
      end)
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
      local stubborn = psql.options { lock_timeout = 1, retry = { times = 50, every = 1 } }
      assert.equal("22012", failure(db.execute, db, "select 1/0", stubborn).sqlstate)
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
      db:execute "create table vacuumed as select generate_series(1, 300000)"
      assert.equal("timeout", failure(db.execute, db, "vacuum full vacuumed",
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

    it("more than one where there is a gate, and a twin takes none of their connections", function()
      local former = host.gate(function() end)
      local task = host.spawn("sleeper", function() return pcall(db.value, db, "select pg_sleep(30)") end)
      local ok, problem = pcall(function()
        until_true("it sleeps", function() return busy_sleepers() == 1 end)
        local further = pid()
        local twin = host.psql_twin(db)
        assert.not_equal(further, twin:value "select pg_backend_pid()")
        twin:close()
        assert.equal(further, pid())
      end)
      host.gate(former)
      task:cancel()
      pcall(task.join, task)
      assert.is_true(ok, tostring(problem))
      assert.equal(1, db:value "select 1")
    end)

    -- Another task's turn may come between the answer and the one that waits for it.
    it("a handle that is closed when the answer is there", function()
      local told = 0
      for turns = 1, 6 do
        local own, ok, id = psql(server:conninfo()), nil, nil
        local first = own:identity()
        local asking = host.spawn("asking", function() ok, id = pcall(own.identity, own) end)
        local closing = host.spawn("closing", function()
          for _ = 1, turns do
            host.sleep(0)
            local busy = os.clock() -- the server answers meanwhile: its answer and the next turn are there together
            while os.clock() - busy < 0.02 do end
          end
          host.sleep(0)
          own:close()
        end)
        asking:join()
        closing:join()
        if ok then told = told + 1 end
        if ok then assert.same(first, id) else assert.equal("closed", id.code) end
      end
      assert.is_true(told > 0)
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
      until_true("it listens", function()
        return admin:value "select count(*) from pg_stat_activity where query = 'listen \"news\"'" == 1
      end)
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
      local function write(name, text) write_file(dir .. "/" .. name, text) end
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

    -- f(...), and while it waits for the server, its session is ended there.
    local function killed(f, ...)
      local victim = pid()
      local task = host.spawn("killer", function()
        host.sleep(0.2)
        kill(victim)
      end)
      local result = f(...)
      task:join()
      return result
    end

    it("in a read", function()
      local err = killed(failure, db.value, db, "select pg_sleep(30)")
      assert.equal("psql_connect", err.code)
      assert.equal("57P01", err.sqlstate)
      has(err.message, "terminating connection")
      assert.equal(1, db:value "select 1")
    end)

    it("in a change before the COMMIT: nothing was changed", function()
      local err = killed(failure, db.execute, db, "insert into dropped select 1 from pg_sleep(30)")
      assert.equal("psql_connect", err.code)
      has(err.detail, "nothing was changed")
      assert.equal(0, count())
    end)

    it("outside a transaction: not known", function()
      local err = killed(failure, db.execute, db, "select pg_sleep(30)", psql.options { transaction = false })
      assert.equal("unknown", err.kind)
      has(err.detail, "outside a transaction")
    end)

    it("in a function that acts at once: not known, and resolve is asked", function()
      local act = "select pg_sleep(30), pg_create_restore_point('x')"
      assert.equal("unknown", killed(failure, db.execute, db, act).kind)
      local done = killed(db.execute, db, act, psql.options { resolve = function() return true, { command = "resolved" } end })
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
      admin:execute [[create constraint trigger slow after insert on dropped deferrable initially deferred
        for each row execute function slow()]]
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
