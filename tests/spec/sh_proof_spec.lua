-- Commands that stand for one far away: what they end with is no word of what happened there; the proof at the end of the output is.
local sh, host, pipe, hash = require "pgsh.sh", require "pgsh.host", require "pgsh.pipe", require "pgsh.hash"
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "engine/support.lua")
local failure = require("tests.spec.support.check").failure

local PROOF = "5f3a9c0e7b1d"

-- printf's words for the end of a far command.
local function far(status) return ("printf '%s:%03d\\n'"):format(PROOF, status) end

local function read(text, options)
  options = options or {}
  options.proof = PROOF
  return sh.read({ "sh", "-c", text }, options)
end

local function run(text, options)
  options = options or {}
  options.proof = PROOF
  return sh.run({ "sh", "-c", text }, options)
end

describe("a proof", function()
  it("is taken off, and its status counts", function()
    assert.same({ exit = 0, out = "one\n", err = "" }, read("echo one; " .. far(0)))
    assert.same({ exit = 0, out = "", err = "" }, read(far(0)))
    assert.equal("no newline", read("printf 'no newline'; " .. far(0)).out)
    assert.equal(0, read("echo one; " .. far(0) .. "; exit 1").exit)
    assert.equal(0, read("echo one; " .. far(0) .. "; kill -9 $$").exit)
    assert.equal(3, read("echo one; " .. far(3), { ok = { 3 } }).exit)
    local err = failure(read, "echo FATAL: no >&2; " .. far(37))
    assert.equal("process", err.kind)
    assert.equal(37, err.exit)
    assert.equal("FATAL: no", err.detail)
  end)

  it("has to be there, whole and last", function()
    for _, text in ipairs { "true", "echo one", far(0) .. "; echo more", "printf '%s:000' " .. PROOF, "printf '%s:0x0\\n' " .. PROOF,
      "printf 'other:000\\n'", far(0):gsub("5f3a", "5f3b") } do
      assert.equal("lost", failure(read, text).code, text)
      assert.equal("unknown", failure(run, text).kind, text)
    end
    assert.matches("the line was lost", failure(read, "exit 1").message)
    assert.equal(1, failure(read, "exit 1").exit)
  end)

  it("is asked for in the end of a long output, too", function()
    local result = run("head -c 300000 /dev/zero | tr '\\0' x; " .. far(0), { limit = "1K" })
    assert.is_true(result.truncated)
    assert.is_nil(result.out:find(PROOF, 1, true))
    assert.equal("x", result.out:sub(-1))
  end)

  it("leaves a failed one known when it was refused at the door", function()
    local refused = { "(NotFound)", "(Forbidden)" }
    local err = failure(run, 'echo \'Error (NotFound): no pod\' >&2; exit 1', { refused = refused })
    assert.equal("process", err.kind)
    assert.equal("sh exited with 1", err.message)
    assert.equal("unknown", failure(run, "echo 'Error: unexpected EOF' >&2; exit 1", { refused = refused }).kind)
    -- without a proof, too
    assert.equal("unknown", failure(sh.run, { "sh", "-c", "exit 1" }, { refused = refused }).kind)
    assert.equal("process", failure(sh.run, { "sh", "-c", "echo '(Forbidden)' >&2; exit 1" }, { refused = refused }).kind)
    assert.equal("process", failure(sh.run, { "sh", "-c", "exit 1" }).kind)
  end)

  it("ends a command that hangs behind it", function()
    local begun = host.mono()
    assert.equal(0, read("echo one; " .. far(0) .. "; exec sleep 60", { timeout = "30s" }).exit)
    assert.truthy(host.mono() - begun < 15000)
  end)

  it("lets the service's record decide when it is missing", function()
    local asked = 0
    local result = run("exit 0", { resolve = function()
      asked = asked + 1
      return true, { exit = 0, out = "found", err = "" }
    end })
    assert.equal("found", result.out)
    assert.equal(1, asked)
  end)

  describe("in a pipe", function()
    local function output(text) return sh.output({ "sh", "-c", text }, { proof = PROOF }) end
    local function input(text, options)
      options = options or {}
      options.proof = PROOF
      return sh.input({ "sh", "-c", text }, options)
    end

    it("is no part of the stream, however that is cut into pieces", function()
      for _, size in ipairs { 0, 1, 15, 16, 17, 18, 65536, 1048576 - 17, 1048576 - 1, 1048576, 1048577, 3000000 } do
        local text = ("head -c %d /dev/zero; "):format(size)
        local done = pipe { output(text .. far(0)), hash("sha256", { as = "it" }) }
        assert.equal(size, done.bytes)
        assert.equal(hash.sha256(("\0"):rep(size)), done.digest.it)
      end
      local slow = ("printf one; sleep 0.05; printf two; sleep 0.05; printf %s; sleep 0.05; printf ':000\\n'"):format(PROOF)
      assert.equal("onetwo", pipe({ output(slow), pipe.text() }).text.text)
    end)

    it("fails the pipe when the stream was cut off, or the far command failed", function()
      local cut = failure(pipe, { output "head -c 2000000 /dev/zero", pipe.text() })
      assert.equal("lost", cut.code)
      assert.matches("the line was lost", cut.message)
      local failed = failure(pipe, { output("echo one; echo why >&2; " .. far(4)), pipe.text() })
      assert.equal(4, failed.exit)
      assert.equal("why", failed.detail)
      assert.equal("process", failure(pipe, { output(far(0) .. "; echo"), pipe.text() }).kind)
    end)

    it("is what a sink has to say", function()
      local done = pipe { "some text", input("cat; " .. far(0) .. "; exit 1") }
      assert.equal("some text", done.text.stdout)
      assert.equal("unknown", failure(pipe, { "some text", input "cat" }).kind)
      assert.equal(5, failure(pipe, { "some text", input("cat >/dev/null; " .. far(5)) }).exit)
      local refused = input("echo '(NotFound)' >&2; exit 1", { refused = { "(NotFound)" } })
      assert.equal("process", failure(pipe, { "some text", refused }).kind)
    end)

    it("ends a sink that does not read on when its far command has failed", function()
      local begun = host.mono()
      local err = failure(pipe, { sh.output { "head", "-c", "20000000", "/dev/zero" }, input(far(6) .. "; exec sleep 60") })
      assert.equal(6, err.exit)
      assert.truthy(host.mono() - begun < 15000)
    end)
  end)

  it("a little can come before a sink's stream", function()
    local done = pipe { "stream", sh.input({ "cat" }, { input = "first\n" }) }
    assert.equal("first\nstream", done.text.stdout)
    local err = failure(pipe, { "stream", sh.input({ "cat" }, { input = ("x"):rep(8 << 20) }) })
    assert.equal("limit", err.kind)
  end)

  it("does not belong to what is shown, nor to what a resumed run is matched by", function()
    local box <close> = support.box()
    local text = [[step "One" (function()
      sh.run({ "sh", "-c", "echo x >>did; printf 'NONCE:000\\n'" }, { proof = "NONCE", what = "far it" })
      if FAIL then fail "no" end
    end)]]
    local result = box:pgsh(box:procedure("local FAIL = true\n" .. text:gsub("NONCE", "aaa")), "-y", "--on-failure", "stop")
    assert.equal(5, result.exit, result.all)
    box:procedure("local FAIL = false\n" .. text:gsub("NONCE", "bbb"))
    result = box:pgsh("resume", "last", "-y")
    assert.equal(0, result.exit, result.all)
    assert.equal("x\n", box:read "did")
  end)
end)
