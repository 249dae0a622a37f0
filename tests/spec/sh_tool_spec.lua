local sh, host, secret, pipe = require "pgsh.sh", require "pgsh.host", require "pgsh.secret", require "pgsh.pipe"
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "engine/support.lua")
local failure = require("tests.spec.support.check").failure

local TOKEN = "shh-0123456789-tool"

local function tool(options)
  local all = {
    kind = "spectool", name = "prod/databases", argv = { "sh", "-c", 'echo "$0: $*"; cat', "--context prod" }, shown = "speccy",
  }
  for key, value in pairs(options or {}) do all[key] = value end
  return sh.tool(all)
end

describe("sh.tool", function()
  it("is a target of its own", function()
    assert.equal("spectool prod/databases", tostring(tool()))
    tool { name = "listed", detail = "redirected" }
    local found
    for _, target in ipairs(host.targets()) do found = target.name == "listed" and target or found end
    assert.same({ kind = "spectool", name = "listed", detail = "redirected" }, found)
  end)

  it("puts argv before the words, without a shell between", function()
    local t = tool()
    assert.equal("--context prod: get $HOME 'a b'\n", t:read({ "get", "$HOME", "'a b'" }).out)
    assert.equal("--context prod: get\nin", t:run({ "get" }, { input = "in" }).out)
    assert.equal("usage", failure(t.read, t, "get pods").kind)
    assert.equal("usage", failure(t.read, t, {}).kind)
    assert.equal("usage", failure(t.read, t, { "get", secret(TOKEN) }).kind)
  end)

  it("has an environment, to which a command adds", function()
    local t = tool { argv = { "sh", "-c" }, env = { A = "1", B = "2", C = secret(TOKEN) } }
    assert.equal("1-3-" .. TOKEN .. "\n", t:read({ 'echo "$A-$B-$C"' }, { env = { B = "3" } }).out)
    assert.equal("none\n", t:read({ 'echo "${A:-none}"' }, { env = { A = false } }).out)
    assert.equal("1\n", t:read({ 'echo "$A"' }).out)
  end)

  it("is the ends of a pipe", function()
    local t = tool { argv = { "sh", "-c" } }
    local done = pipe { t:output { "echo one; echo two" }, t:input({ "wc -l" }, { as = "lines" }) }
    assert.equal("2", done.text.lines:match "%d+")
    local err = failure(pipe, { t:output { "echo one; exit 3" }, pipe.text() })
    assert.equal("process", err.kind)
  end)

  it("fails by its own name, and names the target", function()
    local err = failure(tool { argv = { "sh", "-c", "exit 4" } }.run, tool { argv = { "sh", "-c", "exit 4" } }, { "x" })
    assert.equal("speccy exited with 4", err.message)
    assert.equal("spectool prod/databases", err.target)
    err = failure(tool { argv = { "pgsh-nonesuch" } }.read, tool { argv = { "pgsh-nonesuch" } }, { "x" })
    assert.equal("spawn", err.code)
  end)

  it("refuses what is no target", function()
    for _, wrong in ipairs { { kind = "" }, { kind = "sh" }, { kind = "file" }, { name = "" }, { name = "a\nb" }, { argv = {} },
      { argv = { "x", secret(TOKEN) } }, { argv = "kubectl" }, { nmae = "x" } } do
      assert.equal("usage", failure(tool, wrong).kind)
    end
    assert.equal("usage", failure(sh.tool, { kind = "a", name = "b" }).kind)
  end)

  describe("in a run", function()
    local box
    before_each(function() box = support.box() end)
    after_each(function() box:close() end)

    local MADE = [[local t = sh.tool { kind = "kube", name = "prod/x", argv = { "sh", "-c", 'echo "$@" >>did', "--context" }, shown = "k" }
    ]]

    it("is listed, and shown by what does not belong to the target", function()
      local run = box:pgsh("plan", box:procedure(MADE .. [[
        step "One" (function() t:run({ "apply" }, { detail = "-a\n+b" }) end)]]))
      assert.equal(0, run.exit, run.all)
      assert.match("kube prod/x", run.out, 1, true)
      assert.match("k apply", run.out, 1, true)
      assert.match("+b", run.out, 1, true)
      assert.is_nil(run.out:find("--context", 1, true))
      assert.is_nil(box:read "did")
    end)

    it("is refused when it was not named in time", function()
      local run = box:run [[step "One" (function()
        sh.tool { kind = "kube", name = "late", argv = { "touch" } }:run { "did" } end)]]
      assert.equal(3, run.exit, run.all)
      assert.match("kube late was not named before the run began", run.all, 1, true)
      assert.is_nil(box:read "did")
    end)

    it("is replayed although the target's flags have changed", function()
      local text = MADE .. [[step "One" (function() t:run { "one" } if FAIL then fail "no" end end)]]
      local run = box:pgsh(box:procedure("local FAIL = true\n" .. text), "-y", "--on-failure", "stop")
      assert.equal(5, run.exit, run.all)
      box:procedure("local FAIL = false\n" .. text:gsub("%-%-context", "--kontext"))
      run = box:pgsh("resume", "last", "-y")
      assert.equal(0, run.exit, run.all)
      assert.equal("one\n", box:read "did")
    end)
  end)
end)
