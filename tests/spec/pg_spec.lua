-- pg: against a real server, with sessions that wait for each other.
local host = require "pgsh.host"
local pg = require "pgsh.pg"
local psql = require "pgsh.psql"
local postgres = require "tests.spec.support.postgres"

describe("pg", function()
  local server, db, others

  setup(function()
    server = postgres.start()
    server:psql "create table t (a int); insert into t select generate_series(1, 5000); analyze t; create table \"Other\" (b text)"
  end)
  teardown(function() server:remove() end)
  before_each(function()
    others = {}
    db = psql(server:conninfo())
  end)
  after_each(function()
    for _, other in ipairs(others) do
      other.task:cancel()
      pcall(other.task.join, other.task)
      other.db:close()
    end
    db:close()
  end)

  -- A session that does something for long; its pid.
  local function session(...)
    local other = { db = psql(server:conninfo()) }
    others[#others + 1] = other
    local pid = other.db:value "select pg_backend_pid()"
    local statements = { ... }
    other.task = host.spawn("session", function()
      return pcall(other.db.transaction, other.db, statements)
    end)
    return pid
  end

  -- Wait until a look holds.
  local function soon(look)
    for _ = 1, 200 do
      local value = look()
      if value then return value end
      host.sleep(0.02)
    end
    error "it did not happen"
  end

  it("shows who is at work, and what he waits for", function()
    local pid = session("select pg_sleep(30) /* the long one */")
    local row = soon(function()
      for _, seen in ipairs(pg.activity(db)) do
        if seen.pid == pid and seen.state == "active" and seen.wait then return seen end
      end
    end)
    assert.equal("Timeout:PgSleep", row.wait)
    assert.truthy(row.query:find("the long one", 1, true))
    assert.equal("pgsh", row.application)
    for _, seen in ipairs(pg.activity(db)) do assert.not_equal("idle", seen.state) end
  end)

  it("shows the tree of those who wait for each other", function()
    local first = session("lock table t in access exclusive mode", "select pg_sleep(30)")
    soon(function() return server:psql "select count(*) from pg_locks where relation = 't'::regclass and granted" == "1" end)
    local second = session("lock table \"Other\"", "select count(*) from t")
    soon(function() return #pg.locks(db) == 2 end)
    local third = session("select count(*) from \"Other\"")
    local tree = soon(function()
      local rows = pg.locks(db)
      return #rows == 3 and rows
    end)
    assert.same({ first, second, third }, { tree[1].pid, tree[2].pid, tree[3].pid })
    assert.same({ 0, 1, 2 }, { tree[1].depth, tree[2].depth, tree[3].depth })
    assert.equal("AccessShareLock on t", tree[2].waits_for)
    assert.equal('AccessShareLock on "Other"', tree[3].waits_for)
    assert.equal("  └ " .. third, tree[3].tree)
    assert.equal(1, tree[1].blocks)
  end)

  it("names a prepared transaction that blocks", function()
    server:psql "begin; lock table t; prepare transaction 'forgotten'"
    session("select count(*) from t")
    local tree = soon(function()
      local rows = pg.locks(db)
      return #rows == 2 and rows
    end)
    assert.equal("prepared forgotten", tree[1].tree)
    assert.equal("prepared transaction", tree[1].state)
    server:psql "rollback prepared 'forgotten'"
  end)

  it("does not wait for a locked table when it looks for bloat", function()
    session("lock table t in access exclusive mode", "select pg_sleep(30)")
    soon(function() return server:psql "select count(*) from pg_locks where relation = 't'::regclass and granted" == "1" end)
    local rows = pg.bloat(db)
    assert.equal("t", rows[1].table)
    local ok, problem = pcall(pg.sizes, db)
    assert.is_false(ok)
    assert.equal("55P03", problem.sqlstate)
  end)

  it("estimates bloat", function()
    assert.truthy(pg.bloat(db)[1].bloat_percent <= 10, pg.bloat(db)[1].bloat_percent)
    server:psql "create table b as select i, repeat('x', 100) x from generate_series(1, 5000) i"
    server:psql "delete from b where i % 4 > 0; analyze b"
    local row = pg.bloat(db)[1]
    assert.equal("b", row.table)
    assert.truthy(row.bloat_percent >= 65 and row.bloat_percent <= 80, row.bloat_percent)
    server:psql "drop table b"
  end)

  it("ends a session, and says which in what is journaled", function()
    local pid = session("select pg_sleep(30) /* victim */")
    soon(function() return server:psql("select state from pg_stat_activity where pid = " .. pid) == "active" end)
    local result = pg.terminate(db, pid)
    assert.is_true(result.returned[1].sent)
    soon(function() return server:psql("select count(*) from pg_stat_activity where pid = " .. pid) == "0" end)
    local ok, problem = pcall(pg.terminate, db, pid)
    assert.is_false(ok)
    assert.equal("usage", problem.kind)
  end)

  it("cancels a statement, and leaves the session", function()
    local pid = session("select pg_sleep(30)")
    soon(function() return server:psql("select state from pg_stat_activity where pid = " .. pid) == "active" end)
    pg.cancel(db, pid)
    local ok, problem = others[1].task:join()
    assert.is_false(ok)
    assert.equal("57014", problem.sqlstate)
    assert.equal(pid, others[1].db:value "select pg_backend_pid()")
  end)

  it("shows replication, progress, sizes and settings", function()
    server:psql "select pg_create_physical_replication_slot('unread', true)"
    local row = pg.replication(db)[1]
    assert.equal("unread", row.slot)
    assert.equal("INACTIVE", row.state)
    server:psql "select pg_drop_replication_slot('unread')"
    assert.equal(0, #pg.progress(db))
    assert.equal("t", pg.sizes(db)[1].table)
    for _, setting in ipairs(pg.settings(db)) do
      assert.is_nil(({ application_name = 1, transaction_read_only = 1 })[setting.name], setting.name)
    end
    assert.equal("40", pg.settings(db, "^max_connections$")[1].value)
  end)

  it("refuses what is no handle, and unknown options", function()
    local ok, problem = pcall(pg.activity, "service=x")
    assert.is_false(ok)
    assert.truthy(problem.message:find("a handle of psql", 1, true))
    ok, problem = pcall(pg.activity, db, { ilde = true })
    assert.is_false(ok)
    assert.truthy(problem.message:find("unknown option 'ilde'", 1, true))
  end)
end)
