-- psql against a real PostgreSQL: what :each and :rows bring by COPY is what the same query brings row by row.
local host = require "pgsh.host"
local psql = require "pgsh.psql"
local json = require "pgsh.json"
local postgres = require "tests.spec.support.postgres"
local check = require "tests.spec.support.check"
local failure, has = check.failure, check.has

-- A query with a parameter cannot be sent as COPY.
local function with_parameter(sql)
  return "select * from (" .. sql .. "\n) q where $1::int = 1"
end

-- NaN is not equal to itself.
local function comparable(value)
  if value ~= value then return "NaN" end
  if math.type(value) == "float" then return ("float %a %s"):format(value, 1 / value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, one in pairs(value) do copy[key] = comparable(one) end
  return copy
end

describe("psql values", function()
  local server, db

  lazy_setup(function()
    server = postgres.start()
    db = psql(server:conninfo())
    server:psql "create sequence counter; create table floats (a float8, b float8, c float8, d float8, e float8, f float4)"
  end)
  lazy_teardown(function()
    db:close()
    server:remove()
  end)

  local function by_each(sql, ...)
    local list = {}
    for row in db:each(sql, ...) do
      local one = { by_name = comparable(row), by_number = {} }
      for i = 1, 12 do one.by_number[i] = comparable(row[i]) end
      list[#list + 1] = one
    end
    return list
  end
  local function by_rows(sql, ...)
    local list, rows = {}, db:rows(sql, ...)
    for i, row in ipairs(rows) do
      list[i] = { by_name = comparable(row), by_number = {} }
      for k = 1, 12 do list[i].by_number[k] = comparable(row[k]) end
    end
    return list, rows.columns
  end
  local function same(sql)
    local want, columns = by_rows(with_parameter(sql), 1)
    assert.same(want, by_each(with_parameter(sql), 1))
    assert.same(want, by_each(sql))
    local got, names = by_rows(sql)
    assert.same(want, got)
    assert.same(columns, names)
    return want
  end

  it("of every type", function()
    same [[select true as a, false as b, 1::int2 as c, (-2147483648)::int4 as d, (-9223372036854775808)::int8 as e,
      9223372036854775807::int8 as f, 4294967295::oid as g, 0::int8 as h, -7::int8 as i, 999999999999999999::int8 as j,
      -1000000000000000000::int8 as k]]
    same [[select 1.5::float8 as a, 5::float8 as b, 'NaN'::float8 as c, 'Infinity'::float8 as d, '-Infinity'::float4 as e,
      '-0'::float8 as f, 1e300::float8 as g, 4.9e-324::float8 as h, 1.7976931348623157e308::float8 as i, 0.1::float4 as j,
      123456789.123456789::float8 as k]]
    same [[select 42::numeric as a, 1.10::numeric as b, 123456789012345678901234567890::numeric as c, 'NaN'::numeric as d,
      'Infinity'::numeric as e, '-Infinity'::numeric as f, -5::numeric as g, 0::numeric as h, 999999999999999999::numeric as i,
      1234567890123456789::numeric as j]]
    same [[select '{"a":[1,null,{"b":"x\ny\t\\"}]}'::jsonb as a, '[1, 2]'::json as b, 'null'::jsonb as c, '"\u00e9"'::json as d,
      '\x00ff410a09'::bytea as e, ''::bytea as f, '12:00'::time as g, '1 day 02:00'::interval as h, 'c'::"char" as i]]
    same [=[select array[1,2,null,4] as a, array['a','b "q" \ ,}','NULL','',E'x\ny\tz\\'] as b, array[[1,2],[3,4]] as c, '{}'::int[] as d,
      '[0:1]={7,8}'::int[] as e, array['{"k": 1}'::jsonb] as f, array[1.5, 'NaN']::float8[] as g, array['\x00'::bytea] as h,
      array[true,null] as i]=]
    same [[select timestamptz '2026-11-21 14:00:00+00' as a, timestamp '2026-11-21 14:00:00.123456' as b, date '2026-11-21' as c,
      '127.0.0.1/8'::inet as d, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as e, int4range(1, 5) as f, row(1, 'x', null) as g,
      '<a>b</a>'::xml::text as h, b'101' as i, 'x'::name as j, 'y'::char(4) as k, 'unknown' as l]]
  end)

  it("of every character", function()
    local rows = same "select g, chr(g) as c, 'a' || chr(g) || 'b' as d, repeat(chr(g), 3) as e from generate_series(1, 300) g"
    for i = 1, 300 do assert.equal(utf8.char(i), rows[i].by_name.c) end
    same [[select E'\\' as a, E'\\\\' as b, E'\\N' as c, E'\\.' as d, '\n' as e, E'\t' as f, E'\n' as g, E'\r\n' as h, E'\\t' as i,
      E'end\\' as j, '☃ 漢字 naïve' as k]]
  end)

  it("NULL, empty texts, and rows of nothing else", function()
    same "select null::text as a, '' as b, null::int as c"
    same "select null as only from generate_series(1, 3)"
    same "select '' as only from generate_series(1, 3)"
    same "select E'\\n' as only, null as b from generate_series(1, 3)"
    same "select case when g % 2 = 0 then g end as a, case when g % 3 = 0 then '' end as b from generate_series(1, 2000) g"
  end)

  it("no rows, no columns, names that come twice", function()
    same "select 1 as a where false"
    assert.same({ "a", "b" }, db:rows("select 1 as a, 2 as b where false").columns)
    local n = 0
    for row in db:each "select from generate_series(1, 5)" do
      assert.is_nil(next(row))
      n = n + 1
    end
    assert.equal(5, n)
    assert.equal(5, #db:rows "select from generate_series(1, 5)")
    for row in db:each "select 1 as a, 2 as a, null as b, 3 as b, 4 as c" do
      assert.same({ 1, 2, nil, 3, 4 }, { row[1], row[2], row[3], row[4], row[5] })
      assert.same({ 2, 3, 4 }, { row.a, row.b, row.c })
    end
  end)

  it("floats are the nearest ones, as strtod finds them", function()
    local sql = [[select (random() * 10 ^ (random() * 40 - 20))::float8 as a, (random() - 0.5)::float8 as b, (g / 7.0)::float8 as c,
      (random() * 1e15)::float8 as d, (random() * 10 ^ (random() * 600 - 300))::float8 as e, random()::float4 as f
      from generate_series(1, 20000) g]]
    db:execute("insert into floats " .. sql)
    for row in db:each [[select a, a::text as ta, b, b::text as tb, c, c::text as tc, d, d::text as td, e, e::text as te, f, f::text as tf
      from floats]] do
      for _, name in ipairs { "a", "b", "c", "d", "e", "f" } do
        if row[name] ~= tonumber(row["t" .. name]) + 0.0 then error(row["t" .. name] .. " is not " .. row[name]) end
      end
    end
    for _, text in ipairs { "9007199254740993", "9007199254740992.5", "0.5000000000000001", "2.2250738585072011e-308", "1e23", "8.5e22",
      "1.00000000000000011102230246251565", "123456789012345678", "1e-27", "9.999999999999999e22", "5e-324", "0.1", "100", "1e5" } do
      assert.equal(tonumber(text) + 0.0, db:rows("select '" .. text .. "'::float8 as x")[1].x, text)
    end
  end)

  it("queries of every shape", function()
    for _, sql in ipairs { "select 1 as a;", "select 1 as a -- the end", "select 1 as a /* ; */ ;", "(select 1 as a)", "((select 1 as a));",
      "values (1, 'x'), (2, null)", "with q as (select 1 as a) select a from q", "table pg_database",
      "select ';' as a, ')' as b, '(' as c -- )", "select $$a)b$$ as a", "select 1 as \"a)\"", "select 1 as a ; ; ",
      "select 1 as a union all select 2 order by 1 limit 1", "show work_mem", "explain (costs off) select 1" } do
      local ok, list = pcall(by_each, sql)
      assert.is_true(ok, sql .. ": " .. tostring(list))
      assert.same((by_rows(sql)), list)
    end
    assert.equal("x", db:rows("select 1 as n, json_build_object('k', 'x') as j")[1].j.k)
    assert.equal(json.null, db:rows("select '[null]'::json as j")[1].j[1])
  end)

  it("errors: code, position, and half way", function()
    for _, read in ipairs { function(sql) for _ in db:each(sql) do end end, function(sql) return db:rows(sql) end } do
      local err = failure(read, "select nonsense")
      assert.same({ "psql", "42703", 8 }, { err.kind, err.sqlstate, err.position })
      err = failure(read, "select 1,\n  'ü', frm where")
      assert.same({ "42601", 27 }, { err.sqlstate, err.position })
      err = failure(read, "select 1) from (select 2")
      assert.equal("42601", err.sqlstate)
      err = failure(read, "select $1::int")
      assert.is_true(err.sqlstate == "42P02" or err.sqlstate == "08P01")
      err = failure(read, "select 1 / (100000 - g) as x from generate_series(1, 200000) g")
      assert.equal("22012", err.sqlstate)
      has(err.message, "division by zero")
      assert.equal("25006", failure(read, "select nextval('counter')").sqlstate)
      assert.equal("25006", failure(read, "with x as (delete from floats returning a) select a from x").sqlstate)
      assert.equal("25006", failure(read, "select a from floats for update").sqlstate)
      assert.equal(1, db:value "select 1")
    end
    local n = 0
    failure(function() for _ in db:each "select 1 / (100000 - g) as x from generate_series(1, 200000) g" do n = n + 1 end end)
    assert.is_true(n > 90000 and n < 100000)
  end)

  it("limits what :rows keeps, while it comes", function()
    local err = failure(db.rows, db, "select repeat('x', 1000) as x from generate_series(1, 1000000)", psql.options { limit = "4M" })
    assert.equal("limit", err.kind)
    has(err.hint, "each")
    assert.equal(1, db:value "select 1")
  end)

  it("others have their turn while rows are taken", function()
    local ticks = 0
    local clock = host.spawn("ticks", function()
      while true do
        host.sleep(0.002)
        ticks = ticks + 1
      end
    end)
    local n = #db:rows("select g, 'v' || g as t from generate_series(1, 500000) g", psql.options { limit = "1G" })
    clock:cancel()
    assert.equal(500000, n)
    assert.is_true(ticks > 20, "ticks: " .. ticks)
    local err = failure(db.rows, db, "select g from generate_series(1, 1000000000) g", psql.options { limit = "8G", timeout = 0.2 })
    assert.equal("timeout", err.kind)
    assert.equal(1, db:value "select 1")
  end)

  it("a million rows", function()
    local n, sum = 0, 0
    for row in db:each "select g::bigint as id, g / 7.0::float8 as f, 'v' || g as t from generate_series(1, 1000000) g" do
      n, sum = n + 1, sum + row.id
      if row.f ~= row.id / 7.0 or row.t ~= "v" .. row.id then error("row " .. row.id) end
    end
    assert.same({ 1000000, 500000500000 }, { n, sum })
  end)
end)
