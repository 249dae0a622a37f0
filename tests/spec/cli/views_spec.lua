-- What people and programs see where there is no terminal. The engine is replaced, by $PGSH_PATH, by one that emits the events of
-- a spec.
local json = require "cjson"
local run = require "tests.spec.support.run"

local RUN = [[
local host = require "pgsh.host"
return function()
  host.emit("run.started", { run = "k7f2", procedure = "heroku-primary" })
  host.emit("run.targets", { targets = { { kind = "heroku", name = "crates-io" }, { kind = "psql", name = "DATABASE" },
    { kind = "psql", name = "REPLICA" } } })
  host.emit("run.steps", { steps = { { id = "stop", title = "Stop the worker", kind = "step", number = 1 },
    { id = "press", title = "Press the button", kind = "manual", number = 2 }, { id = "go", title = "Go", kind = "step", number = 3 } },
    clocks = { { name = "read-only", budget_ms = 300000 } } })
  host.emit("step.started", { step = "stop", number = 1, title = "Stop the worker", kind = "step", attempt = 1 })
  host.emit("effect.read", { step = "stop", target = "heroku crates-io", verb = "GET", show = "GET /formation", ms = 12 })
  host.emit("effect.intent", { effect = 1, branch = "stop/run", order = 1, step = "stop", target = "heroku crates-io",
    verb = "PATCH", show = "PATCH /formation" })
  host.emit("effect.outcome", { effect = 1, branch = "stop/run", order = 1, outcome = "ok", ms = 300 })
  host.emit("step.done", { step = "stop", number = 1, ms = 800, note = "1:Standard-1X → 0", reads = 1, changes = 1 })
  host.emit("clock.opened", { clock = "read-only", budget_ms = 300000, at_ms = host.now() - 31000 })
  host.emit("step.skipped", { step = "press", number = 2, why = "--skip" })
  host.emit("step.started", { step = "go", number = 3, title = "Go", kind = "step", attempt = 2 })
  host.emit("wait.started", { what = "the redeploy", limit_ms = 600000 })
  host.emit("wait.seen", { what = "the redeploy", text = "2 of 4 dynos" })
  host.emit("wait.ended", { what = "the redeploy", ms = 100, ok = true })
  host.emit("step.failed", { step = "go", number = 3, ms = 2100, outcome = "failed", error = { kind = "http", message = "HTTP 422",
    target = "heroku crates-io", detail = "no maintenance is pending", hint = "look at the dashboard" } })
  host.emit("log", { level = "warn", text = "mind the gap" })
  host.emit("run.ended", { run = "k7f2", status = "stopped", exit = 5, message = "stopped at step 3, effects known",
    next = { "go on: pgsh resume k7f2", "go back: pgsh undo k7f2" } })
  return 5
end
]]

local PLAN = [[
local host = require "pgsh.host"
return function()
  host.emit("run.targets", { targets = { { kind = "heroku", name = "crates-io" } } })
  host.emit("plan.step", { step = "stop", number = 3, title = "Stop the worker", kind = "step" })
  host.emit("effect.planned", { step = "stop", phase = "run", target = "heroku crates-io", verb = "PATCH",
    show = "PATCH /formation worker 1 → 0" })
  host.emit("plan.note", { step = "stop", kind = "verify", text = "no dyno is up (now: 1)" })
  host.emit("plan.step", { step = "ro", number = 4, title = "Read-only", kind = "step", opens = { name = "read-only",
    budget_ms = 300000 } })
  host.emit("plan.ended", { changes = 1, targets = 1, reads = 14, left_out = {},
    uncertain = { { step = "ro", file = "p.lua", line = 61, text = "incident.id, known after the run" } } })
  return 0
end
]]

local function emitting(body)
  return 'local host = require "pgsh.host"\nreturn function(invocation) ' .. body .. "\nend"
end

describe("without a terminal", function()
  local box

  setup(function()
    box = run.box()
    os.execute("mkdir -p " .. box.dir .. "/lua/pgsh")
    box.env.PGSH_PATH = box.dir .. "/lua"
  end)

  teardown(function() box:remove() end)

  local function pgsh(engine, arguments, options)
    run.write_file(box.dir .. "/lua/pgsh/main.lua", engine)
    return box:pgsh(arguments or { "x.lua" }, options)
  end

  -- The lines, with the time of each left away; it must be there.
  local function unstamped(text)
    return (text:gsub("[^\n]+", function(line)
      local rest = line:match "^%d%d:%d%d:%d%dZ (.*)$"
      assert.truthy(rest, "no time in: " .. line)
      return rest
    end))
  end

  describe("people read", function()
    it("one plain line an event, and the last one says how to go on", function()
      local result = pgsh(RUN)
      assert.equal("", result.stdout)
      assert.equal(5, result.exit)
      assert.equal([[
heroku-primary · run k7f2
targets heroku crates-io · psql DATABASE, REPLICA
3 steps · 1 manual · read-only budget 5m
◐  1 Stop the worker
✓  1 Stop the worker  0.8 s  1:Standard-1X → 0
     READ-ONLY from now on, budget 5:00
–  2 Press the button  manual  skipped: --skip
◐  3 Go  attempt 2
     waiting: the redeploy · limit 10m
     now: 2 of 4 dynos
✗  3 Go  2.1 s  heroku crates-io: HTTP 422
     no maintenance is pending
     hint: look at the dashboard
USERS ARE READ-ONLY SINCE 0:31 (budget 5:00)
pgsh: mind the gap
stopped at step 3, effects known · run k7f2 · go on: pgsh resume k7f2 · go back: pgsh undo k7f2
]], unstamped(result.stderr))
    end)

    it("only ASCII when the locale is not UTF-8", function()
      local result = pgsh(RUN, nil, { env = { LANG = "C" } })
      assert.is_nil(result.stderr:find("[\128-\255]"))
      assert.truthy(result.stderr:find("ok  1 Stop the worker  0.8 s  1:Standard-1X -> 0\n", 1, true))
      assert.truthy(result.stderr:find("XX  3 Go", 1, true))
    end)

    it("UTF-8 when the locale is one that this machine does not have", function()
      assert.truthy(pgsh(RUN, nil, { env = { LANG = "sw_KE.UTF-8" } }).stderr:find("✓", 1, true))
    end)

    it("only failures, warnings and the last line with -q", function()
      local lines = unstamped(pgsh(RUN, { "-q", "x.lua" }).stderr)
      assert.truthy(lines:find("^✗  3 Go"))
      assert.is_nil(lines:find("✓", 1, true))
      assert.truthy(lines:find("USERS ARE READ-ONLY", 1, true))
      assert.truthy(lines:find("pgsh resume k7f2", 1, true))
    end)

    it("each read and each change with -v", function()
      local lines = unstamped(pgsh(RUN, { "-v", "x.lua" }).stderr)
      assert.truthy(lines:find("     read    heroku crates-io  GET /formation  0.0 s\n", 1, true))
      assert.truthy(lines:find("     change  heroku crates-io  PATCH /formation\n", 1, true))
    end)

    it("that an outcome is unknown", function()
      local result = pgsh(emitting [[
        host.emit("step.failed", { step = "a", number = 1, ms = 1, outcome = "unknown", error = { kind = "unknown",
          message = "the line dropped" } })
        return 6]])
      assert.truthy(result.stderr:find("?  1 a  0.0 s  OUTCOME UNKNOWN: the line dropped\n", 1, true))
      assert.equal(6, result.exit)
    end)

    it("that a clock was over its budget, in capitals, also with -q", function()
      local engine = emitting [[
        host.emit("clock.opened", { clock = "read-only", budget_ms = 1000, at_ms = host.now() })
        host.emit("clock.closed", { clock = "read-only", ms = 372000, budget_ms = 300000, over = true })
        return 0]]
      assert.truthy(pgsh(engine, { "-q", "x.lua" }).stderr:find("READ-ONLY LASTED 6:12, OVER ITS BUDGET OF 5:00", 1, true))
    end)

    it("that users are affected since an earlier attempt", function()
      local result = pgsh(emitting [[
        host.emit("run.resumed", { run = "k7f2", procedure = "p" })
        host.emit("run.steps", { steps = {}, clocks = { { name = "read-only", budget_ms = 300000, at_ms = host.now() - 125000 } } })
        host.emit("step.failed", { step = "a", number = 1, ms = 1, outcome = "failed", error = { message = "no" } })
        return 5]])
      assert.truthy(result.stderr:find("p · run k7f2 (resumed)\n", 1, true))
      assert.truthy(result.stderr:find("USERS ARE READ-ONLY SINCE 2:05 (budget 5:00)", 1, true))
    end)

    it("an error before any run as one line", function()
      local result = pgsh(emitting [[
        host.emit("run.ended", { status = "usage", exit = 2, message = "--app is required" })
        return 2]])
      assert.equal("pgsh: --app is required\n", result.stderr)
    end)

    it("an error that escapes, with its hint, and its exit status", function()
      local result = pgsh(emitting [[error(host.error("refused", { message = "not that one", target = "psql x",
        hint = "take another" }), 0)]])
      assert.truthy(result.stderr:find("^pgsh: psql x: not that one\n"))
      assert.truthy(result.stderr:find("hint: take another", 1, true))
      assert.is_nil(result.stderr:find("traceback", 1, true))
      assert.equal(3, result.exit)
    end)
  end)

  describe("colour", function()
    local function coloured(arguments, env) return pgsh(RUN, arguments, { env = env }).stderr:find("\27[", 1, true) ~= nil end

    it("is not for a pipe", function() assert.is_false(coloured { "x.lua" }) end)
    it("is there with --color always, whatever NO_COLOR says", function()
      assert.is_true(coloured({ "--color", "always", "x.lua" }, { NO_COLOR = "1" }))
    end)
    it("marks what failed", function()
      local text = pgsh(RUN, { "--color=always", "x.lua" }).stderr
      assert.truthy(text:find("\27[1;31m✗\27[0m", 1, true))
      assert.truthy(text:find("\27[32m✓\27[0m", 1, true))
    end)
  end)

  describe("strings from outside", function()
    local HOSTILE = "a\27]0;title\7 \194\155 2J \13over\226\128\174rtl \255 end"
    local SHOWN = [[a\x1b]0;title\x07 \u{009b} 2J \x0dover\u{202e}rtl \xff end]]

    it("cannot command the terminal", function()
      local engine = emitting(([[
        host.emit("step.done", { step = "a", number = 1, ms = 1, note = %q, reads = 0, changes = 0 })
        host.emit("run.ended", { run = "r", status = "done", exit = 0, message = %q })
        return 0]]):format(HOSTILE:gsub("\255", ""), HOSTILE:gsub("\255", "")))
      local text = pgsh(engine).stderr
      assert.is_nil(text:find("[\0-\9\11-\31\127]"))
      assert.equal(2, select(2, text:gsub((SHOWN:gsub([[\xff]], "")):gsub("%p", "%%%0"), "")))
    end)

    it("cannot in errors either", function()
      local text = pgsh(emitting(([[error(%q, 0)]]):format "bad \27[2J news")).stderr
      assert.truthy(text:find([[bad \x1b[2J news]], 1, true))
    end)

    it("cannot pass for a line of ours", function()
      local engine = emitting [[
        host.emit("step.done", { step = "a", number = 1, ms = 1, note = "x\n✓  2 Forged", reads = 0, changes = 0 })
        return 0]]
      assert.equal("✓  1 a  0.0 s  x ✓  2 Forged\n", unstamped(pgsh(engine).stderr))
    end)
  end)

  describe("standard output", function()
    it("has what a script puts out, byte for byte, with a last line end", function()
      local result = pgsh(emitting [[host.emit("output", { text = "a\27[1mb" }) host.emit("output", { text = "c\n" }) return 0]])
      assert.equal("a\27[1mb\nc\n", result.stdout)
      assert.equal("", result.stderr)
    end)

    it("has the plan", function()
      local result = pgsh(PLAN, { "plan", "x.lua" })
      assert.equal([[
  3  Stop the worker
      change   heroku crates-io   PATCH /formation worker 1 → 0
      verify   no dyno is up (now: 1)
  4  Read-only                                          opens READ-ONLY (budget 5m)

1 change on 1 target, 14 reads made, nothing changed.
Uncertain from: step ro, p.lua:61 (incident.id, known after the run)
]], result.stdout)
      assert.equal(0, result.exit)
    end)

    it("has one event a line with -o jsonl", function()
      local result = pgsh(RUN, { "-o", "jsonl", "x.lua" })
      local types, last = {}, 0
      for line in result.stdout:gmatch "[^\n]+" do
        local event = json.decode(line)
        assert.is_true(event.seq > last)
        assert.truthy(event.at:find "^%d+%-%d%d%-%d%dT.*Z$")
        last, types[#types + 1] = event.seq, event.type
      end
      assert.equal("run.started", types[1])
      assert.equal("run.ended", types[#types])
      assert.equal(17, #types)
      assert.truthy(result.stderr:find("pgsh resume k7f2", 1, true))
    end)

    it("has one object with -o json", function()
      local result = pgsh(RUN, { "-o", "json", "x.lua" })
      local object = json.decode(result.stdout)
      assert.equal(1, select(2, result.stdout:gsub("\n", "")))
      assert.equal("k7f2", object.run)
      assert.equal("stopped", object.status)
      assert.equal(5, object.exit)
      assert.equal("done", object.steps[1].status)
      assert.equal("skipped", object.steps[2].status)
      assert.equal("HTTP 422", object.steps[3].error.message)
      assert.is_true(object.clocks[1].open)
    end)

    it("has the plan as one object with -o json", function()
      local object = json.decode(pgsh(PLAN, { "plan", "-o", "json", "x.lua" }).stdout)
      assert.equal("PATCH", object.steps[1].effects[1].verb)
      assert.equal("verify", object.steps[1].notes[1].kind)
      assert.equal(14, object.plan.reads)
    end)

    it("has the answer of a query as it is, whatever the output", function()
      local engine = emitting [[host.emit("output", { text = '{"run":"k7f2"}' }) return 0]]
      assert.equal('{"run":"k7f2"}\n', pgsh(engine, { "runs", "-o", "json" }).stdout)
      assert.equal('{"run":"k7f2"}\n', pgsh(engine, { "runs", "-o", "jsonl" }).stdout)
    end)

    it("may be closed by its reader: a quiet end", function()
      local engine = emitting [[for i = 1, 100000 do host.emit("output", { text = ("x"):rep(1000) }) host.sleep(0) end return 0]]
      pgsh(engine, { "--version" })
      local text = run.shell(("cd %s && PGSH_PATH=%s bash -c '%s x.lua 2>err | head -c 5; echo \"=${PIPESTATUS[0]}\"; cat err'"):format(
        box.dir, box.env.PGSH_PATH, run.shell("realpath " .. (os.getenv "PGSH" or "./pgsh"))))
      assert.equal("xxxxx=141", text)
    end)

    it("that cannot be written is said", function()
      local engine = emitting [[host.emit("output", { text = "x" }) return 0]]
      pgsh(engine, { "--version" })
      local text = run.shell(("PGSH_PATH=%s %s x.lua 2>&1 >/dev/full; echo $?"):format(box.env.PGSH_PATH, os.getenv "PGSH" or "./pgsh"))
      assert.equal("pgsh: cannot write to standard output: No space left on device\n1", text)
    end)
  end)

  describe("a question", function()
    local ASKS = emitting [[
      local ok, problem = pcall(host.ask, { text = "Really?\nmore", flag = "--yes", options = "yn", labels = "[y]es  [n]o" })
      host.emit("output", { text = ("%s|%s|%s"):format(problem.kind, problem.message, problem.hint) })
      error(problem, 0)]]

    it("is an error at once, that names the flag", function()
      local result = pgsh(ASKS)
      assert.equal("answer|an answer is needed: Really?|answer with --yes, or run in a terminal\n", result.stdout)
      assert.equal(4, result.exit)
    end)
  end)

  describe("signals:", function()
    local WAITS = emitting [[
      host.emit("run.started", { run = "k7f2", procedure = "p" })
      host.emit("run.steps", { steps = {}, clocks = {} })
      local ok, problem = pcall(function()
        host.emit("log", { level = "warn", text = "waiting" })
        host.sleep(30)
      end)
      host.emit("output", { text = problem.kind .. " " .. host.interrupts() })
      ok, problem = pcall(host.ask, { text = "what now?" })
      host.emit("output", { text = problem.kind })
      return 130]]

    for _, name in ipairs { "INT", "TERM", "HUP" } do
      it(name .. " stops what is waited for, and the engine goes on", function()
        pgsh(WAITS, { "--version" })
        local process = box:start { "x.lua" }
        process:expect "waiting"
        process:signal(name)
        local result = process:wait(10)
        assert.equal("interrupted 1\nanswer\n", result.stdout)
        assert.equal(130, result.exit)
      end)
    end

    it("a second one, before the first was dealt with, is the end", function()
      pgsh(emitting [[
        host.emit("run.started", { run = "k7f2", procedure = "p" })
        host.emit("run.steps", { steps = {}, clocks = {} })
        pcall(function()
          host.emit("log", { level = "warn", text = "waiting" })
          host.sleep(30)
        end)
        host.emit("log", { level = "warn", text = "stopping" })
        host.shield(host.sleep, 30)
        return 0]], { "--version" })
      local process = box:start { "x.lua" }
      process:expect "waiting"
      process:signal "INT"
      process:expect "stopping"
      process:signal "INT"
      local result = process:wait(10)
      assert.equal(130, result.exit)
      assert.truthy(result.stderr:find(
        "interrupted: state of the last operation unknown; journal intact · go on: pgsh resume k7f2\n$"))
    end)
  end)
end)
