-- pgsh is killed while a change is on its way to a real PostgreSQL. What became of it is told by the server's record, by the note
-- that stood in the journal before the COMMIT was sent.
local host = require "pgsh.host"
local psql = require "pgsh.psql"
local postgres = require "tests.spec.support.postgres"
local pg_proxy = require "tests.spec.support.pg_proxy"
local run = require "tests.spec.support.run"
local check = require "tests.spec.support.check"
local has, until_true = check.has, check.until_true

describe("a change that was on its way when pgsh was killed", function()
  local server, admin, proxy, box

  lazy_setup(function()
    server = postgres.start()
    admin = psql(server:conninfo { application_name = "admin" })
    proxy = pg_proxy.start(server.port)
  end)
  lazy_teardown(function()
    proxy:stop()
    admin:close()
    server:remove()
  end)
  before_each(function()
    admin:execute "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pgsh'"
    admin:execute "drop table if exists t"
    admin:execute "create table t (id int)"
    box = run.box()
  end)
  after_each(function()
    proxy:mode "pass"
    box:remove()
  end)

  -- One step with one change; `after` is Lua behind it, where `done` is its result.
  local function procedure(change, after)
    local file = assert(io.open(box.dir .. "/proc.lua", "w"))
    file:write(([[
      procedure { name = "proc", summary = "One change" }
      local db = psql { name = "the database", conninfo = %q }
      step "Change" (function()
        local done = %s
        %s
      end)
    ]]):format(server:conninfo { port = proxy.port }, change, after or ""))
    file:close()
  end

  local function start()
    return box:start { box.dir .. "/proc.lua", "-y", "--no-input", "--on-failure", "stop" }
  end
  local function resume()
    return box:pgsh { "resume", "last", "-y", "--no-input", "--on-failure", "stop" }
  end
  local function count() return admin:value "select count(*) from t" end
  local function kill(process)
    process:signal "KILL"
    assert.equal(137, process:wait().exit)
  end
  local function events(kind)
    local list = {}
    local id = run.shell(("ls -t %s/state/pgsh/runs 2>/dev/null"):format(box.dir)):match "%w+" -- the newest
    for _, event in ipairs(id and box:journal(id) or {}) do
      if event.type == kind then list[#list + 1] = event end
    end
    return list
  end
  local function crash(...)
    local env = run.crash(...)
    env.ASAN_OPTIONS = "verify_asan_link_order=0" -- the shim comes first
    return env
  end
  local function noted() return #events "effect.noted" > 0 end
  local function held() return proxy:fired() end
  local function outcomes()
    local list = {}
    for i, event in ipairs(events "effect.outcome") do list[i] = event.outcome .. (event.how and " by " .. event.how or "") end
    return list
  end
  -- How many backends are there that pgsh left behind?
  local function backends(what)
    return admin:value("select count(*) from pg_stat_activity where application_name = 'pgsh' and query ~ $1", what)
  end
  local function killed_when(mode, ready)
    proxy:mode(mode)
    local process = start()
    until_true("it is on its way", ready)
    kill(process)
    proxy:mode "pass"
  end
  local INSERT = 'db:execute "insert into t values (1)"'

  local function resumed(exit)
    local result = resume()
    assert.equal(exit, result.exit, result.stderr)
    return result
  end

  describe("at its COMMIT", function()
    it("which was made: it is not made again", function()
      procedure(INSERT, 'assert(done.rows == nil and done.settled_by:find "committed") return done.settled_by')
      killed_when("mute", function() return count() == 1 end)
      assert.same({}, outcomes())
      resumed(0)
      assert.equal(1, count())
      assert.same({ "ok by record" }, outcomes())
      has(events "effect.outcome"[1].result.settled_by, "= committed")
      assert.equal(1, #events "effect.intent")
      assert.equal("step.done", events "step.done"[1].type)
    end)

    it("which did not reach the server: it is made, once", function()
      procedure(INSERT, "assert(done.rows == 1)")
      killed_when("hold", held)
      assert.equal(0, count())
      resumed(0)
      assert.equal(1, count())
      assert.same({ "failed by record", "ok" }, outcomes())
      has(events "effect.outcome"[1].error.detail, "rolled back")
      assert.equal(2, #events "effect.intent")
    end)

    it("of several statements", function()
      procedure('db:transaction { "insert into t values (1)", "insert into t values (2)" }', "assert(done.settled_by)")
      killed_when("mute", function() return count() == 2 end)
      resumed(0)
      assert.equal(2, count())
    end)

    local COPY = 'pipe { "1\\n2\\n3\\n", db:copy_in "t" }'

    it("of a COPY, which was made", function()
      procedure(COPY, 'assert(done.rows == nil and done.settled_by:find "committed")')
      killed_when("mute", function() return count() == 3 end)
      resumed(0)
      assert.equal(3, count())
      assert.same({ "ok by record" }, outcomes())
    end)

    it("of a COPY, which did not reach the server", function()
      procedure(COPY, "assert(done.rows == 3)")
      killed_when("hold", held)
      resumed(0)
      assert.equal(3, count())
      assert.same({ "failed by record", "ok" }, outcomes())
    end)

    it("while the transaction is open on the server: it is waited for", function()
      procedure(INSERT)
      killed_when("strand", held)
      local task = host.spawn("end it", function()
        host.sleep(1)
        assert.same({}, outcomes())
        assert.equal(1, backends "xact_id")
        admin:execute "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgsh'"
      end)
      local process = box:start { "resume", "last", "-y", "--no-input" }
      task:join()
      assert.equal(0, process:wait().exit)
      assert.equal(1, count())
      assert.same({ "failed by record", "ok" }, outcomes())
    end)

    it("again at the resume: still once", function()
      procedure 'db:execute "insert into t select 1 from pg_sleep(0.5)"'
      killed_when("hold", held)
      local process = box:start { "resume", "last", "-y", "--no-input" }
      until_true("the second attempt", function() return #events "effect.intent" == 2 end)
      proxy:mode "mute"
      until_true("its COMMIT", function() return count() == 1 end)
      kill(process)
      proxy:mode "pass"
      resumed(0)
      assert.equal(1, count())
      assert.same({ "failed by record", "ok by record" }, outcomes())
    end)

    it("and the next change of the same step is made as ever", function()
      procedure(INSERT, 'db:execute "insert into t values (2)"')
      killed_when("mute", function() return count() == 1 end)
      resumed(0)
      assert.equal(2, count())
    end)

    it("of a transaction without a number: unknown", function()
      procedure 'db:execute "notify news"'
      killed_when("hold", held)
      has(resumed(6).stderr, "no number")
      assert.same({ "unknown" }, outcomes())
    end)

    it("and the server's statistics were reset since, as after a crash: a commit is not believed", function()
      procedure(INSERT)
      killed_when("mute", function() return count() == 1 end)
      admin:execute "select pg_stat_reset_shared('bgwriter')"
      resumed(6)
      has(events "effect.outcome"[1].error.detail, "crashed")
      assert.equal(1, count())
    end)

    it("and the server crashed and lost it: it is made, once", function()
      procedure(INSERT)
      killed_when("strand", held)
      server:stop "immediate"
      server:start()
      resumed(0)
      assert.equal(1, count())
    end)

    it("and another cluster answers: unknown, and resolve decides", function()
      local other = postgres.start()
      other:psql "create table t (id int)"
      local text = 'db:execute("insert into t values (1)", psql.options { resolve = function() %s end })'
      procedure(text:format "error 'no access'")
      killed_when("mute", function() return count() == 1 end)
      local function move(resolve)
        procedure(text:format(resolve))
        local file = assert(io.open(box.dir .. "/proc.lua"))
        local moved = file:read "a":gsub("port='%d+'", ("port='%d'"):format(other.port))
        file:close()
        run.write_file(box.dir .. "/proc.lua", moved)
      end
      move "error 'no access'"
      resumed(6)
      has(events "effect.outcome"[1].error.detail, "another database cluster")
      has(events "effect.outcome"[1].error.detail, "no access")
      move "return true, { rows = 1 }"
      resumed(0)
      assert.same({ "unknown", "ok by record" }, outcomes())
      assert.equal("0", other:psql "select count(*) from t")
      other:remove()
    end)

    it("and the note is damaged: unknown", function()
      procedure(INSERT)
      killed_when("mute", function() return count() == 1 end)
      local _, path = box:journal()
      local text = run.read_file(path)
      run.write_file(path, (text:gsub("xid=%d+", "xid=x")))
      resumed(6)
      has(events "effect.outcome"[1].error.detail, "cannot be read")
      assert.equal(1, count())
    end)
  end)

  describe("before its COMMIT", function()
    local SLOW = "insert into t select 1 from pg_sleep(1)"

    it("it is made, once", function()
      procedure(('db:execute "%s"'):format(SLOW))
      killed_when("pass", function() return backends "pg_sleep" == 1 end)
      assert.is_false(noted())
      resumed(0)
      until_true("the old one has ended", function() return backends "." == 0 end)
      assert.equal(1, count())
      assert.same({ "failed by journal", "ok" }, outcomes())
    end)

    it("outside a transaction: unknown, not made again", function()
      procedure(('db:execute("%s", psql.options { transaction = false })'):format(SLOW))
      killed_when("pass", function() return backends "pg_sleep" == 1 end)
      resumed(6)
      -- Nor when the script has been edited into a transaction since: what counts is what was let out.
      procedure(('db:execute "%s"'):format(SLOW))
      resumed(6)
      until_true("it has ended", function() return backends "." == 0 end)
      assert.equal(1, count())
      assert.equal(1, #events "effect.intent")
    end)

    it("in a function that acts at once: unknown", function()
      procedure [[db:execute "select pg_sleep(1), pg_create_restore_point('x')"]]
      killed_when("pass", function() return backends "pg_sleep" == 1 end)
      resumed(6)
      assert.equal(1, #events "effect.intent")
    end)

    it("with a function that acts at once, and it was rolled back: unknown all the same", function()
      procedure [[db:transaction { "insert into t values (1)", "select pg_create_restore_point('x')" }]]
      killed_when("hold", held)
      resumed(6)
      has(events "effect.outcome"[1].error.detail, "acts at once")
      assert.equal(1, #events "effect.intent")
    end)
  end)

  describe("the note", function()
    it("is on disk before the COMMIT is sent, and the outcome behind it", function()
      procedure(INSERT)
      proxy:mode "hold"
      local process = start()
      until_true("the COMMIT is held", held)
      local last = box:journal()
      assert.equal("effect.noted", last[#last].type)
      kill(process)
      local intent, note = events "effect.intent"[1], events "effect.noted"[1]
      assert.is_true(intent.notes)
      assert.same({ intent.effect, intent.branch, intent.order }, { note.effect, note.branch, note.order })
      assert.is_truthy(note.note:find "^xid=%d+ lsn=%x+/%x+ timeline=%x+ epoch=[%d.]+ system=%d+$", note.note)
      assert.equal(admin:value "select system_identifier from pg_control_system()", math.tointeger(note.note:match "system=(%d+)"))
      assert.equal(0, count())
      local log = server:log()
      assert.is_truthy(log:find("insert into t values (1)", 1, true))
    end)

    it("cannot be kept: the change is rolled back", function()
      local state = postgres.start()
      procedure('select(2, pcall(db.execute, db, "insert into t select 1 from pg_sleep(1)"))',
        "print(done.message)")
      local where = ("postgresql://postgres@127.0.0.1:%d/postgres"):format(state.port)
      local process = box:start { box.dir .. "/proc.lua", "-y", "--no-input", "--on-failure", "stop", "--state", where }
      until_true("it runs", function() return backends "pg_sleep" == 1 end)
      state:stop "immediate"
      local result = process:wait(120)
      state:remove()
      assert.is_true(result.exit ~= 0 and result.exit < 128, result.stderr)
      has(result.stdout, "cannot write the journal")
      assert.equal(0, count())
    end)

    it("is one of the writes of the journal, before each of which pgsh may be killed: the change is made, once", function()
      procedure(INSERT)
      local counted = box.dir .. "/writes"
      local whole = box:pgsh({ box.dir .. "/proc.lua", "-y", "--no-input" }, { env = crash(nil, "after", counted) })
      assert.equal(0, whole.exit, whole.stderr)
      admin:execute "truncate t"
      local writes = tonumber(run.read_file(counted):match "%d+")
      assert.is_true(writes > 3)
      for i = 1, writes do
        box:remove()
        box = run.box()
        procedure(INSERT)
        admin:execute "truncate t"
        local cut = box:pgsh({ box.dir .. "/proc.lua", "-y", "--no-input" }, { env = crash(i, "torn") })
        assert.equal(137, cut.exit)
        if #events "run.started" > 0 then resumed(0) end
        assert.is_true(count() == (#events "run.started" > 0 and 1 or 0), "write " .. i)
      end
    end)
  end)

  it("an answer that is lost while pgsh lives is journaled as told by the record, too", function()
    procedure(INSERT, "assert(done.rows == 1)")
    proxy:mode "cut_after"
    assert.equal(0, start():wait().exit)
    assert.same({ "ok by record" }, outcomes())
    procedure(INSERT)
    proxy:mode "cut_before"
    assert.equal(1, start():wait().exit)
    assert.same({ "failed by record" }, outcomes())
    has(events "effect.outcome"[1].error.detail, "rolled back")
    assert.equal(1, count())
  end)
end)
