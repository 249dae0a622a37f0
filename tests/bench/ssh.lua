-- Figures of ssh, each beside the tools one would otherwise use, interleaved in one run; real servers on loopback, ed25519 keys, the
-- same key exchange for all:
--   ./pgsh lua tests/bench/ssh.lua [hosts] [commands] [files]
-- BENCH_HOSTS (200), BENCH_COMMANDS (1000), BENCH_FILE_MB (256), BENCH_ROUNDS (5). Tools that are not installed are left out:
-- pssh (parallel-ssh), clustershell (clush), ansible. The servers share the machine with the clients, and OpenSSH's sshd costs more
-- than any of them: where dropbear is installed and can be started (as root) it is a second far side, which costs less. CPU is the
-- client's and its children's; the servers are nobody's child.
package.path = "./?.lua;" .. package.path
local runs = require "tests.spec.support.run"
local sshd = require "tests.spec.support.sshd"
local host = require "pgsh.host"

local HOSTS = tonumber(host.getenv "BENCH_HOSTS") or 200
local COMMANDS = tonumber(host.getenv "BENCH_COMMANDS") or 1000
local FILE_MB = tonumber(host.getenv "BENCH_FILE_MB") or 256
local ROUNDS = tonumber(host.getenv "BENCH_ROUNDS") or 5
local AT_ONCE = 50
local quote = runs.quote
local PGSH = os.getenv "PGSH" or "./pgsh"

local work = runs.shell "mktemp -d /tmp/bench.XXXXXX"
local server, far_side
local DAEMONS = { sshd = 8, dropbear = 25 } -- dropbear takes five logins at once from one address

local function write(name, text)
  local file = assert(io.open(work .. "/" .. name, "w"))
  file:write(text)
  file:close()
  return work .. "/" .. name
end

-- Wall seconds and the CPU seconds of the command and its children (the servers are nobody's child). nil and why when it failed.
local function timed(command)
  local text = runs.shell(("bash -c %s"):format(quote(
    ("TIMEFORMAT='TIME %%R %%U %%S'; { time { %s; } >%s/out 2>&1; } 2>&1; [ $? = 0 ] || echo FAILED"):format(command, work))))
  local wall, user, sys = text:match "TIME (%S+) (%S+) (%S+)"
  if text:find "FAILED" or not wall then return nil, ("%s\n%s%s"):format(command, text, runs.read_file(work .. "/out"):sub(1, 2000)) end
  return tonumber(wall), tonumber(user) + tonumber(sys)
end

local function median(values)
  local sorted = { table.unpack(values) }
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

local function installed(name) return os.execute(("command -v %s >/dev/null 2>&1"):format(name)) end

-- rivals: { name, command } …; the first is ours.
local function compare(title, rivals, mb)
  print(("%s (%s; load %s)"):format(title, far_side, runs.read_file("/proc/loadavg"):match "%S+"))
  local walls, cpus = {}, {}
  for round = 0, ROUNDS do
    for i, rival in ipairs(rivals) do
      local wall, cpu
      if not rival.failed then wall, cpu = timed(rival[2]) end
      if not wall and not rival.failed then
        rival.failed = cpu
        if i == 1 then error(cpu, 0) end -- ours has to work
      elseif wall and round > 0 then -- the first warms up
        walls[i], cpus[i] = walls[i] or {}, cpus[i] or {}
        table.insert(walls[i], wall)
        table.insert(cpus[i], cpu)
      end
    end
  end
  local wall, cpu = median(walls[1]), median(cpus[1])
  for i, rival in ipairs(rivals) do
    if rival.failed then
      print(("  %-28s failed: %s"):format(rival[1], rival.failed:gsub("%s+", " "):sub(-200)))
    else
      local w, c = median(walls[i]), median(cpus[i])
      print(("  %-28s %7.3f s  %7.3f s CPU%s%s"):format(rival[1], w, c, mb and ("  %5.0f MB/s"):format(mb / w) or "",
        i > 1 and ("   %5.2f times as fast, CPU 1/%.1f"):format(w / wall, c / cpu) or ""))
    end
  end
end

local function pgsh(name, text, config, ...)
  local words = { quote(PGSH), "lua", quote(write(name, text)), quote(config), ... }
  return table.concat(words, " ")
end

-- ---- many hosts -----------------------------------------------------------------------------------------------------------

local EACH = [[
local ssh = require "pgsh.ssh"
local hosts = {}
for name in io.lines(arg[2]) do hosts[#hosts + 1] = name end
local results, errors = ssh.each(hosts, function(h) return h:read("true").exit end,
  { config = arg[1], at_once = tonumber(arg[3]), transport = "lib" })
for name, err in pairs(errors) do error(name .. ": " .. tostring(err)) end
for _, name in ipairs(hosts) do assert(results[name] == 0) end
]]

-- As a fleet is configured: blocks of which each matches many hosts. The same servers.
local function fleet()
  local names, text = {}, {}
  for i = 1, HOSTS do names[i] = ("d%02dh%03d"):format((i - 1) % #server.ports + 1, i) end
  for i, port in ipairs(server.ports) do text[i] = ("Host d%02dh*\n  Port %d\n"):format(i, port) end
  text[#text + 1] = "Host *\n  HostName 127.0.0.1\n"
  for option, value in pairs(server.common) do text[#text + 1] = ("  %s %s\n"):format(option, value) end
  return names, write("fleet", table.concat(text))
end

local function many_hosts()
  local names, config = fleet()
  local list, own = write("hosts", table.concat(names, "\n") .. "\n"), write("own", table.concat(server.hosts, "\n") .. "\n")
  local options = "-F " .. config
  local rivals = {
    { "pgsh", pgsh("each.lua", EACH, config, list, AT_ONCE) },
    { "pgsh, a Host block for each", pgsh("each.lua", EACH, server.config, own, AT_ONCE) },
    { ("xargs -P%d ssh"):format(AT_ONCE), ("xargs -P%d -I{} ssh %s -n {} true <%s"):format(AT_ONCE, options, list) },
  }
  if installed "parallel-ssh" then
    table.insert(rivals, { "pssh", ("parallel-ssh -h %s -p %d -t 60 -x %s true"):format(list, AT_ONCE, quote(options)) })
  end
  if installed "clush" then
    table.insert(rivals, { "clush", ("clush -S -w $(paste -sd, %s) -f %d -o %s true"):format(list, AT_ONCE, quote(options)) })
  end
  if installed "ansible" then
    local command = "ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_SSH_ARGS=%s ansible -i %s all -f %d -m raw -a true"
    table.insert(rivals, { "ansible raw", command:format(quote(options), list, AT_ONCE) })
  end
  compare(("`true` on %d hosts, %d at once, nothing connected before"):format(HOSTS, AT_ONCE), rivals)
end

-- ---- many commands --------------------------------------------------------------------------------------------------------

local COMMANDS_LUA = [[
local ssh, host = require "pgsh.ssh", require "pgsh.host"
local h = ssh { host = "h1", config = arg[1], transport = "lib" }
local left = tonumber(arg[2])
local function worker()
  while left > 0 do
    left = left - 1
    assert(h:read("true").exit == 0)
  end
end
local tasks = {}
for i = 1, tonumber(arg[3]) do tasks[i] = host.spawn("worker", worker) end
for _, task in ipairs(tasks) do task:join() end
h:close()
]]

local function many_commands()
  local socket = work .. "/master"
  local master = ("ssh -F %s -S %s"):format(server.config, socket)
  for _, at_once in ipairs { 1, 10 } do
    compare(("%d times `true` on one host, %d at once"):format(COMMANDS, at_once), {
      { "pgsh", pgsh("commands.lua", COMMANDS_LUA, server.config, COMMANDS, at_once) },
      { "ssh, ControlMaster", ("%s -M -f -N h1; seq %d | xargs -P%d -I{} %s -n h1 true; %s -O exit h1"):format(master, COMMANDS,
        at_once, master, master) },
    })
  end
end

-- ---- files ----------------------------------------------------------------------------------------------------------------

local UP = [[
local ssh, pipe, file = require "pgsh.ssh", require "pgsh.pipe", require "pgsh.file"
local h <close> = ssh { host = "h1", config = arg[1], transport = "lib" }
if arg[4] == "upload" then h:upload(arg[2], arg[3]) else pipe { file.reader(arg[2]), h:input("cat >" .. arg[3]) } end
]]
local DOWN = [[
local ssh, pipe, file = require "pgsh.ssh", require "pgsh.pipe", require "pgsh.file"
local h <close> = ssh { host = "h1", config = arg[1], transport = "lib" }
if arg[4] == "download" then h:download(arg[2], arg[3]) else pipe { h:output { "cat", arg[2] }, file.writer(arg[3]) } end
]]

local GONE = [[
local ssh, pipe = require "pgsh.ssh", require "pgsh.pipe"
local h <close> = ssh { host = "h1", config = arg[1], transport = "lib" }
pipe { h:output { "cat", arg[2] } }
]]

-- pgsh syncs what it writes; scp and cat do not. Both ways are shown.
local function files()
  local from, to = work .. "/from", work .. "/to"
  runs.shell(("head -c %d /dev/urandom >%s"):format(FILE_MB * 1000000, from))
  local ssh = ("ssh -F %s"):format(server.config)
  compare(("%d MB up"):format(FILE_MB), {
    { "pgsh pipe", pgsh("up.lua", UP, server.config, from, to) },
    { "pgsh upload, hashed, synced", pgsh("up.lua", UP, server.config, from, to, "upload") },
    { "ssh cat", ("%s h1 'cat >%s' <%s"):format(ssh, to, from) },
    { "scp", ("scp -q -F %s %s h1:%s"):format(server.config, from, to) },
    { "scp, synced", ("scp -q -F %s %s h1:%s && %s h1 sync %s"):format(server.config, from, to, ssh, to) },
  }, FILE_MB)
  compare(("%d MB down"):format(FILE_MB), {
    { "pgsh pipe, synced", pgsh("down.lua", DOWN, server.config, from, to) },
    { "pgsh download, hashed, synced", pgsh("down.lua", DOWN, server.config, from, to, "download") },
    { "pgsh pipe, nothing written", pgsh("gone.lua", GONE, server.config, from) },
    { "ssh cat", ("%s h1 'cat %s' >%s"):format(ssh, from, to) },
    { "ssh cat, synced", ("%s h1 'cat %s' >%s; sync %s"):format(ssh, from, to, to) },
    { "ssh cat, nothing written", ("%s h1 'cat %s' >/dev/null"):format(ssh, from) },
    { "scp", ("scp -q -F %s h1:%s %s"):format(server.config, from, to) },
    { "scp, synced", ("scp -q -F %s h1:%s %s && sync %s"):format(server.config, from, to, to) },
  }, FILE_MB)
end

-- What is measured on which far side: bytes are the ciphers' matter; many commands over one connection break dropbear 2022.83 (its
-- assertion sent_close), whoever sends them.
local parts = { hosts = { many_hosts, "sshd", "dropbear" }, commands = { many_commands, "sshd" }, files = { files, "sshd" } }
local wanted = #arg > 0 and arg or { "hosts", "commands", "files" }

local function measure(kind)
  local start = false
  for _, name in ipairs(wanted) do
    local part = assert(parts[name], "no part " .. name)
    start = start or part[2] == kind or part[3] == kind
  end
  if not start then return end
  far_side = kind
  server = sshd.start { daemons = math.min(DAEMONS[kind], HOSTS), hosts = HOSTS, dropbear = kind == "dropbear" }
  -- OpenSSH's own choice is costly (sntrup761), and what tools that call it come with.
  if kind == "sshd" and wanted[1] == "hosts" then
    far_side = "sshd, each tool's own key exchange"
    many_hosts()
    far_side = kind
  end
  server:set { KexAlgorithms = "curve25519-sha256" }
  for _, name in ipairs(wanted) do
    local part = parts[name]
    if part[2] == kind or part[3] == kind then part[1]() end
  end
  server:remove()
  server = nil
end

local ok, err = pcall(function()
  measure "sshd"
  if sshd.has_dropbear() then measure "dropbear" else print "dropbear is not there, or this is not root: left out" end
end)
if server then server:remove() end
runs.shell("rm -rf " .. quote(work))
if not ok then error(err, 0) end
