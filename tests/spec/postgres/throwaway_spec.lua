local host, postgres, psql, sh = require "pgsh.host", require "pgsh.postgres", require "pgsh.psql", require "pgsh.sh"
local run = require "tests.spec.support.run"
local failure = require("tests.spec.support.check").failure

local function exists(path) return os.rename(path, path) ~= nil end

-- Processes that belong to a directory: the server, what starts it, the guardian.
local function processes(dir)
  return sh.read("ps -eo stat=,args= | awk '!/^Z/ && index($0, ENVIRON[\"D\"])'", { env = { D = dir } }).out
end

local function until_gone(dir, seconds)
  local deadline = host.mono() + (seconds or 8) * 1000
  while exists(dir) and host.mono() < deadline do host.sleep(0.05) end
  assert.is_false(exists(dir), dir .. " is still there")
  while processes(dir) ~= "" and host.mono() < deadline do host.sleep(0.05) end
  assert.equal("", processes(dir))
end

local function services(box)
  return run.write_file(box.dir .. "/services", "[nonesuch]\nhost=192.0.2.3\nhostaddr=192.0.2.4\nport=2\nuser=nobody\n")
end

describe("installations", function()
  it("are found, newest first", function()
    local list = postgres.installations()
    assert.is_true(#list >= 1)
    for i, one in ipairs(list) do
      assert.is_true(exists(one.bin .. "/initdb"))
      assert.matches("^%d+", one.version)
      assert.is_true(math.type(one.major) == "integer" and (i == 1 or one.major <= list[i - 1].major))
    end
  end)
end)

describe("a throwaway server", function()
  it("is not alive when it was killed", function()
    local server <close> = postgres.throwaway()
    assert.is_true(server:alive())
    local reads = { branch = "spec", phase = "run", changes = "refuse" }
    host.within(reads, server.alive, server)
    assert.equal(1, reads.reads)
    local pid = run.read_file(server.dir .. "/run/data/postmaster.pid"):match "%d+"
    sh.run { "kill", "-9", pid }
    while sh.read({ "/bin/sh", "-c", ("grep -qs '^State:.[^Z]' /proc/%s/status"):format(pid), "x" }, { ok = { 0, 1, 2 } }).exit == 0 do
      host.sleep(0.01)
    end
    assert.is_false(server:alive())
  end)
  it("is there, only for us, and gone at the end of its scope", function()
    local dir
    do
      local server <close> = postgres.throwaway { settings = { work_mem = "9MB", cluster_name = "it's \\ x" } }
      dir = server.dir
      local db <close> = server:psql()
      assert.equal("9MB", db:value "show work_mem")
      assert.equal("it's \\ x", db:value "show cluster_name")
      assert.equal("", db:value "show listen_addresses")
      assert.equal("C", db:value "select datcollate from pg_database where datname = 'postgres'")
      assert.equal("off", db:value "show fsync")
      assert.equal(server.version, db:value("show server_version"):match "^%S+")
      assert.equal("700", sh.read({ "stat", "-c", "%a", dir .. "/run" }).out:match "%d+")
      assert.matches("database system is ready", server:log())
      assert.is_true(server:alive())
      assert.equal("1\n", sh.read({ server.bin .. "/psql", "-XAtc", "select 1" }, { env = server.env }).out)
      assert.matches("^throwaway PostgreSQL 1%d", tostring(server))
      db:execute "create table t ()"
    end
    until_gone(dir, 1)
  end)
  it("can be closed twice, and is not used after that", function()
    local server = postgres.throwaway { user = "some one" }
    local db = server:psql "template1"
    assert.equal("some one", db:value "select current_user::text")
    db:close()
    server:close()
    server:close()
    assert.is_false(server:alive())
    assert.equal("closed", failure(server.conninfo, server).code)
    until_gone(server.dir, 0.2)
  end)
  it("is gone after an error", function()
    local dir
    failure(function()
      local server <close> = postgres.throwaway {}
      dir = server.dir
      error "something else"
    end)
    until_gone(dir, 0.2)
  end)
  it("is gone when somebody has removed its directory", function()
    local server <close> = postgres.throwaway {}
    sh.run { "rm", "-rf", server.dir }
    until_gone(server.dir .. "/run", 8)
    until_gone(server.dir, 8)
  end)
  it("is gone when nobody has it any more", function()
    local dir = postgres.throwaway({}).dir
    collectgarbage()
    collectgarbage()
    until_gone(dir)
  end)
  it("is gone when its task is cancelled while it starts", function()
    local parent = sh.run({ "mktemp", "-d" }).out:match "%S+"
    sh.run { "chmod", "755", parent }
    for _, after in ipairs { 0.02, 0.1, 0.3, 0.5 } do
      local task = host.spawn("spec", function()
        local server <close> = postgres.throwaway { dir = parent }
        host.sleep(10)
        return server
      end)
      host.sleep(after)
      task:cancel()
      failure(task.join, task)
      local left = sh.read({ "ls", "-A", parent }).out
      assert.equal("", left, ("after %s s"):format(after))
    end
    until_gone(parent .. "/pgsh-throwaway", 6)
    sh.run { "rmdir", parent }
  end)

  describe("of a pgsh", function()
    local box
    before_each(function() box = run.box() end)
    after_each(function() box:remove() end)

    local CODE = [[
      local t <close> = postgres.throwaway { dir = %q }
      local db <close> = t:psql()
      log(t:conninfo() .. " " .. db:value "select 7")
      wait(60)
    ]]

    local function parent()
      sh.run { "mkdir", "-p", box.dir .. "/pg" }
      sh.run { "chmod", "755", box.dir, box.dir .. "/pg" }
      return box.dir .. "/pg"
    end

    for _, signal in ipairs { "KILL", "INT", "TERM", "HUP" } do
      it("that gets SIG" .. signal .. " is gone", function()
        local process = box:start { "-e", CODE:format(parent()) }
        process:expect "host=.* 7"
        local dir = process:stderr():match "host='(/[^']*)/run'"
        assert.is_true(exists(dir))
        process:signal(signal)
        process:wait(20)
        until_gone(dir)
      end)
    end
    it("is the one that is reached, whatever the environment says", function()
      local result = box:pgsh({ "-e", ([[
        local t <close> = postgres.throwaway { dir = %q }
        local db <close> = t:psql()
        log("here: " .. db:value "show unix_socket_directories")
        log("there: " .. sh.read({ t.bin .. "/psql", "-XAtc", "show unix_socket_directories" }, { env = t.env }).out)
        postgres.dump { from = t, to = %q .. "/x.sql" }
        log(postgres.inventory(t).server.version)
      ]]):format(parent(), box.dir) }, { env = { PGHOSTADDR = "192.0.2.1", PGHOST = "192.0.2.2", PGSERVICE = "nonesuch", PGPORT = "1",
        PGDATABASE = "x", PGTARGETSESSIONATTRS = "standby", PGCONNECT_TIMEOUT = "2", PGSERVICEFILE = services(box) } })
      assert.equal(0, result.exit, result.stderr)
      assert.matches("here: \"" .. box.dir .. "/pg/", result.stderr)
      assert.matches("there: \"" .. box.dir .. "/pg/", result.stderr)
    end)
    for _, after in ipairs { 0.05, 0.15, 0.4 } do
      it("that is killed while it starts, after " .. after .. " s", function()
        local where = parent()
        local process = box:start { "-e", CODE:format(where) }
        host.sleep(after)
        process:signal "KILL"
        process:wait(20)
        local deadline = host.mono() + 8000
        repeat
          host.sleep(0.1)
          local left = sh.read({ "ls", "-A", where }).out
        until left == "" or host.mono() > deadline
        host.sleep(0.3)
        assert.equal("", sh.read({ "ls", "-A", where }).out)
        until_gone(where .. "/pgsh-throwaway", 3)
      end)
    end
  end)

  describe("says clearly what is wrong", function()
    it("with the binaries", function()
      local err = failure(postgres.throwaway, { bin = "/nonesuch" })
      assert.equal("usage", err.kind)
      assert.matches("/nonesuch has no initdb and postgres", err.message)
      assert.matches("here: /", err.message)
      assert.matches("no server of version 9 to start", failure(postgres.throwaway, { version = 9 }).message)
      assert.matches("abc is no version", failure(postgres.throwaway, { version = "abc" }).message)
    end)
    it("with a locale that is not there", function()
      local err = failure(postgres.throwaway, { locale = "xx_YY.UTF-8" })
      assert.equal("refused", err.kind)
      assert.matches("the locale xx_YY.UTF%-8 does not exist on this machine; there are: ", err.message)
      err = failure(postgres.throwaway, { lc_ctype = "C.utf9" })
      assert.matches("near: C.utf8", err.message)
    end)
    it("with the disk", function()
      local err = failure(postgres.throwaway, { room = 1 << 60 })
      assert.equal("refused", err.kind)
      assert.matches("a throwaway server needs about 1024.0 PiB, and /%S+ has ", err.message)
    end)
    it("with a directory the server's user cannot reach", function()
      if sh.read({ "id", "-u" }).out ~= "0\n" then return end
      local closed = sh.run({ "mktemp", "-d" }).out:match "%S+"
      local err = failure(postgres.throwaway, { dir = closed })
      assert.matches("the user %a+ cannot reach " .. closed .. "/%S+: give dir", err.message)
      assert.equal("", sh.read({ "ls", "-A", closed }).out)
      sh.run { "rmdir", closed }
      assert.equal("io", failure(postgres.throwaway, { dir = "/nonesuch" }).kind)
    end)
    it("with an option", function()
      assert.matches("unknown option setings %(did you mean settings%?%)", failure(postgres.throwaway, { setings = {} }).message)
      assert.matches("locale is to be a string", failure(postgres.throwaway, { locale = 1 }).message)
      assert.matches("user may not", failure(postgres.throwaway, { user = "it's" }).message)
      assert.matches("no name of a setting", failure(postgres.throwaway, { settings = { ["a b"] = 1 } }).message)
      assert.matches("give a shorter dir", failure(postgres.throwaway, { dir = "/tmp/" .. ("x/../"):rep(30) }).message)
    end)
    it("with what initdb and the server say", function()
      assert.matches("did not start: .*unrecognized option", failure(postgres.throwaway, { initdb = { "--nonsense" } }).message)
      local err = failure(postgres.throwaway, { settings = { nonsense = 1 } })
      assert.equal("process", err.kind)
      assert.matches("did not start: .*nonsense", err.message)
    end)
    it("and leaves nothing", function()
      assert.equal("", sh.read("ls -d /tmp/pgsh-throwaway." .. host.pid .. ".* 2>/dev/null || true").out)
    end)
  end)

  it("has other locales and encodings", function()
    local server <close> = postgres.throwaway { locale = "C.UTF-8", encoding = "SQL_ASCII", initdb = { "--wal-segsize=1" } }
    local db <close> = server:psql()
    assert.equal("SQL_ASCII", db:value "show server_encoding")
    assert.matches("C.UTF%-?8", db:value "show lc_collate")
    assert.equal("1MB", db:value "show wal_segment_size")
    local other <close> = postgres.throwaway { icu_locale = "de", locale = "C.UTF-8" }
    local odb <close> = psql(other:conninfo "postgres")
    assert.equal("i", odb:value "select datlocprovider::text from pg_database where datname = 'postgres'")
  end)
  it("in a plan is shown, and what is read of it is unknown", function()
    host.within({ branch = "spec", phase = "run", changes = "show" }, function()
      local session = require "pgsh.session"
      local former = session.current
      session.current = { scope = { changes = "show", phase = "run" } }
      local server <close> = postgres.throwaway {}
      local db <close> = server:psql "x"
      assert.matches("known after the run", tostring(db:value "select 1"))
      assert.matches("known after the run", tostring(postgres.inventory(server)))
      assert.is_nil(server.dir)
      session.current = former
    end)
  end)
end)
