-- A server without an address: everything through the programs beside it. Here they run on this machine, behind what an ssh handle or a
-- pod offers; in the end with what can go wrong on the way.
local host, postgres, sh = require "pgsh.host", require "pgsh.postgres", require "pgsh.sh"
local pg_world = require "tests.spec.support.pg_world"
local failure = require("tests.spec.support.check").failure

-- What runs commands "there"; change(command, what) may spoil one.
local function place(change)
  local function given(command, what) return change and change(command, what) or command end
  return {
    read = function(_, command, options) return sh.read(given(command, "read"), options) end,
    run = function(_, command, options) return sh.run(given(command, "run"), options) end,
    output = function(_, command, options) return sh.output(given(command, "output"), options) end,
    input = function(_, command, options) return sh.input(given(command, "input"), options) end,
  }
end

describe("a remote server", function()
  local server, target, dir

  local function remote(of, change)
    of:start()
    return postgres.remote(place(change), {
      name = "there", user = "postgres",
      env = { PGHOST = of.env.PGHOST, PGPORT = of.env.PGPORT, PATH = of.bin .. ":" .. host.getenv "PATH" },
    })
  end

  setup(function()
    server = postgres.throwaway {}
    pg_world.build(server)
    dir = sh.run({ "mktemp", "-d" }).out:match "%S+"
  end)
  teardown(function()
    server:close()
    sh.run { "rm", "-rf", dir }
  end)
  after_each(function()
    if target then target:close() end
    target = nil
  end)

  it("answers as a psql handle does", function()
    local db = remote(server)
    assert.equal(1, db:value "select 1")
    assert.equal(9007199254740993, db:value "select 9007199254740993::int8")
    assert.is_nil(db:value "select null::text")
    assert.is_nil(db:row "select 1 where false")
    assert.same({ a = true, b = "line\nit's \\ \"ü\"" }, db:row([[select $1 as a, $2::text as b]], true, "line\nit's \\ \"ü\""))
    assert.same({ a = "costs $1", b = 7 }, db:row("select 'costs $1' as a, i as b from generate_series(6, 8) i where i = $1 /* $2 */", 7))
    local seen = {}
    for row in db:each "select i from generate_series(3, 1, -1) i order by i desc" do seen[#seen + 1] = row.i end
    assert.same({ 3, 2, 1 }, seen)
    assert.equal("app", db:at("app"):value "select current_database()")
    assert.same({ "a", "b" }, { db:value("select string_agg(x, ',') from unnest($1::text[]) x", "{a,b}"):match "(a),(b)" })
  end)

  it("changes nothing when it is asked", function()
    for _, sql in ipairs {
      "select lo_create(0)", "select pg_terminate_backend(1)", "create table escaped ()", "select 1; select 2", "",
      "select 1) x; commit; create table escaped (); select (1", "select 1 -- ) x; \n) x; commit; create table escaped (); select (1",
    } do
      assert.equal("refused", failure(function() remote(server):value(sql) end).kind, sql)
    end
    local err = failure(function() remote(server):value "select nextval('untouched')" end)
    assert.equal("psql", err.kind)
    err = failure(function() remote(server):at("app"):value "select nextval('untouched')" end)
    assert.same({ "psql", "25006" }, { err.kind, err.sqlstate })
    assert.is_nil(remote(server):value "select to_regclass('escaped')::text")
    assert.equal(1, remote(server):value "select 1 -- the end")
  end)

  it("says what the server says", function()
    local err = failure(function() remote(server):value "select 1 / 0" end)
    assert.same({ "psql", "22012", "division by zero" }, { err.kind, err.sqlstate, err.message })
    err = failure(function() remote(server):at("nowhere"):value "select 1" end)
    assert.same({ "psql", "psql_connect" }, { err.kind, err.code })
    assert.is_true(err.retryable)
    assert.matches("nowhere", err.message)
    assert.matches("one row", failure(function() remote(server):row "select 1 from generate_series(1, 2)" end).message)
    assert.equal("42P18", failure(function() remote(server):value("select $2", 1) end).sqlstate)
    assert.matches("it has no read", failure(postgres.remote, {}).message)
    remote(server):execute "create table if not exists made ()"
    err = failure(function() remote(server):execute "create table made ()" end)
    assert.same({ "psql", "42P07" }, { err.kind, err.sqlstate })
    remote(server):execute "drop table made"
  end)

  it("does not take half an answer for a whole one, nor half a question", function()
    for _, size in ipairs { 0, 1, 10, 27, 40 } do
      local cut = remote(server, function(command, what)
        return what == "read" and { "sh", "-c", 'n=$1; shift; "$@" | head -c "$n"', "cut", size, table.unpack(command) }
      end)
      local err = failure(function() cut:rows "select i from generate_series(1, 100) i" end)
      assert.matches("cut short", err.message, 1, true)
      assert.is_true(err.retryable)
    end
    for _, size in ipairs { 0, 30, 60, 100, 120, 150 } do
      local cut = remote(server, function(command, what)
        return what == "read" and { "sh", "-c", 'n=$1; shift; head -c "$n" | "$@"', "cut", size, table.unpack(command) }
      end)
      failure(function() cut:rows "select 1 as i union all select 2 union all select 3" end)
    end
  end)

  it("has the same inventory as by its address", function()
    local by_address, there = postgres.inventory(server), postgres.inventory(remote(server))
    local difference = postgres.compare(by_address, there)
    assert.is_true(difference.same, difference.text)
    assert.same(#by_address.databases, #there.databases)
    assert.same({ by_address.roles, by_address.memberships, by_address.settings }, { there.roles, there.memberships, there.settings })
    for i, one in ipairs(by_address.databases) do
      assert.same(one.content and one.content.tables, there.databases[i].content and there.databases[i].content.tables)
      assert.same(one.content and one.content.sequences, there.databases[i].content and there.databases[i].content.sequences)
    end
    local empty, found = postgres.is_empty(remote(server))
    assert.is_false(empty)
    assert.is_true(#found > 10)
  end)

  describe("with a dump", function()
    local path, there
    before_each(function()
      path, there = dir .. "/cluster.sql.gz", dir .. "/there.sql.gz"
    end)

    it("is dumped and restored, and is the same", function()
      local made = postgres.dump { from = remote(server), to = path }
      assert.equal("cluster", made.format)
      assert.is_true(made.estimate > 0)
      sh.run { "cp", path, there }
      target = postgres.throwaway {}
      assert.is_true((postgres.is_empty(remote(target))))
      local result = postgres.restore {
        from = path, into = remote(target), there = there, allow = postgres.exists_already { roles = { "postgres" } },
      }
      assert.equal(1, result.allowed_count)
      local difference = postgres.compare(postgres.inventory(server), postgres.inventory(remote(target)))
      assert.is_true(difference.same, difference.text)
      -- And not a second time.
      assert.matches("not empty", failure(postgres.restore, { from = path, into = remote(target), there = there }).message)
    end)

    it("stops at the first error that is not allowed, there too", function()
      postgres.dump { from = remote(server), to = path }
      sh.run { "cp", path, there }
      target = postgres.throwaway {}
      local function restored(allow, change)
        local err = failure(postgres.restore, { from = path, into = remote(target, change), there = there, allow = allow, empty = false })
        local db <close> = target:psql()
        assert.equal(0, db:value "select count(*) from pg_stat_activity where application_name = 'pgsh restore'")
        return err, db:value "select count(*) from pg_database where datname = 'empty one'"
      end
      for _, allow in ipairs {
        {}, postgres.exists_already { roles = { "other" } }, { { sqlstate = "42704", object = 'role "postgres"' } },
        { { sqlstate = "42P04", name = "postgres" }, { sqlstate = "42710", name = "postgresql" } },
      } do
        local err, later = restored(allow)
        assert.same({ "psql", "42710" }, { err.kind, err.sqlstate })
        assert.equal(0, later, "it went on behind the error")
      end
      assert.matches("without line breaks", restored({ { sqlstate = "42710", name = "a\nb" } }).message)
      -- The word of the far side alone is not believed either.
      local err = restored({}, function(command, what)
        if what ~= "run" then return end
        local words = { table.unpack(command) }
        words[3] = words[3]:gsub("judge%(%) {", "judge() { return 0; }; unused() {")
        words[3] = words[3]:gsub("ON_ERROR_STOP=1", "X=1")
        return words
      end)
      assert.equal("42710", err.sqlstate)
    end)

    it("does not restore a copy that is another one, or is cut", function()
      postgres.dump { from = remote(server), to = path }
      target = postgres.throwaway {}
      for _, spoil in ipairs { 'head -c 2000 "$1" >"$2"', 'sed "s/a/b/" "$1" >"$2"', 'rm -f "$2"' } do
        sh.run { "sh", "-c", spoil, "spoil", path, there }
        failure(postgres.restore, { from = path, into = remote(target), there = there })
        assert.is_true((postgres.is_empty(remote(target))))
      end
    end)

    it("is not restored in part without a word: the copy changes behind the check, or psql is ended", function()
      postgres.dump { from = remote(server), to = path }
      sh.run { "cp", path, there }
      target = postgres.throwaway {}
      for _, instead in ipairs {
        'head -c 3000 "$file" | gzip -dc', 'gzip -dc <"$file" | head -n 40; false', 'gzip -dc <"$file" | head -n 90; kill -9 0',
      } do
        local err = failure(postgres.restore, {
          from = path, there = there, empty = false, allow = { { sqlstate = "42710", object = "role" } },
          into = remote(target, function(command, what)
            if what ~= "run" then return end
            local words = { table.unpack(command) }
            words[3] = words[3]:gsub('gzip %-dc <"$file";', function() return "{ " .. instead .. "; };" end)
            assert.is_truthy(words[3]:find(instead, 1, true))
            return words
          end),
        })
        assert.is_truthy(err.kind == "io" or err.kind == "process" or err.kind == "psql", tostring(err))
      end
    end)

    it("does not get its name when it is cut on the way", function()
      local cut = remote(server, function(command, what)
        return what == "output" and { "sh", "-c", '"$@" | head -c 20000', "cut", table.unpack(command) }
      end)
      local err = failure(postgres.dump, { from = cut, to = dir .. "/cut.sql.gz" })
      assert.equal("io", err.kind)
      assert.equal("", sh.read({ "sh", "-c", 'ls -A "$1" | grep cut || :', "ls", dir }).out)
    end)
  end)
end)
