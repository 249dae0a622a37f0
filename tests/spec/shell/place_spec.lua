-- Where the shell is: what the prompt says of the server, and \c.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell's place", function()
  local server, box, screen

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function() box = run.box() end)
  after_each(function()
    if screen then screen:close() end
    screen = nil
    box:remove()
  end)

  it("is in the prompt as it is: defaults by their real names, and the role after each answer", function()
    screen = terminal.open(box)
    screen:pgsh(("shell 'host=127.0.0.1 port=%d user=postgres'"):format(server.port))
    screen:see("\n?127.0.0.1:" .. server.port .. "/ RO>$")
    local function prompt_after(state)
      screen:keys "C-l"
      screen:line "select 1;"
      screen:see(("\npostgres@127.0.0.1:%d/postgres %%(%s%%) RO>$"):format(server.port, state))
    end
    prompt_after "primary"
    server:stop()
    run.shell("touch " .. server.dir .. "/data/standby.signal")
    server:start()
    prompt_after "standby"
    server:ctl "-w promote" -- which leaves the connection as it is
    prompt_after "primary"
    screen:line "db:identity().in_recovery"
    screen:see "\nfalse\n"
    screen:keys "C-d"
    screen:see "%[exit 0%]"
    local targets = {}
    for _, event in ipairs((box:journal())) do targets[event.target or ""] = true end
    assert.is_true(targets[("psql 127.0.0.1:%d/"):format(server.port)]) -- everywhere else the target keeps its name
  end)
end)
