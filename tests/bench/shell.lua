-- The shell: from its start to the prompt, a completion among 10,000 tables, and 100,000 rows printed beside psql's aligned output:
-- ./pgsh lua tests/bench/shell.lua. Needs postgresql-client-15.
package.path = "./?.lua;" .. package.path
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local runs = require "tests.spec.support.run"

local TABLES, ROWS, RUNS = 10000, 100000, 9
local BINARY = runs.shell("realpath " .. (os.getenv "PGSH" or "./pgsh"))
local QUERY = "select id, name, score, at from r"
local work = runs.shell "mktemp -d"
local pty = work .. "/pty"
assert(os.execute(("cc -O1 -D_GNU_SOURCE -o %s tests/bench/pty.c"):format(pty)))
local ENV = ("env -i PATH=%s HOME=%s XDG_STATE_HOME=%s/state LANG=C.UTF-8 TERM=screen NO_COLOR=1"):format(
  runs.quote(os.getenv "PATH"), work, work)

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function row(what, ours, unit, name, theirs, goal)
  local other = theirs and ("%-26s %8.2f %s   ratio %5.2f"):format(name, theirs, unit, ours / theirs) or ""
  print(("  %-40s pgsh %8.2f %s   %s   goal %s"):format(what, ours, unit, other, goal))
end

-- Times that the pty helper prints, by their label.
local function timed(ready, command, rounds, typed, expected, warm, warmed)
  local words = { ENV, pty, runs.quote(ready), rounds or 0 }
  for _, word in ipairs { typed or "", expected or "", warm or "", warmed or "" } do words[#words + 1] = runs.quote(word) end
  words[#words + 1] = command
  local found = { ready = {}, round = {} }
  for label, ms in runs.shell(table.concat(words, " ")):gmatch "(%a+) ([%d.]+)" do table.insert(found[label], tonumber(ms)) end
  return found
end

local server = postgres.start()
local conninfo = server:conninfo()
server:psql(("create table r as select g::bigint as id, 'user number ' || g as name, g / 7.0::float8 as score, "
  .. "timestamptz '2026-01-01 00:00:00+00' + g * interval '1 second' as at from generate_series(1, %d) g"):format(ROWS))
server:psql "create table zebra_crossing (id int)"
for part = 0, 9 do -- each table takes a lock: not all in one transaction
  server:psql(("do $$ begin for i in %d..%d loop execute format('create table table_%%s (id int, a_%%s text)', i, i); end loop; end $$")
    :format(part * TABLES // 10, (part + 1) * TABLES // 10 - 1))
end

-- A long history is read before the prompt.
os.execute("mkdir -p " .. work .. "/state/pgsh")
local history = assert(io.open(work .. "/state/pgsh/history", "w"))
for i = 1, 5000 do history:write(("1700000000\tpsql db:5432/app\tselect * from table_%d where id = %d;\n"):format(i, i)) end
history:close()

local ours, theirs = {}, {}
for i = 1, RUNS do
  ours[i] = timed("> ", BINARY).ready[1]
  theirs[i] = timed("=# ", "psql -X " .. runs.quote(conninfo)).ready[1]
end
row("start to prompt, 5,000 old entries", median(ours), "ms", "psql, connected", median(theirs), "30 ms")

-- The names are read behind the first statement.
local command = ("%s shell %s"):format(BINARY, runs.quote(conninfo))
local rounds = timed("RO> ", command, RUNS, "select * from zeb\\t", "zebra_crossing", "select 1;\\nwait(3) print('names' .. ' read')\\n",
  "names read").round
assert(#rounds == RUNS, "it was not completed")
row("completion among 10,000 tables", median(rounds), "ms", nil, nil, "50 ms")

local entries = work .. "/entries"
local file = assert(io.open(entries, "w"))
file:write(("format 'grid'\n%s;\n"):format(QUERY))
file:close()
local function seconds(run)
  local begun = socket.gettime()
  assert(os.execute(run))
  return socket.gettime() - begun
end
ours, theirs = {}, {}
for i = 1, RUNS do
  ours[i] = seconds(("%s %s <%s >%s/ours 2>/dev/null"):format(ENV, command, entries, work))
  theirs[i] = seconds(("%s psql -X -P pager=off %s -c %s >%s/theirs"):format(ENV, runs.quote(conninfo), runs.quote(QUERY), work))
end
local head = "sed 's/ *$//' %s/%s | head -n " .. ROWS + 2 .. " | sha256sum"
local same = runs.shell(head:format(work, "ours")) == runs.shell(head:format(work, "theirs"))
assert(same, "the two print different tables")
row("100,000 rows as an aligned table", median(ours), "s ", "psql", median(theirs), "<= 1")

server:remove()
os.execute("rm -rf " .. work)
