local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("a failure", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  -- Two changes with undo, one without anything to undo, then a failure unless the file "good" is there.
  local STEPS = [[
    local down = clock { "read-only", budget = "5m" }
    step "One" {
      opens = down,
      keep = function() return { was = "before" } end,
      run = function() sh.run "echo one >> world" end,
      undo = function(kept) sh.run("echo undo-one-" .. kept.was .. " >> world") end,
    }
    step "Two" {
      run = function() sh.run "echo two >> world" return { name = "second" } end,
      undo = { "take two back", function(_, result) sh.run("echo undo-" .. result.name .. " >> world") end },
    }
    step "Nothing" (function() end)
    step "Three" {
      run = function()
        sh.run "echo three >> world"
        sh.run "test -e good"
      end,
      undo = function() sh.run "echo undo-three >> world" end,
    }
    step "Four" { closes = down, run = function() sh.run "echo four >> world" end }
  ]]

  local function world() return (box:read "world" or ""):gsub("\n", " "):gsub(" $", "") end

  it("stops half way with 5, says what is in effect, and how to go on or back", function()
    local run = box:run(STEPS, "--no-input")
    assert.equal(5, run.exit, run.all)
    assert.match("stopped at step 4, effects known, 3 changes in effect", run.err, 1, true)
    assert.match("go on: pgsh resume %w+ · go back: pgsh undo %w+", run.err)
    assert.match("USERS ARE READ%-ONLY SINCE 0:0%d %(budget 5:00%)", run.err)
    assert.equal("one two three", world())
  end)

  it("is gone on with by resume, without repeating what was done", function()
    box:run(STEPS)
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.equal("one two three four", world())
    assert.match("3 steps done before: 1 2 3", run.err)
    assert.equal("done", box:ended().status)
    assert.match("nothing is left\n", run.err:gsub("done, 2 steps.*", "nothing is left\n"))
    assert.equal(0, box:pgsh("resume", "last", "-y").exit)
    assert.equal("one two three four", world())
  end)

  it("is undone by undo, in reverse order, with what was kept and returned", function()
    box:run(STEPS)
    local run = box:pgsh("undo", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.equal("one two three undo-three undo-second undo-one-before", world())
    assert.match("3 steps undone, nothing is left in effect", run.err)
    assert.match("undone", box:pgsh("runs").out)
    assert.equal(1, #box:events_of "clock.closed")
    run = box:pgsh("undo", "last", "-y")
    assert.equal(0, run.exit)
    assert.match("nothing had to be undone", run.err)
    assert.equal("one two three undo-three undo-second undo-one-before", world())
  end)

  it("can be begun anew after an undo", function()
    box:run(STEPS)
    box:pgsh("undo", "last", "-y")
    box:write("good", "")
    assert.equal(0, box:pgsh("resume", "last", "-y").exit)
    assert.equal("one two three undo-three undo-second undo-one-before one two three four", world())
    local run = box:pgsh("undo", "last", "-y")
    assert.equal(5, run.exit, run.all) -- four has no undo
    assert.match("without undo and still in effect: four", run.err)
    assert.match("undo%-three undo%-second undo%-one%-before$", world())
  end)

  it("shows what undo would do, and asks", function()
    box:run(STEPS)
    local run = box:pgsh("undo", "last")
    assert.equal(4, run.exit)
    assert.match("echo undo%-second >> world", run.all)
    assert.match("undo 3 changes of 3 steps%?", run.all)
    assert.equal("one two three", world())
  end)

  it("is undone at once with --on-failure undo, and ends with 1", function()
    local run = box:run(STEPS, "--on-failure", "undo")
    assert.equal(1, run.exit, run.all)
    assert.equal("one two three undo-three undo-second undo-one-before", world())
    assert.match("failed, 3 steps undone, nothing is left in effect", run.err)
  end)

  it("of the undo itself stops, and the undo goes on where it was", function()
    local text = [[
      step "One" { run = function() sh.run "echo one >> world" end, undo = function() sh.run "echo undo-one >> world; test -e good" end }
      step "Two" { run = function() sh.run "echo two >> world" end, undo = function() sh.run "echo undo-two >> world" end }
      step "Three" (function() fail "no" end)
    ]]
    local run = box:run(text, "--on-failure", "undo", "--no-input")
    assert.equal(5, run.exit, run.all)
    assert.equal("one two undo-two undo-one", world())
    box:write("good", "")
    assert.equal(0, box:pgsh("undo", "last", "-y").exit)
    assert.equal("one two undo-two undo-one undo-one", world())
  end)

  it("before the first change ends with 1", function()
    local run = box:run('step "x" (function() fail("no %d", 5) end)')
    assert.equal(1, run.exit)
    assert.match("failed at step 1, nothing is changed", run.err)
    assert.match("no 5", run.err)
    assert.is_nil(run.err:find("go back", 1, true))
  end)

  it("of a preflight refuses with 3 and the whole list", function()
    local run = box:run [[
      preflight "The app" (function()
        problem "no such app"
        problem("%d dynos are missing", 2)
      end)
      preflight "The follower" (function() return { "no follower", "no replica" } end)
      preflight "The page" (function() sh.read "exit 7" end)
      preflight "Not asked for" { when = { false, "no" }, run = function() problem "never" end }
      preflight "Fine" (function() return true end)
      step "x" (function() sh.run "touch world" end)
    ]]
    assert.equal(3, run.exit, run.all)
    for _, text in ipairs { "The app: no such app", "The app: 2 dynos are missing", "The follower: no follower", "The follower: no replica",
      "The page: " } do
      assert.match(text, run.err, 1, true)
    end
    assert.is_nil(run.err:find("never", 1, true))
    assert.is_nil(box:read "world")
    assert.equal("refused", box:ended().status)
  end)

  it("of which nobody knows the outcome is decided by verify", function()
    local run = box:run [[
      step "x" {
        run = function() sh.run("echo x >> world; sleep 9", { timeout = 0.3 }) end,
        verify = { "the world has it", function() return sh.read("cat world").out == "x\n" end },
      }
      step "y" (function() end)
    ]]
    assert.equal(0, run.exit, run.all)
    assert.equal("x", world())
    local done = box:events_of("step.done")[1]
    assert.equal("verify", done.how)
  end)

  it("of which nobody knows the outcome is never repeated: exit 6", function()
    local text = [[ step "x" (function() sh.run("echo x >> world; sleep 9", { timeout = 0.3 }) end) ]]
    local run = box:run(text, "--no-input")
    assert.equal(6, run.exit, run.all)
    assert.match("OUTCOME OF A CHANGE UNKNOWN", run.err)
    run = box:pgsh("resume", "last", "-y", "--no-input")
    assert.equal(6, run.exit, run.all)
    assert.equal("x", world())
  end)

  it("of which nobody knows the outcome is decided by on_unknown", function()
    local run = box:run [[
      local tries = 0
      step "x" {
        run = function()
          tries = tries + 1
          sh.run("echo x >> world; sleep " .. (tries == 1 and 9 or 0), { timeout = 0.3, what = "x" })
        end,
        on_unknown = function() return false end,
      }
    ]]
    assert.equal(0, run.exit, run.all)
    assert.equal("x x", world())
  end)

  it("lets a skipped step stand as skipped when the run is resumed", function()
    local text = 'step "One" (function() print "one" end) step "Two" (function() sh.run "test -e good" end)'
    box:run(text, "--skip", "one")
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit)
    assert.equal("", run.out)
  end)
end)
