local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("a run", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  it("does its steps in order and ends with 0", function()
    local run = box:run [[
      step "One" (function() print "one" end)
      step "Two" { run = function() print "two" end }
      step "Three" (function() print "three" end)
    ]]
    assert.equal("one\ntwo\nthree\n", run.out)
    assert.equal(0, run.exit)
    assert.match("done, 3 steps", run.err)
  end)

  it("journals keep before run, and hands it to run, verify, note and undo", function()
    local run = box:run [[
      step "Change" {
        keep = function() return { was = 4 } end,
        run = function(kept) sh.run "true" return { now = kept.was + 1 } end,
        verify = { "it is five", function(kept, result) return kept.was == 4 and result.now == 5 end },
        note = function(kept, result) return kept.was .. " → " .. result.now end,
        undo = function(kept, result) print("undo", kept.was, result.now) end,
      }
      step "Fail" (function() fail "on purpose" end)
    ]]
    assert.equal(5, run.exit)
    assert.match("4 → 5", run.err)
    local types = {}
    for _, event in ipairs(box:events()) do
      if event.step == "change" then types[#types + 1] = event.type end
    end
    assert.same({ "step.started", "step.kept", "effect.intent", "effect.outcome", "step.done" }, types)
    assert.match("undo\t4\t5\n", box:pgsh("undo", "last", "-y").out)
  end)

  it("gives later steps what earlier ones kept and returned", function()
    local run = box:run [[
      local first = step "First" { keep = function() return "k" end, run = function() return { id = "r" } end }
      step "Second" (function() print(first.kept, first.result.id, first.done, first.id, first.title) end)
    ]]
    assert.equal("k\tr\ttrue\tfirst\tFirst\n", run.out)
  end)

  it("shows the text a step returns behind its line", function()
    assert.match("One.*three of three", box:run('step "One" (function() return "three of three" end)').err)
  end)

  it("leaves out steps whose condition is false, and says why", function()
    local run = box:run [[
      step "One" { when = false, run = function() print "one" end }
      step "Two" { when = { nil, "no page is given" }, run = function() print "two" end }
      step "Three" { when = function() return false, "nothing to do" end, run = function() print "three" end }
      step "Four" { when = function() return true end, run = function() print "four" end }
    ]]
    assert.equal("four\n", run.out)
    assert.match("skipped: no page is given", run.err)
    assert.match("skipped: nothing to do", run.err)
  end)

  it("journals a fact once", function()
    local run = box:run [[
      local n = fact "n" (function() return sh.read("echo x >> facts; wc -l < facts").out:match "%d+" end)
      step "Show" (function() print(n) end)
    ]]
    assert.equal("1\n", run.out)
    assert.equal("1", box:events_of("fact")[1].value)
  end)

  it("refuses changes at the top level, in keep, verify and facts", function()
    for _, text in ipairs {
      'sh.run "true"  step "x" (function() end)',
      'fact "f" (function() return sh.run "true" end)  step "x" (function() end)',
      'step "x" { keep = function() sh.run "true" end, run = function() end }',
      'step "x" { run = function() end, verify = function() sh.run "true" end }',
      'preflight "x" (function() sh.run "true" end) step "x" (function() end)',
    } do
      local run = box:run(text)
      assert.equal(3, run.exit, text .. "\n" .. run.all)
      assert.match("only reads", run.all)
    end
  end)

  it("fails a step whose verify does not hold, and says what was seen", function()
    local run = box:run [[
      step "Change" {
        run = function() sh.run "true" end,
        verify = { "the dyno is down", function() return false, "1 is up" end },
        verify_within = "100ms",
      }
    ]]
    assert.equal(5, run.exit)
    assert.match("does not hold: the dyno is down %(1 is up%)", run.err)
  end)

  it("waits a little for a verify to hold", function()
    local run = box:run [[
      step "Change" {
        run = function() sh.run "(sleep 0.4; touch there) >/dev/null 2>&1 &" end,
        verify = { "it is there", function() return #sh.read("ls there 2>/dev/null || true").out > 0 end },
      }
    ]]
    assert.equal(0, run.exit, run.all)
    assert.match("waiting: it is there", run.err)
  end)

  it("takes a verify that returns nothing as holding, one that raises as failing", function()
    assert.equal(0, box:run('step "x" { run = function() end, verify = function() end }').exit)
    assert.equal(1, box:run('step "x" { run = function() end, verify = function() error "no" end }').exit)
  end)

  it("ends a step at its timeout", function()
    local run = box:run 'step "Slow" { timeout = "200ms", run = function() wait "10s" end }'
    assert.equal(124, run.exit)
    assert.match("timeout of step slow", run.err)
  end)

  it("tells a script's error with file and line", function()
    local run = box:run 'step "x" (function() local t = nil; return t.y end)'
    assert.equal(1, run.exit)
    assert.match("proc.lua:2: attempt to index a nil value", run.err)
    assert.match("failed at step 1, nothing is changed", run.err)
    assert.match("go on: pgsh resume %w+", run.err)
  end)

  it("tells the line of the script for an error of a primitive", function()
    assert.match("at proc.lua:3", box:run('step "x" (function()\nsh.run "exit 3"\nend)').err)
  end)

  describe("without anybody to ask", function()
    it("needs --yes, and says so at once", function()
      local run = box:pgsh(box:procedure 'step "x" (function() print "ran" end)')
      assert.equal(4, run.exit)
      assert.match("%-%-yes", run.err)
      assert.equal("", run.out)
    end)

    it("asks again when a run that nobody confirmed is resumed", function()
      box:pgsh(box:procedure 'step "x" (function() print "ran" end)')
      local run = box:pgsh("resume", "last")
      assert.equal(4, run.exit, run.all)
      assert.equal("", run.out)
      assert.equal("ran\n", box:pgsh("resume", "last", "-y").out)
    end)

    it("needs the names of manual steps and confirmations before the first change", function()
      local run = box:run([[
        step "One" (function() print "ran" end)
        manual "Tell the team" { text = "…" }
        step "Drop" { confirm = "crates-io", run = function() end }
      ]], "--no-input")
      assert.equal(4, run.exit)
      assert.match("%-%-confirm tell%-the%-team %-%-confirm crates%-io", run.err)
      assert.equal("", run.out)
    end)

    it("never takes --yes for a typed confirmation", function()
      local run = box:run 'step "Drop" { confirm = "crates-io", run = function() print "ran" end }'
      assert.equal(4, run.exit)
      assert.match("%-%-confirm crates%-io", run.err)
      assert.equal("", run.out)
    end)
  end)

  it("takes confirmations from --confirm, with evidence", function()
    local run = box:run([[
      manual "Tell the team" { text = "Say so", undo = "Say it is off" }
      step "Drop" { confirm = function() return "crates-io", "Drop everything" end, run = function() print "ran" end }
    ]], "--confirm", "tell-the-team=told ana", "--confirm", "crates-io")
    assert.equal(0, run.exit, run.all)
    assert.equal("ran\n", run.out)
    assert.match('"told ana" — ', run.err)
    local done = box:events_of("step.done")[1]
    assert.equal("told ana", done.result.evidence)
  end)

  it("runs from, until and without steps", function()
    local text = 'for _, n in ipairs { "one", "two", "three", "four" } do step(n) (function() print(n) end) end'
    assert.equal("two\nthree\n", box:run(text, "--from", "two", "--until", "three").out)
    assert.match("1 left", box:ended().message)
    assert.equal("four\n", box:pgsh("resume", "last", "-y").out)
    assert.equal("one\nfour\n", box:run(text, "--skip", "two,three").out)
    assert.equal(2, #box:events_of "setting")
    local run = box:run(text, "--from", "tow")
    assert.equal(2, run.exit)
    assert.match("did you mean two%?", run.err)
    assert.equal(2, box:run(text, "--from", "three", "--until", "two").exit)
  end)

  it("is locked out by another run on the same target", function()
    box:procedure [[
      local web = http("http://127.0.0.1:9", { kind = "heroku", name = "crates-io" })
      step "Hold" (function() sh.run "touch holding"; wait "20s" end)
    ]]
    local first = require("pgsh.host").spawn("first", function() return box:pgsh("proc.lua", "-y") end)
    for _ = 1, 100 do
      if box:read "holding" then break end
      require("pgsh.host").sleep(0.05)
    end
    local second = box:pgsh("proc.lua", "-y")
    first:cancel()
    assert.equal(7, second.exit, second.all)
    assert.match("heroku crates%-io", second.err)
  end)

  it("counts a tripwire that no longer holds as a failure", function()
    local run = box:run [[
      step "Watched" {
        tripwire = tripwire { "the file is away", function() return #sh.read("ls there 2>/dev/null || true").out == 0, "it is there" end,
          every = "50ms" },
        run = function() sh.run "touch there"; wait "10s"; print "not reached" end,
      }
    ]]
    assert.equal(5, run.exit, run.all)
    assert.match("tripwire: the file is away no longer holds: it is there", run.err)
    assert.equal("", run.out)
  end)
end)
