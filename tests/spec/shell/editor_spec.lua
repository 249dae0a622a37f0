-- The shell's line: completion, history, paste, the size of the window, dumb terminals, the pager.
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell's line", function()
  local server, box, screen

  setup(function()
    server = postgres.start()
    server:psql [[create table customers (customer_id int, mail text); create table "Odd Name" (x int); create table oddly (x int);
      create schema sales;
      create table sales.orders (order_id int, total numeric); create function customer_sum() returns int language sql as 'select 1']]
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

  local function open(options, arguments)
    screen = terminal.open(box, options)
    screen:pgsh((arguments or "") .. " shell \"$CONN\"")
    return screen:see "RO>$"
  end

  local function enter(text) return screen:enter(text, "RO>") end

  -- Type, press Tab, and wait for what stands behind the prompt then.
  local function completes(typed, to)
    screen:keys "C-u"
    screen:type(typed)
    screen:keys "Tab"
    screen:see("RO> " .. to:gsub("%p", "%%%0") .. "$")
  end

  describe("completes", function()
    before_each(function()
      open { width = 120 }
      enter "select 1;"
      local deadline = socket.gettime() + 5
      repeat -- until what is behind the handle has been read
        screen:keys "C-u"
        screen:type "\\d custo"
        screen:keys "Tab"
        socket.sleep(0.05)
      until screen:text():find "custom" or socket.gettime() > deadline
      screen:keys "C-u"
    end)

    it("globals, fields and methods", function()
      completes("histo", "history")
      completes("pg.repl", "pg.replication")
      completes("db:copy_i", "db:copy_in")
      completes("string.rep", "string.rep")
      enter "conf = { threshold = 1, inner = { deeper = 2 } }"
      completes("conf.inner.d", "conf.inner.deeper")
      completes("conf['thr", "conf['threshold")
    end)

    it("without running any code of the value", function()
      enter "spring = function() print('SPR' .. 'UNG') return {} end"
      enter "trap = setmetatable({ safe = 1 }, { __index = spring, __pairs = spring, __len = spring })"
      completes("trap.sa", "trap.safe")
      screen:keys "C-u"
      screen:type "trap.unknown.x"
      screen:keys("Tab", "Tab")
      socket.sleep(0.2)
      assert.is_nil(screen:text():find "SPRUNG")
    end)

    it("tables, columns and functions, in SQL and in SQL in a string", function()
      completes("select * from custo", "select * from customers")
      completes("select * from sales.", "select * from sales.orders")
      completes("select * from customers where cust", "select * from customers where customer_")
      completes("select c.ma from customers c where c.mai", "select c.ma from customers c where c.mail")
      completes("db:rows \"select order_id from sales.orders where tot", "db:rows \"select order_id from sales.orders where total")
      completes("SELECT * FROM customers WHER", "SELECT * FROM customers WHERE")
      completes("\\d custo", "\\d customers")
      completes("SELECT * FROM CUSTO", "SELECT * FROM customers")
      completes("select * from \"Odd N", "select * from \"Odd Name\"")
      completes("\\d \"O", "\\d \"Odd Name\"")
    end)

    it("what is behind any handle, once it is known where that is", function()
      server:psql "create database other"
      server:psql("create table only_there (n int)", "other")
      enter "asked = 0"
      enter(("late = psql(function() asked = asked + 1 return [[%s]] end, { name = 'behind' })"):format(
        server:conninfo { dbname = "other" }))
      screen:type "late:rows 'select * from only_th"
      screen:keys("Tab", "Tab")
      socket.sleep(0.2)
      assert.truthy(screen:text():find "from only_th$")
      assert.truthy(enter "asked":find "\n0\n")
      enter "late:value 'select 1'"
      local deadline = socket.gettime() + 5
      repeat
        screen:keys "C-u"
        screen:type "late:rows 'select * from only_th"
        screen:keys "Tab"
        socket.sleep(0.1)
      until screen:text():find "from only_there$" or socket.gettime() > deadline
      screen:see "from only_there$"
      completes("select * from only_th", "select * from only_th")
      assert.truthy(enter "asked":find "\n1\n")
    end)

    it("and leaves what is typed when the choices differ in their quotes", function()
      screen:type "\\d odd"
      screen:keys("Tab", "Tab")
      screen:see '"Odd Name" +oddly *\n[^\n]*RO> \\d odd$'
    end)

    it("over several lines", function()
      screen:line "select *"
      screen:see "%.%.%.$"
      screen:type "from custo"
      screen:keys "Tab"
      screen:see "%.%.%. from customers$"
      screen:keys "C-c"
    end)

    it("new tables too, after they were made", function()
      screen:line "create table brandnew (n int);"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "CREATE TABLE"
      local deadline = socket.gettime() + 5
      repeat
        screen:keys "C-u"
        screen:type "select * from brandn"
        screen:keys "Tab"
        socket.sleep(0.1)
      until screen:text():find "brandnew $?" and screen:text():find "from brandnew" or socket.gettime() > deadline
      screen:see "from brandnew$"
      server:psql "drop table brandnew"
    end)

    it("file names, hosts and topics in strings", function()
      os.execute(("mkdir -p %s/home/.ssh; printf 'Host db-primary db-*\\n' > %s/home/.ssh/config; touch %s/home/dump.sql"):format(box.dir,
        box.dir, box.dir))
      completes("ssh 'db-", "ssh 'db-primary")
      completes("file.read '" .. box.dir .. "/home/du", "file.read '" .. box.dir .. "/home/dump.sql")
      completes("help 'heroku", "help 'heroku")
      completes("\\tim", "\\timing")
    end)

    it("and shows how a call is written", function()
      screen:type "db:rows("
      screen:keys "Tab"
      screen:see "db:rows%(sql, %.%.%.%)   All rows %(a read%)%.\n[^\n]*RO> db:rows%($"
    end)

    it("lists the choices, and goes on with the line", function()
      screen:type "pg."
      screen:keys("Tab", "Tab")
      screen:see "activity .*cancel.*RO> pg%.$"
    end)
  end)

  it("does not wait for a server that does not answer", function()
    open()
    server:ctl "-m immediate stop"
    local begun = socket.gettime()
    screen:type "select * from cust"
    screen:keys "Tab"
    screen:type "x"
    screen:see "custx$"
    assert.truthy(socket.gettime() - begun < 3)
    server:start()
  end)

  describe("history", function()
    it("comes back in the next session, whole entries, for the operator only", function()
      open()
      enter "40 + 2"
      screen:line "for i = 1, 1 do"
      screen:see "%.%.%.$"
      screen:line "print 'looped'"
      screen:line "end"
      screen:see "\nlooped\n"
      screen:keys "C-d"
      screen:see "%[exit 0%]"
      assert.equal("600", run.shell("stat -c %a " .. box.dir .. "/state/pgsh/history"))
      assert.equal("700", run.shell("stat -c %a " .. box.dir .. "/state/pgsh"))
      screen:pgsh "shell \"$CONN\""
      screen:see "RO>$"
      screen:keys "Up"
      screen:see "RO> for i = 1, 1 do\n *print 'looped'\n *end$"
      screen:keys("Up")
      screen:see "RO> 40 %+ 2$"
      screen:keys "C-c"
      screen:keys "C-r"
      screen:type "loop"
      screen:see "looped"
      screen:keys "C-c"
      assert.truthy(enter "history(5)":find "40 %+ 2\n")
    end)

    it("keeps no secrets, nor what begins with a space", function()
      open()
      enter "x = 'postgresql://app:hunter2@db/app'"
      enter "password = 'hunter3'"
      enter " y = 4"
      enter "z = 5"
      screen:keys "Up"
      screen:see "z = 5$" -- this session still has them
      screen:keys "C-c"
      local kept = run.read_file(box.dir .. "/state/pgsh/history")
      assert.truthy(kept:find("z = 5", 1, true))
      for _, gone in ipairs { "hunter", "y = 4" } do assert.is_nil(kept:find(gone, 1, true)) end
      enter "history.forget()"
      assert.equal("", run.read_file(box.dir .. "/state/pgsh/history"):gsub("[^\n]*history.forget[^\n]*\n", ""))
    end)
  end)

  describe("a paste", function()
    it("is one entry, runs at Enter only, and tabs in it complete nothing", function()
      open()
      screen:paste "for i = 1, 2 do\n\tprint('pasted ' .. i)\nend"
      screen:see "end$"
      assert.is_nil(screen:text():find "\npasted")
      screen:keys "Enter"
      screen:see "\npasted 1\npasted 2\n"
    end)

    it("of 200 kB arrives whole", function()
      open()
      local lines = { "big = {" }
      for i = 1, 4000 do lines[#lines + 1] = ("  'line %05d of a long table of texts 0123456789',"):format(i) end
      lines[#lines + 1] = "}"
      local text = table.concat(lines, "\n")
      assert.truthy(#text > 200000)
      screen:paste(text)
      screen:keys "Enter"
      screen:line "#big, big[4000]"
      screen:see('\n4000\n"line 04000 of a long table of texts 0123456789"\n', 30)
    end)

    it("of several lines on production is asked about, once", function()
      box.env.PGSH_PRODUCTION = "127"
      open()
      screen:paste "print 'one'\nprint 'two'"
      screen:keys "Enter"
      screen:see "2 lines at once, and psql 127.* is production: run them%?\n.*>$"
      screen:line "n"
      screen:see "RO>$"
      assert.is_nil(screen:text():find "\none\n")
    end)
  end)

  it("edits letters of any width, and follows the window's size", function()
    open()
    screen:type "'é日本x'"
    screen:keys("Left", "Left", "BSpace")
    screen:see "'é日x'$"
    screen:resize(50)
    socket.sleep(0.2)
    screen:keys "Enter"
    screen:see '\n"é日x"\n'
    screen:line "wait(0.6)" -- also one that changes while something runs
    screen:see "pause of"
    screen:resize(90)
    screen:see "RO>$"
    screen:type(("y"):rep(100))
    local typed = screen:see "yyyy$"
    local prompt = #typed:match "([^\n]*RO> )y"
    assert.truthy(typed:find(("RO> " .. ("y"):rep(90 - prompt) .. "\n" .. ("y"):rep(100 - 90 + prompt)), 1, true), typed)
    screen:keys "C-u"
    screen:type(("x"):rep(150))
    screen:keys("C-a", "C-k")
    assert.truthy(enter "1 + 1":find "\n2\n")
  end)

  it("with TERM=dumb uses no control sequences but those of editing", function()
    open { env = { TERM = "dumb" } }
    screen:line "6 * 7"
    screen:see "RO> 6 %* 7\n42\n[^\n]*RO>$"
    screen:keys "C-d"
    screen:see "%[exit 0%]"
    local script = ("printf '6 * 7\\n\\004' | TERM=dumb script -qec '%s shell' /dev/null | cat -v"):format(terminal.binary)
    screen:line("clear; " .. script .. "; echo '[end]'")
    local text = screen:see "%[end%]"
    assert.is_nil(text:find("^[", 1, true), text)
  end)

  it("pages what is longer than the screen, not what fits, and never an error", function()
    box.env.PGSH_PAGER = "cat >/dev/null; echo PAGED"
    open()
    assert.is_nil(enter "select 1;":find "PAGED")
    assert.truthy(enter "select generate_series(1, 100);":find "\nPAGED\n")
    assert.is_nil(enter "error(('x\\n'):rep(100))":find "PAGED")
    enter "x = _rs"
    assert.truthy(enter "#x":find "\n100\n")
  end)

  it("shows wide rows one below the other, and again in other formats", function()
    box.env.PAGER = "cat"
    open()
    local wide = enter "select repeat('a', 50) as first, repeat('b', 50) as second;"
    assert.truthy(wide:find "%-%[ 1 %]%-+\nfirst  | a+\nsecond | b+\n")
    assert.truthy(enter "as 'csv'":find "\nfirst,second\na+,b+\n")
    assert.truthy(enter "\\x off":find "expanded display is off")
    assert.truthy(enter "select null as n, true as t, 1.5 as x;":find "\n   n    |  t   |  x\n")
    enter(("to '%s/out.json'"):format(box.dir))
    assert.equal('[{"n":null,"t":true,"x":"1.5"}]\n', run.read_file(box.dir .. "/out.json"))
  end)

  it("knows psql's commands", function()
    open()
    assert.truthy(enter "\\watch":find "there is none")
    assert.truthy(enter "\\d customers":find "table public%.customers\n   column    |  type   ")
    assert.truthy(enter "\\dt":find "customers +| table")
    assert.truthy(enter "\\l":find "template0")
    assert.truthy(enter "\\du":find "postgres +| superuser")
    assert.truthy(enter "\\timing":find "timing is on")
    assert.truthy(enter "1":find "\n1\ntime: %d+ ms")
    assert.truthy(enter "\\dd":find "there is no \\dd")
    enter "select 7 as again;"
    screen:line "\\watch 0.2"
    screen:see "every 0.2 s, any key ends it\n again\n"
    screen:keys "x"
    screen:see "%(1 row%)\ntime: %d+ ms\n[^\n]*RO>$"
  end)

  it("watches in place, marks what is new, and survives a failure", function()
    server:psql "create table seen (a int, b text, c int); insert into seen values (1, 'x', 10)"
    open { env = { TERM = "screen-256color" } }
    screen:line "watch(1, 'select a, b, c from seen order by a;')"
    screen:see "every 1 s, any key ends it\n a | b | c\n%-%-%-[-+]+\n 1 | x | 10\n%(1 row%)$"
    server:psql "insert into seen values (2, 'long', 20)"
    screen:see "\n 1 | x    | 10\n>2 | long | 20\n%(2 rows%)$"
    server:psql "update seen set c = 3 where a = 1"
    local text = screen:see "\n>1 | x    |  3\n 2 | long | 20\n%(2 rows%)$"
    local _, frames = text:gsub("any key ends it", "")
    assert.equal(1, frames)
    assert.truthy(screen:text(true):find "\n>1 | x    |  \27[%d;\27%[m]+3\n")
    server:psql "alter table seen rename to gone"
    screen:see "any key ends it\npsql .*does not exist.*$"
    server:psql "alter table gone rename to seen"
    screen:see "any key ends it\n.* 2 | long | 20\n%(2 rows%)$"
    screen:keys "Up"
    screen:see "%(2 rows%)\n[^\n]*RO>$"
    screen:line "wait(1)" -- meanwhile the terminal is as it was before
    local deadline, states, modes = socket.gettime() + 1
    local tty = screen:tmux("display-message", "-p", "-t", "t", "#{pane_tty}")
    repeat modes = run.shell("stty -a -F " .. tty) until modes:find "[ ;]icanon" or socket.gettime() > deadline
    assert.truthy(modes:find "[ ;]icanon", modes)
    screen:see "wait%(1%)\n.*RO>$"
    deadline = socket.gettime() + 5
    repeat
      states = server:psql [[select string_agg(distinct state, ',') from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend']]
    until states == "idle" or socket.gettime() > deadline
    assert.equal("idle", states)
    server:psql "drop table seen"
  end)

  it("watches below what jobs say, in a window of any size, and lets others use the terminal", function()
    open { width = 60, height = 12 }
    screen:line "spawn(function() for i = 1, 2 do wait(1) print('tick', i) end end)"
    screen:line "watch(0.2, function() return db:rows [[select g, repeat('w', 20) as w from generate_series(1, 30) g]] end)"
    screen:see "tick%s+%d\n[%d:]+, every 0%.2 s, any key ends it\n g .*and 24 more lines$"
    screen:resize(20, 8)
    screen:see "every 0%.…\n.*and %d+ more lines$"
    screen:resize(60, 12)
    local text = screen:see "%[job 1%] done in [^\n]*\n[%d:]+, every 0%.2 s, any key ends it\n g .*and 24 more lines$"
    local _, frames = text:gsub("any key ends it", "")
    assert.equal(1, frames)
    screen:keys "C-z"
    screen:see "Stopped.*%$$"
    screen:line(("stty -a >%s/stty; fg"):format(box.dir))
    screen:see "any key ends it\n g .*and 24 more lines$"
    assert.truthy(run.read_file(box.dir .. "/stty"):find " icanon .* echo ")
    screen:keys "C-c"
    screen:see "cancelled.*RO>$"
    assert.truthy(enter "1 + 1":find "\n2\n")
  end)

  it("watches by scrolling where nothing can be redrawn", function()
    open { env = { TERM = "dumb" } }
    screen:line "watch(0.2, 'select 7 as seven')"
    screen:see "every 0%.2 s, Ctrl%-C ends it\n seven.*every 0%.2 s, Ctrl%-C ends it\n seven"
    screen:keys "C-c"
    screen:see "cancelled.*RO>$"
  end)

  it("takes a block from an editor, and a file", function()
    local file = assert(io.open(box.dir .. "/editor", "w"))
    file:write "#!/bin/sh\nprintf 'for i = 1, 2 do\\n  print(\"edited\", i)\\nend\\n' >\"$1\"\n"
    file:close()
    os.execute("chmod +x " .. box.dir .. "/editor")
    box.env.EDITOR = box.dir .. "/editor"
    open()
    screen:line "\\e"
    screen:see "RO> for i = 1, 2 do\n  print%(\"edited\", i%)\nend$" -- nothing runs before Enter
    screen:keys "Enter"
    screen:see "\nedited%s+1\nedited%s+2\n"
    screen:line "for j = 3, 3 do"
    screen:see "%.%.%.$"
    screen:line "\\e"
    screen:see "\nend$"
    screen:keys "C-c"
    screen:see "%^C\n[^\n]*RO>$"
    box.env.EDITOR = "true"
    screen:keys "C-d"
    screen:see "%[exit 0%]"
    screen:close()
    open()
    enter "print('once')"
    screen:keys "C-l"
    screen:line "\\e" -- left as it was: nothing is run again
    assert.is_nil(screen:see "RO>[^\n]*\n[^\n]*RO>$":find "once")
    screen:keys("C-d")
    screen:see "%[exit 0%]"
    screen:close()
    file = assert(io.open(box.dir .. "/editor", "w"))
    file:write "#!/bin/sh\nsed -i 's/once/twice/' \"$1\"\n"
    file:close()
    box.env.EDITOR = box.dir .. "/editor"
    open()
    enter "print('once')"
    screen:line "edit()"
    screen:see "RO> print%('twice'%)$"
    screen:keys "C-u"
    screen:line "edit \"at once\""
    screen:see "RO> at twice$"
    screen:keys "C-u"
    file = assert(io.open(box.dir .. "/entries.lua", "w"))
    file:write "from_file = 1\nprint('read', from_file)\n"
    file:close()
    assert.truthy(enter("\\i " .. box.dir .. "/entries.lua"):find "\nread%s+1\n")
  end)

  it("reads init.lua, whose errors do not keep anybody from the prompt", function()
    os.execute("mkdir -p " .. box.dir .. "/home/.config/pgsh")
    local file = assert(io.open(box.dir .. "/home/.config/pgsh/init.lua", "w"))
    file:write "mine = 11\nproduction 'postgres'\nsh.run { 'touch', '/nowhere' }\n"
    file:close()
    assert.truthy(open():find "init.lua: .*only reads")
    assert.truthy(screen:text():find " PROD ")
    assert.truthy(enter "mine":find "\n11\n")
  end)
end)
