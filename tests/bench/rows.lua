-- A million rows of four typed columns: pgsh beside psql and psycopg2, on one server, interleaved: ./pgsh lua tests/bench/rows.lua [ROWS]
-- Needs postgresql-client-15 and, for a part of it, python3-psycopg2.
package.path = "./?.lua;./tests/spec/?.lua;" .. package.path
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local runs = require "support.run"

local ROWS, RUNS = math.tointeger(tonumber(arg[1])) or 1000000, 5
local QUERY = "select id, name, score, at from r"
local work = runs.shell "mktemp -d"

local function write(name, text)
  local path = work .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- Wall time and the most memory a process had (VmHWM, of GNU time's kind, but without GNU time).
local probe = write("probe.c", [[
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>
int main(int argc, char **argv) {
  struct timespec a, b;
  struct rusage use;
  int status = 0;
  (void)argc;
  clock_gettime(CLOCK_MONOTONIC, &a);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(open("/dev/null", O_WRONLY), 1);
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  wait4(pid, &status, 0, &use);
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%.4f %.4f %ld %d\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9,
         (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
         use.ru_maxrss, status);
  return 0;
}]])
assert(os.execute(("cc -O2 -o %s/probe %s"):format(work, probe)))

local server = postgres.start()
local conninfo = server:conninfo()
server:psql(([[create table r as select g::bigint as id, 'user number ' || g as name, g / 7.0::float8 as score,
  timestamptz '2026-01-01 00:00:00+00' + g * interval '1 second' as at from generate_series(1, %d) g]]):format(ROWS))
server:psql "vacuum analyze r"
server:psql "checkpoint"

local function lua(name, body)
  local head = ("local psql = require 'pgsh.psql'\nlocal db = psql(%q)\nlocal query, n = %q, 0\n"):format(conninfo, QUERY)
  return ("%s lua %s"):format(os.getenv "PGSH" or "./pgsh",
    write(name .. ".lua", head .. body .. ("\nassert(n == %d, 'rows are missing')\n"):format(ROWS)))
end
local function python(name, body)
  local head = ("import psycopg2\nc = psycopg2.connect(%q)\nquery, n = %q, 0\n"):format(conninfo, QUERY)
  return "/usr/bin/python3 " .. write(name .. ".py", head .. body .. ("\nassert n == %d\n"):format(ROWS))
end

local all = {
  { name = "psql -At", command = ("%s/psql -XAt -d %s -c %s"):format(server.bin, runs.quote(conninfo), runs.quote(QUERY)) },
  { name = "pgsh :each", command = lua("each", "for _ in db:each(query) do n = n + 1 end") },
  { name = "pgsh :each, values used",
    command = lua("used", "local s = 0\nfor row in db:each(query) do n = n + 1; s = s + row.id + row.score + #row.name + #row.at end") },
  { name = "pgsh :rows", command = lua("rows", "n = #db:rows(query, psql.options { limit = '8G' })") },
}
if os.execute "/usr/bin/python3 -c 'import psycopg2' 2>/dev/null" then
  all[#all + 1] = { name = "psycopg2 fetchall",
    command = python("fetchall", "k = c.cursor()\nk.execute(query)\nn = len(k.fetchall())") }
  all[#all + 1] = { name = "psycopg2 named cursor",
    command = python("named", "k = c.cursor('x')\nk.execute(query)\nfor row in k: n += 1") }
  all[#all + 1] = { name = "psycopg2 RealDict, named",
    command = python("dict", "import psycopg2.extras\nk = c.cursor('x', cursor_factory=psycopg2.extras.RealDictCursor)\n"
      .. "k.itersize = 20000\nk.execute(query)\nfor row in k: n += 1") }
end

local function median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

for round = 0, RUNS do -- the first one warms up
  for _, one in ipairs(all) do
    local wall, cpu, kib, status = runs.shell(work .. "/probe " .. one.command):match "(%S+) (%S+) (%d+) (%d+)"
    if status ~= "0" then error(one.name .. " failed") end
    if round > 0 then
      one.wall, one.cpu, one.kib = one.wall or {}, one.cpu or {}, one.kib or {}
      table.insert(one.wall, tonumber(wall))
      table.insert(one.cpu, tonumber(cpu))
      table.insert(one.kib, tonumber(kib))
    end
  end
  socket.sleep(0.05)
end

print(("%d rows, medians of %d interleaved runs"):format(ROWS, RUNS))
print(("  %-26s %8s %8s %9s %14s"):format("", "wall s", "CPU s", "peak MiB", "wall / psql"))
local by = {}
for _, one in ipairs(all) do
  by[one.name] = median(one.wall)
  print(("  %-26s %8.3f %8.3f %9.1f %14.2f"):format(one.name, median(one.wall), median(one.cpu), median(one.kib) / 1024,
    median(one.wall) / by["psql -At"]))
end
print ""
local function goal(what, ours, theirs, most)
  if not (by[ours] and by[theirs]) then return end
  local ratio = by[ours] / by[theirs]
  print(("  %-46s ratio %5.2f   goal <= %.2f   %s"):format(what, ratio, most, ratio <= most and "met" or "NOT MET"))
end
goal(":each against psql -At", "pgsh :each", "psql -At", 1)
goal(":each against psycopg2 fetchall", "pgsh :each", "psycopg2 fetchall", 1 / 1.3)
goal(":each against psycopg2 named cursor", "pgsh :each", "psycopg2 named cursor", 1 / 1.3)
goal(":rows against psql -At", "pgsh :rows", "psql -At", 2.5)

server:remove()
os.execute("rm -rf " .. runs.quote(work))
