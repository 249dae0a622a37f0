-- The shell and the keys that stop things: what survives Ctrl-C, the way out, the start-up file.
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell and signals:", function()
  local server, box, screen

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function()
    box = run.box()
    box.env.CONN = server:conninfo()
  end)
  after_each(function()
    if screen then screen:close() end
    screen = nil
    box:remove()
  end)

  local PROMPT = "RO>$"

  local function open(arguments)
    screen = terminal.open(box, { width = 180 })
    screen:pgsh((arguments or "") .. " shell \"$CONN\"")
    return screen:see(PROMPT)
  end

  local ANY = "R[OW][^\n]*>"
  local function fresh() screen:fresh(ANY) end
  local function enter(text) return screen:enter(text, ANY) end

  local function init(text)
    os.execute(("mkdir -p %s/config/pgsh"):format(box.dir))
    box.env.XDG_CONFIG_HOME = box.dir .. "/config"
    local file = assert(io.open(box.dir .. "/config/pgsh/init.lua", "w"))
    file:write(text)
    file:close()
  end

  describe("Ctrl-C", function()
    it("given twice leaves the clock of the prompt, and jobs, alone", function()
      open()
      enter "done = 0 spawn('worker', function() while true do wait(0.2) done = done + 1 end end)"
      screen:line "sh.read { 'sh', '-c', 'trap : INT TERM; while :; do sleep 1; done' }"
      screen:see "%^C cancels"
      screen:keys "C-c"
      screen:see "cancelling; %^C stops waiting for that"
      screen:keys "C-c"
      screen:see "given up waiting.*1 job RO>$"
      local before = tonumber(enter "done":match "\n(%d+)\n")
      enter "rw(db, 'x', 0.03)"
      screen:see "read%-only again.*1 job RO>$"
      assert.truthy(tonumber(enter "done":match "\n(%d+)\n") > before)
      assert.truthy(enter "jobs()":find "job 1   running")
    end)

    it("at a question of the shell's own leaves the clock alone", function()
      box.env.PGSH_PRODUCTION = "127.0.0.1"
      open()
      screen:paste "a = 1\nb = 2\n"
      screen:keys "Enter"
      screen:see "run them%?\n[^\n]*\n>$"
      screen:keys "C-c"
      screen:see(PROMPT)
      enter "other = psql 'service=other'"
      enter "rw(other, 'x', 0.02)"
      screen:see "read%-only again: psql service other"
    end)

    it("does not hit a job that happens to compute", function()
      open()
      enter "spawn('busy', function() while true do for _ = 1, 100000 do end wait(0.001) end end)"
      for _ = 1, 8 do
        fresh()
        screen:line "wait(60)"
        screen:see "pause of"
        screen:keys "C-c"
        screen:see "cancelled.*RO>$"
      end
      assert.truthy(enter "jobs()":find "job 1   running")
    end)

    it("stops a job that keeps everybody waiting", function()
      open()
      screen:line "spawn('hog', function() wait(0.3) pcall(function() while true do end end) while true do end end) wait(60)"
      socket.sleep(1)
      screen:keys "C-c"
      assert.truthy(screen:see("failed: interrupted.*RO>$", 8))
    end)

    it("while a job is waited for says that the job goes on", function()
      open()
      enter "spawn('sleeper', function() wait(60) end)"
      screen:line "jobs.wait(1)"
      screen:see "%^C cancels"
      screen:keys "C-c"
      assert.truthy(screen:see "cancelled.*1 job RO>$":find("cancelled, job 1 goes on", 1, true))
    end)
  end)

  describe("Ctrl-\\", function()
    local function leaves(text, what)
      screen:line(text)
      screen:see(what)
      screen:keys "C-\\"
      local seen = screen:see "%[exit 130%]"
      screen:line "ls core* 2>&1; stty -a | grep -o ' -*icanon '"
      screen:see "\n icanon"
      return seen
    end

    it("leaves at once whatever runs, and says what is not known", function()
      open()
      local seen = leaves("select pg_sleep(4);", "%^C cancels")
      assert.truthy(seen:find("is not known; journal intact · look: pgsh show ", 1, true))
      assert.is_nil(seen:find "Quit")
    end)

    it("leaves a loop of Lua", function()
      open()
      screen:line "while true do end"
      socket.sleep(0.3)
      screen:keys "C-\\"
      screen:see "is not known; journal intact.*%[exit 130%]"
    end)

    it("leaves a procedure", function()
      local file = assert(io.open(box.dir .. "/long.lua", "w"))
      file:write "procedure { name = 'long', summary = 'waits' }\nstep 'Wait' (function() wait(60) end)\n"
      file:close()
      screen = terminal.open(box, { width = 180 })
      screen:pgsh(box.dir .. "/long.lua -y")
      screen:see "pause of"
      screen:keys "C-\\"
      local seen = screen:see "%[exit 130%]"
      assert.truthy(seen:find("state of the last operation unknown; journal intact · go on: pgsh resume ", 1, true))
    end)
  end)

  for _, name in ipairs { "HUP", "TERM" } do
    it(("SIG%s cancels what runs, and ends the shell as the end of its input does"):format(name), function()
      open()
      screen:line "spawn(function() db:value [[select pg_sleep(61)]] end) db:value [[select pg_sleep(60)]]"
      screen:see "%^C cancels"
      local shell = screen:tmux("display-message", "-p", "-t", "t", "#{pane_pid}"):match "%d+"
      os.execute(("kill -%s %s"):format(name, run.shell("ps -o pid= --ppid " .. shell):match "%d+"))
      screen:see "cancelled: psql.*done: 1 line.*%[exit 0%]"
      assert.equal("0", server:psql [[select count(*) from pg_stat_activity
        where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()]])
      screen:line "clear; stty -a | grep -o ' -*icanon '"
      screen:see "^ icanon"
    end)
  end

  describe("the start-up file", function()
    for what, text in pairs { ["does not end"] = "x = 1 while true do end",
      ["catches what stops it"] = "x = 1 pcall(function() while true do end end) while true do end" } do
      it(("that %s is ended by Ctrl-C, and the shell goes on"):format(what), function()
        init(text)
        os.execute(("d=%s/state/pgsh; mkdir -p $d; for i in $(seq 500); do printf '1\\t\\tentry%%d\\n' $i; done >$d/history"):format(
          box.dir)) -- what comes behind the file takes a while
        screen = terminal.open(box, { width = 180 })
        screen:pgsh "shell \"$CONN\""
        socket.sleep(1)
        screen:keys "C-c"
        assert.truthy(screen:see(PROMPT):find "init.lua:.-interrupted")
        assert.truthy(enter "x + 6":find "\n7\n")
        enter "s = 0 for i = 1, 10000 do s = s + i end"
        assert.truthy(enter "s":find "\n50005000\n")
      end)
    end

    it("that waits is ended by Ctrl-C too", function()
      init "x = 2 wait(60)"
      screen = terminal.open(box, { width = 180 })
      screen:pgsh "shell \"$CONN\""
      socket.sleep(1)
      screen:keys "C-c"
      assert.truthy(screen:see(PROMPT):find "init.lua:.-interrupted")
      assert.truthy(enter "x + 6":find "\n8\n")
    end)

    it("is not read with --no-rc", function()
      init "x = 1"
      open "--no-rc"
      assert.truthy(enter "x":find "unknown global x")
      screen:keys "C-d"
      screen:see "%[exit"
      open()
      assert.truthy(enter "x":find "\n1\n")
    end)
  end)

  describe("a job at the same handle", function()
    it("does not keep the prompt from the database", function()
      open()
      enter "spawn('sleeper', function() db:value 'select pg_sleep(60)' end)"
      enter "spawn('second', function() db:value 'select pg_sleep(60)' end)"
      assert.truthy(enter "select 40 + 2 as n;":find "\n +42\n")
      assert.truthy(enter "db:value 'select 43'":find "\n43\n")
      assert.truthy(enter "\\dn":find "public")
      assert.truthy(enter "spawn('bad', function() db:value 'select nothing' end) wait(0.5)":find
        "%[job 3%] failed: psql 127.0.0.1:%d+/postgres: column \"nothing\"")
      -- In one task it stays an error: it would be one in a script.
      assert.truthy(enter "for r in db:each 'select generate_series(1, 99999)' do db:value 'select 1' end":find
        "rows of :each are still being read")
      assert.truthy(enter "jobs()":find "job 1   running.*job 2   running")
      screen:line "select pg_sleep(60);"
      screen:see "%^C cancels"
      screen:keys "C-c"
      screen:see "cancelled: psql.*2 jobs RO>$"
    end)

    it("leaves no connection behind", function()
      open()
      enter "spawn('sleeper', function() db:value 'select pg_sleep(60)' end)"
      enter "select 1;"
      screen:line "jobs.cancel(1)"
      screen:see "%[job 1%] cancelled: sleeper.*RO>$"
      enter "select 2;"
      local count = [[select count(*) from pg_stat_activity where application_name = 'pgsh']]
      local deadline = socket.gettime() + 15
      while server:psql(count) ~= "1" do
        assert.truthy(socket.gettime() < deadline, server:psql "select string_agg(state || ' ' || query, '; ') from pg_stat_activity")
        socket.sleep(0.05)
      end
    end)
  end)

  it("says once that a lost connection was made anew", function()
    open()
    enter "select 1;"
    server:psql "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgsh'"
    local seen = enter "select 5 as n;"
    assert.truthy(seen:find "connected anew to psql 127.0.0.1:%d+/postgres %(the former connection was lost; its.-gone%)\n.-\n +5\n", seen)
    assert.is_nil(enter "select 6 as n;":find "anew")
  end)

  it("does not speak to another cluster behind the same address", function()
    open()
    local former = server.port
    enter "select 1;"
    server:stop "immediate"
    local other = postgres.start { port = former }
    finally(function()
      other:remove()
      server:start()
    end)
    assert.truthy(enter "select 7 as n;":find "another database cluster answers: system identifier %d+, at")
    assert.truthy(enter "db:rebind()")
    assert.truthy(enter "select 7 as n;":find "\n +7\n")
  end)

  it("and to the same one, promoted, says so", function()
    local standby = postgres.start {}
    finally(function() standby:remove() end)
    standby:stop()
    postgres.must("touch " .. standby.dir .. "/data/standby.signal && chown --reference=" .. standby.dir .. "/data " .. standby.dir ..
      "/data/standby.signal")
    standby:start()
    box.env.CONN = standby:conninfo()
    open()
    enter "select 1;"
    standby:psql "select pg_promote()"
    standby:psql "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgsh'"
    assert.truthy(enter "select 7 as n;":gsub("\n", ""):find "gone%); .-it is a primary now")
    screen:see "%(primary%) RO>$"
  end)

  describe("a password", function()
    before_each(function()
      server:psql "set password_encryption = 'scram-sha-256'; drop role if exists app; create role app login password $$sesame-'\\17$$"
      box.env.CONN = server:conninfo { user = "app" }
    end)

    it("is asked for once, and not shown", function()
      box.env.CONN = ("postgresql://app@127.0.0.1:%d/postgres?connect_timeout=9"):format(server.port)
      open()
      fresh()
      screen:line "select current_user as who;"
      screen:see "password of app for psql 127.0.0.1:%d+/postgres\n%(not shown%) >$"
      screen:line "sesame-'\\17"
      local seen = screen:see "app\n.-RO>$"
      assert.is_nil(seen:find "sesame")
      server:psql "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'"
      assert.truthy(enter "select current_user as who;":find "anew.*\n +app\n") -- it is kept for the handle
      enter "spawn('sleeper', function() db:value 'select pg_sleep(60)' end)"
      assert.truthy(enter "select 44 as n;":find "\n +44\n")
      assert.is_nil(run.shell("grep -rl sesame " .. box.dir .. "; true"):find "%S")
    end)

    it("that was not known yet when a second job needed it is known to the next", function()
      open()
      screen:line "for i = 1, 2 do spawn('sleeper ' .. i, function() db:value 'select pg_sleep(60)' end) end"
      screen:see "password of app[^\n]*\n%(not shown%) >$"
      screen:line "sesame-'\\17"
      screen:see "%[job 2%] failed: [^\n]*no password supplied.*1 job[^\n]* RO>$"
      assert.truthy(enter "select 46 as n;":find "\n +46\n")
    end)

    it("that is wrong is asked for once more", function()
      open()
      screen:line "select current_user as who;"
      screen:see "not shown%) >$"
      screen:line "wrong-one"
      screen:see "that was wrong: password of app"
      screen:line "wrong-two"
      screen:see "password authentication failed for user \"app\".*RO>$"
      fresh()
      screen:line "select current_user as who;"
      screen:see "RO>[^\n]*\npassword of app[^\n]*\n%(not shown%) >$"
      screen:keys "C-c"
      screen:see "cancelled.*RO>$"
      screen:line("\\c " .. server:conninfo { user = "app" })
      screen:see "not shown%) >$"
      screen:keys "C-d"
      local seen = screen:see "no password supplied.*RO>$"
      assert.truthy(seen:find "pgpass")
    end)

    it("is asked for by \\c too, also while a job uses the handle at hand", function()
      box.env.CONN = server:conninfo()
      open()
      enter "spawn('sleeper', function() db:value 'select pg_sleep(60)' end)"
      enter "select 45 as n;"
      screen:line "\\c - app"
      screen:see "password of app[^\n]*\n%(not shown%) >$"
      screen:line "sesame-'\\17"
      screen:see "as app.*RO>$"
      assert.truthy(enter "select current_user as who;":find "\n +app\n")
      screen:keys "C-d"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "%[exit 0%]"
    end)

    it("is not asked for without a terminal: the error says where it belongs", function()
      local result = box:pgsh({ "shell", box.env.CONN }, { stdin = "select 1;\n" })
      assert.truthy(result.stderr:find "no password supplied")
      assert.truthy(result.stderr:find "pgpass")
    end)
  end)
end)
