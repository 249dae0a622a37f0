-- Figures of the pipe, each beside the commands one would otherwise type, in one run, as ratios:
--   ./pgsh lua tests/bench/pipe.lua [dump] [level1] [single] [import] [memory]
-- BENCH_MB: size of the cluster's dump (1500); BENCH_ROUNDS: 5.
package.path = "./?.lua;" .. package.path
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local runs = require "tests.spec.support.run"
local host = require "pgsh.host"

local MB = tonumber(host.getenv "BENCH_MB") or 1500
local ROUNDS = tonumber(host.getenv "BENCH_ROUNDS") or 5
local quote = runs.quote

local work = runs.shell "mktemp -d"
local server, env

local function sh(command)
  local ok, how, code = os.execute(("cd %s && %s { %s; } 2>%s/stderr"):format(quote(work), env or "", command, work))
  if not ok then error(("%s %s of: %s\n%s"):format(how, code, command, runs.read_file(work .. "/stderr")), 0) end
end

local function timed(command)
  local start = socket.gettime()
  sh(command)
  return socket.gettime() - start
end

local function median(values)
  local sorted = { table.unpack(values) }
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

local function size(name)
  local handle = assert(io.open(work .. "/" .. name))
  local bytes = handle:seek "end"
  handle:close()
  return bytes
end

-- Rows as applications have them: numbers, times, words that repeat, tokens that do not.
local FILL = [[
  create table events (id bigint primary key, at timestamptz not null, account int not null, kind text not null, path text,
    amount numeric(12,2), token text, note text);
  select setseed(0.5);
  insert into events select i, timestamptz '2024-01-01 00:00Z' + i * interval '1.7 seconds', (random() * 50000)::int,
    (array['login','logout','purchase','refund','view','download'])[1 + (random() * 5)::int],
    '/api/v1/' || (array['crates','users','teams','versions'])[1 + (random() * 3)::int] || '/' || (random() * 100000)::int,
    (random() * 1000)::numeric(12,2), case when i %% 4 = 0 then md5(i::text) end,
    'the quick brown fox jumps over the lazy dog ' || (random() * 1000)::int || ' times'
  from generate_series(1, %d) i;
]]

local function start()
  print(("a cluster whose dump has %d MB, %d rounds; medians, ratio = pgsh / the other, smaller is better"):format(MB, ROUNDS))
  server = postgres.start { settings = "log_statement = none\nshared_buffers = 256MB\nmax_wal_size = 4GB\nautovacuum = off\n" }
  server:psql(FILL:format(MB * 7336))
  server:psql "checkpoint"
  env = ("export PGHOST=127.0.0.1 PGPORT=%d PGUSER=postgres PGDATABASE=postgres;"):format(server.port)
  sh "pg_dumpall | wc -c >plain.size"
end

local PGSH = quote(runs.shell "pwd" .. "/pgsh")

local function pgsh(code)
  local name = work .. "/code.lua"
  local handle = assert(io.open(name, "w"))
  handle:write(code)
  handle:close()
  return ("%s -e \"$(cat %s)\" >out"):format(PGSH, name)
end

-- The variants one after the other in every round, so that all of them meet the same machine.
local function race(variants)
  local seconds = {}
  for _, variant in ipairs(variants) do seconds[variant.name] = {} end
  for _ = 1, ROUNDS do
    for _, variant in ipairs(variants) do
      sh "rm -f f f.gz f.gz.sha512 p.gz p.gz.sha512 *.part"
      if variant.before then variant.before() end
      table.insert(seconds[variant.name], timed(type(variant.command) == "function" and variant.command() or variant.command))
      if variant.after then variant.after() end
    end
  end
  local medians = {}
  for name, all in pairs(seconds) do medians[name] = median(all) end
  return medians
end

local function row(what, ours, name, theirs, goal)
  print(("  %-30s pgsh %7.2f s   %-38s %7.2f s   ratio %5.3f   goal %s"):format(what, ours, name, theirs, ours / theirs, goal))
end

-- first: a filter of the plain bytes, with a comma, or nothing.
local function dump(filter, first)
  return pgsh(([[
    local done = pipe { sh.output { "pg_dumpall" }, %s
      pipe.tail { match = "database cluster dump complete" }, %s, hash("sha512", { as = "packed" }), file.writer "p.gz" }
    file.write("p.gz.sha512", done.digest.packed .. "  p.gz\n")
    return sh.read("grep VmHWM /proc/$PPID/status").out:match "%%d+"
  ]]):format(first or [[hash("sha512", { as = "plain" }),]], filter))
end

local PIGZ = "pg_dumpall | pigz -p2 | tee f.gz | sha512sum >f.gz.sha512"

local bench = {}
local peak = 0
local function keep_peak() peak = math.max(peak, tonumber(runs.read_file(work .. "/out")) or 0) end

function bench.dump()
  local packed = {}
  local t = race {
    { name = "pgsh", command = function() return dump "gzip { level = 6 }" end,
      after = function() keep_peak() sh "sha512sum -c --quiet p.gz.sha512" packed.pgsh = size "p.gz" end },
    { name = "documented", command = "pg_dumpall >f && gzip f && sha512sum f.gz >f.gz.sha512",
      after = function() packed.gzip = size "f.gz" end },
    { name = "pigz", command = PIGZ, after = function() packed.pigz = size "f.gz" end },
    { name = "server", command = "pg_dumpall >/dev/null" },
  }
  row("dump, gzip 6, two SHA-512", t.pgsh, "pg_dumpall >f; gzip f; sha512sum f.gz", t.documented, "<= 0.4")
  row("", t.pgsh, "pg_dumpall | pigz -p2 | tee | sha512sum", t.pigz, "<= 0.8")
  row("", t.pgsh, "pg_dumpall >/dev/null", t.server, "")
  local plain = tonumber(runs.read_file(work .. "/plain.size"))
  print(("  %-30s pgsh %7.2f %%   gzip %.2f %%   pigz %.2f %%   of %.0f MB"):format("compressed size", packed.pgsh / plain * 100,
    packed.gzip / plain * 100, packed.pigz / plain * 100, plain / 1e6))
end

function bench.level1()
  local t = race {
    { name = "pgsh", command = function() return dump "gzip { level = 1 }" end, after = keep_peak },
    { name = "server", command = "pg_dumpall >/dev/null" },
  }
  row("the same at level 1", t.pgsh, "pg_dumpall >/dev/null", t.server, "<= 1.15")
end

function bench.single()
  local packed = {}
  local t = race {
    { name = "pgsh", command = function() return dump("gzip { level = 6, single = true }", "") end,
      after = function() keep_peak() packed.pgsh = size "p.gz" end },
    { name = "pigz", command = PIGZ, after = function() packed.pigz = size "f.gz" end },
  }
  row("one member, one SHA-512", t.pgsh, "pg_dumpall | pigz -p2 | tee | sha512sum", t.pigz, "<= 1")
  print(("  %-30s pgsh / pigz %.4f"):format("its size", packed.pgsh / packed.pigz))
end

-- Into an empty database each time.
function bench.import()
  sh "pg_dump -d postgres | gzip -1 >import.gz"
  local function fresh()
    for _, sql in ipairs { "drop database if exists target", "create database target", "checkpoint" } do server:psql(sql) end
  end
  local t = race {
    { name = "pgsh", before = fresh, after = keep_peak, command = function()
      return pgsh [[
        pipe { file.reader "import.gz", gunzip(), sh.input { "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "target" } }
        return sh.read("grep VmHWM /proc/$PPID/status").out:match "%d+"
      ]]
    end },
    { name = "digest", before = fresh, after = keep_peak, command = function()
      return pgsh [[
        pipe { file.reader "import.gz", hash "sha512", gunzip(), sh.input { "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "target" } }
        return sh.read("grep VmHWM /proc/$PPID/status").out:match "%d+"
      ]]
    end },
    { name = "gunzip", before = fresh, command = "gunzip -c import.gz | psql -Xq -v ON_ERROR_STOP=1 target >/dev/null" },
  }
  row("import", t.pgsh, "gunzip -c | psql", t.gunzip, "<= 1")
  row("import, with its digest", t.digest, "gunzip -c | psql", t.gunzip, "")
  server:psql "drop database target"
end

function bench.memory()
  print(("  %-30s pgsh %7.1f MiB %66s"):format("peak memory of all of these", peak / 1024, "goal <= 64"))
end

local wanted = #arg > 0 and arg or { "dump", "level1", "single", "import", "memory" }
local ok, err = pcall(function()
  start()
  for _, name in ipairs(wanted) do bench[name]() end
end)
if server then server:remove() end
os.execute("rm -rf " .. quote(work))
if not ok then error(err, 0) end
