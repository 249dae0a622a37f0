-- What can stand at the cursor, from the names of a real database.
local catalog = require "pgsh.shell.catalog"
local complete = require "pgsh.shell.complete"
local host = require "pgsh.host"
local postgres = require "tests.spec.support.postgres"
local psql = require "pgsh.psql"

describe("completion of SQL", function()
  local server, shell

  setup(function()
    server = postgres.start()
    server:psql [[create table accounts (id int, "Weird Col" text, "order" int); create table "Odd Name" (x int);
      create table "Select" (y int); create table "Accounts_Old" (z int); create table "say ""hi""" (q int, colour text);
      create index acc_order on accounts ("order"); create sequence "Acc Seq";
      create schema "My Schema"; create table "My Schema".inner_one (deep int);
      create schema sales; create table sales.orders (total int);
      create function tally(int) returns int language sql as 'select 1';
      create function "Tally Up"() returns int language sql as 'select 1']]
    server:psql 'create database "Odd DB"'
    local db = psql(server:conninfo())
    shell = { vars = { db = db, standby = psql "host=nowhere" }, words = {} }
    db:value "select 1"
    repeat host.sleep(0.01) until catalog.of(shell, db)
  end)
  teardown(function()
    shell.vars.db:close()
    server:remove()
  end)

  -- The line with each choice in its place.
  local function choices(line)
    local found, lines = complete.choices(shell, line, #line), {}
    for i, match in ipairs(found and found.matches or {}) do lines[i] = line:sub(1, found.start) .. match end
    return lines, found and found.append
  end

  local function completes(line, ...)
    assert.same({ ... }, (choices(line)), line)
  end

  it("finds names whatever case is typed, and quotes those that need it", function()
    completes("SELECT * FROM ACC", "SELECT * FROM accounts", 'SELECT * FROM "Accounts_Old"')
    completes("select * from odd", 'select * from "Odd Name"')
    completes("select * from sel", 'select * from "Select"')
    completes("select * from say", 'select * from "say ""hi"""')
    completes("select weird from accounts where weird", 'select weird from accounts where "Weird Col"')
    completes("select accounts.ord from accounts where accounts.ord", 'select accounts.ord from accounts where accounts."order"')
    completes("select TALL", "select TALLY", 'select "Tally Up"')
  end)

  it("knows the columns of a name that holds quotes", function()
    completes('select * from "say ""hi""" where ', 'select * from "say ""hi""" where colour', 'select * from "say ""hi""" where q')
    completes('select * from "say ""hi""" where colo', 'select * from "say ""hi""" where colour')
    completes('select * from "say ""hi""" s where s.colo', 'select * from "say ""hi""" s where s.colour')
    completes([[db:rows "select * from \"say \"\"hi\"\"\" where colo]], [[db:rows "select * from \"say \"\"hi\"\"\" where colour]])
    completes([[db:rows('select * from "say ""hi""" where colo]], [[db:rows('select * from "say ""hi""" where colour]])
  end)

  it("offers the few words that a word of the shell takes", function()
    completes('history.mode "', 'history.mode "keep', 'history.mode "redact', 'history.mode "skip')
    completes('format "j', 'format "json', 'format "jsonl')
    completes("as('m", "as('markdown")
  end)

  it("goes on with an identifier whose quotes are open", function()
    completes('select * from "Od', 'select * from "Odd Name"')
    completes('select * from "Odd N', 'select * from "Odd Name"')
    completes('select * from "acc', 'select * from "accounts"')
    completes('select "Weird', 'select "Weird Col"')
    local found = complete.choices(shell, 'select "Wei from accounts', 11)
    assert.same({ '"Weird Col"' }, found.matches)
    completes('select * from accounts where "Weird C', 'select * from accounts where "Weird Col"')
    completes('select * from "Odd Name" where "', 'select * from "Odd Name" where "x"')
    completes('select * from "Odd Name"')
  end)

  it("knows schemas, aliases and lists in quotes and capitals", function()
    completes('select * from "My Schema".', 'select * from "My Schema".inner_one')
    local list, append = choices 'select * from "My'
    assert.same({ 'select * from "My Schema"' }, list)
    assert.equal(".", append)
    completes("SELECT O.TO FROM SALES.ORDERS AS O WHERE O.TO", "SELECT O.TO FROM SALES.ORDERS AS O WHERE O.total")
    completes('select n. from "Odd Name" n where n.', 'select n. from "Odd Name" n where n.x')
    completes("select * from accounts a, odd", 'select * from accounts a, "Odd Name"')
    completes("select * from (select 1) s, \"Odd Name\", acc", "select * from (select 1) s, \"Odd Name\", accounts",
      "select * from (select 1) s, \"Odd Name\", \"Accounts_Old\"")
    completes("select dee from \"My Schema\".inner_one where dee", "select dee from \"My Schema\".inner_one where deep")
  end)

  it("offers nothing in a string or a comment of SQL", function()
    completes "select 'from acc"
    completes "select 1 -- from acc"
    completes "select 1 /* from acc"
    completes("select 'it''s' from acc", "select 'it''s' from accounts", "select 'it''s' from \"Accounts_Old\"")
    completes("select $a$ ' $a$ from od", "select $a$ ' $a$ from \"Odd Name\"")
  end)

  it("writes quotes in a Lua string as Lua reads them", function()
    completes([[db:rows "select * from od]], [[db:rows "select * from \"Odd Name\"]])
    completes([[db:rows "select * from \"Od]], [[db:rows "select * from \"Odd Name\"]])
    completes([[db:rows 'select * from "Od]], [[db:rows 'select * from "Odd Name"]])
    completes("db:rows [[select * from \"Od", "db:rows [[select * from \"Odd Name\"")
  end)

  it("serves the commands", function()
    completes('\\d "O', '\\d "Odd Name"')
    completes("\\dt+ odd", '\\dt+ "Odd Name"')
    completes("\\d sales.", "\\d sales.orders")
    completes("\\d acc", '\\d "Acc Seq"', '\\d "Accounts_Old"', "\\d acc_order", "\\d accounts")
    completes("\\dt acc", "\\dt accounts", '\\dt "Accounts_Old"')
    completes("\\di acc", "\\di acc_order")
    completes('\\ds "Ac', '\\ds "Acc Seq"')
    completes("\\sf tal", "\\sf tally", '\\sf "Tally Up"')
    completes("\\df \"Tally", '\\df "Tally Up"')
    completes("\\c post", "\\c postgres")
    completes("\\c odd", '\\c "Odd DB"')
    completes('\\c "Odd D', '\\c "Odd DB"')
    completes("\\c sta", "\\c standby")
    completes("\\c postgres user=x servi", "\\c postgres user=x service=")
    completes("\\timing o", "\\timing off", "\\timing on")
    completes("\\conn", "\\conninfo")
    local names = {}
    for _, name in ipairs((choices "\\d")) do names[name] = true end
    assert.is_true(names["\\d"] and names["\\dt"] and names["\\dx"] and names["\\dE"])
  end)
end)
