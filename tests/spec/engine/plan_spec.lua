local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("a plan", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  local function plan(text, ...) return box:pgsh("plan", box:procedure(text), ...) end

  it("makes reads, shows changes, and changes nothing", function()
    local run = plan [[
      local c = clock { "read-only", budget = "5m" }
      at "start - 5m"
      step "Change" {
        opens = c,
        keep = function() return { was = sh.read("echo 4").out:match "%d" } end,
        run = function(kept) sh.run { "touch", "world-" .. kept.was } end,
        verify = { "there are five", function() return false, 4 end },
        undo = function(kept) sh.run { "rm", "world-" .. kept.was } end,
      }
    ]]
    assert.equal(0, run.exit, run.all)
    for _, text in ipairs { "touch world-4", "there are five (now: 4)", "rm world-4", "opens READ-ONLY (budget 5m)", "at start - 5m",
      "1 change on", "1 read made, nothing changed" } do
      assert.match(text, run.out, 1, true)
    end
    assert.is_nil(box:read "world-4")
    assert.equal("", box:pgsh("runs").out)
  end)

  it("is the same as --dry-run, and needs nobody to answer", function()
    local run = box:pgsh(box:procedure [[
      manual "By hand" { text = "Click there", url = "https://example.org" }
      step "Drop" { confirm = "crates-io", run = function() if ask "sure?" then sh.run "true" end end }
    ]], "-n", "--no-input")
    assert.equal(0, run.exit, run.all)
    for _, text in ipairs { "Click there", "https://example.org", "--confirm by-hand", "--confirm crates-io", "sure?" } do
      assert.match(text, run.out, 1, true)
    end
  end)

  it("passes on what is not known yet, and lists where it is read", function()
    local run = plan [[
      local made = step "Make" { run = function() return sh.run({ "true" }, { what = "incident" }) end,
        undo = function(_, result) sh.run { "close", result.id } end }
      step "Use" (function()
        sh.run { "show", "to/" .. made.result.id }
        sh.run(("show %s %d"):format(made.result.name, made.result.n))
        sh.run { "show", table.concat({ "a", made.result.x }, "/") }
        sh.run { "show", made.result:upper() }
        for _, row in ipairs(made.result.rows) do sh.run { "row", row.id } end
        if made.result.n > 3 then sh.run "never" end
        sh.run("sum " .. made.result.n + 1)
      end)
      step "Read" (function() print(sh.read { "cat", made.result.out }.out) end)
    ]]
    assert.equal(0, run.exit, run.all)
    for _, text in ipairs { "to/‹incident.id", "show ‹incident.name›", "a/‹incident.x›", "‹incident.rows[1].id" } do
      assert.match(text, run.out, 1, true)
    end
    assert.is_nil(run.out:find("never", 1, true))
    assert.match("Uncertain from: step 2, proc.lua:5 %(incident.id, known after the run%)", run.out)
  end)

  it("evaluates a wait once and goes on", function()
    local run = plan [[
      step "Wait" (function()
        wait(60)
        wait.upto("2m", "the dynos run v2", function() return false, "1 of 4" end)
        local v = wait.upto("1m", "an answer", function() error "no such thing" end)
        print(v.id)
        wait.at "2040-01-01T00:00:00Z"
      end)
      step "After" (function() sh.run "after" end)
    ]]
    assert.equal(0, run.exit, run.all)
    assert.match("the dynos run v2 (limit 2:00), now: 1 of 4", run.out, 1, true)
    assert.match("an answer .limit 1:00., now: .*no such thing", run.out)
    assert.match("2040", run.out)
    assert.match("after", run.out)
  end)

  it("lists what is left out", function()
    local run = plan [[
      step "Announce" { when = { false, "no page is given" }, run = function() sh.run "never" end }
      step "Do" (function() end)
    ]]
    assert.match("Left out: Announce: no page is given", run.out)
    assert.is_nil(run.out:find("never", 1, true))
  end)

  it("fails at an error, with its line", function()
    local run = plan [[
      step "One" (function() sh.run "one" end)
      step "Two" (function()
        sh.read "exit 3"
      end)
      step "Three" (function() sh.run "three" end)
    ]]
    assert.equal(1, run.exit, run.all)
    assert.match("proc.lua:4", run.err)
    assert.match("one", run.out)
    assert.is_nil(run.out:find("three", 1, true))
  end)

  it("says that the run would be refused", function()
    local run = plan [[
      preflight "Check" (function() problem "it is in maintenance already" end)
      step "One" (function() sh.run "one" end)
    ]]
    assert.equal(3, run.exit)
    assert.match("it is in maintenance already", run.out)
    assert.match("one", run.out)
  end)

  it("plans the steps that were asked for", function()
    local text = 'for _, n in ipairs { "one", "two", "three" } do step(n) (function() sh.run("do-" .. n) end) end'
    local run = plan(text, "--from", "two", "--until", "two")
    assert.equal(0, run.exit)
    assert.match("do%-two", run.out)
    assert.is_nil(run.out:find("do-one", 1, true))
    assert.is_nil(run.out:find("do-three", 1, true))
  end)

  it("shows when steps are due", function()
    local run = plan('at "start - 5m" step "One" (function() end)', "--start-at", "2030-01-01T14:00:00Z")
    assert.match("start - 5m, 2030-01-01T13:55Z", run.out, 1, true)
  end)
end)

describe("a checklist", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  local TEXT = [[
    local app = param.string { "app", "Heroku app", required = true }
    local token = param.string { "token", "the key", secret = true }
    local c = clock { "read-only", budget = "5m" }
    local replica = fact "replica" (function() error "it was read" end)
    preflight "The app is there" (function() error "it was run" end)
    preflight "Nothing runs" (function() error "it was run" end)
    step("Say so in " .. app) (function() error "it was run" end)
    at "start - 1h"
    manual "Disable the job" { text = function() return "Disable it in the dashboard of " .. app end, url = "https://example.org/" .. app,
      undo = "Enable it again" }
    at "start"
    step "Read-only" { opens = c, run = function() error "it was run" end, verify = { "READ_ONLY_MODE is set", function() end },
      undo = function() end, doc = "Sets READ_ONLY_MODE." }
    step("Use " .. replica) { when = { replica.found, "no follower" }, run = function() end }
    step "Drop it" { confirm = "crates-io", closes = c, run = function() end }
    step "Never" { when = { false, "not asked for" }, run = function() end }
  ]]

  it("has every step, with parameters filled in, and runs nothing", function()
    local run = box:pgsh("checklist", box:procedure(TEXT), "--app", "crates-io", "--token", "s3cr3t-value")
    assert.equal(0, run.exit, run.all)
    for _, text in ipairs {
      "# A procedure", "- app: `crates-io` (Heroku app)", "- token: `•••`", "The app is there", "Nothing runs",
      "- [ ] 2. **Say so in crates-io**", "## start - 1h", "- [ ] 3. **Disable the job** *(by hand)*",
      "Disable it in the dashboard of crates-io", "https://example.org/crates-io", "To go back: Enable it again", "## start\n",
      "- [ ] 4. **Read-only**", "Sets READ_ONLY_MODE.", "From here users are affected: **read-only** (at most 5:00).",
      "Check: READ_ONLY_MODE is set", "Can be undone.", "crates-io is to be typed", "Users are no longer affected",
      "- [ ] 7. **Never** *(left out: not asked for)*",
    } do
      assert.match(text, run.out, 1, true)
    end
    local items = select(2, run.out:gsub("\n%- %[ %]", ""))
    assert.equal(7, items)
    assert.is_nil(run.out:find("s3cr3t", 1, true))
  end)

  it("works without the parameters", function()
    local run = box:pgsh("checklist", box:procedure(TEXT))
    assert.equal(0, run.exit, run.all)
    assert.match("Say so in <app>", run.out, 1, true)
    assert.match("- app: `<app>`", run.out, 1, true)
  end)

  it("refuses parameters that are wrong", function()
    local run = box:pgsh("checklist", box:procedure(TEXT), "--ap", "x")
    assert.equal(2, run.exit)
    assert.match("did you mean --app?", run.err, 1, true)
  end)

  it("fills in the times", function()
    local run = box:pgsh("checklist", box:procedure(TEXT), "--app", "x", "--start-at", "2030-01-01T14:00:00Z")
    assert.match("## start - 1h: 2030-01-01 13:00 UTC", run.out, 1, true)
  end)
end)
