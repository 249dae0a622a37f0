-- Commands in a pod, over a kubectl that loses its line.
local fake = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "fake.lua")
local host, pipe, secret, sh = require "pgsh.host", require "pgsh.pipe", require "pgsh.secret", require "pgsh.sh"
local failure = require("tests.spec.support.check").failure

local TOKEN = "shh-0123456789-pod"

describe("a command in a pod", function()
  local world, k
  before_each(function()
    world = fake.new()
    k = world.k
  end)
  after_each(function() world:close() end)

  local function calls()
    local _, n = (world:read "calls" or ""):gsub("%-%-context=", "")
    return n
  end

  it("gets its arguments as they are, and its output is given byte for byte", function()
    local result = k:read("p", { "printf", "%s|", "a b", "$HOME", "'q'", "-n", "*", "ü\n" })
    assert.same({ exit = 0, out = "a b|$HOME|'q'|-n|*|ü\n|", err = "" }, result)
    assert.equal("a\0\255", k:read("p", { "printf", "a\\0\\377" }).out)
    assert.equal("in", k:read("p", { "cat" }, { input = "in" }).out)
    assert.equal("", k:read("p", { "cat" }).out)
  end)

  it("fails with its own exit status", function()
    local err = failure(k.read, k, "p", { "sh", "-c", "echo FATAL >&2; exit 3" })
    assert.equal("kubectl", err.kind)
    assert.equal(3, err.exit)
    assert.matches("FATAL", err.message)
    assert.equal(3, k:exec("p", { "sh", "-c", "exit 3" }, { ok = { 3 } }).exit)
    assert.equal(127, failure(k.exec, k, "p", { "pgsh-nonesuch" }).exit)
    assert.equal(137, failure(k.exec, k, "p", { "sh", "-c", "kill -9 $$" }).exit)
  end)

  it("gets an environment that no process list shows", function()
    local value = "a\\b'c\"d $x `y` %s\n\nline\twith\\n "
    local result = k:read("p", { "sh", "-c", 'printf "%s|%s|%s" "$A" "$PW" "${HOME-none}"; cat; cat /proc/*/cmdline | tr "\\0" " " >&2' },
      { env = { A = value, PW = secret(TOKEN), HOME = false }, input = "and input\n" })
    assert.equal(value .. "|" .. TOKEN .. "|noneand input\n", result.out)
    assert.is_nil(result.err:find(TOKEN, 1, true))
    assert.is_nil(world:read("calls"):find(TOKEN, 1, true))
    assert.equal("usage", failure(k.read, k, "p", { "true" }, { env = { ["a b"] = "c" } }).kind)
    assert.equal("usage", failure(k.read, k, "p", { "echo", secret(TOKEN) }).kind)
  end)

  it("is made again when it only reads and the line was lost", function()
    world:faults("lost-before", "cut 3")
    assert.equal("all of it\n", k:read("p", { "echo", "all of it" }).out)
    assert.equal(3, calls())
    world:faults("lost-after", "eof", "cut 1", "ok")
    local err = failure(k.read, k, "p", { "echo", "x" })
    assert.equal("kubectl_connect", err.code)
    assert.equal("Connection", err.reason)
  end)

  it("is unknown when it changes something and its end was not seen", function()
    for _, fault in ipairs { "lost-before", "lost-after", "eof", "cut 2", "cut 20", "kill" } do
      world:faults(fault)
      local err = failure(k.exec, k, "p", { "sh", "-c", "echo done >>" .. world.dir .. "/did" })
      assert.equal("unknown", err.kind, fault)
    end
    world:faults "refused"
    local err = failure(k.exec, k, "p", { "true" })
    assert.equal("kubectl", err.kind)
    assert.equal("NotFound", err.reason)
  end)

  it("is decided by resolve", function()
    world:faults "lost-after"
    local result = k:exec("p", { "touch", world.dir .. "/there" }, { resolve = function()
      return world:read "there" ~= nil, { exit = 0, out = "found", err = "" }
    end })
    assert.equal("found", result.out)
    world:faults "lost-before"
    k:exec("p", { "touch", world.dir .. "/other" }, { resolve = function() return world:read "other" ~= nil end })
    assert.truthy(world:read "other")
  end)

  it("that ends before it has read its input has failed", function()
    local err = failure(k.exec, k, "p", { "head", "-c", "1" }, { input = ("x"):rep(100000) })
    assert.equal(125, err.exit)
    assert.matches("before it had read everything", err.message)
    assert.equal(4, failure(k.exec, k, "p", { "sh", "-c", "exit 4" }, { input = ("x"):rep(10000000) }).exit)
  end)

  describe("in a pipe", function()
    it("is a source that has to be whole", function()
      assert.equal("some\n", pipe({ k:output("p", { "echo", "some" }), pipe.text() }).text.text)
      world:faults "cut 500000"
      local err = failure(pipe, { k:output("p", { "head", "-c", "1000000", "/dev/zero" }), pipe.text() })
      assert.equal("lost", err.code)
      err = failure(pipe, { k:output("p", { "sh", "-c", "echo a; exit 9" }), pipe.text() })
      assert.equal(9, err.exit)
    end)

    it("is a sink whose end has to be seen", function()
      local done = pipe { ("x"):rep(3000000), k:input("p", { "wc", "-c" }, { env = { A = "b" } }) }
      assert.equal("3000000", done.text.stdout:match "%d+")
      world:faults "lost-after"
      assert.equal("unknown", failure(pipe, { "x", k:input("p", { "cat" }) }).kind)
      assert.equal(125, failure(pipe, { ("x"):rep(3000000), k:input("p", { "head", "-c", "1" }) }).exit)
      assert.equal(6, failure(pipe, { ("x"):rep(3000000), k:input("p", { "sh", "-c", "exit 6" }) }).exit)
      world:faults "refused"
      assert.equal("process", failure(pipe, { "x", k:input("p", { "cat" }) }).kind)
    end)
  end)

  describe("that leaves a record", function()
    local record
    before_each(function() record = world.dir .. "/rec" end)

    local function run(script, options)
      options = options or {}
      options.record = record
      return k:exec("p", { "sh", "-c", script }, options)
    end

    it("is waited for, and gives its outputs and status", function()
      assert.same({ exit = 0, out = "one\n", err = "two\n" }, run "echo one; sleep 0.3; echo two >&2")
      local err = failure(run, "echo why >&2; exit 5")
      assert.equal("kubectl", err.kind)
      assert.equal(5, err.exit)
      assert.matches("exited with 5: why", err.message)
      assert.equal(5, run("exit 5", { ok = { 5 } }).exit)
      k:forget("p", record)
      assert.equal("", sh.read("ls " .. record .. ".* 2>/dev/null", { ok = { 0, 2 } }).out)
    end)

    it("goes on when the line is lost, and is started once", function()
      local did = world.dir .. "/did"
      world:faults("ok", "lost-after", "lost-before", "cut 1", "ok")
      assert.equal(0, run(("echo x >>%s; sleep 0.5"):format(did)).exit)
      assert.equal("x\n", world:read "did")
      world:faults("ok", "lost-before", "ok")
      assert.equal(0, run(("echo y >>%s"):format(did)).exit)
      assert.equal("x\ny\n", world:read "did")
    end)

    it("has an environment, and no input", function()
      assert.equal(TOKEN .. "\n", run('echo "$PW"', { env = { PW = secret(TOKEN) } }).out)
      assert.equal("none none\n", run('echo "${r-none} ${a-none}"').out)
      assert.equal("usage", failure(run, "cat", { input = "x" }).kind)
      record = "relative"
      assert.equal("usage", failure(run, "true").kind)
    end)

    it("says so when it was killed", function()
      local task = host.spawn("spec", function() return pcall(run, "exec sleep 30") end)
      local pid
      for _ = 1, 100 do
        pid = (world:read "rec.pid" or ""):match "^%d+ (%d+)"
        if pid then break end
        host.sleep(0.05)
      end
      sh.run { "kill", "-9", "--", "-" .. pid }
      local _, err = task:join()
      assert.equal("unknown", err.kind)
      assert.matches("was cut off in the pod", err.message)
    end)

    it("is ended when it is forgotten", function()
      local script = "trap '' TERM; echo $$ >" .. world.dir .. "/own; sleep 30; sleep 30"
      local task = host.spawn("spec", function() return pcall(run, script) end)
      for _ = 1, 100 do
        if world:read "own" then break end
        host.sleep(0.05)
      end
      local pid = world:read("own"):match "%d+"
      task:cancel()
      pcall(task.join, task)
      k:forget("p", record)
      assert.equal(1, sh.read({ "test", "-e", "/proc/" .. pid .. "/exe" }, { ok = { 0, 1 } }).exit)
    end)
  end)
end)
