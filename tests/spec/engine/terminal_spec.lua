-- The operator at a terminal (tmux plays it).
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("at a terminal", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  local function world() return (box:read "world" or ""):gsub("\n", " "):gsub(" $", "") end

  local STEPS = [[
    local down = clock { "read-only", budget = "5m" }
    step "One" { opens = down, run = function() sh.run "echo one >> world" end, undo = function() sh.run "echo undo-one >> world" end }
    step "Two" {
      keep = function() return { was = "kept value" } end,
      run = function() sh.run "echo two >> world" sh.run "test -e good" end,
      undo = function() sh.run "echo undo-two >> world" end,
    }
    step "Three" { closes = down, run = function() sh.run "echo three >> world" end }
  ]]

  it("asks before the first step; no is no", function()
    box:terminal(box:procedure(STEPS))
    box:answers("run 3 steps", "n")
    local screen = box:shows "exit status 3"
    assert.match("refused by the operator, nothing is changed", screen)
    assert.equal("", world())
  end)

  it("asks what to do after a failure: inspect, then retry", function()
    box:terminal(box:procedure(STEPS), "-y")
    local screen = box:shows "%[s%]top here"
    assert.match("USERS ARE READ%-ONLY SINCE", screen)
    assert.match("%[u%]ndo 2 changes", screen)
    box:types("i", "Enter")
    screen = box:shows "change 3  failed"
    assert.match("kept value", screen)
    assert.match("at proc.lua:6", screen)
    assert.match("change 2  sh localhost  echo two", screen)
    box:shows "RO>%s"
    box:types "C-d"
    box:shows "RO>%s.*%[s%]top here"
    box:write("good", "")
    box:types("r", "Enter")
    box:shows "exit status 0"
    assert.equal("one two three", world())
  end)

  it("undoes what it has shown before", function()
    box:terminal(box:procedure(STEPS), "-y")
    box:answers("%[s%]top here", "u")
    box:shows "exit status 1"
    assert.equal("one two undo-two undo-one", world())
  end)

  it("asks before it undoes, and can be stopped", function()
    box:terminal(box:procedure(STEPS))
    box:answers("run 3 steps", "y")
    box:answers("%[s%]top here", "u")
    local screen = box:shows "undo 2 changes of 2 steps"
    assert.match("echo undo%-one >> world", screen)
    box:types("n", "Enter")
    box:shows "undo 2 changes of 2 steps.*%[s%]top here.*>%s*$" -- asked again: what is typed before that is thrown away
    box:types("s", "Enter")
    screen = box:shows "exit status 5"
    assert.match("stopped at step 2, effects known", screen)
    assert.equal("one two", world())
  end)

  it("skips a step that failed when k is typed", function()
    box:terminal(box:procedure(STEPS), "-y")
    box:answers("%[s%]top here", "k")
    box:shows "exit status 0"
    assert.equal("one two three", world())
  end)

  it("takes a typed confirmation", function()
    box:terminal(box:procedure 'step "Drop" { confirm = "crates-io", run = function() sh.run "echo dropped >> world" end }', "-y")
    box:answers("type crates%-io to confirm", "crates-io")
    box:shows "exit status 0"
    assert.equal("dropped", world())
  end)

  it("shows what is to be done by hand, and takes evidence", function()
    box:terminal(box:procedure 'manual "Tell them" { text = "Say so in #database", url = "https://chat.example.org" }', "-y")
    local screen = box:shows "line of %[e%]vidence"
    assert.match("Say so in #database", screen)
    assert.match("https://chat.example.org", screen)
    box:types("e", "Enter")
    box:answers("evidence", "told ana")
    screen = box:shows "exit status 0"
    assert.match('"told ana" — ', screen)
  end)

  it("stops at a manual step that is not done, and asks again when resumed", function()
    box:terminal(box:procedure 'step "One" (function() sh.run "echo one >> world" end) manual "Tell them" { text = "Say so" }', "-y")
    box:answers("line of %[e%]vidence", "s")
    box:shows "exit status 5"
    local run = box:pgsh("resume", "last", "-y", "--confirm", "tell-them")
    assert.equal(0, run.exit, run.all)
    assert.equal("one", world())
  end)

  it("is interrupted by Ctrl-C, says the state and asks", function()
    box:terminal(box:procedure [[
      step "One" (function() sh.run "echo one >> world" end)
      step "Wait" (function()
        wait.upto("50s", "godot", function() return #sh.read("ls good 2>/dev/null || true").out > 0, "not yet" end)
      end)
    ]], "-y")
    box:shows "not yet"
    box:types "C-c"
    local screen = box:shows "%[s%]top here"
    assert.match("interrupted", screen)
    box:types("s", "Enter")
    screen = box:shows "exit status 130"
    assert.match("interrupted at step 2, effects known, 1 change in effect", screen)
    box:write("good", "")
    assert.equal(0, box:pgsh("resume", "last", "-y").exit)
    assert.equal("one", world())
  end)

  it("goes on after Ctrl-C when the operator says so", function()
    box:terminal(box:procedure [[
      step "Wait" (function()
        wait.upto("50s", "godot", function() return #sh.read("ls good 2>/dev/null || true").out > 0, "not yet" end)
      end)
    ]], "-y")
    box:shows "not yet"
    box:types "C-c"
    box:shows "%[s%]top here"
    box:write("good", "")
    box:types("r", "Enter")
    box:shows "exit status 0"
  end)

  it("ends with 130 when the question itself is interrupted", function()
    box:terminal(box:procedure(STEPS), "-y")
    box:shows "%[s%]top here"
    box:types "C-c"
    local screen = box:shows "exit status %d+"
    assert.match("exit status 130", screen)
    assert.match("interrupted at step 2, effects known, 2 changes in effect", screen)
  end)

  it("stops a watched step by Ctrl-C before it asks", function()
    box:terminal(box:procedure [[
      step "Watched" {
        tripwire = tripwire { "all is well", function() return true end, every = "50ms" },
        run = function()
          if #sh.read("ls good 2>/dev/null || true").out == 0 then sh.run "touch begun; sleep 30" end
        end,
      }
    ]], "-y")
    for _ = 1, 100 do
      if box:read "begun" then break end
      require("pgsh.host").sleep(0.05)
    end
    box:types "C-c"
    box:shows "it did NOT happen"
    box:write("good", "")
    box:types("d", "Enter")
    box:shows "exit status"
  end)

  it("asks what became of a change nobody knows the outcome of", function()
    box:terminal(box:procedure [[
      step "x" (function()
        sh.run("echo x >> world; test -e good || sleep 9", { timeout = 0.3 })
        sh.run "echo y >> world"
      end)
    ]], "-y")
    box:answers("it did NOT happen", "d")
    box:shows "exit status 0"
    assert.equal("x y", world())
  end)

  it("repeats a change that the operator says did not happen", function()
    box:terminal(box:procedure [[
      step "x" (function() sh.run("echo x >> world; test -e good || sleep 9", { timeout = 0.3 }) end)
    ]], "-y")
    box:shows "it did NOT happen"
    box:write("good", "")
    box:types("r", "Enter")
    box:shows "exit status 0"
    assert.equal("x x", world())
  end)

  it("shows the changes of an edited file and asks", function()
    box:run(STEPS)
    box:procedure((STEPS:gsub("test %-e good", "true")))
    box:terminal("resume", "last")
    local screen = box:shows "go on with the changed procedure"
    assert.match("step two was edited", screen)
    box:types("n", "Enter")
    box:shows "exit status 3"
  end)
end)
