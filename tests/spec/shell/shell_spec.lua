-- The shell at a terminal: evaluating, asking before changes, interrupting, the run it leaves.
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell", function()
  local server, box, screen

  setup(function()
    server = postgres.start()
    server:psql [[create table accounts (id int primary key, name text);
      insert into accounts select i, 'n' || i from generate_series(1, 20) i]]
  end)
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

  local function open(options, arguments)
    screen = terminal.open(box, options)
    screen:pgsh((arguments or "") .. " shell \"$CONN\"")
    return screen:see(PROMPT)
  end

  local function enter(text) return screen:enter(text, "RO>") end

  -- States of the other sessions of that program.
  local function idle()
    local deadline = socket.gettime() + 5
    local states
    repeat
      states = server:psql [[select string_agg(distinct state, ',') from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend']]
      if states == "idle" then return true end
      socket.sleep(0.05)
    until socket.gettime() > deadline
    return false, states
  end

  describe("evaluates", function()
    before_each(function() open() end)

    it("expressions, and prints what Lua can read back", function()
      assert.truthy(enter "1 + 1":find "\n2\n")
      assert.truthy(enter "{ b = 1.0, a = { 'x' } }":find('\n{ a = { "x" }, b = 1.0 }\n', 1, true))
      assert.truthy(enter "_.a":find('\n{ "x" }\n', 1, true))
      assert.truthy(enter "nil":find "> nil\n127")
      assert.truthy(enter "x = 5":find "> x = 5\n127")
      assert.truthy(enter "x":find "\n5\n")
      assert.truthy(enter "local y = x * 2":find "a local of the prompt is a name of the session")
      assert.truthy(enter "y":find "\n10\n")
    end)

    it("several lines as one entry", function()
      screen:line "for i = 1, 2 do"
      screen:see "%.%.%.$"
      screen:line "print('row', i)"
      screen:line "end"
      screen:see "row\t?%s*1\nrow\t?%s*2\n"
    end)

    it("SQL up to its semicolon, as a grid", function()
      local text = enter "select id, name, null as none, id * 1.5 as half from accounts where id > 18 order by id;"
      assert.truthy(text:find([[
 id | name |  none  | half
----+------+--------+------
 19 | n19  | <null> | 28.5
 20 | n20  | <null> | 30.0
(2 rows]], 1, true), text)
      assert.truthy(enter "_rs[1].name":find '\n"n19"\n')
    end)

    it("wide characters in their columns", function()
      local text = enter "select 'é日本' as a, 1 as b union all select 'abc', 22;"
      assert.truthy(text:find("\n é日本 |  1\n abc   | 22\n", 1, true), text)
    end)

    it("errors with place, code and what to do, and goes on", function()
      assert.truthy(enter "select 1 from nowhere;":find([[
pgsh: psql 127.0.0.1:%d+/postgres: relation "nowhere" does not exist %(SQLSTATE 42P01%)
select 1 from nowhere;
              %^
]]))
      assert.truthy(enter "db:rows 'select 1 frm accounts'":find "\nselect 1 frm accounts\n             %^\n")
      assert.truthy(enter "x +* 1":find "unexpected symbol near '%*'")
      assert.truthy(enter "acounts":find "unknown global acounts")
      assert.truthy(enter "_err.kind":find '"usage"')
      assert.truthy(enter "error 'boom'":find "boom")
      assert.truthy(enter "2":find "\n2\n")
    end)

    it("text that could command a terminal does not", function()
      local text = enter [[select E'a\x1b[2Jb' as x;]]
      assert.truthy(text:find("a\\x1b[2Jb", 1, true), text)
      text = enter [["\27[2J"]]
      assert.truthy(text:find('"\\027[2J"', 1, true), text)
    end)
  end)

  describe("before a change", function()
    before_each(function() open() end)

    it("shows it with the number of rows, asks, and makes it only then", function()
      screen:line "update accounts set name = 'z' where id = 7;"
      local text = screen:see "%[n%]o\n>$"
      assert.truthy(text:find("change   psql 127%.0%.0%.1:%d+/postgres   execute\n +update accounts set name = 'z' where id = 7\n"
        .. " +about 1 row"), text)
      assert.equal("n7", server:psql "select name from accounts where id = 7")
      screen:line "n"
      assert.truthy(screen:see(PROMPT):find "not made: update accounts")
      assert.equal("n7", server:psql "select name from accounts where id = 7")
      screen:line "db:execute(\"update accounts set name = $1 where id = 7\", 'z')"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "UPDATE 1"
      assert.equal("z", server:psql "select name from accounts where id = 7")
      server:psql "update accounts set name = 'n7' where id = 7"
    end)

    it("takes anything but yes for no", function()
      screen:line "delete from accounts;"
      assert.truthy(screen:see "%[n%]o\n>$":find "delete without where: this cannot be taken back")
      screen:line "t"
      screen:see "type y or n\n>$"
      screen:keys "C-d"
      screen:see "not made"
      screen:line "delete from accounts;"
      screen:see "%[n%]o\n>$"
      screen:keys "C-c"
      screen:see "cancelled"
      assert.equal("20", server:psql "select count(*) from accounts")
    end)

    it("asks for each: local commands and files too", function()
      screen:line "sh.run { 'touch', 'made' }"
      screen:see "change   sh localhost   run\n +touch made\n"
      screen:line "n"
      screen:see "not made"
    end)

    it("refuses a read that acts", function()
      assert.truthy(enter "db:rows \"select pg_terminate_backend(1)\"":find "acts: a read may not call it")
    end)
  end)

  describe("a window", function()
    it("lets changes to its target through for some minutes, says so in the prompt, and is journaled", function()
      open()
      screen:line "rw(db, 'repair the names', 2)"
      screen:see "RW [12]:%d%d>$"
      screen:line "update accounts set name = 'w' where id = 9;"
      screen:see "UPDATE 1"
      screen:line "truncate accounts;"
      screen:see "truncate: this cannot be taken back"
      screen:line "n"
      screen:see "not made"
      screen:line "ro(db)"
      screen:see "read%-only again: psql 127"
      screen:line "update accounts set name = 'n9' where id = 9;"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see(PROMPT)
      screen:keys "C-d"
      screen:see "%[exit 0%]"
      local open_seen, closed_seen
      for _, event in ipairs(box:journal()) do
        if event.type == "shell.window" and event.open then
          open_seen = event
        elseif event.type == "shell.window" then
          closed_seen = event
        end
      end
      assert.equal("repair the names", open_seen.reason)
      assert.equal(2, open_seen.minutes)
      assert.truthy(closed_seen)
    end)

    it("ends by itself, also while nobody types", function()
      open()
      screen:line "rw(db, 'quick', 0.03)"
      screen:see "read%-only again: psql .* %(its time is over%)\n[^\n]*RO>$"
    end)

    it("to a production target is opened by typing its name, as is each change", function()
      box.env.PGSH_PRODUCTION = "postgres$"
      open()
      assert.truthy(screen:text():find " PROD ")
      local name = ("127.0.0.1:%d/postgres"):format(server.port)
      screen:line "update accounts set name = 'p' where id = 3;"
      screen:see("type " .. name:gsub("%p", "%%%0") .. " to make it\n>$")
      screen:line "y"
      screen:see "that is not it"
      screen:line(name)
      screen:see "UPDATE 1"
      screen:line "rw(db, 'more of it', 1)"
      screen:see "to confirm\n>$"
      screen:line(name)
      screen:see "RW [01]:%d%d>"
    end)
  end)

  describe("Ctrl-C", function()
    before_each(function() open() end)

    it("cancels a statement on the server, and keeps the connection", function()
      local pid = enter "db:value \"select pg_backend_pid()\"":match "\n(%d+)\n"
      screen:line "select pg_sleep(60);"
      screen:see "select pg_sleep%(60%);   %d.-%^C cancels"
      screen:keys "C-c"
      assert.truthy(screen:see(PROMPT):find "cancelled: psql")
      assert.is_true(idle())
      assert.equal(pid, enter "db:value \"select pg_backend_pid()\"":match "\n(%d+)\n")
    end)

    it("stops a loop of Lua", function()
      screen:line "while true do end"
      socket.sleep(0.3)
      screen:keys "C-c"
      assert.truthy(screen:see(PROMPT):find "cancelled")
    end)

    it("throws a line away, also a continued one, and never leaves", function()
      screen:type "something"
      screen:see "something$" -- the terminal drops what is not read yet at a Ctrl-C
      screen:keys "C-c"
      screen:see "something%^C\n[^\n]*RO>$"
      screen:line "for i = 1, 3 do"
      screen:see "%.%.%.$"
      screen:keys "C-c"
      screen:see "%^C\n[^\n]*RO>$"
      screen:keys("C-c", "C-c", "C-c")
      assert.truthy(enter "7":find "\n7\n")
    end)

    it("leaves jobs alone", function()
      screen:line "j = spawn('sleeper', function() wait(60) end)"
      screen:see "1 job RO>$"
      screen:keys "C-c"
      screen:line "wait(60)"
      screen:see "pause of 1:00"
      screen:keys "C-c"
      local text = screen:see "cancelled.*1 job RO>$"
      assert.is_nil(text:find "given up") -- its end was waited for
      screen:line "jobs()"
      screen:see "job 1   running"
      screen:line "jobs.cancel(1)"
      screen:see "%[job 1%] cancelled.*postgres[ %(primay%)]* RO>$"
    end)

    it("a second one gives up waiting, a third one leaves with the terminal as it was", function()
      screen:line "require 'pgsh.host'"
      screen:see "not for scripts"
      screen:line "pcall(wait, 60) sh.read { 'sh', '-c', 'trap : TERM INT; sleep 7; sleep 7' }"
      socket.sleep(0.3)
      screen:keys "C-c"
      socket.sleep(0.2)
      screen:keys "C-c"
      screen:see(PROMPT)
      screen:keys "C-d"
      screen:see "%[exit 0%]"
      screen:line "stty -a | grep -o ' -*echo '"
      screen:see "\n echo"
    end)
  end)

  it("Ctrl-\\ leaves at once, with the terminal as it was", function()
    open()
    screen:keys "C-\\"
    screen:see "%[exit 130%]"
    screen:line "stty -a | grep -o ' -*icanon '"
    screen:see "\n icanon"
  end)

  it("says so when a Ctrl-C was caught by what it was for", function()
    open()
    screen:line "pcall(function() wait(60) end) x = 5"
    socket.sleep(0.3)
    screen:keys "C-c"
    screen:see "Ctrl%-C was caught in there.*RO>$"
    assert.truthy(enter "x":find "\n5\n")
    assert.is_nil(enter "1":find "caught")
  end)

  it("Ctrl-Z gives the terminal back, and fg takes it again, with what was typed", function()
    open()
    screen:type "half"
    screen:keys "C-z"
    screen:see "Stopped"
    screen:line "stty -a | grep -o ' -*icanon '"
    screen:see "\n icanon"
    screen:line "fg"
    screen:see "RO> half$"
    screen:keys "C-u"
    assert.truthy(enter "8":find "\n8\n")
  end)

  it("ends when its terminal does, with what runs cancelled on the server", function()
    open()
    screen:line "spawn(function() psql(os.getenv 'CONN'):value 'select pg_sleep(60)' end)"
    screen:see "1 job RO>$"
    local sleeping = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
    local function sleepers(count)
      local deadline = socket.gettime() + 8
      while server:psql(sleeping) ~= count do
        assert.truthy(socket.gettime() < deadline, count .. " sleepers are not to be seen")
        socket.sleep(0.05)
      end
    end
    sleepers "1"
    screen:close()
    sleepers "0"
    screen = nil
  end)

  it("prints what comes meanwhile above the line that is typed", function()
    open()
    screen:line "spawn('talker', function() wait(0.7) print 'news' end)"
    screen:see "1 job RO>$"
    screen:type "half a li"
    screen:see "%[job 1%] news\n.*RO> half a li$"
    screen:keys "C-u"
    assert.truthy(enter "3":find "\n3\n")
  end)

  it("says when a run is at work on the target, and does not keep runs from it", function()
    local file = assert(io.open(box.dir .. "/long.lua", "w"))
    file:write [[
procedure { name = "long", summary = "Holds its target" }
local db = psql(param.string { "conn", "the database", required = true })
step "Hold" (function()
  db:execute "select 1"
  wait.upto("30s", "the file", function() return sh.read({ "test", "-e", "go" }, { ok = { 0, 1 } }).exit == 0 end)
end)
]]
    file:close()
    local long = box:start({ "-y", box.dir .. "/long.lua", "--conn", server:conninfo() })
    long:expect "waiting: the file"
    open()
    screen:line "update accounts set name = 'n1' where id = 1;"
    screen:see "%[n%]o\n>$"
    screen:line "y"
    screen:see "is held by .*change it all the same: type 127.* to confirm\n>$"
    screen:line(("127.0.0.1:%d/postgres"):format(server.port))
    screen:see "UPDATE 1"
    long:signal "INT"
    long:wait()
    screen:line "update accounts set name = 'n1' where id = 2;"
    screen:see "%[n%]o\n>$"
    screen:line "y"
    screen:see "UPDATE 1.*UPDATE 1"
    server:psql "update accounts set name = 'n2' where id = 2"
    long = box:start({ "-y", box.dir .. "/long.lua", "--conn", server:conninfo() })
    long:expect "waiting: the file"
    long:signal "INT"
    long:wait()
  end)

  it("lets a job ask, and gives the line back afterwards", function()
    open()
    screen:line "spawn('writer', function() wait(0.5) return psql(os.getenv 'CONN'):execute 'create table by_job (a int)' end)"
    screen:see "1 job RO>$"
    screen:type "half a li"
    screen:see "create table by_job %(a int%)\n.*%[n%]o\n>$"
    screen:keys "C-c"
    screen:see "%[job 1%] failed: .*RO> half a li$"
    screen:keys "C-u"
    screen:line "spawn('writer', function() wait(0.5) return psql(os.getenv 'CONN'):execute 'create table by_job (a int)' end)"
    screen:see "1 job RO>$"
    screen:line "wait(1)"
    screen:see "%[n%]o\n>$"
    socket.sleep(0.8)
    screen:line "y"
    screen:see "%[job 2%] done in [^\n]*\n[^\n]*RO>$"
    assert.truthy(enter "4":find "\n4\n")
    server:psql "drop table by_job"
  end)

  it("survives the server's end, and its return", function()
    open()
    enter "select 1;"
    server:stop "immediate"
    assert.truthy(enter "select 2;":find "pgsh: psql")
    server:start()
    assert.truthy(enter "select 3 as three;":find " three\n%-+\n     3\n")
  end)

  it("leaves a run that can be looked at", function()
    open()
    enter "select count(*) from accounts;"
    enter "nonsense"
    screen:keys "C-d"
    local text = screen:see "%[exit 0%]"
    local id = text:match "done: 2 lines, nothing changed · run (%w+) · look: pgsh show %w+"
    assert.truthy(id, text)
    assert.truthy(box:pgsh({ "runs" }).stdout:find(id .. " .*shell .*done"))
    local shown = box:pgsh({ "show", id }).stdout
    assert.truthy(shown:find("1> select count(*) from accounts;", 1, true), shown)
    assert.truthy(shown:find("1 row in", 1, true))
    assert.truthy(shown:find("unknown global nonsense", 1, true))
  end)

  it("in which nothing was done leaves none", function()
    open()
    screen:keys "C-d"
    screen:see "%[exit 0%]"
    assert.equal(0, #box:journal())
  end)
end)
