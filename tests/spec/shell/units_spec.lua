-- The parts of the shell that need no terminal: what an entry is, what is kept, what is dangerous, how values look.
local host = require "pgsh.host"
local gate = require "pgsh.shell.gate"
local history = require "pgsh.shell.history"
local parse = require "pgsh.shell.parse"
local show = require "pgsh.shell.show"

local function kind(text) return parse.entry(text, "=(1)", {}).kind end

describe("an entry", function()
  it("is SQL when it begins as SQL does and no Lua can be meant", function()
    for _, text in ipairs { "select 1;", "  SELECT 1;", "select\n1;", "select 'a';", "select (1);",
      "with x as (select 1) select * from x;",
      "-- why\nselect 1;", "/* a /* b */ c */ delete from t;", "(select 1);", "((select 1) union (select 2));",
      "table t;", "show all;", "values (1);", "begin;", "explain select 1;", "do $$ begin end $$;", "update t set a = 1;", "select;" } do
      assert.equal("sql", kind(text), text)
    end
    for _, text in ipairs { "select(1, 2)", "table.concat {}", "set = 1", "values(1)", "update.x = 1", "do return 1 end", "show:x()",
      "create == 1",
      "lock .. 'x'", "call(f)", "(select 'x')", "(values).x" } do
      assert.equal("lua", kind(text), text)
    end
  end)

  it("is whole when its semicolon stands outside of quotes and comments", function()
    for _, text in ipairs { "select ';'", "select 1 -- ;", "select $$;$$", "select $a$ $$; $a$", "select \"a;\"", "select /* ; */ 1",
      "select 'it''s;'",
      "select E'\\';'", "select 1", "select", "create function f() returns int as $$ select 1; $$" } do
      assert.equal("incomplete", kind(text), text)
    end
    for _, text in ipairs { "select ';';", "select 1; -- done", "select $$ ' $$;", "select 'it''s';", "select E'\\'';", "select 1\n",
      "select 'a' ;  " } do
      assert.equal("sql", kind(text), text)
    end
  end)

  it("may be several, one after the other", function()
    local function parts(text)
      local entry, list = parse.entry(text, "=(1)", {}), {}
      if entry.kind ~= "many" then return entry.kind end
      for i, part in ipairs(entry.parts) do list[i] = part.kind .. ": " .. (part.text or "") end
      return list
    end
    assert.same({ "sql: select 1;", "sql: select ';' ;" }, parts "select 1; select ';' ;")
    assert.same({ "sql: select 1;", "sql: select 2;" }, parts "-- one\nselect 1; -- two;\n\n/* ; */ select 2; -- end\n;")
    assert.same({ "lua: print(1)", "sql: select 5;", "command: \\dt x", "lua: " }, parts "print(1)\nselect 5;\n\\dt x\nprint(2)")
    assert.same({ "lua: for i = 1, 2 do\n  print(i)\nend", "sql: select 5;" }, parts "for i = 1, 2 do\n  print(i)\nend\nselect 5;")
    assert.equal("incomplete", parts "select 1; select 2")
    assert.equal("incomplete", parts "select 1; /* ")
    assert.equal("error", parts "select 1; end")
    assert.equal("sql", parts "create rule r as on insert to t do also (select 1; select 2);")
    assert.equal("sql", parts "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end;")
    assert.same({ "sql: create function f() returns int begin atomic select 1; end;", "sql: select 2;" },
      parts "create function f() returns int begin atomic select 1; end; select 2;")
    assert.same({ "sql: begin;", "sql: select date'1;\\';", "sql: commit;" }, parts "begin; select date'1;\\'; commit;")
    assert.equal("sql", parts "select $a$;$a$, E'\\';', 'x;', \"a;\";")
    assert.same({ "sql: select 1", "command: \\watch 2" }, parts "select 1 \\watch 2")
    assert.same({ "sql: select 1", "sql: select E'\\\\gx';" }, parts "select 1 \\g\nselect E'\\\\gx';")
    local entry = parse.entry("select 1 \\gx", "=(1)", {})
    assert.same({ "sql", "select 1", true }, { entry.kind, entry.text, entry.expanded })
    assert.equal("error", parts "insert into t values (1) returning a \\gset")
    assert.equal("error", parts "select 3 \\g /tmp/x")
    assert.same({ "sql: select 1;", "lua: print(3);", "sql: select 4;" }, parts "select 1; print(3); select 4;")
    assert.same({ "lua: print(1)", "sql: select 5;" }, parts "print(1)\n/* c ; */ select 5;")
    assert.equal("incomplete", parts "select 'a\n\n")
    assert.equal("empty", parts "-- nothing\n/* at all */")
    assert.equal("incomplete", parts "select /* /* */ 1;")
  end)

  it("that was meant as SQL says so", function()
    assert.equal("did you mean select?", parse.entry("selct 1;", "=(1)", {}).problem.hint)
    assert.is_nil(parse.entry("x y", "=(1)", {}).problem.hint)
    assert.is_nil(parse.entry("prnt(1;", "=(1)", {}).problem.hint)
  end)

  it("of Lua is incomplete only when more can make it whole", function()
    for _, text in ipairs { "for i = 1, 2 do", "function f()", "x =", "f(", "{ 1,", "1 +", "if x then", "[[ long", "x = function()",
      "while true do", "f('a'," } do
      assert.equal("incomplete", kind(text), text)
    end
    for _, text in ipairs { "end", "x y", "1 1", ")", "x = = 1", "for 1", "'open" } do assert.equal("error", kind(text), text) end
  end)

  it("that begins with local keeps its names, where that can be", function()
    local env = {}
    local function run(text)
      local entry = parse.entry(text, "=(1)", env)
      assert.equal("lua", entry.kind, text)
      entry.f()
      return entry.was_local
    end
    assert.is_true(run "local a = 1")
    assert.is_true(run "local b, c = 2, 3")
    assert.is_true(run "local function f() return a + b + c end")
    assert.equal(6, env.f())
    assert.is_true(run "local d")
    assert.is_true(run "local e <const> = 1")
    assert.equal(1, env.e)
    assert.falsy(run "do local g = 1 end")
  end)

  it("asks for help, or is a command", function()
    assert.equal("help", kind "?psql")
    assert.equal("help", kind "psql?")
    assert.equal("help", kind "help")
    assert.equal("help", kind "help step")
    assert.equal("lua", kind "help('step')")
    assert.same({ kind = "command", word = "dt", rest = "public.*", text = "\\dt public.*;" }, parse.entry("\\dt public.*;", "=(1)", {}))
    assert.equal("q", parse.entry("exit", "=(1)", {}).word)
    assert.equal("empty", kind "  \n ")
  end)

  it("of Lua says which statement it holds, when there is one", function()
    assert.equal("select 1", parse.sql_within "db:rows 'select 1'")
    assert.equal("select 1", parse.sql_within "db:rows('select 1', 'x')")
    assert.is_nil(parse.sql_within "f('select 1', 'select 2')")
    assert.is_nil(parse.sql_within "f 'x'")
  end)
end)

describe("history", function()
  it("keeps nothing that may hold a secret", function()
    for _, text in ipairs { " space", "alter role x PASSWORD 'y'", "psql 'postgresql://u:p@h/d'", "token = 'x'",
      "create user mapping for x", "api_key = 1",
      "http:get('/', { headers = { Authorization = x } })", "PGPASSWORD='x'", ("x"):rep(70000) } do
      assert.is_false(history.keeps(text), text:sub(1, 40))
    end
    for _, text in ipairs { "select 1;", "psql 'postgresql://u@h/d'", "pg.activity(db)" } do assert.is_true(history.keeps(text), text) end
  end)

  it("tells the journal what can be told", function()
    assert.equal("select 1;", history.protect "select 1;")
    for typed, told in pairs {
      ["alter role x password 'correcthorse'"] = "alter role x password '•••'",
      ["alter role x password 'short'"] = "alter role x password '•••'",
      ["alter role x password E'a\\'b' valid until 'y'"] = "alter role x password E'•••' valid until 'y'",
      ["create role x password $a$b'c$a$"] = "create role x password $a$•••$a$",
      ["alter role x password U&'\\0061'"] = "alter role x password U&'•••'",
      ["do $$ begin execute 'alter role x password ''abc'''; end $$"] = "do $$ begin execute 'alter role x password ''•••'''; end $$",
      ["create user mapping for x server s options (user 'u', password 'abc')"]
        = "create user mapping for x server s options (user 'u', password '•••')",
      ["create subscription s connection 'host=h password=abc dbname=d' publication p"]
        = "create subscription s connection 'host=h password=••• dbname=d' publication p",
      ["select dblink_connect($$postgres://u:abc@h/d$$)"] = "select dblink_connect($$postgres://u:•••@h/d$$)",
      ["create user x identified by 'abc'"] = "create user x identified by '•••'",
      ["update u set password = crypt('abc', gen_salt('bf'))"] = "update u set password = crypt('•••', gen_salt('•••'))",
      ["select format('alter role %I password %L', 'x', 'abc')"] = "select format('alter role %I password %L', '•••', '•••')",
    } do
      assert.equal(told, history.protect(typed))
      assert.is_false(history.keeps(typed), typed)
    end
    assert.equal("say •••", require("pgsh.secret").redact "say correcthorse") -- now known
    for _, typed in ipairs { [[db:execute "alter role x password 'abc'"]], [[db:execute "alter role x password E'abcdefgh'"]],
      [[db:execute 'alter role x password \'abcdefgh\'']],
      [[db:execute "alter role x password 'abcdefgh'; alter role y password $$abcdefgi$$"]] } do
      assert.equal("(left out: it may hold a secret)", history.protect(typed))
    end
    assert.equal("(left out: it may hold a secret)", history.protect "the password is nowhere")
    assert.truthy(history.protect(("x"):rep(70000)):find "%(70000 bytes%)$")
  end)
end)

describe("secrets in SQL", function()
  local function peak_kib()
    for line in io.lines "/proc/self/status" do
      local kib = line:match "^VmHWM:%s+(%d+)"
      if kib then return tonumber(kib) end
    end
  end

  it("take no more memory than their text", function()
    local before = peak_kib()
    assert.equal("select 'password=•••'", host.sql_hide("select '" .. ("password="):rep(15000) .. "'"))
    assert.is_true(peak_kib() - before < 100000)
  end)

  it("become known, except those that are names too", function()
    local statements = {}
    for i = 1, 90 do statements[i] = ("alter role r%d password 'quite%dsecret'"):format(i, i) end
    statements[91] = "alter role named_alike password 'Named_Alike'"
    host.sql_hide(table.concat(statements, ";"))
    local redact = require("pgsh.secret").redact
    for i = 1, 90 do assert.equal("•••", redact(("quite%dsecret"):format(i))) end
    assert.equal("Named_Alike", redact "Named_Alike")
  end)
end)

describe("secrets of roles", function()
  it("are hidden behind whatever keyword was typed", function()
    for text, clean in pairs {
      ["alter role r passwrd 'Unique77a'"] = "alter role r passwrd '•••'",
      ["Create User \"r\" with login 'Unique77b' valid until '2030-01-01'"] = "Create User \"r\" with login '•••' valid until '2030-01-01'",
      ["/* x */ alter group g pass word $$Unique77c$$"] = "/* x */ alter group g pass word $$•••$$",
      ["select 1; alter user r pasword = E'Unique77d'; select 'x'"] = "select 1; alter user r pasword = E'•••'; select 'x'",
      ["create role set password 'Unique77e'"] = "create role set password '•••'",
      ["create role set passwrd 'Unique77f'"] = "create role set passwrd '•••'",
      ["do $$ begin alter role r pasword 'Unique77g'; end $$"] = "do $$ begin alter role r pasword '•••'; end $$",
    } do
      assert.equal(clean, host.sql_hide(text), text)
    end
    assert.equal("•••", require("pgsh.secret").redact "Unique77a")
    for _, text in ipairs { "alter role r set search_path to 'app'", "alter role r in database d set work_mem = '1MB'",
      "alter role r valid until 'infinity'", "create user mapping for r server s options (user 'u')", "comment on role r is 'x'",
      "create table role (a text default 'x')", "alter table user_data add b text default 'x'" } do
      assert.is_nil(host.sql_hide(text), text)
    end
  end)
end)

describe("danger", function()
  local function danger(sql, ...)
    local statements = { { sql, n = 0 } }
    for _, more in ipairs { ... } do statements[#statements + 1] = { more, n = 0 } end
    return gate.danger { kind = "psql", verb = "execute", show = "", statements = statements }
  end

  it("is what cannot be taken back", function()
    for _, text in ipairs { "drop table t", "TRUNCATE t", "delete from t", "update t set a = 1", "alter table t drop column a",
      "  Drop schema x cascade", "drop owned by r", "reassign owned by a to b", "/* x */ drop table d2", "-- c\ndelete from d3",
      "/* a /* nested */ where */ delete from t", "select pg_terminate_backend(1)", "select 1; drop table t",
      "update d1 set id=(select max(id) from d2 where true)", "delete from t where 1=1", "delete from t where true returning id",
      "delete from t where (true or false)", "delete from t using u", "delete from t where $$a$$ = 'a'", "update t set a = ' where b '",
      "update t set a = $x$ where b = 1 $x$", "delete from t returning (select 1 from u where b = 1)", "delete from \"where\"",
      "with x as (select 1) delete from t", "with x as (select id from u where a = 1) update t set a = 1", "explain analyze delete from t",
      "alter table t alter column a type int using 0", "select \"pg_promote\"()", "select pg_catalog.lo_unlink(1)",
      "alter table t alter c type date", "alter table t alter column c set data type int",
      "alter system reset all", "delete from t where a = a", "delete from t where \"A\" = \"A\" and b <= b",
      "delete from t where a = 1 or true",
      "delete from t where (1 = 1 or a = 2) and true", "update t set a = 1 where a < 0 or exists (select 1)",
      "delete from t where ((a = a))",
      "delete from t where a = 1 or (b = b and 2 > 1) or c = 3 returning a",
      "select pg_drop_replication_slot('s')", "select pg_replication_slot_advance('s', '0/0')", "copy t to '/tmp/x'" } do
      local what, sure = danger(text)
      assert.truthy(what, text)
      assert.is_true(sure, text)
    end
    assert.same({ "drop", true }, { danger("insert into t values (1)", "-- then\ndrop table t") })
    assert.same({ "delete without where", true }, { danger "delete from only t" })
  end)

  it("is what nobody can tell", function()
    for _, text in ipairs { "do $$ begin delete from t; end $$", "call p(1)",
      "with x as (delete from d4 where id = 1 returning id) select * from x",
      "with a as (select 1), x as materialized (update t set a = 1 where b = 2 returning a) select * from x", "copy t to program 'x'",
      "merge into t using s on t.a = s.a when matched then delete", "select dblink_exec('x', 'y')", "select purge()",
      "select * from looks_harmless",
      "select nextval('s'), app.purge()", "(select purge())", "with x as (select 1) select purge() from x", "select app.nextval('s')",
      "select purge() from t for update", "explain analyze select purge()", "values (purge())", "delete from t where a = 'x" } do
      local what, sure = danger(text)
      assert.truthy(what, text)
      assert.is_false(sure, text)
    end
  end)

  it("is nothing else", function()
    for _, text in ipairs { "delete from t where a = 1", "update t set a = 1 where b = 2", "insert into t values (1)",
      "create index i on t (a)", "alter table t add column dropped int", "vacuum t", "alter table t alter a drop not null",
      "alter table t rename to u", "reindex table t", "select pg_switch_wal()", "select nextval('s')",
      "select setval('s', (select coalesce(max(id), 1) from t))", "select pg_catalog.nextval('s')", "select * from t for update",
      "select * from t where a in (1, 2) for no key update", "select a into u from t", "alter table t add type text",
      "alter table t rename type to kind", "alter table t rename kind to type", "alter type t add value 'x'",
      "create or replace view v as select 1",
      "delete from t where a = b", "delete from t where t.a = u.a", "delete from t where a = a + 1", "delete from t where a = 1 or b = 2",
      "delete from t where a = 1 and true", "delete from t where (a = 1 or false) and b between 1 and 2 or c = any(array[1])",
      "delete from t where exists (select 1 from u where u.id = t.id)", "delete from t where a = 1 or b = 'x'",
      "delete from t where a = -a",
      "delete from t where coalesce(a, true) or b in (1, 2)", "update t set a = 'drop' where \"true\"",
      "insert into t values (1) on conflict (a) do update set b = 2", "with u as (select 1) insert into t select * from u",
      "with x as (select id from t where a = 1 for update) update t set a = 2 where id in (select id from x)",
      "delete from t using u where t.a = u.a", "merge into t using s on t.a = s.a when not matched then insert values (1)",
      "comment on table t is 'drop (delete from t)'", "create table t (a int) -- drop table t",
      "create function f() returns void language sql as 'delete from t'", "grant delete on t to r" } do
      assert.is_nil(danger(text), text)
    end
  end)

  it("is not a lock, which is told all the same", function()
    local function locks(sql)
      local what, _, _, sentence = host.sql_danger(sql)
      assert.is_nil(what, sql)
      return sentence
    end
    for _, text in ipairs { "vacuum full t", "VACUUM (FULL, analyze) t", "cluster t", "cluster", "lock table t",
      "refresh materialized view v" } do
      assert.equal("locks the table against everybody while it runs", locks(text), text)
    end
    assert.equal("locks the table against every change while it runs", locks "reindex table t")
    for _, text in ipairs { "vacuum t", "reindex (concurrently) table t", "reindex table concurrently t", "analyze t",
      "refresh materialized view concurrently v", "create or replace view v as select 1", "create index concurrently i on t (a)" } do
      assert.is_nil(locks(text), text)
    end
  end)

  it("is also elsewhere", function()
    assert.truthy(gate.danger { show = "DELETE /apps/x", kind = "http", verb = "DELETE" })
    assert.truthy(gate.danger { show = "rm -rf x", kind = "sh", verb = "run" })
    assert.is_nil(gate.danger { show = "ls", kind = "sh", verb = "run" })
  end)
end)

describe("production", function()
  local function is(target, address) return gate.new({}):is_production(target, address) end

  it("is told by a word of the name or address", function()
    for _, name in ipairs { "prod", "prod-db1:5432/app", "shopprod", "shop_prd", "prd-db1", "app-production", "live_db", "db.live.example",
      "PROD1", "proddb", "shopprd2", "production_eu", "shop.production.example/x" } do
      assert.is_true(is("psql " .. name), name)
      assert.is_true(is("heroku x", name), name)
    end
  end)

  it("is not what only sounds like it", function()
    for _, name in ipairs { "products", "reproduce", "delivery", "olive", "product-db", "producer", "app-nonprod", "non-prod-db1",
      "shop_preprod", "pre-prod.example", "prodigy", "sliver" } do
      assert.is_false(is("psql " .. name), name)
    end
    assert.is_true(is("psql preprod", "prod-cluster"))
  end)
end)

describe("a change that a window lets through", function()
  it("is made again only when it was rolled back for its rows, not when an error says so", function()
    local it_is = gate.new {}
    local text = "DELETE 7: more rows than the 5 that nobody was asked about"
    assert.is_false(it_is:exceeded("delete from t", { kind = "psql", code = "psql", message = text }))
    assert.is_nil(it_is.tried["delete from t"])
    assert.is_true(it_is:exceeded("delete from t", { kind = "psql", code = "too_many", message = text }))
    assert.equal(7, it_is.tried["delete from t"])
  end)
end)

describe("a value", function()
  it("is shown as Lua reads it back", function()
    for _, value in ipairs { 1, 1.0, 0.1, 1e300, 2 ^ 53, -7, 1 / 3, 0.1 + 0.2, "a", "a\"b\\c", "tab\tend", "\27[2J\0", "é日",
      "\255\254", true,
      "two\nlines", "]]\nx", "line\r\n", math.maxinteger, 1e15, 123456789.125 } do
      local text = show.text(value)
      local back = load("return " .. text)()
      assert.equal(value, back, text)
      assert.equal(math.type(value), math.type(back), text)
      assert.is_nil(text:find "[\0-\8\11-\31\127]", text)
    end
    assert.equal("0/0", show.text(0 / 0))
    assert.equal("math.huge", show.text(1 / 0))
  end)

  it("of a module lists what is in it", function()
    assert.truthy(show.text(require "pgsh.pg"):find("module pg: activity, bloat", 1, true))
  end)

  it("of rows comes in every format", function()
    local rows = setmetatable({ { a = 1, b = "x,\"y\"\n" }, { a = 2 } }, { __index = { columns = { "a", "b" } } })
    local function text(format)
      local settings, pieces = show.defaults(), {}
      settings.format = format
      show.value(rows, settings, nil, function(piece) pieces[#pieces + 1] = piece end)
      return table.concat(pieces)
    end
    assert.equal('a,b\n1,"x,""y""\n"\n2,\n', text "csv")
    assert.equal('a\tb\n1\tx,"y"\\n\n2\t\\N\n', text "tsv")
    assert.equal('[{"a":1,"b":"x,\\"y\\"\\n"},\n {"a":2,"b":null}]\n', text "json")
    assert.equal(' a |    b\n---+---------\n 1 | x,"y"\\n\n 2 | <null>\n(2 rows)\n', text "grid")
    assert.truthy(text "expanded":find("-[ 2 ]", 1, true))
  end)
end)
