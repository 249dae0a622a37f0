-- What the shell prints: values of every type in every format, widths, notices, times, help; without a terminal where that is enough.
local host = require "pgsh.host"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local show = require "pgsh.shell.show"
local socket = require "socket"
local terminal = require "tests.spec.support.terminal"

describe("the shell's output", function()
  local server, box, screen

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function() box = run.box() end)
  after_each(function()
    if screen then screen:close() end
    screen = nil
    box:remove()
  end)

  local function shell(input, ...)
    local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres", PGDATABASE = "postgres" }
    return box:pgsh({ ... }, { stdin = input, env = env })
  end
  local function formatted(format, sql)
    local result = shell(("format '%s'\n%s\n"):format(format, sql))
    assert.equal(0, result.exit, result.stderr)
    return result.stdout
  end

  it("has bytea in every format, and what is UTF-8 by chance too", function()
    local sql = "select decode('00ff41', 'hex') as b, decode('c3a9', 'hex') as e;"
    assert.equal("    b     |   e\n----------+--------\n \\x00ff41 | \\xc3a9\n", (formatted("grid", sql):gsub("%(1 row.*$", "")))
    assert.truthy(formatted("expanded", sql):find("b | \\x00ff41\ne | \\xc3a9\n", 1, true))
    assert.equal("b,e\n\\x00ff41,\\xc3a9\n", formatted("csv", sql))
    assert.equal("b\te\n\\\\x00ff41\t\\\\xc3a9\n", formatted("tsv", sql))
    assert.equal('[{"b":"\\\\x00ff41","e":"\\\\xc3a9"}]\n', formatted("json", sql))
    assert.equal('{"b":"\\\\x00ff41","e":"\\\\xc3a9"}\n', formatted("jsonl", sql))
    assert.equal("| b | e |\n| --- | --- |\n| \\x00ff41 | \\xc3a9 |\n", formatted("markdown", sql))
    assert.same({ { b = "\0\255A", e = "é" } }, load("return " .. formatted("lua", sql))())
    assert.equal('"\\000\\255A"\n', shell("db:value \"select decode('00ff41', 'hex')\"\n").stdout)
    assert.equal("b | \\x00ff41\n", shell("db:row \"select decode('00ff41', 'hex') as b\"\n").stdout)
    assert.equal("\\xff\n", shell("print '\\255'\n").stdout)
  end)

  it("has NULL in JSON", function()
    assert.equal('[{"a":1,"b":null}]\n', formatted("json", "select 1 as a, null as b;"))
    assert.equal('{"a":1,"b":null}\n', formatted("jsonl", "select 1 as a, null as b;"))
    assert.equal('{"a":1,"b":null}\n', shell("format 'json'\ndb:row 'select 1 as a, null as b'\n").stdout)
  end)

  it("keeps columns of the same name apart", function()
    local sql = "select 1 as a, 2 as a, 3 as a_2, null as a;"
    local result = shell(("format 'json'\n%s\n%s\nformat 'jsonl'\n%s\n"):format(sql, sql, sql))
    local row = '{"a":1,"a_3":2,"a_2":3,"a_4":null}'
    assert.equal(("[%s]\n[%s]\n%s\n"):format(row, row, row), result.stdout)
    assert.equal(1, select(2, result.stderr:gsub("columns of the same name are numbered in JSON: a_3, a_4", "")), result.stderr)
    assert.equal("a,a\n,1\n", formatted("csv", "select null as a, 1 as a;"))
  end)

  it("writes numbers and arrays as the server does, in tables", function()
    local sql = "select 'NaN'::float8 as n, '-infinity'::float8 as i, 1::float8 as one, array[1,null,2] as a, "
      .. "array['a b','null',''] as t, array[[1,2],[3,4]] as m, '{}'::int[] as none, '[1,{\"a\":[]}]'::jsonb as j;"
    local expected = 'NaN|-Infinity|1|{1,NULL,2}|{"a b","null",""}|{{1,2},{3,4}}|{}|[1,{"a":[]}]'
    assert.equal(expected, (formatted("tsv", sql):match "\n(.-)\n":gsub("\t", "|")))
    assert.equal(expected, (formatted("grid", sql):match "\n %s*(NaN.-) *\n":gsub("%s+|%s+", "|")))
    local values = {}
    for value in formatted("expanded", sql):gmatch "| ([^\n]*)" do values[#values + 1] = value end
    assert.equal(expected, table.concat(values, "|"))
    assert.equal('[{"n":"NaN","i":"-Infinity","one":1,"a":[1,null,2],"t":["a b","null",""],"m":[[1,2],[3,4]],"none":[],'
      .. '"j":[1,{"a":[]}]}]\n', formatted("json", sql))
    local text = formatted("lua", sql)
    assert.truthy(text:find('n = 0/0, i = -math.huge, one = 1.0, a = { 1, json.null, 2 }, t = { "a b", "null", "" }', 1, true), text)
    assert.truthy(text:find("j = { 1, { a = json.array {} } }", 1, true), text)
    local all = load("return " .. text, "=text", "t", { math = math, json = require "pgsh.json" })()[1]
    assert.same({ { 1, 2 }, { 3, 4 } }, all.m)
  end)

  it("writes every row as Lua", function()
    assert.equal(300, #load("return " .. formatted("lua", "select g as \"end\" from generate_series(1, 300) g;"))())
  end)

  it("says of each statement of a transaction what it did", function()
    server:psql "create table moved (a int)"
    local result = shell("db:transaction { 'insert into moved values (1), (2)', 'update moved set a = 3 returning a', "
      .. "'delete from moved' }\n", "--yes")
    assert.truthy(result.stdout:find "^INSERT 0 2\nUPDATE 2\na\n3\n3\nDELETE 2 · %d+ ms\n$", result.stdout)
  end)

  it("has what RETURNING gives in the order of the statement", function()
    server:psql "create table kept (z int, b bytea, a text)"
    local result = shell("insert into kept values (1, '\\xff', null) returning z, b, a;\n", "--yes")
    assert.truthy(result.stdout:find("z\tb\ta\n1\t\\\\xff\t\\N\n", 1, true), result.stdout)
  end)

  it("has what the server says besides, once, above the result, and not without end", function()
    local result = shell([[
create table if not exists there (a int);
create table if not exists there (a int);
for _ = 1, 2 do spawn(function() db:execute "do $$ begin raise notice 'from a job'; end $$" end) end
do $$ begin for i in 1..50 loop raise notice 'number % of 25', i % 25; end loop; raise warning 'careful'; raise warning 'careful'; end $$;
]], "--yes")
    assert.equal(0, result.exit, result.stderr)
    local function count(text) return select(2, result.stderr:gsub(text, "")) end
    assert.equal(1, count 'NOTICE: relation "there" already exists, skipping')
    assert.equal(20, count "NOTICE: number %d+ of 25")
    assert.equal(1, count "NOTICE: number 7 of 25")
    assert.equal(1, count "NOTICE: from a job")
    assert.equal(1, count "the server says more: the journal has it")
    assert.equal(1, count "WARNING: careful")
    assert.is_nil(result.stdout:find "NOTICE")
    local _, path = box:journal()
    assert.equal(2, select(2, run.read_file(path):gsub("number 24 of 25", ""))) -- as often as it was said
  end)

  it("is expanded as long as that is wanted", function()
    local function is_expanded(input) return shell(input .. "\nselect 1 as a;\n").stdout:find("-[ 1 ]-", 1, true) ~= nil end
    for _, input in ipairs { "format 'expanded'", "format 'auto'\n\\x on", "format 'grid'\n\\x",
      "format 'expanded'\n\\x\n\\x\nformat 'auto'" } do
      assert.is_true(is_expanded(input), input)
    end
    for _, input in ipairs { "format 'expanded'\n\\x off", "format 'expanded'\n\\x", "format 'expanded'\n\\x auto" } do
      assert.is_false(is_expanded(input), input)
    end
    assert.equal("a,b\n1,2\n", shell("format 'csv'\nformat 'expanded'\n\\x off\nselect 1 as a, 2 as b;\n").stdout)
    assert.truthy(shell("format 'auto'\nselect 1 as a \\gx\n").stdout:find("-[ 1 ]-", 1, true))
  end)

  it("watches as often as is said, and takes nothing else", function()
    local result = shell "select 7 as seven;\n\\watch i=0.1 c=3\nprint 'behind'\n"
    assert.equal(0, result.exit, result.stderr)
    assert.equal(3, select(2, result.stdout:gsub("every 0.1 s", "")))
    assert.truthy(result.stdout:find "behind\n$")
    assert.equal(1, select(2, shell("select 7;\n\\watch 0.1 count=1\n").stdout:gsub("every 0.1 s", "")))
    for _, wrong in ipairs { "abc", "1 2", "c=0", "c=1.5", "m=1 c=1", "i=x" } do
      result = shell("select 7;\n\\watch " .. wrong .. "\n")
      assert.equal(2, result.exit, wrong)
      assert.truthy(result.stderr:find("or i=SECONDS for how often and c=COUNT", 1, true), result.stderr)
    end
  end)

  it("of jobs stands in columns, and says how each ended", function()
    local result = shell([[
long = spawn("a longer name", function() wait(60) end)
bad = spawn("bad", function() error "boo" end)
wait(0.1)
jobs.cancel(1)
wait(0.1)
jobs()
jobs
]])
    assert.truthy(result.stdout:find "job 1   cancelled   %S+ m?s +a longer name\njob 2   failed      %S+ m?s +bad: .*boo\n", result.stdout)
    assert.truthy(result.stdout:find("jobs(), jobs.cancel, jobs.wait    (help \"jobs\")\n", 1, true), result.stdout)
    assert.truthy(result.stderr:find("[job 1] cancelled: a longer name", 1, true), result.stderr)
    assert.truthy(result.stderr:find("[job 2] failed: ", 1, true), result.stderr)
  end)

  it("of rows that come one by one says so, once", function()
    local result = shell "db:each 'select 1'\n"
    assert.equal(1, select(2, result.stdout:gsub("rows that come one by one", "")))
    assert.is_nil(result.stdout:find "0x")
  end)

  it("refuses formats that it does not know", function()
    local all = "auto, grid, expanded, csv, tsv, json, jsonl, lua or markdown"
    for _, entry in ipairs { 'as "xml"', 'format "xml"', 'to("x", "xml")', 'to "x.xml"' } do
      local result = shell("select 1 as a;\n" .. entry .. "\n")
      assert.equal(2, result.exit, entry)
      assert.truthy(result.stderr:find(all, 1, true), result.stderr)
      assert.equal("a\n1\n", result.stdout)
    end
    local path = box.dir .. "/rows"
    assert.equal(0, shell(("select 1 as a;\nto %q\nto(%q, 'json')\nto %q\n"):format(path, path .. ".parquet", path .. ".MD")).exit)
    assert.equal("a\n1\n", run.read_file(path))
    assert.equal('[{"a":1}]\n', run.read_file(path .. ".parquet"))
    assert.equal("| a |\n| --- |\n| 1 |\n", run.read_file(path .. ".MD"))
  end)

  it("says what is wrong with a file, and names it once", function()
    local function refused(path, why)
      for _, entry in ipairs { "to %q", "transcript %q" } do
        local result = shell(("select 1;\n" .. entry .. "\n"):format(path))
        assert.equal(1, result.exit)
        assert.truthy(result.stderr:find(why, 1, true), result.stderr)
        assert.equal(1, select(2, result.stderr:gsub(path, "")))
      end
    end
    refused(box.dir .. "/none/x.csv", "/none/x.csv: there is no such directory")
    assert.equal("", run.shell("ls -d " .. box.dir .. "/none 2>/dev/null"))
    run.shell("echo mine > " .. box.dir .. "/x.csv")
    refused(box.dir .. "/x.csv", "/x.csv exists: it is not overwritten")
    assert.equal("mine\n", run.read_file(box.dir .. "/x.csv"))
  end)

  it("has times when they are wanted", function()
    local function times(input) return select(2, shell(input .. "\nselect 1;\n").stderr:gsub("time: %d+ ms", "")) end
    assert.equal(2, times "timing()")
    assert.equal(1, times "\\timing")
    assert.equal(1, times "\\timing on")
    assert.equal(0, times "\\timing on\n\\timing toggle")
    assert.equal(0, times "\\timing\n\\timing off\ntiming(false)")
    assert.equal(2, shell("timing 'maybe'\n").exit)
    assert.equal(2, shell("\\timing maybe\n").exit)
  end)

  it("does not count the operator's own time", function()
    server:psql "create table waited (a int)"
    screen = terminal.open(box, { env = { CONN = server:conninfo() } })
    screen:pgsh 'shell "$CONN"'
    screen:see "RO>$"
    screen:line "\\timing"
    screen:see "timing is on"
    screen:line "insert into waited values (1);"
    screen:see "%[n%]o\n>$"
    socket.sleep(3)
    screen:line "y"
    assert.is_true(tonumber(screen:see "time: %d+ ms":match "time: (%d+) ms") < 3000)
  end)

  it("is data only, on standard output", function()
    local result = shell "\\x on\n\\timing\n\\c -\nspawn(function() end)\nselect 1 as a;\n"
    assert.equal("a\n1\n", result.stdout)
    for _, said in ipairs { "expanded display is on", "timing is on", "connected to 127", "job 1" } do
      assert.truthy(result.stderr:find(said, 1, true), said)
    end
  end)

  it("of an error that is a table has what is in it", function()
    assert.truthy(shell("error({ 1, 'two' })\n").stderr:find('{ 1, "two" }', 1, true))
  end)

  it("helps with the fields of a handle, the words' own and the names of values", function()
    local asked = { "db.rows", "other:rows", "app.scale", "jobs.cancel", "history.forget", "_err", "_rs", "_" }
    local expected = { "db:rows(sql, ...)", "db:rows(sql, ...)", "App:scale(", "Ask a job to stop", "Forget all of it", "The last error",
      "The last rows", "The last value" }
    local before = "app = heroku.app 'nowhere'\nother = psql 'dbname=other'\n?"
    local text = shell(before .. table.concat(asked, "\n?") .. "\n").stdout
    local at = 1
    for i, part in ipairs(expected) do
      local _, last = text:find(part, at, true)
      assert.truthy(last, asked[i] .. "\n" .. text)
      at = last + 1
    end
    assert.equal(text, shell(before:sub(1, -2) .. table.concat(asked, "?\n") .. "?\n").stdout)
    assert.equal(2, shell("?db.nothing\n").exit)
  end)

  it("helps with each command, the last values, and says who looks for the rest", function()
    for _, name in ipairs(require("pgsh.shell.commands").names()) do
      local result = shell("?\\" .. name .. "\nhelp '\\\\" .. name .. "'\n")
      assert.equal(0, result.exit, name .. result.stderr)
      local first, second = result.stdout:match "^([^\n]*)\n(.*)\n$"
      assert.equal(first, second)
      assert.truthy(first:find("\\" .. name, 1, true) and first:find("   %l"), first)
    end
    assert.truthy(shell("?\\dt+\n").stdout:find("\\dt [PATTERN]   tables", 1, true))
    assert.truthy(shell("?\\t\n").stderr:find('\\t is psql\'s; here: format "tsv"', 1, true))
    assert.truthy(shell("?_1\n?edit\n").stdout:find "The last value .*edit%(text%)")
    assert.truthy(shell("17\n?_\n").stdout:find "_ is 17\n.*The last value")
    for _, asked in ipairs { "?nosuch", "help 'nosuch'" } do
      local result = shell(asked .. "\n")
      assert.equal(2, result.exit)
      assert.truthy(result.stderr:find('no help on nosuch.*apropos "nosuch" looks for it'), result.stderr)
    end
    assert.truthy(shell("edit()\n").stderr:find("there is no terminal", 1, true))
  end)

  it("says what it is made of and connected to", function()
    local version = shell "version()\n".stdout
    for _, name in ipairs { "pgsh", "Lua", "libpq", "libcurl", "libssh2", "libuv", "OpenSSL", "readline", "zlib", "libdeflate" } do
      assert.truthy(("\n" .. version):find("\n" .. name .. "%s+%w"), name)
    end
    assert.truthy(version:find "\nlibpq +%d+%.%d+\n")
    assert.equal(version, box:pgsh { "--version", "-v" }.stdout)
    run.shell(("printf '[one]\\nhost=127.0.0.1\\n' > %s/home/.pg_service.conf"):format(box.dir))
    local text = shell "db = psql()\ndoctor()\n".stdout
    for _, line in ipairs { "init file +none", "config +" .. box.dir .. "/home/%.config/pgsh", "state +" .. box.dir .. "/state/pgsh",
      "history +not kept", "services +" .. box.dir .. "/home/%.pg_service%.conf", "connection +psql 127%.0%.0%.1:",
      "server +PostgreSQL %d+.*, primary, no TLS", "role +postgres" } do
      assert.truthy(text:find("\n" .. line), line .. "\n" .. text)
    end
    assert.truthy(shell "db = psql 'host=/nowhere'\ndoctor()\n".stdout:find "server +psql")
  end)

  it("shows what is not UTF-8 wherever it turns up", function()
    assert.equal("\\xff é\n", shell("print '\\255 é'\n").stdout)
    assert.equal("\\xff\n", shell("print '\255'\n").stdout)
    assert.truthy(shell("error '\\255'\n").stderr:find("failed: (1):1: \\xff", 1, true))
    assert.truthy(shell("log.info '\\255'\n").stderr:find("\\xff", 1, true))
    local result = shell("x = secret 'hid\\255den-key'\nprint(secret.reveal(x))\n")
    assert.equal("•••\n", result.stdout)
  end)

  it("has what the server says before it fails", function()
    local result = shell("do $$ begin raise notice 'on the way'; raise exception 'over'; end $$;\n", "--yes")
    assert.equal(1, result.exit)
    assert.truthy(result.stderr:find "NOTICE: on the way.*over")
  end)
end)

describe("rows on a screen", function()
  local real = host.terminal
  local settings

  before_each(function() settings = show.defaults() end)
  after_each(function() host.terminal = real end)

  local function screen(columns)
    host.terminal = function() return { terminal = columns ~= nil, columns = columns or 80, rows = 24 } end
  end
  local function shown(rows, columns)
    local pieces = {}
    show.value(setmetatable(rows, { __index = { columns = columns } }), settings, nil, function(piece) pieces[#pieces + 1] = piece end)
    return table.concat(pieces)
  end
  local function widest(text)
    local most = 0
    for line in text:gmatch "[^\n]+" do most = math.max(most, host.width(line)) end
    return most
  end

  it("use all of it: the widest columns give way first, and only as far as they must", function()
    screen(150)
    local text = shown({ { id = 1, a = ("a"):rep(70), b = ("é"):rep(200) } }, { "id", "a", "b" })
    assert.truthy(text:find(("a"):rep(70) .. " |", 1, true), text)
    assert.equal(150, widest(text))
    assert.truthy(text:find("é…\n", 1, true))
    screen(300)
    assert.truthy(shown({ { id = 1, a = ("a"):rep(70), b = ("é"):rep(200) } }, { "id", "a", "b" }):find(("é"):rep(200), 1, true))
  end)

  it("are expanded when narrowing does not help", function()
    screen(100)
    local rows = { { a = ("a"):rep(70), b = ("b"):rep(70) } }
    assert.truthy(shown(rows, { "a", "b" }):find("b | " .. ("b"):rep(70), 1, true))
    settings.format = "grid"
    assert.truthy(shown(rows, { "a", "b" }):find("a… | b", 1, true))
  end)

  it("of a single column are neither cut nor expanded", function()
    screen(40)
    local text = shown({ { plan = ("p"):rep(200) } }, { "plan" })
    assert.truthy(text:find("\n " .. ("p"):rep(200) .. "\n", 1, true), text)
    settings.expanded = "on"
    assert.truthy(shown({ { plan = ("p"):rep(200) } }, { "plan" }):find("-[ 1 ]-", 1, true)) -- this was asked for
    local plan = shown({ { ["QUERY PLAN"] = "Result" } }, { "QUERY PLAN" })
    assert.is_nil(plan:find("-[ 1 ]-", 1, true), plan)
  end)

  it("are not cut where there is no screen", function()
    screen(nil)
    settings.format = "grid"
    local text = shown({ { a = ("a"):rep(500), b = ("b"):rep(500) } }, { "a", "b" })
    assert.truthy(text:find(("a"):rep(500) .. " | " .. ("b"):rep(500), 1, true))
  end)
end)
