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

  -- Type on a screen that has nothing but the prompt.
  local function type_at(prompt, text)
    screen:keys("C-u", "C-l")
    screen:see("^[^\n]*" .. prompt .. "$")
    screen:line(text)
  end

  local function enter(text)
    type_at("RO>", text)
    return screen:see "\n[^\n]*RO>$"
  end

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
end)
