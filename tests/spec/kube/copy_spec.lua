-- Files into a pod and out of it, over a kubectl that loses its line.
local fake = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "fake.lua")
local hash, sh = require "pgsh.hash", require "pgsh.sh"
local failure = require("tests.spec.support.check").failure

describe("a copy", function()
  local world, k, here, there, text
  before_each(function()
    world = fake.new()
    k = world.k
    here, there = world.dir .. "/here file", world.dir .. "/there"
    text = sh.read({ "head", "-c", "300000", "/dev/urandom" }).out
    world:write("here file", text)
  end)
  after_each(function() world:close() end)

  local function whole(name) assert.equal(hash.sha512(text), hash.sha512(world:read(name) or "nothing")) end

  local function sent() return select(2, (world:read "calls" or ""):gsub("exec p [^\n]*%-i ", "")) end

  it("into a pod arrives whole, with its mode, and not twice", function()
    local done = k:upload(here, "p", there, { mode = 416 }) -- 0640
    assert.same({ path = there, bytes = 300000, sha512 = hash.sha512(text), sent = 300000 }, done)
    whole "there"
    assert.equal("640\n", sh.read({ "stat", "-c", "%a", there }).out)
    assert.is_nil(world:read "there.pgsh-part")
    local before = sent()
    assert.equal(0, k:upload(here, "p", there).sent)
    assert.equal(before, sent())
  end)

  it("goes in pieces", function()
    assert.equal(300000, k:upload(here, "p", there, { piece = 70000 }).sent)
    assert.equal(5, sent())
    whole "there"
  end)

  it("of nothing is a file, too", function()
    world:write("here file", "")
    k:upload(here, "p", there)
    assert.equal("", world:read "there")
    k:download("p", there, world.dir .. "/back")
    assert.equal("", world:read "back")
  end)

  it("sends a piece again that was cut off, from where it began", function()
    -- looks at the file, at the part; sends; looks what has become of it
    world:faults("ok", "ok", "ok", "lost-after", "ok", "lost-before", "ok", "ok")
    k:upload(here, "p", there, { piece = "128K" })
    whole "there"
  end)

  it("goes on behind what is there already, if it is a beginning of ours", function()
    world:write("there.pgsh-part", text:sub(1, 100001))
    assert.equal(199999, k:upload(here, "p", there).sent)
    whole "there"
    world:write("there", "old")
    world:write("there.pgsh-part", "x" .. text:sub(2, 5000))
    assert.equal(300000, k:upload(here, "p", there).sent)
    whole "there"
    world:write("there", "old")
    world:write("there.pgsh-part", text .. "more")
    assert.equal(300000, k:upload(here, "p", there).sent)
    whole "there"
  end)

  it("does not replace the file when it cannot be whole", function()
    world:write("there", "old")
    world:faults("ok", "ok", "lost-before", "ok", "lost-before", "ok", "lost-before")
    assert.equal("failed", failure(k.upload, k, here, "p", there).kind)
    assert.equal("old", world:read "there")
  end)

  it("out of a pod arrives whole, and goes on behind what is there", function()
    local back = world.dir .. "/back"
    assert.same({ path = back, bytes = 300000, sha512 = hash.sha512(text), sent = 300000 }, k:download("p", here, back))
    whole "back"
    assert.equal("600\n", sh.read({ "stat", "-c", "%a", back }).out)
    assert.equal(0, k:download("p", here, back).sent)
    world:write("back", "old")
    world:write("back.pgsh-part", text:sub(1, 200000))
    assert.equal(100000, k:download("p", here, back, { piece = "64K" }).sent)
    whole "back"
  end)

  it("out of a pod that is cut off is fetched again", function()
    local back = world.dir .. "/back"
    world:faults("ok", "cut 50000")
    k:download("p", here, back)
    whole "back"
  end)

  it("names what is wrong", function()
    assert.equal("usage", failure(k.upload, k, here, "p", "relative").kind)
    assert.equal("usage", failure(k.upload, k, world.dir .. "/nonesuch", "p", there).kind)
    assert.equal("usage", failure(k.upload, k, here, "p", there, { peice = 1 }).kind)
    assert.matches("no file", failure(k.download, k, "p", world.dir .. "/nonesuch", here).message)
  end)
end)
