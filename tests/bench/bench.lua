-- Figures, each beside the tool one would otherwise use, in one run, as ratios: ./pgsh lua tests/bench/bench.lua [start journal heroku]
package.path = "./tests/spec/?.lua;" .. package.path
local socket = require "socket"
local labs = require "support.lab"
local runs = require "support.run"

local work = runs.shell "mktemp -d"
local bench = {}

local function build(name)
  local binary = ("%s/%s"):format(work, name)
  assert(os.execute(("cc -O2 -o %s tests/bench/%s.c"):format(binary, name)))
  return binary
end

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function row(what, ours, unit, name, theirs, goal)
  local line = "  %-34s pgsh %9.2f %s   %-22s %9.2f %s   ratio %6.3f   goal %s"
  print(line:format(what, ours, unit, name, theirs, unit, ours / theirs, goal))
end

-- Start-up: what every call pays.
function bench.start()
  local times = build "times"
  local ours, theirs = {}, {}
  for i = 1, 5 do
    ours[i] = tonumber(runs.shell(times .. " 40 ./pgsh -e ''"))
    theirs[i] = tonumber(runs.shell(times .. " 40 curl --version"))
  end
  row("start-up", median(ours), "ms", "curl --version", median(theirs), "<= 1.5, 8 ms")
end

local function file_size(path)
  local file = assert(io.open(path))
  local size = file:seek "end"
  file:close()
  return size
end

-- The journal: what a step costs that does nothing.
function bench.journal()
  local sync, count = build "sync", 10000
  local script = work .. "/steps.lua"
  local file = assert(io.open(script, "w"))
  file:write('procedure { name = "steps", summary = "steps that do nothing" }\n')
  file:write(("for i = 1, %d do step(\"Step \" .. i)(function() end) end\n"):format(count))
  file:close()
  local ours, theirs = {}, {}
  for i = 1, 3 do
    local state = ("%s/state%d"):format(work, i)
    local start = socket.gettime()
    assert(os.execute(("./pgsh %s -y -q --state %s 2>/dev/null"):format(script, state)))
    ours[i] = socket.gettime() - start
    local journal = runs.shell(("ls %s/runs/*/journal.jsonl"):format(state))
    theirs[i] = tonumber(runs.shell(("%s %s/floor %d %d"):format(sync, work, count, file_size(journal) // count)))
  end
  row(("%d journaled steps"):format(count), median(ours), "s ", "write + fdatasync", median(theirs), "<= 1.3")
end

-- From the first change that makes users read-only to the last dyno that runs without it.
local function read_only_time(lab)
  local from, to
  for _, entry in ipairs(lab:log { service = "heroku" }) do
    local text = type(entry.body) == "string" and entry.body or require "cjson".encode(entry.body or "")
    if entry.method == "PATCH" and entry.path:find "/config%-vars$" then
      if text:find '"READ_ONLY_MODE":"1"' then from = entry.time end
      if text:find '"READ_ONLY_MODE":null' then to = entry.time end
    end
  end
  return to - from
end

local function prepare(lab)
  lab:reset { dyno_restart_ms = 0, dyno_stop_ms = 0, maintenance_ms = 0, statuspage_limit = 1000 }
  lab:call("DELETE", "/log")
end

local function with_environment(env)
  local words = {}
  for name, value in pairs(env) do words[#words + 1] = name .. "=" .. runs.quote(value) end
  return "env " .. table.concat(words, " ") .. " "
end

local function timed(lab, command)
  prepare(lab)
  local start = socket.gettime()
  local ok = os.execute(command)
  local wall = socket.gettime() - start
  if not ok then error("failed: " .. command:match "%S+$") end
  return wall, read_only_time(lab)
end

-- The whole maintenance, against the same simulator that answers at once.
function bench.heroku()
  if not os.execute "HEROKU_INSTALL_ONLY=1 tests/lab/heroku_cli.sh" then error "the Heroku CLI could not be installed" end
  local lab = labs.start()
  local env = {
    HOME = work, NO_COLOR = "1", DISABLE_TELEMETRY = "true", IS_HEROKU_TEST_ENV = "true", HEROKU_SKIP_NEW_VERSION_CHECK = "true",
    HEROKU_DISABLE_AUTOUPDATE = "1", HEROKU_PARTICLEBOARD_URL = lab.env.HEROKU_HOST,
    HEROKU = runs.shell "pwd" .. "/build/heroku-cli/10/node_modules/.bin/heroku",
  }
  for name, value in pairs(lab.env) do env[name] = value end
  local prefix = with_environment(env)
  local cli, here = {}, {}
  local cli_read_only, here_read_only = {}, {}
  for i = 1, 3 do
    here[i], here_read_only[i] = timed(lab, ("%s ./pgsh procedures/heroku-primary.lua --app %s --page %s -y -q --state %s/heroku "
      .. "--confirm disable-job --confirm enable-job 2>%s/pgsh.log"):format(prefix, lab.app, lab.page, work, work))
    cli[i], cli_read_only[i] = timed(lab, ("cd %s && %s %s/tests/bench/heroku.sh %s %s >cli.log 2>&1"):format(work, prefix,
      runs.shell "pwd", lab.app, lab.page))
  end
  lab:stop()
  row("maintenance, wall time", median(here), "s ", "heroku CLI 10", median(cli), "<= 0.05")
  row("maintenance, read-only", median(here_read_only), "s ", "heroku CLI 10", median(cli_read_only), "<= 0.05")
end

local wanted = #arg > 0 and arg or { "start", "journal", "heroku" }
print "medians; ratio = pgsh / the other, smaller is better"
for _, name in ipairs(wanted) do bench[name]() end
os.execute("rm -rf " .. runs.quote(work))
