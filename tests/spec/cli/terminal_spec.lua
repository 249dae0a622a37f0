-- What the operator sees and types, in a real terminal: tmux, on a socket of this spec's own. The engine is replaced, by
-- $PGSH_PATH, by the code of each case.
local socket = require "socket"
local run = require "tests.spec.support.run"

local BINARY = run.shell("realpath " .. (os.getenv "PGSH" or "./pgsh"))

local Terminal = {}
Terminal.__index = Terminal

function Terminal:tmux(...)
  local words = { "tmux", "-u", "-f", "/dev/null", "-S", run.quote(self.box.dir .. "/tmux") }
  for _, word in ipairs { ... } do words[#words + 1] = run.quote(word) end
  return run.shell("env -u TMUX LANG=C.UTF-8 " .. table.concat(words, " ") .. " 2>&1")
end

local function terminal(box, width)
  local self = setmetatable({ box = box }, Terminal)
  local shell = ("env -i HOME=%s PATH=%s XDG_STATE_HOME=%s/state LANG=C.UTF-8 PGSH_PATH=%s TERM=screen PS1='$ ' bash --norc --noprofile")
    :format(box.dir, os.getenv "PATH", box.dir, box.env.PGSH_PATH)
  for _ = 1, 3 do -- on a busy machine tmux's server now and then ends before its first session has begun
    self:tmux("new-session", "-d", "-s", "t", "-x", tostring(width or 100), "-y", "30", shell)
    if self:tmux("has-session", "-t", "t") == "" then break end
  end
  self:see "%$"
  return self
end

function Terminal:close() self:tmux("kill-session", "-t", "t") end
function Terminal:keys(...) self:tmux("send-keys", "-t", "t", ...) end
function Terminal:line(text)
  self:tmux("send-keys", "-l", "-t", "t", text)
  self:keys "Enter"
end
function Terminal:pgsh(arguments) self:line("clear; " .. BINARY .. " " .. (arguments or "x.lua") .. "; echo \"[exit $?]\"") end

-- The screen; `raw` with its colours.
function Terminal:screen(raw)
  local text = raw and self:tmux("capture-pane", "-p", "-e", "-t", "t") or self:tmux("capture-pane", "-p", "-t", "t")
  return (text:gsub("[ \n]+$", ""):gsub("[ ]+\n", "\n"))
end

-- Wait until the screen matches a pattern; returns it.
function Terminal:see(pattern, raw)
  local deadline = socket.gettime() + 10
  repeat
    local screen = self:screen(raw)
    if screen:find(pattern) then return screen end
    socket.sleep(0.02)
  until socket.gettime() > deadline
  error(("%s is not to be seen in:\n%s"):format(pattern, self:screen()), 2)
end

local START = [[
  host.emit("run.started", { run = "k7f2", procedure = "heroku-primary" })
  host.emit("run.targets", { targets = { { kind = "heroku", name = "crates-io" } } })
  host.emit("run.steps", { steps = { { id = "stop", title = "Stop the worker", kind = "step", number = 1 },
    { id = "go", title = "Wait for the redeploy", kind = "step", number = 2 } }, clocks = { { name = "read-only", budget_ms = 300000 } } })
]]
local WAIT = [[
  host.emit("step.done", { step = "stop", number = 1, ms = 800, note = "1:Standard-1X → 0", reads = 1, changes = 1 })
  host.emit("clock.opened", { clock = "read-only", budget_ms = 300000, at_ms = host.now() - 31000 })
  host.emit("step.started", { step = "go", number = 2, title = "Wait for the redeploy", kind = "step", attempt = 1 })
  host.emit("wait.started", { what = "wait for the redeploy", limit_ms = 600000 })
  host.emit("wait.seen", { what = "wait for the redeploy", text = "2 of 4 dynos" })
]]
local END = [[
  host.emit("wait.ended", { what = "wait for the redeploy", ms = 100, ok = true })
  host.emit("step.done", { step = "go", number = 2, ms = 12000, note = "v412", reads = 3, changes = 0 })
  host.emit("clock.closed", { clock = "read-only", ms = 43000, budget_ms = 300000, over = false })
  host.emit("run.ended", { run = "k7f2", status = "done", exit = 0, message = "done, 2 steps in 43 s" })
  return 0
]]

describe("in a terminal", function()
  local box, screen

  setup(function()
    box = run.box()
    os.execute("mkdir -p " .. box.dir .. "/lua/pgsh")
    box.env.PGSH_PATH = box.dir .. "/lua"
  end)
  before_each(function() screen = terminal(box) end)
  after_each(function() screen:close() end)
  teardown(function() box:remove() end)

  local function engine(...)
    local text = table.concat({ ... }, "\n")
    run.write_file(box.dir .. "/lua/pgsh/main.lua", ('local host = require "pgsh.host"\nreturn function()\n%s\nend\n'):format(text))
  end

  it("shows what is waited for and whether users are hurt, and leaves only what happened", function()
    engine(START, WAIT, "host.sleep(1.5)", END)
    screen:pgsh()
    local live = screen:see "2 of 4 dynos"
    assert.truthy(live:find("heroku%-primary   crates%-io +run k7f2 · %d%d:%d%d:%d%d UTC\n"))
    assert.truthy(live:find("targets   heroku crates-io\n2 steps · read-only budget 5m\n", 1, true))
    assert.truthy(live:find("\n ✓  1  Stop the worker +0%.8 s   1:Standard%-1X → 0\n"))
    assert.truthy(live:find("  2  Wait for the redeploy +[%d.]+ s   2 of 4 dynos · limit 10m\n"))
    assert.truthy(live:find("\n───"))
    assert.truthy(live:find("\nREAD%-ONLY 0:3%d of 5:00   ▮▯▯▯▯▯▯▯▯▯▯    %^C stops this wait and asks"))
    local rest = screen:see "%[exit 0%]"
    assert.truthy(rest:find("\n ✓  2  Wait for the redeploy +12 s   v412\n       read%-only lasted 0:43 of 5:00\n\n"))
    assert.truthy(rest:find("\n\ndone, 2 steps in 43 s · run k7f2\n", 1, true))
    for _, gone in ipairs { "dynos", "───", "▮", "^C" } do assert.is_nil(rest:find(gone, 1, true), gone .. " is left") end
  end)

  it("keeps the screen clean when the window becomes narrower, and wider", function()
    engine(START, WAIT, "host.sleep(3)", END)
    screen:pgsh()
    screen:see "2 of 4 dynos"
    for _, width in ipairs { "44", "120", "60" } do
      screen:tmux("resize-window", "-t", "t", "-x", width)
      socket.sleep(0.4)
      local _, rows = screen:see("READ%-ONLY 0:3"):gsub("  2  Wait", "")
      assert.equal(1, rows)
    end
    local rest = screen:see "%[exit 0%]"
    assert.is_nil(rest:find("dynos", 1, true))
    assert.is_nil(rest:find("──", 1, true))
  end)

  it("prints above the live region what comes meanwhile, and lets nothing command the terminal", function()
    engine(START, WAIT, [[host.sleep(0.3) host.emit("output", { text = "data \27[2J\27]0;x\7" })
      host.emit("log", { level = "info", text = "news \27[1;1H" }) host.sleep(0.4)]], END)
    screen:pgsh()
    local rest = screen:see "%[exit 0%]"
    assert.truthy(rest:find([[
data \x1b[2J\x1b]0;x\x07
       news \x1b[1;1H
 ✓  2  Wait]], 1, true))
    assert.is_nil(rest:find("dynos", 1, true))
  end)

  it("does not echo keys into the live region, and echoes again afterwards", function()
    engine(START, WAIT, "host.sleep(1)", END)
    screen:pgsh()
    screen:see "2 of 4 dynos"
    screen:keys("zzz")
    assert.is_nil(screen:see("%[exit 0%]"):find("k7f2\nzzz", 1, true))
    screen:keys "C-u"
    screen:line "stty -a | grep -o ' -*echo '"
    screen:see "\n echo"
  end)

  it("with TERM=dumb writes plain lines and no control sequence", function()
    engine(START, WAIT, "host.sleep(0.3)", END)
    screen:line(("clear; export TERM=dumb; script -qec '%s x.lua' /dev/null | cat -v; echo '[end]'"):format(BINARY))
    local rest = screen:see "%[end%]"
    assert.is_nil(rest:find("^[", 1, true))
  end)

  describe("colour", function()
    it("is used, with meaning", function()
      engine(START, END)
      screen:pgsh()
      assert.truthy(screen:see("%[exit 0%]", true):find("\27%[32m✓"))
    end)
    for _, how in ipairs { "NO_COLOR=1 %s x.lua", "%s --color never x.lua" } do
      it("is not, with " .. how:format "pgsh", function()
        engine(START, END)
        screen:line("clear; " .. how:format(BINARY) .. "; echo '[end]'")
        assert.is_nil(screen:see("%[end%]", true):find("\27%[[0-9;]*m"))
      end)
    end
  end)

  describe("asks:", function()
    local function asking(question, before)
      engine(before or "", ([[local ok, answer = pcall(host.ask, %s)
        host.emit("output",
          { text = ok and "got <" .. answer .. ">" or answer.kind .. ": " .. answer.message .. " / " .. tostring(answer.hint) })
        return ok and 0 or 4]]):format(question))
    end

    it("a choice is a letter, or its word; anything else is asked again", function()
      asking [[{ text = "What now?", options = "ris", labels = "[r]etry   [i]nspect   [s]top here" }]]
      screen:pgsh()
      screen:see "What now%?\n%[r%]etry   %[i%]nspect   %[s%]top here\n>"
      for _, wrong in ipairs { "", "x", "retr", "rr" } do screen:line(wrong) end
      screen:see "> rr\ntype r, i or s\n>"
      screen:line " RETRY "
      screen:see "got <r>\n%[exit 0%]"
      screen:pgsh()
      screen:see "here\n>$" -- not that of the former
      screen:line "S"
      screen:see "got <s>"
    end)

    it("a typed confirmation is exact", function()
      asking [[{ text = "Promote: type crates-io to confirm", expect = "crates-io" }]]
      screen:pgsh()
      screen:see "confirm\n>"
      screen:line "Crates-io"
      screen:see "that is not it: type crates%-io exactly"
      screen:line "crates-io"
      screen:see "got <crates%-io>"
    end)

    it("a text may be anything", function()
      asking [[{ text = "Who?" }]]
      screen:pgsh()
      screen:see "Who%?\n>"
      screen:line "Ana Müller  "
      screen:see "got <Ana Müller  >"
    end)

    it("a secret is not shown", function()
      asking [[{ text = "Password?", secret = true }]]
      screen:pgsh()
      screen:see "not shown%) >"
      screen:line "hunter2"
      local text = screen:see "got <hunter2>"
      assert.equal(1, select(2, text:gsub("hunter2", "")))
      screen:line "stty -a | grep -o ' -*echo '"
      screen:see "\n echo"
    end)

    it("Ctrl-D is no answer", function()
      asking [[{ text = "Really?", options = "yn", labels = "[y]es  [n]o", flag = "--yes" }]]
      screen:pgsh()
      screen:see "%]o\n>"
      screen:keys "C-d"
      screen:see "answer: an answer is needed: Really%? / answer with %-%-yes, or type an answer"
      screen:see "%[exit 4%]"
    end)

    it("nobody with --no-input", function()
      asking [[{ text = "Really?", flag = "--yes" }]]
      screen:pgsh "--no-input x.lua"
      screen:see "answer with %-%-yes, or leave %-%-no%-input away"
    end)

    it("what was typed before the question does not answer it", function()
      asking([[{ text = "Really?", options = "yn", labels = "[y]es  [n]o" }]], "host.sleep(0.7)")
      screen:line("clear; " .. BINARY .. " x.lua")
      socket.sleep(0.3)
      screen:line "y"
      local text = screen:see "%]o\n>"
      socket.sleep(0.2)
      assert.is_nil(screen:screen():find("got", 1, true), text)
      screen:line "n"
      screen:see "got <n>"
    end)

    it("with the clock ticking in front of the answer, and holds other lines back", function()
      engine(START, WAIT, [[
        host.spawn("chatter", function() host.sleep(0.5) host.emit("log", { level = "info", text = "meanwhile" }) end)
        local answer = host.ask { text = "What now?", options = "rs", labels = "[r]etry   [s]top" }
        host.emit("log", { level = "info", text = "got " .. answer })]], END)
      screen:pgsh()
      screen:see "READ%-ONLY 0:31 of 5:00 +>"
      screen:see "READ%-ONLY 0:33 of 5:00 +>"
      assert.is_nil(screen:screen():find("meanwhile", 1, true))
      screen:line "r"
      assert.truthy(screen:see("%[exit 0%]"):find("> r\n       meanwhile\n       got r\n", 1, true))
    end)
  end)

  describe("Ctrl-C", function()
    it("once stops the wait, and the operator is asked", function()
      engine(START, WAIT, [[
        local ok, problem = pcall(host.sleep, 30)
        host.interrupts()
        host.emit("step.failed", { step = "go", number = 2, ms = 300, outcome = "failed", error = { kind = problem.kind,
          message = problem.message } })
        local answer = host.ask { text = "what now?", options = "rs", labels = "[r]etry   [s]top here" }
        host.emit("run.ended", { run = "k7f2", status = "stopped", exit = 5, message = "stopped at step 2 with " .. answer })
        return 5]])
      screen:pgsh()
      screen:see "2 of 4 dynos"
      screen:keys "C-c"
      local text = screen:see "%]top here\nREAD%-ONLY 0:3%d of 5:00 +>"
      assert.truthy(text:find("\n ✗  2  Wait for the redeploy +0%.3 s   the operator interrupted\n"))
      assert.truthy(text:find("─\nUSERS ARE READ%-ONLY SINCE 0:3%d %(budget 5:00%)\n"))
      assert.is_nil(text:find("^C", 1, true))
      screen:line "s"
      screen:see "stopped at step 2 with s · run k7f2\n%[exit 5%]"
    end)

    it("twice is out at once, with the terminal as it was", function()
      engine(START, WAIT, [[pcall(host.sleep, 30) host.emit("log", { level = "warn",
        text = "stopping" }) host.shield(host.sleep, 30) return 1]])
      screen:pgsh()
      screen:see "2 of 4 dynos"
      screen:keys "C-c"
      screen:see "stopping"
      screen:keys "C-c"
      local text = screen:see "%[exit 130%]"
      assert.truthy(text:find(
        "interrupted: state of the last operation unknown; journal intact · go on: pgsh resume k7f2\n[exit 130]", 1, true))
      assert.is_nil(text:find("dynos", 1, true))
      screen:line "stty -a | grep -o ' -*echo '"
      screen:see "\n echo"
    end)

    it("stops a script that computes for ever", function()
      engine "host.emit('log', { level = 'warn', text = 'computing' }) while true do end"
      screen:pgsh()
      screen:see "computing"
      screen:keys "C-c"
      screen:see "pgsh: interrupted\n%[exit 130%]"
    end)
  end)

  it("Ctrl-Z gives the terminal back, and fg goes on", function()
    engine(START, WAIT, "host.sleep(3)", END)
    screen:line("clear; " .. BINARY .. " x.lua")
    screen:see "2 of 4 dynos"
    screen:keys "C-z"
    local stopped = screen:see "Stopped"
    assert.is_nil(stopped:find("dynos", 1, true))
    screen:line "stty -a | grep -o ' -*echo '"
    screen:see "\n echo"
    screen:line "fg"
    screen:see "2 of 4 dynos"
    assert.is_nil(screen:see("done, 2 steps"):find("dynos", 1, true))
  end)
end)
