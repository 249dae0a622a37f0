-- What stands between an entry at the prompt and a change: questions, windows, production, secrets, leaving.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell's gate", function()
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

  local function open(arguments)
    screen = terminal.open(box, { width = 120, height = 40 })
    screen:pgsh((arguments or "") .. " shell \"$CONN\"")
    return screen:see "RO>$"
  end

  local function type_at(prompt, text)
    screen:fresh(prompt)
    screen:line(text)
  end

  local function enter(text) return screen:enter(text, "RO>") end

  -- An entry that asks: the question. It is answered with `answer`.
  local function asks(prompt, text, answer)
    type_at(prompt, text)
    local question = screen:see "%[n%]o\n>$"
    if answer == "C-c" then screen:keys "C-c" else screen:line(answer or "n") end
    screen:see("\n[^\n]*" .. prompt .. "$")
    return question
  end

  local RW = "RW %d+:%d%d>"

  describe("in a window", function()
    before_each(function()
      server:psql [[drop table if exists few, many; create table few (id int primary key);
        insert into few select generate_series(1, 20);
        create table many (id int primary key, a int) partition by range (id);
        create table many_1 partition of many for values from (1) to (10000);
        create table many_2 partition of many for values from (10000) to (100000);
        insert into many select i, 0 from generate_series(1, 15000) i; analyze few; analyze many]]
      open()
      screen:line "rw(db, 'repair', 5)"
      screen:see(RW .. "$")
    end)

    it("asks about what cannot be taken back, however it is written", function()
      assert.truthy(asks(RW, "db:execute '/* x */ drop table few'"):find "drop: this cannot be taken back")
      assert.truthy(asks(RW, [[db:execute "-- c\ndelete from few"]]):find "delete without where: this cannot be taken back")
      assert.truthy(asks(RW, [[db:execute "with x as (delete from few returning id) select * from x"]]):find "nobody can tell from here")
      assert.truthy(asks(RW, [[db:transaction { "insert into few values (99)", "/* y */ delete from few where 1=1" }]])
        :find "whose where names no column")
      local long = "/* " .. ("x"):rep(300) .. " */"
      assert.truthy(asks(RW, ("db:execute [[insert into few values (98) %s]] db:execute [[%s drop table few]]"):format(long, long))
        :find "drop: this cannot be taken back")
      assert.equal("21", server:psql "select count(*) from few")
      type_at(RW, "db:execute 'delete from few where id = 98'")
      screen:see "DELETE"
      screen:see(RW .. "$")
    end)

    it("asks before the COMMIT when the planner thought of few rows", function()
      local text = asks(RW, "delete from many where a % 2 in (0, 1);")
      assert.truthy(text:find "15000 rows when it was tried, and rolled back", text)
      type_at(RW, "db:execute 'delete from many where a % 2 in (0, 1)'")
      screen:see "DELETE 15000: more rows than the 7499 that nobody was asked about"
      screen:see(RW .. "$")
      assert.equal("15000", server:psql "select count(*) from many")
      type_at(RW, "delete from many where a % 2 in (0, 1);")
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "DELETE 15000"
      screen:see(RW .. "$")
      assert.equal("0", server:psql "select count(*) from many")
    end)

    it("asks about a SELECT that turns out to write, unless it says itself what", function()
      server:psql [[create or replace function purge() returns int language sql as 'delete from few where id > 10 returning id';
        create or replace view purging as select purge(); create sequence if not exists counter]]
      for _, text in ipairs { "select purge();", "select * from purging;", "db:execute 'select nextval($$counter$$), purge()'" } do
        assert.truthy(asks(RW, text):find "select: nobody can tell from here what it changes, or take it back", text)
      end
      assert.equal("20", server:psql "select count(*) from few")
      type_at(RW, "select setval('counter', (select max(id) from few));")
      screen:see "20\n.*1 row"
      screen:see(RW .. "$")
      type_at(RW, "db:execute 'select id from few where id = 7 for update'")
      screen:see "7\n.*1 row"
      screen:see(RW .. "$")
      server:psql "drop view purging; drop function purge; drop sequence counter"
    end)

    it("asks about what only locks, and about a type that may lose data", function()
      assert.truthy(asks(RW, "vacuum full few;"):find "locks the table against everybody while it runs\n")
      assert.truthy(asks(RW, "alter table few alter id type smallint;"):find "alter … type: this cannot be taken back")
    end)

    it("asks when many rows are touched, or most of the table, and says how many", function()
      assert.truthy(asks(RW, "db:execute('update many set a = 1 where id > $1', 100)"):find "about 149%d%d rows, by the planner's estimate")
      assert.truthy(asks(RW, "update many set a = 1 where id between 1 and 9000;"):find "about 9%d%d%d rows, .*: most of the table\n")
      type_at(RW, "update few set id = id where id > 0;") -- a small table
      screen:see "UPDATE 20"
      type_at(RW, "db:execute('update many set a = 1 where id <= $1', 3000)")
      screen:see "UPDATE 3000"
    end)
  end)

  it("says which job asks", function()
    open()
    screen:line "spawn('writer', function() wait(0.3) return psql(os.getenv 'CONN'):execute 'create table by_job (a int)' end)"
    assert.truthy(screen:see "%[n%]o\n>$":find "job 1 asks: change   psql 127")
    screen:line "n"
    screen:see "%[job 1%] failed"
    assert.is_nil(asks("RO>", "create table by_me (a int);"):find "asks:")
  end)

  local function windows()
    local list = {}
    for _, event in ipairs(box:journal()) do
      if event.type == "shell.window" then list[#list + 1] = event end
    end
    return list
  end

  describe("a window", function()
    it("is for a target of the session, and says until when", function()
      open()
      local text = enter "rw('postgres', 'x', 5)"
      assert.truthy(text:find "postgres is no target of this session: psql 127%.0%.0%.1:%d+/postgres\n", text)
      assert.truthy(enter "rw('why', 5)":find "say why")
      assert.truthy(enter "ro()":find "is read%-only: no window is open for it")
      type_at("RO>", ("rw('127.0.0.1:%d/postgres', 'x', 1)"):format(server.port))
      screen:see "\nchanges to psql 127[^\n]* without being asked for 1 minute %(until %d%d:%d%d UTC%)\n.*RW [01]:%d%d>$"
      type_at(RW, "dry_run()")
      screen:see "changes are only shown from now on.*DRY>$"
      type_at("DRY>", "db:execute 'create table dry (a int)'")
      screen:see "\nnot made: create table dry %(a int%)\n.*DRY>$"
      type_at("DRY>", "dry_run(false)")
      screen:see "changes are made again; without being asked where a window is open\n.*RW [01]:%d%d>$"
      type_at(RW, "ro()")
      screen:see "read%-only again: psql 127[^\n]*\n[^\n]*RO>$"
      assert.equal("", server:psql "select to_regclass('dry')")
    end)

    it("is for the user it was opened as", function()
      server:psql "create role bob login; grant create on schema public to bob"
      open()
      type_at("RO>", "\\c - bob")
      screen:see "as bob,.*RO>$"
      screen:line "rw(db, 'x', 5)"
      screen:see(RW .. "$")
      type_at(RW, "create table by_bob (a int);")
      screen:see "CREATE TABLE"
      type_at(RW, "\\c - postgres")
      screen:see "as postgres,.*RO>$"
      assert.truthy(asks("RO>", "create table by_postgres (a int);"):find "the open window is for what bob does\n")
      type_at("RO>", "\\c - bob")
      screen:see("as bob,.*" .. RW .. "$")
      type_at(RW, "drop table by_bob;")
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "DROP TABLE"
      assert.equal("", server:psql "select to_regclass('by_postgres')")
      server:psql "drop owned by bob; drop role bob"
    end)

    it("closes when nothing is entered for a while, but not under what runs", function()
      os.execute(("mkdir -p %s/home/.config/pgsh; echo 'idle \"2s\"' > %s/home/.config/pgsh/init.lua"):format(box.dir, box.dir))
      open()
      screen:line "rw(db, 'x', 5) wait(4)"
      screen:see "pause of"
      assert.truthy(screen:see(RW .. "$"))
      screen:see "read%-only again: psql 127[^\n]* %(nothing was entered for 2 seconds%)\n[^\n]*RO>$"
      assert.truthy(enter "idle '0s'":find "from 1s to 120 minutes")
      screen:keys "C-d"
      screen:see "%[exit 0%]"
      local list = windows()
      assert.equal("clock", list[2].by)
      assert.equal("nothing was entered for 2 seconds", list[2].reason)
    end)

    it("that ends leaves the target to the job that is at work on it", function()
      open()
      screen:line "rw(db, 'x', 0.03)"
      screen:see "RW %d:%d%d>$"
      screen:line "spawn(function() psql(os.getenv 'CONN'):execute 'create table held (a int)' wait(60) end)"
      screen:see "read%-only again: psql [^\n]* %(its time is over%)\n[^\n]*1 job RO>$"
      local other = { stdin = "insert into held values (1);\n" }
      local result = box:pgsh({ "--yes", "shell", server:conninfo() }, other)
      assert.equal(4, result.exit)
      assert.truthy(result.stderr:find("is held by", 1, true), result.stderr)
      enter "jobs.cancel(1)"
      screen:see "%[job 1%] cancelled"
      enter "1"
      assert.equal(0, box:pgsh({ "--yes", "shell", server:conninfo() }, other).exit)
      server:psql "drop table held"
    end)

    it("is not opened by an entry that nobody typed, unless a flag allows the change itself", function()
      local input = ("db = psql %q\nrw(db, 'x', 5)\ncreate table piped (a int);\n"):format(server:conninfo())
      local result = box:pgsh({}, { stdin = input })
      assert.equal(4, result.exit)
      assert.truthy(result.stderr:find("--yes", 1, true), result.stderr)
      assert.equal("", server:psql "select to_regclass('piped')")
      box.env.PGSH_PRODUCTION = "127%.0"
      result = box:pgsh({ "--yes" }, { stdin = input })
      assert.equal(4, result.exit)
      assert.truthy(result.stderr:find("--confirm 127.0.0.1", 1, true), result.stderr)
      assert.equal(0, box:pgsh({ "--confirm", ("127.0.0.1:%d/postgres"):format(server.port) }, { stdin = input }).exit)
      box.env.PGSH_PRODUCTION = nil
      server:psql "drop table piped"
      assert.equal(0, box:pgsh({ "--yes" }, { stdin = input }).exit)
      server:psql "drop table piped"
    end)

    it("to production is typed at a prompt, whatever flags were given", function()
      box.env.PGSH_PRODUCTION = "127%.0"
      local name = ("127.0.0.1:%d/postgres"):format(server.port)
      open("--confirm " .. name)
      type_at("RO>", "rw(db, 'x', 1)")
      screen:see("for 1 minute, x: type " .. name:gsub("%p", "%%%0") .. " to confirm\n>$")
      screen:keys "C-c"
      screen:see "RO>$"
    end)

    it("to what is production by its address only is typed too", function()
      box.env.PGSH_PRODUCTION = "127%.0"
      local input = ("db = psql(%q, { name = 'books' })\nrw(db, 'x', 5)\n"):format(server:conninfo())
      local result = box:pgsh({ "--yes" }, { stdin = input })
      assert.equal(4, result.exit, result.stderr)
      assert.truthy(result.stderr:find("--confirm books", 1, true), result.stderr)
      result = box:pgsh({ "--yes" }, { stdin = input:gsub("books", "service prod") })
      assert.truthy(result.stderr:find("--confirm 'service prod'", 1, true), result.stderr)
    end)
  end)

  describe("leaving", function()
    it("asks when a job is live: Ctrl-C and n stay, by every way out", function()
      open()
      screen:line "spawn(function() wait(60) end)"
      screen:see "1 job RO>$"
      for _, way in ipairs { "\\q", "exit", "quit", "C-d" } do
        for _, answer in ipairs { "C-c", "n" } do
          screen:keys("C-u", "C-l")
          screen:see "^[^\n]*RO>$"
          if way == "C-d" then screen:keys "C-d" else screen:line(way) end
          screen:see "1 job is still running %(jobs%(%) lists them%): leaving cancels it\nleave%?\n.*%[n%]o\n>$"
          if answer == "C-c" then screen:keys "C-c" else screen:line(answer) end
          screen:see "\n[^\n]*1 job RO>$"
        end
      end
      screen:line "\\q"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "%[exit 0%]"
    end)

    it("asks when a window is open, and closes it", function()
      open()
      screen:line "rw(db, 'x', 5)"
      screen:see(RW .. "$")
      assert.truthy(asks(RW, "\\q"):find "changes to psql 127[^\n]* are not asked about: leaving ends that\nleave%?\n")
      type_at(RW, "create table made (a int);")
      screen:see "CREATE TABLE"
      assert.truthy(asks(RW, "\\q", "C-c"):find "are not asked about, and other runs are kept from it: leaving ends that\nleave%?\n")
      screen:keys "C-d"
      screen:see "%[n%]o\n>$"
      screen:line "y"
      screen:see "%[exit 0%]"
      local list = windows()
      assert.equal(2, #list)
      assert.is_false(list[2].open)
      assert.equal("the session ended", list[2].reason)
      server:psql "drop table made"
    end)
  end)

  describe("the history", function()
    local SECRET = "alter role postgres password 'Slartibartfast';"

    local function kept(mode)
      os.execute(("mkdir -p %s/home/.config/pgsh"):format(box.dir))
      if mode then
        local file = assert(io.open(box.dir .. "/home/.config/pgsh/init.lua", "w"))
        file:write(("history.mode %q\n"):format(mode))
        file:close()
      end
      open()
      enter "x = 41"
      asks("RO>", SECRET)
      assert.truthy(enter "history('x = %d+')":find "x = 41\n")
      return run.read_file(box.dir .. "/state/pgsh/history")
    end

    it("leaves entries with secrets out", function()
      local text = kept()
      assert.truthy(text:find("x = 41", 1, true))
      assert.is_nil(text:find("alter", 1, true))
    end)

    it("hides only the secrets when it is told to", function()
      local text = kept "redact"
      assert.truthy(text:find("alter role postgres password '•••'", 1, true), text)
      assert.is_nil(text:find("Slarti", 1, true))
    end)

    it("is not written at all when it is told so", function()
      assert.equal("", kept "skip")
    end)
  end)

  it("shows, journals and prints no password, however short or quoted", function()
    server:psql "create role clerk; create foreign data wrapper dummy"
    local input = [[
alter role clerk password 'Zq7';
alter role clerk password E'Zr\x37' valid until 'infinity';
db:execute("alter role clerk password $$Zs7$$")
db:execute "do $x$ begin execute 'alter role clerk password ''Zt7'''; end $x$"
db:execute "alter role clerk password 'ZuLonger7'"
print 'it is ZuLonger7'
pcall(db.execute, db, "do $x$ begin execute 'alter role nobody_there password ''Zv7'''; end $x$")
create server far foreign data wrapper dummy;
create user mapping for clerk server far options (user 'u', password 'Zw7');
alter user mapping for clerk server far options (set password 'Zx7');
create subscription sub connection 'host=127.0.0.1 port=1 password=Zy7' publication p with (connect = false);
db:execute "alter role nobody_there password 'Zz7'"
]]
    local result = box:pgsh({ "--yes" }, { stdin = ("db = psql %q\n"):format(server:conninfo()) .. input })
    server:psql "alter subscription sub set (slot_name = none)"
    server:psql "drop subscription sub"
    server:psql "drop server far cascade; drop foreign data wrapper dummy"
    assert.equal(5, result.exit, result.stderr) -- the last one fails
    assert.truthy(result.stderr:find('role "nobody_there" does not exist', 1, true), result.stderr)
    local events, path = box:journal()
    local text = run.read_file(path) .. result.stdout .. result.stderr
    assert.is_nil(text:match "Z[qrstuvwxyz]%w*7", text)
    assert.truthy(text:find("alter role clerk password E'•••' valid until 'infinity'", 1, true))
    assert.truthy(text:find("host=127.0.0.1 port=1 password=•••", 1, true))
    assert.truthy(text:find("it is •••", 1, true))
    local answered = 0
    for _, event in ipairs(events) do answered = answered + (event.type == "answered" and 1 or 0) end
    assert.equal(11, answered)
    open()
    assert.truthy(asks("RO>", "alter role clerk password 'Zq7';"):find "\n +alter role clerk password '•••'\n")
    server:psql "drop role clerk"
  end)
end)
