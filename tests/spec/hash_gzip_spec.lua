local gzip, hash, host, sh = require "pgsh.gzip", require "pgsh.hash", require "pgsh.host", require "pgsh.sh"
local secret = require "pgsh.secret"
local failure = require("tests.spec.support.check").failure
local run = require "tests.spec.support.run"

local function with_file(text, f)
  local path = sh.run("mktemp").out:gsub("%s+$", "")
  run.write_file(path, text)
  local ok, err = pcall(f, path)
  os.remove(path)
  if not ok then error(err, 0) end
end

describe("hash", function()
  it("knows the test vectors", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash.sha256 "abc")
    assert.equal("900150983cd24fb0d6963f7d28e17f72", hash.md5 "abc")
    assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", hash.sha1 "abc")
    assert.equal("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532", hash.sha3_256 "abc")
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hash.sha256 "")
  end)
  it("lists its names, each of which is a function", function()
    local names = hash.names()
    assert.equal("sha256", names[1])
    for _, name in ipairs(names) do
      assert.equal("string", type(hash[name:gsub("-", "_")] "x"), name)
    end
  end)
  it("agrees with itself on the thread pool", function()
    local text = ("pgsh"):rep(1024 * 1024)
    with_file(text, function(path)
      local want = sh.read({ "sha512sum", path }).out:match "^%x+"
      assert.equal(want, hash.sha512(text))
      assert.equal(want, hash.file(path, "sha512"))
      assert.equal(hash.sha256(text), hash.file(path))
    end)
  end)
  it("works where nothing can wait", function()
    local big = ("x"):rep(100000)
    assert.equal(hash.sha256(big), coroutine.wrap(function() return hash.sha256(big) end)())
    local list = { "b", "a" }
    table.sort(list, function(a, b) return hash.sha256(big .. a) < hash.sha256(big .. b) end)
  end)
  it("takes a secret", function() assert.equal(hash.sha256 "abcdefgh", hash.sha256(secret "abcdefgh")) end)
  it("says what it cannot read", function()
    local err = failure(hash.file, "/nonesuch/file")
    assert.equal("io", err.kind)
    assert.equal("cannot open /nonesuch/file: No such file or directory", err.message)
    assert.equal("file localhost", err.target)
    assert.equal("io", failure(hash.file, "/").kind)
    assert.equal("usage", failure(hash.file, "/etc/passwd", "sha999").kind)
    assert.equal("usage", failure(hash.sha256, {}).kind)
  end)
  it("of a large file can be stopped", function()
    local task = host.spawn("spec", function() hash.file "/dev/zero" end)
    host.sleep(0.1)
    task:cancel()
    local before = host.mono()
    assert.equal("cancelled", failure(task.join, task).code)
    assert.is_true(host.mono() - before < 1000)
  end)
end)

describe("gzip", function()
  local texts = { "", "a", ("pgsh "):rep(1000), ("0123456789"):rep(300000) }
  it("gives back what it took", function()
    for _, text in ipairs(texts) do
      for _, level in ipairs { 1, 6, 9 } do
        assert.is_true(gzip.decompress(gzip.compress(text, { level = level })) == text)
      end
    end
  end)
  it("agrees with gzip(1)", function()
    for _, text in ipairs(texts) do
      assert.is_true(sh.read({ "gzip", "-dc" }, { input = gzip.compress(text) }).out == text)
      assert.is_true(gzip.decompress(sh.read({ "gzip", "-c" }, { input = text }).out) == text)
    end
  end)
  it("makes the same of the same", function() assert.equal(gzip.compress "x", gzip.compress "x") end)
  it("goes on after a member", function()
    assert.equal("one, two", gzip.decompress(gzip.compress "one, " .. gzip.compress "two"))
    local big = ("x"):rep(1000000)
    assert.is_true(gzip.decompress(gzip.compress(big) .. gzip.compress "" .. gzip.compress "end") == big .. "end")
  end)
  it("refuses what is not whole and right", function()
    local good = gzip.compress(("text "):rep(100))
    local function refused(data, pattern)
      local err = failure(gzip.decompress, data)
      assert.equal("io", err.kind)
      assert.matches(pattern, err.message)
    end
    refused("", "empty")
    refused("plain text", "not valid gzip data at byte %d+: incorrect header check")
    refused(good:sub(1, -2), "cut short after")
    refused(good:sub(1, 15), "cut short")
    refused(good .. "garbage behind it", "not valid gzip data")
    refused(good .. "\0\0\0", "not valid gzip data")
    refused(good .. good:sub(1, 5), "cut short")
    refused(good:sub(1, -9) .. ("\1\2\3\4") .. good:sub(-4), "incorrect data check")
    refused(good:sub(1, -5) .. ("\1\2\3\4"), "incorrect length check")
  end)
  it("is limited", function()
    local bomb = gzip.compress(("\0"):rep(10 * 1024 * 1024))
    local err = failure(gzip.decompress, bomb, { limit = "1M" })
    assert.equal("limit", err.kind)
    assert.matches("larger than 1 MiB", err.message)
    assert.equal(10 * 1024 * 1024, #gzip.decompress(bomb, { limit = "10M" }))
  end)
  it("refuses levels there are not", function()
    assert.equal("usage", failure(gzip.compress, "x", { level = 10 }).kind)
    assert.equal("usage", failure(gzip.compress, "x", { level = 0 }).kind)
    assert.equal("usage", failure(gzip.compress, "x", { lvl = 1 }).kind)
  end)
  it("does not stop the others", function()
    local ticks, done = 0, false
    local ticker = host.spawn("ticks", function()
      while not done do
        host.sleep(0.005)
        ticks = ticks + 1
      end
    end)
    local text = {}
    for i = 1, 400000 do text[i] = tostring(i * 7919) end
    gzip.compress(table.concat(text), { level = 9 })
    done = true
    ticker:join()
    assert.is_true(ticks >= 3, ticks .. " ticks")
  end)
end)
