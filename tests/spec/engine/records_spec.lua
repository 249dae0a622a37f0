local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

local json = require "pgsh.json"

describe("recorded runs", function()
  local box
  before_each(function()
    box = support.box()
    box:run([[
      local app = param.string { "app", "the app", default = "crates-io" }
      local web = http("http://127.0.0.1:9", { kind = "heroku", name = "crates-io" })
      local c = clock { "read-only", budget = "5m" }
      step "One" { opens = c, run = function() sh.run "echo one" return "v412" end }
      step "Two" (function() sh.run "exit 3" end)
      step "Three" { closes = c, run = function() end }
    ]], "--skip", "three")
  end)
  after_each(function() box:close() end)

  local function id() return (box:pgsh("runs", "-o", "json").out:match '"id":"(%w+)"') end

  it("are listed", function()
    local run = box:pgsh "runs"
    assert.equal(0, run.exit)
    assert.match("run +started +procedure +targets +status +step\n", run.out)
    assert.match("%w+ +%d+%-%d+%-%d+ %d+:%d+:%d+ +proc +crates%-io +stopped +2/3 Two", run.out)
    local list = json.decode(box:pgsh("runs", "-o", "json").out)
    assert.equal("stopped", list[1].status)
  end)

  it("are none at first", function()
    local other = support.box()
    local run = other:pgsh "runs"
    other:close()
    assert.equal(0, run.exit)
    assert.equal("", run.out)
    assert.match("no run is recorded", run.err)
  end)

  it("are shown, a line an event", function()
    local out = box:pgsh("show", "last").out
    for _, text in ipairs { "1  One", "done in", "v412", "READ-ONLY begins", "change  sh localhost  echo one", "failed: ", "--yes" } do
      if text ~= "--yes" then assert.match(text, out, 1, true) end
    end
    local first = json.decode(box:pgsh("show", id(), "-o", "jsonl").out:match "^[^\n]+")
    assert.equal("run.started", first.type)
    assert.equal("crates-io", first.params.app)
    assert.is_true(#json.decode(box:pgsh("show", id(), "-o", "json").out) > 5)
  end)

  it("tell in a paragraph where they are", function()
    local out = box:pgsh("status", "last").out
    assert.match("Run %w+, proc on crates%-io, is stopped; at step 2 of 3, Two; %d changes in effect; USERS ARE READ%-ONLY SINCE", out)
    local status = json.decode(box:pgsh("status", "last", "-o", "json").out)
    assert.equal("two", status.step.id)
    assert.equal(1, #status.affected)
  end)

  it("give a report in Markdown", function()
    local out = box:pgsh("report", "last").out
    for _, text in ipairs { "# Run ", "- app: `crates-io`", "- target: heroku crates-io", "| 1 | One |", "| 2 | Two |", "not reached",
      "## Users affected", "## Changes", "## Decisions", "## Failures", "## Timeline" } do
      assert.match(text, out, 1, true)
    end
  end)

  it("are live while somebody is at them", function()
    box:procedure('step "Hold" (function() sh.run "touch holding"; wait "20s" end)', "hold.lua")
    local task = require("pgsh.host").spawn("hold", function() return box:pgsh("hold.lua", "-y") end)
    for _ = 1, 100 do
      if box:read "holding" then break end
      require("pgsh.host").sleep(0.05)
    end
    local status = box:pgsh("status", "last").out
    local resumed = box:pgsh("resume", "last", "-y")
    task:cancel()
    assert.match("is running; at step 1 of 1, Hold", status)
    assert.match("held by ", status)
    assert.equal(7, resumed.exit, resumed.all)
  end)

  it("tell from another terminal what is waited for, and what was last seen", function()
    box:procedure([[step "Upgrade" (function()
      local n = 0
      wait.upto("60s", "the upgrade", function()
        n = n + 1
        if n == 2 then sh.read "touch looked" end
        return false, n .. " % done"
      end, { every = "50ms" })
    end)]], "long.lua")
    local task = require("pgsh.host").spawn("long", function() return box:pgsh("long.lua", "-y") end)
    for _ = 1, 200 do
      if box:read "looked" then break end
      require("pgsh.host").sleep(0.05)
    end
    local status = box:pgsh("status", "last").out
    task:cancel()
    assert.match("at step 1 of 1, Upgrade; waiting for the upgrade: 1 %% done %(%d+:%d+:%d+%)", status)
  end)

  it("need a name", function()
    for _, command in ipairs { "show", "status", "report", "undo", "resume" } do
      local run = box:pgsh(command)
      assert.equal(2, run.exit)
      assert.match("which run%?", run.err)
      assert.is_true(box:pgsh(command, "nothing").exit > 0)
    end
  end)

  it("complete in the shell", function()
    assert.match(id(), box:pgsh("completion", "runs").out)
    assert.equal("one\ntwo\nthree\n", box:pgsh("completion", "steps", "proc.lua").out)
    assert.equal("--app\n", box:pgsh("completion", "flags", "proc.lua").out)
    for _, shell in ipairs { "bash", "zsh", "fish" } do assert.match("pgsh", box:pgsh("completion", shell).out) end
    assert.equal(2, box:pgsh("completion", "tcsh").exit)
    assert.equal(0, box:pgsh({ input = box:pgsh("completion", "bash").out }, "completion", "bash").exit)
  end)

  it("are interrupted by one SIGINT without a terminal: exit 130", function()
    box:procedure('step "Hold" (function() sh.run "echo x"; sh.run "touch holding"; wait "20s" end)', "hold.lua")
    local task = require("pgsh.host").spawn("hold", function() return box:pgsh("hold.lua", "-y", "--no-input") end)
    for _ = 1, 100 do
      if box:read "holding" then break end
      require("pgsh.host").sleep(0.05)
    end
    local pid = box:events()[1].pid
    require("pgsh.sh").run { "kill", "-INT", tostring(pid) }
    local run = task:join()
    assert.equal(130, run.exit, run.all)
    assert.match("interrupted at step 1, effects known, 2 changes in effect", run.err)
  end)
end)
