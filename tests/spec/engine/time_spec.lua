local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("times and clocks", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  it("are waited for with --start-at, and only with it", function()
    local text = 'at "start + 1s" step "One" (function() print "one" end)'
    local mono = require("pgsh.host").mono
    local begun = mono()
    assert.equal(0, box:run(text).exit)
    assert.is_true(mono() - begun < 900)
    begun = mono()
    local run = box:run(text, "--start-at", "now")
    assert.equal(0, run.exit, run.all)
    assert.is_true(mono() - begun >= 900)
    assert.match("waiting: start %+ 1s %(%d%d:%d%d:%d%d UTC%)", run.err)
  end)

  it("that are long past are told of", function()
    local run = box:run('at "start - 5m" step "One" (function() end)', "--start-at", "now")
    assert.equal(0, run.exit)
    assert.match("One was due at .* %(start %- 5m%): 5:00 ago", run.err)
  end)

  it("that are no times are refused before anything begins", function()
    local run = box:run('step "One" (function() print "one" end)', "--start-at", "soon")
    assert.equal(2, run.exit)
    assert.match("--start-at soon: a time is", run.err, 1, true)
    assert.equal("", run.out)
  end)

  it("measure how long users are affected, against the budget", function()
    local run = box:run [[
      local c = clock { "read-only", budget = "200ms" }
      step "Open" { opens = c, run = function() wait "0.3s" end }
      step "Close" { closes = c, run = function() end, verify = function() return true end }
    ]]
    assert.equal(0, run.exit, run.all)
    local opened, closed = box:events_of("clock.opened")[1], box:events_of("clock.closed")[1]
    assert.equal("read-only", opened.clock)
    assert.equal(200, opened.budget_ms)
    assert.is_true(closed.ms >= 300 and closed.over)
    assert.match("READ%-ONLY LASTED", run.err)
  end)

  it("that stay open are told of at the end", function()
    local run = box:run 'local c = clock "read-only" step "Open" { opens = c, run = function() end }'
    assert.equal(0, run.exit, run.all)
    assert.match("the clock read%-only was never closed", run.err)
  end)

  it("close when the step that opened them is undone", function()
    local run = box:run([[
      local c = clock { "read-only" }
      step "Open" { opens = c, run = function() sh.run "true" end, undo = function() end }
      step "Fail" (function() fail "no" end)
    ]], "--on-failure", "undo")
    assert.equal(1, run.exit, run.all)
    assert.equal(1, #box:events_of "clock.closed")
  end)

  describe("waits", function()
    it("end with what the function returns, and show what was seen", function()
      local run = box:run [[
        step "Wait" (function()
          local n = 0
          print(wait.upto("5s", "three looks", function()
            n = n + 1
            return n >= 3 and "look " .. n, "look " .. n
          end, { every = 0.02 }))
        end)
      ]]
      assert.equal("look 3\n", run.out)
      assert.match("now: look 2", run.err)
      local ended = box:events_of("wait.ended")[1]
      assert.is_true(ended.ok)
      assert.equal("three looks", ended.what)
    end)

    it("that take too long say what, how long and the last thing seen", function()
      local run = box:run 'step "Wait" (function() wait.upto("200ms", "the dynos are up", function() return false, "2 of 4" end) end)'
      assert.equal(124, run.exit)
      assert.match("the dynos are up: not within 0.2 s, last seen: 2 of 4", run.err, 1, true)
    end)

    it("outlast what may pass, and nothing else", function()
      local run = box:run [[
        local web = http("http://127.0.0.1:9", { name = "nobody" })
        step "Passing" (function() wait.upto("300ms", "the server", function() return web:get "/" end) end)
      ]]
      assert.equal(124, run.exit, run.all)
      assert.match("the server: not within", run.err)
      run = box:run 'step "Not" (function() wait.upto("20s", "the server", function() sh.read "exit 3" end) end)'
      assert.equal(1, run.exit, run.all)
    end)

    it("refuse what makes no sense", function()
      assert.equal(2, box:pgsh("-e", "wait('soon')").exit)
      assert.equal(2, box:pgsh("-e", "wait.upto('1s', 'x', function() return true end, { evry = 1 })").exit)
      assert.equal(2, box:pgsh("-e", "wait.upto('1s', function() end)").exit)
    end)

    it("do not let the limit of a step be exceeded", function()
      local run = box:run 'step "x" { timeout = "0.2s", run = function() wait.upto("20s", "never", function() return false end) end }'
      assert.equal(124, run.exit)
      assert.match("timeout of step x", run.err)
    end)
  end)
end)
