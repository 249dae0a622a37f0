-- \d and its family: names as psql takes them, everything that belongs to an object, and no waiting behind locks.
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"

local OBJECTS = [[
create schema sales; create schema "Odd Schema"; create extension pg_trgm; create role clerk;
create table customers (id int generated always as identity primary key, mail text not null unique check (mail <> ''),
  half int generated always as (length(mail) / 2) stored);
comment on table customers is 'who buys'; comment on column customers.mail is 'where to';
create table "Odd Name" ("Weird Col" int, x int references customers);
alter table "Odd Name" add constraint later check (x > 0) not valid;
create table "Odd Schema"."T.1" (a int);
create table sales.orders (id bigint, at date not null, customer int references customers on delete cascade) partition by range (at);
create table sales.orders_2024 partition of sales.orders for values from ('2024-01-01') to ('2025-01-01');
create table sales.orders_rest partition of sales.orders default;
create index orders_at on sales.orders (at);
create unlogged table hot (n int) with (fillfactor = 70); create index hot_n on hot (n) where n > 3; create index hot_gone on hot ((n + 1));
update pg_index set indisvalid = false where indexrelid = 'hot_gone'::regclass;
alter table hot enable row level security; create policy few on hot for select to clerk using (n > 0);
create view mails as select id, mail from customers;
create function tally(a int default 1) returns int language sql stable as $$ select a + 1 $$;
create function tally(a text) returns int language sql as $$ select 2 $$;
create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger keep before update on customers for each row execute function touch(); alter table customers disable trigger keep;
create table child (b int) inherits ("Odd Name");
grant select on customers to clerk; grant update (mail) on customers to clerk]]

describe("the shell describes", function()
  local server, box

  setup(function()
    server = postgres.start()
    server:psql("set allow_system_table_mods = on; " .. OBJECTS)
    box = run.box()
  end)
  teardown(function()
    server:remove()
    box:remove()
  end)

  local function shell(input)
    local result = box:pgsh({ "shell", server:conninfo() }, { stdin = input .. "\n" })
    return result.stdout, result.stderr, result.exit
  end

  local function says(input, ...)
    local text, problem = shell(input)
    local at = 1
    for _, part in ipairs { ... } do
      local _, behind = text:find(part, at, true)
      assert.truthy(behind, ("%s, behind %d: %s\n%s%s"):format(input, at, part, text, problem))
      at = behind + 1
    end
  end

  local function refuses(input, message)
    local text, problem, exit = shell(input)
    assert.truthy(problem:find(message, 1, true), text .. problem)
    assert.equal(2, exit)
  end

  it("names as psql takes them", function()
    says('\\d "Odd Name"', 'table public."Odd Name"\n')
    says("\\d CUSTOMERS", "table public.customers\n")
    says('\\d "Odd"*', 'table public."Odd Name"\n')
    says('\\d "Odd Schema"."T.1"', 'table "Odd Schema"."T.1"\n')
    says('\\d "Odd Schema".*', 'table "Odd Schema"."T.1"\n')
    says("\\d sales.order?_20[0-9]4;", "table sales.orders_2024\n")
    says("\\dt cust*|hot", "\tcustomers\t", "\thot\t")
    says("\\dt pg_catalog.pg_clas?", "\tpg_class\t")
    assert.equal("schema\tname\ttype\towner\n", (shell "\\dt *.Odd*"))
    refuses("\\d Odd*", 'there is no relation Odd* (did you mean \\d "Odd Name"?)')
    refuses('\\d "CUSTOMERS"', 'there is no relation "CUSTOMERS" (did you mean \\d customers?)')
    refuses("\\d orders", "there is no relation orders (did you mean \\d sales.orders?)")
    refuses("\\d nowhere", "there is no relation nowhere ")
    refuses("\\d custmers", "there is no relation custmers (did you mean \\d customers?)")
    refuses("\\d sales.ordres", "there is no relation sales.ordres (did you mean \\d sales.orders?)")
    server:psql [[create type "En" as enum ('a', 'b'); create domain dm as int]]
    refuses('\\d "En"', '"En" is a type: \\dT+ "En"')
    refuses("\\d dm", "dm is a type: \\dT+ dm")
    assert.truthy((shell '\\dT+ "En"'):find "a, b")
    refuses("\\d tally", "tally is a function: \\df tally, \\sf tally")
    refuses("\\d sales", "sales is a schema: \\d sales.*")
    refuses("\\d other.sales.orders", "in this database")
  end)

  it("a table, with all that belongs to it, in one order", function()
    says("\\d customers", "table public.customers\n", "\nid\tinteger\t\\N\tnot null\tgenerated always as identity\n",
      "\nhalf\tinteger\t\\N\t\\N\tgenerated always as ((length(mail) / 2)) stored\n",
      "indexes:\n    customers_pkey primary key, btree (id)\n",
      "    customers_mail_key unique constraint, btree (mail)\n", "check constraints:\n    customers_mail_check CHECK (mail <> ''::text)\n",
      'referenced by:\n    "Odd Name" "Odd Name_x_fkey" FOREIGN KEY (x) REFERENCES customers(id)\n',
      "    sales.orders orders_customer_fkey FOREIGN KEY (customer) REFERENCES customers(id) ON DELETE CASCADE\n",
      "triggers:\n    keep BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch(), DISABLED\n")
    says('\\d "Odd Name"', "    later CHECK (x > 0) NOT VALID\n",
      'foreign keys:\n    "Odd Name_x_fkey" FOREIGN KEY (x) REFERENCES customers(id)\n',
      "child tables (1):\n    child\n")
    says("\\d child", 'inherits:\n    "Odd Name"\n')
    says("\\d hot", "unlogged table public.hot\n", "    hot_gone btree ((n + 1)), INVALID\n", "    hot_n btree (n) WHERE n > 3\n",
      "row security:\n    on\n    few for select to clerk using ((n > 0))\n", "storage:\n    fillfactor=70\n")
    says("\\d+ customers", "mail\ttext\t\\N\tnot null\t\\N\textended\t\\N\twhere to\n", "\nsize: ", "\ndescription: who buys\n")
  end)

  it("partitions: key, number, bounds, of what", function()
    says("\\d sales.orders", "partitioned table sales.orders\n", "partition key:\n    RANGE (at)\n", "indexes:\n    orders_at btree (at)\n",
      "partitions (2):\n    sales.orders_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')\n    sales.orders_rest DEFAULT\n")
    says("\\d sales.orders_2024", "partition of:\n    sales.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')\n")
    server:psql [[create table many (n int) partition by list (n);
      do $$ begin for i in 1..35 loop execute format('create table many_%s partition of many for values in (%s)', i, i); end loop; end $$]]
    says("\\d many", "partitions (35):\n", "    … 5 more, \\d+ lists all\n")
    says("\\d+ many", "    many_9 FOR VALUES IN (9)\n")
    server:psql "drop table many"
  end)

  it("indexes, sequences, views, functions", function()
    says("\\d hot_gone", "index public.hot_gone\n", "\nexpr\tinteger\tyes\t(n + 1)\n",
      "index of:\n    hot, btree, INVALID: kept up to date, not used\n",
      "definition:\n    CREATE INDEX hot_gone ON public.hot USING btree (((n + 1)))\n")
    says("\\d customers_pkey",
      "index of:\n    customers, btree, primary key, valid\n", "constraint:\n    customers_pkey PRIMARY KEY (id)\n")
    says("\\d customers_id_seq",
      "sequence public.customers_id_seq\n", "\ninteger\t1\t1\t2147483647\t1\tno\t1\n", "owned by:\n    customers.id\n")
    says("\\d mails", "view public.mails\n", "definition:\n SELECT customers.id,\n")
    says("\\sv mails", "CREATE OR REPLACE VIEW public.mails AS\n SELECT customers.id,\n")
    says("\\df TALLY", "public\ttally\tinteger\ta integer DEFAULT 1\tfunction\n", "public\ttally\tinteger\ta text\tfunction\n")
    says("\\df+ tall?", "\tsql\tstable\tunsafe\tinvoker\t")
    says("\\sf tally", "FUNCTION public.tally(a integer DEFAULT 1)\n", "AS $function$ select a + 1 $function$\n",
      "FUNCTION public.tally(a text)\n")
    local text = shell "\\sf tally(text)"
    assert.truthy(text:find("select 2", 1, true) and not text:find("a + 1", 1, true), text)
    refuses("\\sf nothing", "there is no function nothing")
  end)

  it("lists, with + more, with S the system's own", function()
    says("\\d", "\tOdd Name\ttable\t", "\tcustomers_id_seq\tsequence\t", "\tmails\tview\t")
    assert.is_nil((shell "\\dt"):find("pg_class", 1, true))
    says("\\dtS", "pg_catalog\tpg_class\ttable\t")
    says("\\dt+ customers", "schema\tname\ttype\towner\tpersistence\tsize\tdescription\n", "\tpermanent\t", "\twho buys\n")
    says("\\div", "schema\tname\ttype\towner\ttable\n", "\thot_n\tindex\tpostgres\thot\n", "\tmails\tview\t")
    says("\\dx+ pg_t*", "\npg_trgm\t1.")
    says("\\z customers", "clerk=r/postgres\tmail: clerk=w/postgres\t")
    says("\\dn", "Odd Schema\tpostgres\n", "sales\tpostgres\n")
    says("\\db+", "pg_default\tpostgres\t")
    says("\\l+ temp*", "template1\tpostgres\tUTF8\t", "\tpg_default\t")
    says("\\du clerk", "clerk\tno login\t")
    for _, command in ipairs { "dv", "dm", "ds", "dE", "dT+", "dp", "dg", "l", "dn+", "du+", "df", "dfS", "dpS", "dTS", "di+" } do
      local _, problem, exit = shell("\\" .. command)
      assert.equal(0, exit, command .. problem)
    end
  end)

  it("without waiting long for a lock", function()
    local lock = assert(io.popen(("%s/psql -Xq -d %s >/dev/null 2>&1"):format(server.bin, postgres.quote(server:conninfo())), "w"))
    lock:write "begin; lock customers;\n"
    lock:flush()
    local deadline = socket.gettime() + 5
    repeat
      local held = server:psql "select count(*) from pg_locks where relation = 'customers'::regclass and mode = 'AccessExclusiveLock'"
    until held == "1" or socket.gettime() > deadline
    local ok, problem = pcall(function()
      says("\\dt+", "\tcustomers\ttable\tpostgres\tpermanent\t(locked)\twho buys\n", "\thot\ttable\tpostgres\tunlogged\t0 bytes\t")
      says("\\d+ customers", "indexes:\n    customers_pkey", "\nsize: (locked)\n")
      says("\\d mails", "\nmail\ttext\t", "definition:\n(locked)\n")
    end)
    lock:write "rollback;\n"
    lock:close()
    assert.is_true(ok, problem)
  end)

  it("and says what to type for what only psql has", function()
    refuses("\\gx", "\\gx is psql's; here: as \"expanded\" shows the last rows so")
    refuses("\\!ls -l", "\\! is psql's; here: sh.read")
    refuses("\\set x 1", "\\set is psql's; here: x = 1")
    refuses("\\conifo", "there is no \\conifo (did you mean \\conninfo?)")
  end)
end)
