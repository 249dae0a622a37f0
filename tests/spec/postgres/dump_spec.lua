-- A dump is complete or it is not there; what was changed afterwards is found.
local host, postgres, sh, secret = require "pgsh.host", require "pgsh.postgres", require "pgsh.sh", require "pgsh.secret"
local marker = require "pgsh.postgres.marker"
local hash = require "pgsh.hash"
local failure = require("tests.spec.support.check").failure
local run = require "tests.spec.support.run"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local write = run.write_file

local function names(dir) return sh.read({ "ls", "-A", dir }).out end

describe("a dump", function()
  local server, dir, text, before
  setup(function()
    server = postgres.throwaway {}
    local db <close> = server:psql()
    db:execute "create table t as select i, md5(i::text) from generate_series(1, 2000) i"
    db:execute "create role someone"
    before = sh.run({ "mktemp", "-d" }).out:match "%S+"
    postgres.dump { from = server, to = before .. "/x.sql" }
    text = read(before .. "/x.sql")
  end)
  teardown(function()
    server:close()
    sh.run { "rm", "-rf", before }
  end)
  before_each(function() dir = sh.run({ "mktemp", "-d" }).out:match "%S+" end)
  after_each(function() sh.run { "rm", "-rf", dir } end)

  it("that is cut at any place never gets its name", function()
    local at, whole = {}, #text
    for _, n in ipairs { 0, 1, 100, whole // 2, whole - 1000 } do at[#at + 1] = n end
    local from = 1
    repeat -- behind everything that looks like an end
      local _, last = text:find("dump complete", from, true)
      if last then
        for shift = -1, 1 do at[#at + 1] = last + shift end
        from = last + 1
      end
    until not last
    local limit = whole - 1 -- the last line is empty: nothing is lost with it
    for n = whole - 60, limit - 1 do at[#at + 1] = n end
    for _, n in ipairs(at) do
      local source = sh.output { "head", "-c", n, before .. "/x.sql" }
      local err = failure(postgres.dump, { source = source, from = server, to = dir .. "/y.sql.gz" })
      assert.equal("io", err.kind, n)
      assert.equal("", names(dir), n)
    end
    local made = postgres.dump { source = sh.output { "head", "-c", limit, before .. "/x.sql" }, to = dir .. "/y.sql.gz" }
    assert.equal(limit, made.plain_bytes)
  end)
  it("with something behind its end does not keep its name", function()
    local source = sh.output("cd " .. before .. "; cat x.sql; echo 'select 1;'")
    assert.matches("behind the end", failure(postgres.dump, { source = source, to = dir .. "/y.sql" }).message)
    assert.equal("", names(dir))
  end)
  it("whose program fails never gets its name, though the text is whole", function()
    for _, command in ipairs { "cat x.sql; exit 1", "cat x.sql; kill -9 $$", "head -c 50000 x.sql; kill -TERM $$" } do
      local source = sh.output("cd " .. before .. "; " .. command)
      assert.equal("process", failure(postgres.dump, { source = source, to = dir .. "/y.sql.gz" }).kind, command)
      assert.equal("", names(dir), command)
    end
  end)
  it("whose program is killed half way leaves nothing", function()
    local source = sh.output("cd " .. before .. "; echo $$ > " .. before .. "/pid; head -c 50000 x.sql; exec sleep 30")
    local task = host.spawn("spec", function() return postgres.dump { source = source, to = dir .. "/y.sql.gz" } end)
    host.sleep(0.4)
    assert.matches("%.y%.sql%.gz%..*%.part", names(dir))
    sh.run("kill -9 $(cat " .. before .. "/pid)")
    assert.equal("process", failure(task.join, task).kind)
    assert.equal("", names(dir))
  end)
  it("that is interrupted leaves nothing", function()
    local source = sh.output("cd " .. before .. "; head -c 50000 x.sql; exec sleep 30")
    local task = host.spawn("spec", function() return postgres.dump { source = source, to = dir .. "/y.sql.gz" } end)
    host.sleep(0.3)
    task:cancel()
    failure(task.join, task)
    assert.equal("", names(dir))
  end)
  it("of a server that goes away leaves nothing", function()
    local other = postgres.throwaway {}
    local conninfo = other:conninfo()
    other:close()
    local err = failure(postgres.dump, { from = conninfo, to = dir .. "/y.sql.gz", disk = false })
    assert.equal("process", err.kind)
    assert.matches("connection to server", err.detail)
    assert.equal("", names(dir))
  end)
  it("keeps what was there before, when it fails", function()
    write(dir .. "/y.sql.gz", "old")
    failure(postgres.dump, { source = sh.output "false", to = dir .. "/y.sql.gz" })
    assert.equal("old", read(dir .. "/y.sql.gz"))
  end)
  it("in one gzip member when that is asked for", function()
    local one = postgres.dump { from = server, to = dir .. "/y.sql.gz", single = true, level = 9, checksum = false, mode = 384 }
    assert.is_nil(one.checksums)
    assert.equal("y.sql.gz\n", names(dir))
    assert.is_truthy(postgres.validate(one.path, { checksum = false, sha512 = one.sha512.file, plain_sha512 = one.sha512.plain }))
    assert.equal("io", failure(postgres.validate, one.path, { checksum = false, sha512 = one.sha512.plain }).kind)
    assert.equal("io", failure(postgres.validate, one.path, { checksum = false, plain_sha512 = one.sha512.file }).kind)
  end)
  it("is refused when there is no room", function()
    local err = failure(postgres.dump, { from = server, to = dir .. "/y.sql.gz", disk = 1e12 })
    assert.equal("refused", err.kind)
    assert.matches("the dump of %S+ MiB needs about .* PiB, and /tmp/%S+ has ", err.message)
    assert.equal("refused", failure(postgres.dump, { source = "x", to = dir .. "/y.sql.gz", estimate = 1 << 60 }).kind)
  end)
  it("says what is wrong with its arguments", function()
    for _, given in ipairs {
      {}, { to = "x" }, { from = "x", to = "x", format = "tar" }, { from = "x", to = "x", format = "directory" },
      { from = "x", to = "x", database = "y" }, { from = "x", to = "x.gz", format = "custom" }, { from = 7, to = "x" },
      { from = "x", to = "x", form = "plain" }, { from = "host=a sslpassword=b", to = "x", disk = false },
    } do
      assert.equal("usage", failure(postgres.dump, given).kind)
    end
  end)
  it("goes through whatever starts the program", function()
    local seen
    local made = postgres.dump { from = server, to = dir .. "/y.sql", args = { "--roles-only" }, through = function(command, options)
      seen = command
      command[1] = server.bin .. "/" .. command[1]
      return sh.output(command, options)
    end }
    assert.equal("pg_dumpall", seen[1]:match "[^/]*$")
    assert.matches("CREATE ROLE someone", read(made.path))
    assert.equal("cluster", postgres.validate(made.path).format)
  end)

  describe("on disk", function()
    it("is not what it was when any bit is another", function()
      local made = postgres.dump { from = server, to = dir .. "/y.sql.gz" }
      local bytes = read(made.path)
      local at = {}
      for i = 1, 20 do at[i], at[#at + 1] = i, #bytes - i + 1 end
      for i = 1, 40 do at[#at + 1] = math.random(#bytes) or i end
      for _, i in pairs(at) do
        local flipped = string.char(bytes:byte(i) ~ (1 << math.random(0, 7)))
        write(made.path, bytes:sub(1, i - 1) .. flipped .. bytes:sub(i + 1))
        local err = failure(postgres.validate, made.path)
        assert.equal("io", err.kind, i)
        assert.matches("is not a whole dump as it was made", err.message)
        -- nothing is imported
        assert.equal("io", failure(postgres.restore, { from = made.path, into = "host=/nonesuch" }).kind)
      end
      for _, n in ipairs { 0, 1, #bytes // 2, #bytes - 1 } do
        write(made.path, bytes:sub(1, n))
        assert.equal("io", failure(postgres.validate, made.path).kind)
      end
      write(made.path, bytes .. "x")
      assert.equal("io", failure(postgres.validate, made.path).kind)
      write(made.path, bytes)
      assert.equal(#bytes, postgres.validate(made.path).bytes)
      write(made.checksums[2], read(made.checksums[2]):gsub("^.", function(digit) return digit == "0" and "1" or "0" end))
      assert.matches("plain bytes", failure(postgres.validate, made.path).message)
    end)
    it("is not a dump without its end, whatever its digest", function()
      write(dir .. "/y.sql", text:sub(1, -200))
      local err = failure(postgres.validate, dir .. "/y.sql")
      assert.equal("refused", err.kind)
      assert.matches("no .*/y.sql.sha512 that says", err.message)
      sh.run("sha512sum y.sql > y.sql.sha512", { cwd = dir })
      assert.matches("no end%-of%-dump marker", failure(postgres.validate, dir .. "/y.sql").message)
      write(dir .. "/y.sql", text)
      assert.equal("cluster", postgres.validate(dir .. "/y.sql", { checksum = false }).format)
      local err2 = failure(postgres.validate, dir .. "/y.sql", { checksum = false, format = "plain" })
      assert.matches("of format cluster, not plain", err2.message)
      assert.equal("io", failure(postgres.validate, dir .. "/nonesuch", { checksum = false }).kind)
    end)
    it("as an archive is read to its end", function()
      local made = postgres.dump { from = server, to = dir .. "/y.dump", format = "custom", database = "postgres" }
      assert.equal(1, #made.checksums)
      local bytes = read(made.path)
      assert.is_truthy(postgres.validate(made.path).sha512)
      write(before .. "/y.dump", bytes)
      for _, n in ipairs { 4, 100, #bytes // 2, #bytes - 1 } do
        write(made.path, bytes:sub(1, n))
        assert.equal("io", failure(postgres.validate, made.path).kind)
        assert.equal("io", failure(postgres.validate, made.path, { checksum = false }).kind, n)
      end
      for _, n in ipairs { 4, 100, #bytes // 2, #bytes - 1 } do
        local source = sh.output { "head", "-c", n, before .. "/y.dump" }
        assert.equal("io", failure(postgres.dump, { source = source, to = dir .. "/z.dump", format = "custom" }).kind, n)
        assert.equal("y.dump\ny.dump.sha512\n", names(dir))
      end
      local other = failure(postgres.dump, { source = "not an archive", to = dir .. "/z.dump", format = "custom" })
      assert.equal("io", other.kind)
      assert.is_falsy(names(dir):find "z.dump")
    end)
  end)

  it("has its marker at the end", function()
    local tail = "x\n" .. marker.PLAIN .. "\n--\n\n"
    assert.is_true(marker.is_whole(tail, "plain"))
    assert.is_true(marker.is_whole(tail .. "\\unrestrict abcDEF123\n\n", "plain"))
    assert.is_false(marker.is_whole(tail .. "select 1;\n", "plain"))
    assert.is_false(marker.is_whole(tail, "cluster"))
    assert.is_false(marker.is_whole(marker.PLAIN, "plain"))
    assert.equal("cluster", marker.format_of(tail .. "\n" .. marker.CLUSTER .. "\n--\n\n"))
    assert.is_nil(marker.format_of "")
  end)

  it("never has the password where others can see it", function()
    local pg = require("tests.spec.support.postgres").start()
    local password = "Se-cret_" .. hash.md5(tostring(host.now())):sub(1, 12)
    pg:psql(("create role app superuser login password '%s'"):format(password))
    -- The programs say what others can see of them.
    write(dir .. "/wrapper", ([[#!/bin/sh
tr '\0' '\n' </proc/$$/cmdline >>%s/seen
[ -n "$PGPASSWORD" ] && echo "has a password" >>%s/seen
exec %s/${0##*/} "$@"
]]):format(dir, dir, server.bin))
    sh.run({ "sh", "-c", "chmod 755 wrapper; for i in pg_dump pg_dumpall psql pg_restore; do ln -s wrapper $i; done" }, { cwd = dir })
    local uri = ("postgresql://app:%s@127.0.0.1:%d/postgres"):format(password, pg.port)
    local target = pg:conninfo { user = "app", password = password, dbname = "restored" }
    pg:psql "create database restored"
    for _, format in ipairs { "cluster", "plain", "custom" } do
      local path = ("%s/%s.dump"):format(dir, format)
      local made = postgres.dump { from = secret(uri), to = path, format = format, bin = dir }
      assert.is_truthy(made.sha512.file)
      if format ~= "cluster" then
        postgres.restore { from = path, into = target, bin = dir, empty = { database = true } }
      end
    end
    local seen = read(dir .. "/seen")
    assert.is_falsy(seen:find(password, 1, true), "it is in an argument")
    assert.is_truthy(seen:find "has a password")
    for _, name in ipairs { "pg_dump", "pg_dumpall", "psql", "pg_restore" } do assert.is_truthy(seen:find("/" .. name .. "\n"), name) end
    pg:remove()
  end)
end)
