-- The journal on disk and the locks: what is left when the machine or an operator does something rude.
local support = require "tests.spec.engine.support"
local host = require "pgsh.host"

local PROCEDURE = [[
step "First" (function() sh.run { "sh", "-c", "echo first >>made" } end)
step "Second" (function() sh.run { "sh", "-c", "test -e fixed && echo second >>made" } end)
]]

local function shell(box, command)
  return require("pgsh.sh").read({ "sh", "-c", command }, { cwd = box.dir, env = box.env }).out
end

describe("the journal", function()
  local box

  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  -- A run that stopped at its second step; returns its id and the journal's path.
  local function stopped()
    box:procedure(PROCEDURE)
    local result = box:pgsh("proc.lua", "-y", "--no-input")
    assert.equal(5, result.exit)
    local id = result.err:match "run (%w+)"
    return id, ("state/pgsh/runs/%s/journal.jsonl"):format(id)
  end

  local function resume(id)
    box:write("fixed", "")
    return box:pgsh("resume", id, "-y", "--no-input")
  end

  it("goes on behind a torn last line", function()
    local id, path = stopped()
    local text = box:read(path)
    for _, cut in ipairs { 1, 7, 40 } do
      box:write(path, text .. ('{"seq":9999,"type":"step.done","step":"second"}'):sub(1, cut))
      assert.truthy(box:pgsh("status", id).all:find(id, 1, true))
    end
    assert.equal(0, resume(id).exit)
    assert.equal("first\nsecond\n", box:read "made")
    for line in box:read(path):gmatch "[^\n]+" do assert.is_table(require("pgsh.json").decode(line)) end
  end)

  it("goes on in front of what was only reserved", function()
    local id, path = stopped()
    box:write(path, box:read(path) .. ("\0"):rep(300000))
    assert.equal(0, resume(id).exit)
    assert.is_nil(box:read(path):find("\0", 1, true))
  end)

  it("refuses one that is damaged in the middle", function()
    local id, path = stopped()
    local text = box:read(path)
    box:write(path, (text:gsub('"step.started"', '"step.star', 1)))
    local result = resume(id)
    assert.truthy(result.exit ~= 0)
    assert.truthy(result.err:find("damaged at line %d+"))
    assert.equal("first\n", box:read "made")
  end)

  it("refuses a format it does not know", function()
    local id, path = stopped()
    box:write(path, (box:read(path):gsub('"journal_version":1', '"journal_version":2', 1)))
    local result = resume(id)
    assert.truthy(result.err:find("has format 2, this pgsh knows 1", 1, true))
    assert.equal("first\n", box:read "made")
  end)

  it("is private", function()
    local _, path = stopped()
    local modes = shell(box, "stat -c %a state/pgsh/runs state/pgsh/runs/* " .. path)
    assert.equal("700\n700\n600\n", modes)
  end)

  it("that cannot be written lets no effect out", function()
    box:procedure(PROCEDURE)
    -- A file size limit is the disk that is full: the journal fits its beginning and no intent.
    local result = shell(box, "(trap '' XFSZ; ulimit -f 0; exec " .. box.exe .. " proc.lua -y --no-input --state full) 2>&1; echo exit $?")
    assert.truthy(result:find("cannot write the journal", 1, true), result)
    assert.is_nil(box:read "made")
    assert.is_nil(result:find("exit 0", 1, true))
  end)

  it("of a directory that cannot be made is one clear line", function()
    box:procedure(PROCEDURE)
    box:write("file", "")
    local result = box:pgsh("proc.lua", "-y", "--no-input", "--state", "file/state")
    assert.truthy(result.err:find("cannot make the directory", 1, true))
    assert.is_nil(box:read "made")
  end)

  it("is held by one process at a time", function()
    box:procedure 'step "Long" (function() sh.run { "sh", "-c", "touch began; sleep 5" } end)'
    local holder = host.spawn("holder", box.pgsh, box, "proc.lua", "-y", "--no-input")
    repeat host.sleep(0.02) until box:read "began"
    local result = box:pgsh("resume", "last", "-y", "--no-input")
    assert.equal(7, result.exit)
    assert.truthy(result.err:find("is in progress: run %w+, %w+@"))
    holder:cancel()
    pcall(holder.join, holder)
  end)
end)
