-- A step that fails: the operator looks around inside of it, repairs, and goes on.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

local PROCEDURE = [[
procedure { name = "repair", summary = "A step that fails until its table is there" }
local who = param.string { "who", "a name", default = "ana" }
local db = psql(param.string { "conn", "the database", required = true }, { name = "main" })
local users = clock { "read-only", budget = "5m" }

step "Begin" { opens = users, run = function() db:execute "create table if not exists seen (who text)" end,
  undo = function() db:execute "drop table seen" end }
step "Work" {
  keep = function() return { seen = db:value "select count(*) from seen" } end,
  run = function() db:execute("insert into missing values ($1)", who) end,
}
step "End" { closes = users, run = function() db:execute("insert into seen values ($1)", who) end }
]]

describe("the shell in a failed step", function()
  local server, box, screen

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function()
    server:psql "drop table if exists seen, missing"
    box = run.box()
    local file = assert(io.open(box.dir .. "/repair.lua", "w"))
    file:write(PROCEDURE)
    file:close()
    box.env.CONN = server:conninfo()
    screen = terminal.open(box)
    screen:pgsh("-y " .. box.dir .. "/repair.lua --conn \"$CONN\"")
    screen:see "%[s%]top here.*>$"
    screen:line "i"
    screen:see "RO>$"
  end)
  after_each(function()
    screen:close()
    box:remove()
  end)

  -- Back to the question, on a screen on which it has not stood before.
  local function leave()
    screen:fresh "RO>"
    screen:keys "C-d"
    screen:see "%[s%]top here[^\n]*\n.*>$"
  end

  it("has the step's handles, parameters and kept values, and shows how long users have been affected", function()
    assert.truthy(screen:text():find "in work .*READ%-ONLY 0:%d%d of 5:00 RO>$")
    screen:line "who, kept.seen, tostring(db)"
    screen:see '\n"ana"\n0\n"psql main"\n'
    screen:line "_err.sqlstate"
    screen:see '"42P01"'
    screen:line "step.title"
    screen:see '"Work"'
  end)

  describe("gives the step's handles back at rest", function()
    before_each(function() server:psql "create table missing (who text)" end)

    it("what a job was doing with them has ended", function()
      screen:line "spawn('sleeper', function() db:value 'select pg_sleep(60)' end)"
      screen:see "1 job RO>$"
      screen:line "retry()"
      screen:see "leave%?.*>$"
      screen:line "y"
      screen:see "done, 3 steps"
    end)

    it("rows that were not read to their end do not come any more", function()
      screen:line "rows = db:each 'select generate_series(1, 100000) as n' print('row', rows().n)"
      screen:see "row%s+1\n"
      screen:line "retry()"
      screen:see "done, 3 steps"
    end)
  end)

  it("asks before a change, although the run was begun with --yes, and retry() goes on", function()
    screen:line "db:execute 'create table missing (who text)'"
    screen:see "change   psql main   execute\n.*%[n%]o\n.*>$"
    screen:line "y"
    screen:see "CREATE TABLE"
    screen:line "retry()"
    screen:see "done, 3 steps"
    screen:see "%[exit 0%]"
    assert.equal("ana", server:psql "select who from missing")
    local shown = box:pgsh({ "show", "last" }).stdout
    assert.truthy(shown:find("1> db:execute 'create table missing (who text)'", 1, true), shown)
  end)

  it("a change made in one look is not taken for that of a later one", function()
    screen:line "db:execute 'insert into seen values (1)'"
    screen:see "%[n%]o\n.*>$"
    screen:line "y"
    screen:see "INSERT 0 1"
    leave()
    screen:line "i"
    screen:see "in the failed step.*RO>$"
    screen:line "db:execute 'insert into seen values (1)'"
    screen:see "%[n%]o\n.*>$"
    screen:line "y"
    screen:see "INSERT 0 1"
    assert.equal("2", server:psql "select count(*) from seen")
  end)

  it("skip(), undo() and abort() leave it as their answers do", function()
    screen:line "undo()"
    screen:see "undo 1 change of 1 step%?"
    screen:line "y"
    screen:see "%[exit 1%]"
    assert.equal("", server:psql "select to_regclass('seen')")
  end)

  it("abort() stops the run there", function()
    screen:line "abort()"
    assert.truthy(screen:see "%[exit 5%]":find "stopped at step 2, effects known, 1 change in effect")
  end)

  local function ended()
    local last
    for _, event in ipairs((box:journal())) do
      if event.type == "run.ended" then last = event end
    end
    return last
  end

  it("a terminal that goes away leaves a run that stopped and can be resumed", function()
    screen:close()
    assert.equal("stopped", ended().status)
    assert.truthy(ended().next[1]:find "pgsh resume")
    assert.equal("1", server:psql "select count(*) from pg_class where relname = 'seen'")
    screen = terminal.open(box)
  end)

  it("a hang-up at the question behind it does the same, a Ctrl-C there interrupts the run", function()
    leave()
    -- More than once, as the kernel and the shell in the terminal do it.
    os.execute(("for i in 1 2 3 4 5 6 7 8; do kill -HUP %d; sleep 0.002; done 2>/dev/null"):format(box:journal()[1].pid))
    screen:see "%[exit 5%]"
    assert.equal("stopped", ended().status)
    screen:line "clear"
    screen:pgsh "resume last -y"
    screen:see "%[s%]top here[^\n]*\n.*>$"
    screen:keys "C-c"
    screen:see "%[exit 130%]"
    assert.equal("interrupted", ended().status)
  end)

  it("a change to a target that the run did not name is refused", function()
    screen:line(("psql('%s'):execute 'create table missing (who text)'"):format(server:conninfo():gsub("'", "")))
    screen:see "was not named before the run began"
  end)
end)
