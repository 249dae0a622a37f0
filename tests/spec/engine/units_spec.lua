-- Parts of the engine on their own.
local fold, inspect, nearest, schedule = require "pgsh.fold", require "pgsh.inspect", require "pgsh.nearest", require "pgsh.schedule"
local host, params, steps, unknown = require "pgsh.host", require "pgsh.params", require "pgsh.steps", require "pgsh.unknown"

describe("nearest", function()
  it("finds what was meant", function()
    local names = { "step", "manual", "preflight", "procedure", "param" }
    assert.equal("step", nearest.to("setp", names))
    assert.equal("manual", nearest.to("Manuel", names))
    assert.equal("procedure", nearest.to("proc", names))
    assert.equal("preflight", nearest.to("prefligth", names))
    assert.is_nil(nearest.to("kubernetes", names))
    assert.is_nil(nearest.to("x", {}))
  end)
end)

describe("an unknown", function()
  local u
  before_each(function()
    unknown.reset()
    u = unknown.new "incident"
  end)

  it("shows itself, its fields, and texts made with it", function()
    assert.equal("‹incident, known after the run›", tostring(u))
    assert.equal("‹incident.id, known after the run›", tostring(u.id))
    assert.equal("id ‹incident.id›!", tostring("id " .. u.id .. "!"))
    assert.equal("‹incident.n› + 1", tostring(u.n + 1))
    assert.equal("2 * ‹incident›", tostring(2 * u))
    assert.equal("-‹incident›", tostring(-u))
    assert.equal("a=‹incident.a› b=7 100%", tostring(("a=%s b=%d 100%%"):format(u.a, 7)))
    assert.equal("1,‹incident›,3", tostring(table.concat({ 1, u, 3 }, ",")))
    assert.equal("a,b", table.concat({ "a", "b" }, ","))
    assert.equal("7", ("%d"):format(7))
  end)

  it("is recognised, also inside of tables", function()
    assert.is_true(unknown.is(u))
    assert.is_true(unknown.is(u.a.b()))
    assert.is_false(unknown.is "incident")
    assert.is_true(unknown.within { a = { b = u } })
    assert.is_false(unknown.within { a = { b = 1 } })
    assert.equal("pgsh.Unknown", getmetatable(u).__name)
  end)

  it("compares as false, and lets loops end", function()
    assert.is_false(u == unknown.new "other")
    assert.is_false(u < 1)
    assert.is_false(u >= 1)
    local n = 0
    for _, each in ipairs(u.rows) do n = n + (unknown.is(each) and 1 or 100) end
    for _ in pairs(u) do n = n + 10 end
    assert.equal(1, n)
    assert.equal(1, #u)
  end)

  it("cannot be changed", function()
    assert.is_false(pcall(function() u.x = 1 end))
  end)

  it("notes where it is read, once a line", function()
    unknown.at_step "one"
    local _ = u.id .. u.name
    _ = u.other.deep
    local list = unknown.uncertain()
    assert.equal(2, #list)
    assert.equal("one", list[1].step)
    assert.match("units_spec.lua$", list[1].file)
    assert.equal(list[1].line + 1, list[2].line)
    assert.equal("incident.id, known after the run", list[1].text)
    unknown.record(false)
    _ = u.more
    unknown.record(true)
    assert.equal(2, #unknown.uncertain())
  end)
end)

describe("the fold of events", function()
  local function events(list)
    for i, event in ipairs(list) do event.at = "2026-01-01T00:00:0" .. i .. "Z" end
    return fold.all(list)
  end

  it("of a run that was cut off counts what may have happened", function()
    local state = events {
      { type = "run.started", run = "r", params = { app = "x" }, file = "f" },
      { type = "fact", name = "n", value = 1 },
      { type = "fact", name = "none" },
      { type = "step.started", step = "a", attempt = 1 },
      { type = "step.kept", step = "a", value = { was = 1 } },
      { type = "effect.intent", branch = "a/run", order = 1 },
      { type = "effect.outcome", branch = "a/run", order = 1, outcome = "ok" },
      { type = "effect.intent", branch = "a/run", order = 2 },
    }
    assert.same({ was = 1 }, state.kept.a)
    assert.equal(2, fold.changes(state))
    assert.is_true(state.begun.a)
    assert.is_nil(state.done.a)
    assert.is_true(state.known_facts.none)
    assert.equal("2026-01-01T00:00:08Z", state.last_at)
  end)

  it("does not count changes that failed, nor those of other phases", function()
    local state = events {
      { type = "effect.intent", branch = "a/run", order = 1 },
      { type = "effect.outcome", branch = "a/run", order = 1, outcome = "failed" },
      { type = "effect.intent", branch = "a/run", order = 1 },
      { type = "effect.outcome", branch = "a/run", order = 1, outcome = "unknown" },
      { type = "effect.intent", branch = "b/undo", order = 1 },
    }
    assert.equal(1, fold.changes(state))
  end)

  it("forgets a step that was undone, with its answers", function()
    local state = events {
      { type = "step.started", step = "a", attempt = 1 },
      { type = "step.kept", step = "a", value = 1 },
      { type = "answered", key = "a/run/manual", answer = "d" },
      { type = "answered", key = "ab/run/manual", answer = "d" },
      { type = "step.done", step = "a", changes = 2, result = 3 },
      { type = "step.undone", step = "a" },
    }
    assert.equal(0, fold.changes(state))
    assert.is_nil(state.done.a or state.kept.a or state.results.a)
    assert.same({ ["ab/run/manual"] = "d" }, state.answers)
    assert.equal(1, state.undone.a)
  end)

  it("knows open clocks and the last ending", function()
    local state = events {
      { type = "clock.opened", clock = "a", at_ms = 5 },
      { type = "clock.opened", clock = "b", at_ms = 6 },
      { type = "clock.closed", clock = "a" },
      { type = "run.ended", status = "stopped" },
      { type = "run.resumed", file = "g" },
    }
    assert.same({ b = { at_ms = 6 } }, state.clocks)
    assert.is_nil(state.ended)
    assert.equal("g", state.file)
  end)
end)

describe("times", function()
  it("are relative to the start", function()
    assert.equal(0, schedule.parse_offset "start")
    assert.equal(-300000, schedule.parse_offset "start - 5m")
    assert.equal(5400000, schedule.parse_offset "start+1h30m")
    assert.is_nil(schedule.parse_offset "start 5m")
    assert.is_nil(schedule.parse_offset "noon")
    assert.is_nil(schedule.parse_offset "start - soon")
  end)

  it("are read in several spellings", function()
    assert.equal(1893506400000, schedule.parse_time "2030-01-01T14:00:00Z")
    local soon = schedule.parse_time "+10m"
    assert.is_true(math.abs(soon - host.now() - 600000) < 1000)
    local today = schedule.parse_time "14:00"
    assert.equal("14:00:00", host.iso(today):sub(12, 19))
    assert.is_true(today > host.now() - 3600001 and today < host.now() + 24 * 3600000)
    for _, text in ipairs { "25:00", "14:60", "soon", "", "2030-13-01T00:00:00Z" } do assert.is_nil(schedule.parse_time(text), text) end
  end)
end)

describe("texts", function()
  it("of values can be read back", function()
    assert.equal('{ 1, "two", a = true, b = { 3.5 }, ["c d"] = "\\"" }', inspect.text { 1, "two", b = { 3.5 }, a = true, ["c d"] = '"' })
    assert.equal("{}", inspect.text {})
    assert.equal("plain\n", inspect.text "plain\n")
    assert.equal('{ "\\027[31m" }', inspect.text { "\27[31m" })
    local cycle = {}
    cycle.self = cycle
    assert.match("cycle", inspect.text(cycle))
    assert.is_true(select(2, inspect.text(setmetatable({}, { __index = error })):gsub("\n", "")) == 0)
  end)

  it("of steps' ids come from their titles", function()
    assert.equal("stop-the-worker", steps.slug "Stop the worker!")
    assert.equal("2-dynos", steps.slug "  2 dynos ")
    assert.equal("día", steps.slug "día")
  end)

  it("of durations are short", function()
    assert.equal("1h30m", params.duration(5400))
    assert.equal("5m", params.duration(300))
    assert.equal("0.5s", params.duration(0.5))
    assert.equal("0s", params.duration(0))
  end)
end)

describe("a command that failed", function()
  local settle = require "pgsh.settle"
  local function raise(code) error(host.error(code, { message = "m-" .. code }), 0) end
  -- The result, or the error's code; and whether it was looked.
  local function despite(code, look)
    local looked = false
    local ok, result = pcall(settle.despite, "failed, and yet done", function()
      looked = true
      return look()
    end, function()
      if code then raise(code) end
      return { exit = 7 }
    end)
    return ok and result.exit or result.code, looked
  end
  local function yes() return true end

  it("is looked into, and only that", function()
    assert.same({ 7, false }, { despite(nil, yes) })
    assert.same({ 0, true }, { despite("process", yes) })
    assert.same({ "process", true }, { despite("process", function() return false end) })
    for _, code in ipairs { "unknown", "interrupted", "cancelled", "timeout", "spawn", "refused", "diverged" } do
      assert.same({ code, false }, { despite(code, yes) })
    end
  end)
  it("is what it was when the service does not answer, and an interrupt stays one", function()
    for _, code in ipairs { "process", "ssh_connect", "http_connect" } do
      assert.same({ "process", true }, { despite("process", function() raise(code) end) })
    end
    for _, code in ipairs { "interrupted", "cancelled", "timeout", "journal" } do
      assert.same({ code, true }, { despite("process", function() raise(code) end) })
    end
  end)
end)
