local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("resume", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  local function world() return (box:read "world" or ""):gsub("\n", " "):gsub(" $", "") end

  local TEXT = [[
    local app = param.string { "app", required = true }
    local token = param.string { "note", default = "n", changeable = true }
    local read = fact "clock" (function() return sh.read("echo x >> facts; wc -l < facts").out:match "%d+" end)
    local one = step "One" {
      keep = function() return sh.read("echo x >> kept; wc -l < kept").out:match "%d+" end,
      run = function() sh.run("echo one >> world") return { id = 7 } end,
    }
    step "Two" (function()
      sh.run "echo two >> world"
      sh.run "test -e good"
      sh.run("echo two-" .. one.kept .. "-" .. one.result.id .. "-" .. read .. "-" .. app .. "-" .. token .. " >> world")
    end)
  ]]

  it("sees the parameters, facts, kept values and results of the run", function()
    assert.equal(5, box:run(TEXT, "--app", "crates-io").exit)
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.equal("one two two-1-7-1-crates-io-n", world())
  end)

  it("knows changes made side by side, in whatever order they come", function()
    local text = [[
      step "Three at once" (function()
        local late = sh.read("test -e good && echo 1 || echo 0").out:match "%d"
        local tasks = {}
        for i = 1, 3 do
          tasks[i] = spawn(function()
            wait(0.1 * (late == "0" and i or 4 - i))
            sh.run("echo a" .. i .. " >> world")
            if i == 2 then sh.run "test -e good" end
            sh.run("echo b" .. i .. " >> world")
          end)
        end
        local ok = true
        for i = 1, 3 do ok = pcall(tasks[i].join, tasks[i]) and ok end
        if not ok then fail "one of them failed" end
      end)
    ]]
    assert.equal(5, box:run(text).exit)
    assert.equal("a1 b1 a2 a3 b3", world())
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.equal("a1 b1 a2 a3 b3 b2", world())
    assert.match("7 changes", run.err, 1, true)
  end)

  it("keeps the parameters: another value is refused, the same is not", function()
    box:run(TEXT, "--app", "crates-io")
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y", "--app", "other")
    assert.equal(2, run.exit)
    assert.match("--app was crates-io when the run began; a resumed run keeps it", run.err, 1, true)
    assert.equal(2, box:pgsh("resume", "last", "-y", "--ap", "other").exit)
    assert.equal("one two", world())
    box.env.PGSH_APP = "from-environment"
    run = box:pgsh("resume", "last", "-y", "--app", "crates-io", "--note", "m")
    assert.equal(0, run.exit, run.all)
    assert.equal("one two two-1-7-1-crates-io-m", world())
  end)

  it("goes on after kill -9 between any two effects, and makes each change once", function()
    box:procedure [[
      for i = 1, 3 do
        step("Step " .. i) (function()
          for k = 1, 2 do
            sh.run("echo " .. i .. k .. " >> world")
            sh.read("test $(wc -l < world) != $(cat die 2>/dev/null || echo 0) || kill -9 " .. sh.read("echo $PPID").out)
          end
        end)
      end
    ]]
    local all = "11 12 21 22 31 32"
    for die = 1, 6 do
      os.remove(box.dir .. "/world")
      box:write("die", tostring(die))
      local run = box:pgsh("proc.lua", "-y")
      assert.equal(137, run.exit, run.all)
      os.remove(box.dir .. "/die")
      assert.match("cut off", box:pgsh("runs").out)
      run = box:pgsh("resume", "last", "-y")
      assert.equal(0, run.exit, run.all)
      assert.equal(all, world())
    end
  end)

  describe("with an edited file", function()
    local BEFORE = 'step "One" (function() sh.run "echo one >> world" end) step "Two" (function() fail "no" end)'

    it("keeps done steps done, shows the difference, and asks", function()
      assert.equal(5, box:run(BEFORE).exit)
      box:procedure [[
        step "One" (function() sh.run "echo changed >> world" end)
        step "Between" (function() sh.run "echo between >> world" end)
        step "Two" (function() sh.run "echo two >> world" end)
      ]]
      local run = box:pgsh("resume", "last", "--no-input")
      assert.equal(4, run.exit)
      assert.match("step one was edited; it is done and stays as it was done", run.err)
      assert.match("step between is new", run.err)
      assert.match("step two was edited", run.err)
      assert.equal("one", world())
      run = box:pgsh("resume", "last", "-y")
      assert.equal(0, run.exit, run.all)
      assert.equal("one between two", world())
      assert.is_true(#box:events_of "run.changed" >= 1)
    end)

    it("tells of steps that are gone and of another order", function()
      box:run('step "One" (function() end) step "Two" (function() end) step "Three" (function() fail "no" end)')
      box:procedure 'step "Three" (function() end) step "One" (function() end)'
      local run = box:pgsh("resume", "last", "-y")
      assert.equal(0, run.exit, run.all)
      assert.match("step two is gone; it was done", run.err)
      assert.match("the order of the steps has changed", run.err)
    end)

    it("that does not load leaves the run as it is", function()
      box:run(BEFORE)
      box:procedure "step ="
      local run = box:pgsh("resume", "last", "-y")
      assert.equal(2, run.exit)
      assert.match("proc.lua:2", run.err)
      assert.equal("stopped", box:ended().status)
    end)

    it("may be another file", function()
      box:run(BEFORE)
      box:procedure('step "One" (function() end) step "Two" (function() sh.run "echo other >> world" end)', "other.lua")
      assert.equal(0, box:pgsh("resume", "last", "other.lua", "-y").exit)
      assert.equal("one other", world())
    end)

    it("stops when a step that was cut off no longer does what it did", function()
      box:run('step "One" (function() sh.run "echo a >> world" fail "no" end)')
      box:procedure 'step "One" (function() sh.run "echo b >> world" end)'
      local run = box:pgsh("resume", "last", "-y", "--no-input")
      assert.equal(5, run.exit, run.all)
      assert.equal("a", world())
    end)
  end)

  it("finds the file again from another directory", function()
    box:run('step "One" (function() sh.run "test -e good" end)')
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y", { cwd = "/" })
    assert.is_true(run.exit ~= 2, run.all)
  end)

  it("needs an id of a run there is", function()
    assert.equal(2, box:pgsh("resume").exit)
    local run = box:pgsh("resume", "none")
    assert.is_true(run.exit > 0)
    assert.match("none", run.err)
  end)

  it("does not answer questions anew", function()
    local text = [[
      step "One" (function()
        print(ask.text("who?", { default = "ana" }), ask "sure?")
        sh.run "echo one >> world"
        sh.run "test -e good"
      end)
    ]]
    assert.equal("ana\ttrue\n", box:run(text).out)
    box:write("good", "")
    local run = box:pgsh("resume", "last", "--no-input")
    assert.equal(0, run.exit, run.all)
    assert.equal("ana\ttrue\n", run.out)
    assert.equal("one", world())
  end)

  it("does not repeat manual steps and preflights that were done", function()
    local text = [[
      preflight "Check" (function() sh.read "echo x >> checks" end)
      manual "By hand" { text = "do it" }
      step "One" (function() sh.run "echo one >> world" fail "no" end)
    ]]
    box:run(text, "--confirm", "by-hand=done")
    box:procedure((text:gsub('fail "no"', "")))
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.equal("x\n", box:read "checks")
    assert.equal("one", world())
  end)

  it("goes on with a clock from its original time", function()
    box:run [[
      local c = clock { "read-only", budget = "1s" }
      step "Open" { opens = c, run = function() end }
      step "Fail" (function() sh.run "test -e good" end)
      step "Close" { closes = c, run = function() end }
    ]]
    require("pgsh.host").sleep(1.1)
    local status = box:pgsh("status", "last").out
    assert.match("USERS ARE READ%-ONLY SINCE", status)
    assert.match("EXCEEDED", status)
    box:write("good", "")
    local run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    local closed = box:events_of("clock.closed")[1]
    assert.is_true(closed.over)
    assert.is_true(closed.ms >= 1100)
    assert.match("READ%-ONLY LASTED", run.err)
  end)
end)
