local checksum, hash, sh = require "pgsh.checksum", require "pgsh.hash", require "pgsh.sh"
local failure = require("tests.spec.support.check").failure
local run = require "tests.spec.support.run"

local NAMES = { "plain", "with space", "back\\slash", "line\nbreak", "ünïcode", "*star", " (x) = y", "return\rin", "-dash" }

describe("checksum", function()
  local dir
  setup(function()
    dir = sh.run({ "mktemp", "-d" }).out:match "%S+"
    for i, name in ipairs(NAMES) do
      run.write_file(dir .. "/" .. name, "content " .. i)
    end
  end)
  teardown(function() sh.run { "rm", "-rf", dir } end)

  local function write(name, text) return run.write_file(dir .. "/" .. name, text) end

  local function entries(algorithm)
    local list = {}
    for i, name in ipairs(NAMES) do
      list[i] = { name = name, digest = hash[algorithm]("content " .. i), algorithm = algorithm }
    end
    return list
  end

  for _, algorithm in ipairs { "sha512", "sha256", "sha1", "md5" } do
    it("is understood by " .. algorithm .. "sum, both formats", function()
      for _, tag in ipairs { false, true } do
        write("ours", checksum.format(entries(algorithm), { tag = tag }))
        local out = sh.read({ algorithm .. "sum", "--strict", "-c", "ours" }, { cwd = dir, env = { LC_ALL = "C" } }).out
        local _, ok = out:gsub(": OK\n", "")
        assert.equal(#NAMES, ok, out)
        assert.equal(#NAMES, #checksum.verify(dir .. "/ours"))
      end
    end)
    it("understands " .. algorithm .. "sum: text, binary and BSD", function()
      for _, flag in ipairs { "--text", "--binary", "--tag" } do
        local command = { algorithm .. "sum", flag, "--" }
        for _, name in ipairs(NAMES) do command[#command + 1] = name end
        local text = sh.read(command, { cwd = dir }).out
        assert.same(entries(algorithm), checksum.parse(text), flag)
        assert.equal(#NAMES, #checksum.verify(write("theirs", text)))
      end
    end)
  end

  it("finds what differs, and names it", function()
    local list = entries "sha512"
    list[2].digest = hash.sha512 "something else"
    list[#list + 1] = { name = "not there", digest = hash.sha512 "" }
    local err = failure(checksum.verify, write("wrong", checksum.format(list)))
    assert.equal("io", err.kind)
    assert.matches("2 of 10 files", err.message)
    assert.matches("with space", err.message)
    assert.matches("not there", err.message)
  end)
  it("gives the entry of a file", function()
    local path = write("find", checksum.line("a", ("0"):rep(128)) .. checksum.line("dir/b", ("1"):rep(128)))
    assert.equal(("1"):rep(128), checksum.find(path, "/elsewhere/b").digest)
    assert.is_nil(checksum.find(path, "c"))
  end)
  it("takes capitals and line ends of other systems", function()
    assert.same({ { name = "a", digest = ("ab"):rep(16), algorithm = "md5" } }, checksum.parse(("AB"):rep(16) .. "  a\r\n\n"))
    assert.same({ { name = "a", digest = ("ab"):rep(16), algorithm = "md5" } }, checksum.parse(("AB"):rep(16) .. "  a"))
  end)
  it("refuses what is none", function()
    local digest = ("a"):rep(128)
    for _, text in ipairs { "hello\n", digest .. " x\n", digest .. "\n", digest:sub(2) .. "  x\n", "\\" .. digest .. "  a\\qb\n",
      "SHA3 (x) = " .. digest .. "\n", digest .. "  \n" } do
      assert.equal("io", failure(checksum.parse, text).kind, text)
    end
    assert.equal("io", failure(checksum.verify, write("empty", "")).kind)
    assert.equal("usage", failure(checksum.line, "", digest).kind)
    assert.equal("usage", failure(checksum.line, "a", "xyz").kind)
    assert.equal("usage", failure(checksum.line, "a", digest, "nonesuch").kind)
    assert.equal("usage", failure(checksum.format, {}, { tga = true }).kind)
  end)
end)
