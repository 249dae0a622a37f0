-- What kubernetes-dump-restore may remove: its script, run here, with every argument that could be wrong.
local sh = require "pgsh.sh"

local function script()
  local file = assert(io.open "procedures/kubernetes-dump-restore.lua")
  local text = file:read "a"
  file:close()
  return assert(text:match "local REMOVING = %[%[(.-)%]%]")
end

describe("the removal of a data directory", function()
  local dir, data
  before_each(function()
    dir = sh.run({ "mktemp", "-d", "/tmp/pgsh-spec-XXXXXX" }).out:match "%S+"
    data = dir .. "/data"
    sh.run(([[cd %s && mkdir -p bin data/14/base data/15 data/16 data/lost+found && echo 14 >data/14/PG_VERSION
      echo 15 >data/15/PG_VERSION
      mkdir data/x15 data/17 data/18 outside; echo x15 >data/x15/PG_VERSION; echo 14 >data/17/PG_VERSION; echo 14 >data/18/PG_VERSION
      echo 12 >outside/PG_VERSION; ln -s ../outside data/12; ln -s 14 data/13; echo dump >data/dump; cp -r data/14 data/14.old
      printf '#!/bin/sh\ncat "%s/running"\n' >bin/psql; chmod 755 bin/psql; echo %s/15 >running]]):format(dir, dir, data))
  end)
  after_each(function() sh.run { "rm", "-rf", dir } end)

  local function remove(path, below, major)
    return sh.run({ "sh", "-c", script(), "remove", path, below, major, "user", "database" }, {
      env = { PATH = dir .. "/bin:/usr/bin:/bin" }, ok = { 0, 1 } })
  end

  local function left() return (sh.read({ "ls", data }).out:gsub("%s+", " "):gsub(" $", "")) end

  local ALL = "12 13 14 14.old 15 16 17 18 dump lost+found x15"

  it("removes the one of the old version, and again nothing", function()
    assert.equal(0, remove(data .. "/14", data, "14").exit)
    assert.equal("12 13 14.old 15 16 17 18 dump lost+found x15", left())
    assert.equal(0, remove(data .. "/14", data, "14").exit)
    assert.equal("12 13 14.old 15 16 17 18 dump lost+found x15", left())
  end)

  it("goes on where it was cut off", function()
    sh.run { "mv", data .. "/14", data .. "/14.removed" }
    assert.equal(0, remove(data .. "/14", data, "14").exit)
    assert.equal("12 13 14.old 15 16 17 18 dump lost+found x15", left())
  end)

  it("refuses everything else", function()
    for _, words in ipairs {
      { data .. "/", data, "14" }, { data, data, "14" }, { data .. "/", data, "" }, { "/", "/", "" }, { "/14", "", "14" },
      { "", data, "14" },
      { data .. "/.", data, "14" }, { data .. "/..", data, "14" }, { data .. "/14/..", data, "14" }, { data .. "/14/", data, "14" },
      { data .. "/14.old", data, "14" }, { data .. "/dump", data, "14" }, { data .. "/lost+found", data, "14" },
      { data .. "/*", data, "14" },
      { data .. "/14 /", data, "14" }, { dir .. "/14", data, "14" }, { data .. "/14", data .. "/14", "14" }, { data .. "/-14", data, "14" },
      { data .. "/14", data, "15" }, { data .. "/16", data, "16" }, { data .. "/13", data, "13" }, { data .. "/12", data, "12" },
      { data .. "/x15", data, "x15" }, { data .. "/17", data, "14" }, { data .. "/18", data, "18" }, { data .. "/15", data, "15" },
    } do
      local result = remove(table.unpack(words))
      assert.equal(1, result.exit, table.concat(words, " "))
      assert.equal(ALL, left(), table.concat(words, " "))
      assert.truthy(result.err:find "%S", table.concat(words, " "))
    end
  end)

  it("refuses while that is where a server has its data, or that cannot be told", function()
    for _, running in ipairs { data .. "/14", data .. "/../data/14", "/nowhere", "" } do
      sh.run(("echo %s >%s/running"):format(running, dir))
      assert.equal(1, remove(data .. "/14", data, "14").exit, running)
      assert.equal(ALL, left())
    end
    sh.run(("echo %s/15 >%s/running; echo 1 >%s/14/postmaster.pid"):format(data, dir, data))
    assert.matches("a server uses it", remove(data .. "/14", data, "14").err)
    assert.equal(ALL, left())
  end)
end)
