-- Real OpenSSH servers on loopback for specs and benches. Works as root (logins as root) and as anybody (logins as oneself).
--
--   local server = require("tests.spec.support.sshd").start { daemons = 3, hosts = 200 }
--   server.config               an ssh_config file for -F: aliases h1 … h200 spread over the daemons; nothing of the user's leaks in
--   server.hosts, server.user   the aliases; who logs in
--   server.ports[i]             of each daemon, on 127.0.0.1; server.port is the first one
--   server:alias("far", { ProxyJump = "h1", Port = server.ports[2] })   one more Host block; HostName is 127.0.0.1 if not given
--   server:set { IdentityFile = server:key "ecdsa" }      for every host; false takes an option away
--   server:key "rsa"            a key file that may log in: ed25519 ecdsa rsa, ed25519-encrypted (sshd.passphrase),
--                               (-slow: 200 rounds, -cbc, -gcm: other ciphers),
--                               ed25519-cert ecdsa-cert rsa-cert (only by its certificate), stranger (may not log in)
--   server:known_hosts "hashed" plain hashed wrong revoked other none authority wildcard broken
--   server:fingerprint("ed25519")   of the first daemon's host key; a second word "wrong": of the key in known_hosts "wrong"
--   server:agent { "ed25519" }      the socket of an ssh-agent that holds these keys; server:agent_stop()
--   server:kill_sessions()          every link is cut, the daemons go on listening
--   server:freeze(); server:thaw()  links stay up and nothing moves
--   server:stop(2); server:start(2) one daemon
--   server:processes()              what runs in sessions now: { { pid =, text = }, … }
--   server:log(i)                   what a daemon said
--   server:remove()
--
-- options: daemons (1), hosts (as many as daemons), host_keys ({ "ed25519" }), host_certificates (false), max_sessions (1000),
-- max_startups ("1000"), settings (more lines for sshd_config, which win), user (whom to log in as),
-- wrap (a function of the directory: a command that runs the daemon), dropbear (true: that server, which costs less CPU; only where
-- sshd.has_dropbear(): as root, since it reads authorized_keys in a home, and gets one in a mount namespace of its own).
-- It ends when this process does: a guardian shell holds the other end of a pipe.
local socket = require "socket"
local postgres = require "tests.spec.support.postgres"
local read_file = require("tests.spec.support.run").read_file
local run, must, quote, free_port = postgres.run, postgres.must, postgres.quote, postgres.free_port

local sshd = { passphrase = "correct horse" }
local Server = {}
Server.__index = Server

local START_LIMIT_S = 10

local function write_file(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  file:write(text)
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

-- ---- keys ---------------------------------------------------------------------------------------------------------------

local KINDS = { ed25519 = "-t ed25519", ecdsa = "-t ecdsa -b 256", rsa = "-t rsa -b 2048" }

-- Keys with a passphrase, and how they are encrypted.
local ENCRYPTED = { encrypted = "", slow = "-a 200", cbc = "-Z aes256-cbc", gcm = "-Z aes256-gcm@openssh.com" }

-- Make a key pair once; the private file's name.
local function keygen(dir, name, kind, passphrase, more)
  local path = dir .. "/" .. name
  if read_file(path) == "" then
    must(("ssh-keygen -q %s %s -N %s -C %s -f %s"):format(assert(KINDS[kind], kind), more or "", quote(passphrase or ""), quote(name),
      quote(path)))
  end
  return path
end

-- "ssh-ed25519 AAAA…", without the comment.
local function public(path) return (read_file(path .. ".pub"):match "^%S+ %S+") end

local function append(path, line)
  local file = assert(io.open(path, "ab"))
  file:write(line, "\n")
  file:close()
end

function Server:key(name)
  local kind, how = name:match "^(%w+)%-?(%w*)$"
  -- id_X-cert.pub would be taken for the certificate of id_X.
  local base = "id_" .. name:gsub("^(%w+)%-cert$", "certified_%1")
  local path = self.dir .. "/" .. base
  if read_file(path) ~= "" then return path end
  if name == "stranger" then return keygen(self.dir, "id_stranger", "ed25519") end
  keygen(self.dir, base, kind, ENCRYPTED[how] and sshd.passphrase or nil, ENCRYPTED[how])
  if how == "cert" then
    must(("ssh-keygen -q -s %s/user_ca -I test -n %s %s.pub"):format(self.dir, quote(self.user), quote(path)))
  else
    append(self.dir .. "/authorized_keys", public(path))
  end
  return path
end

function Server:fingerprint(kind, which)
  local path = which == "wrong" and keygen(self.dir, "wrong_" .. kind, kind) or ("%s/host1_%s"):format(self.dir, kind)
  return must(("ssh-keygen -l -f %s.pub"):format(quote(path))):match "SHA256:%S+"
end

-- ---- known hosts --------------------------------------------------------------------------------------------------------

-- One line a host key: what(name, kind, key) says which.
local function lines(self, what)
  local list = {}
  for i, port in ipairs(self.ports) do
    for _, kind in ipairs(self.kinds) do
      local line = what(("[127.0.0.1]:%d"):format(port), kind, public(("%s/host%d_%s"):format(self.dir, i, kind)))
      if line then list[#list + 1] = line end
    end
  end
  return table.concat(list, "\n") .. "\n"
end

local function plain(name, _, key) return name .. " " .. key end

local VARIANTS = {
  plain = function(self) return lines(self, plain) end,
  hashed = function(self)
    local path = self.dir .. "/hashing"
    write_file(path, lines(self, plain))
    must(("ssh-keygen -q -H -f %s && rm -f %s.old"):format(quote(path), quote(path)))
    return read_file(path)
  end,
  wrong = function(self)
    return lines(self, function(name, kind) return name .. " " .. public(keygen(self.dir, "wrong_" .. kind, kind)) end)
  end,
  revoked = function(self) return lines(self, plain) .. lines(self, function(_, _, key) return "@revoked * " .. key end) end,
  -- A key of a type that the server does not have.
  other = function(self)
    local have = table.concat(self.kinds, " ")
    local kind = have:find "ed25519" and (have:find "ecdsa" and "rsa" or "ecdsa") or "ed25519"
    return lines(self, function(name) return name .. " " .. public(keygen(self.dir, "wrong_" .. kind, kind)) end)
  end,
  none = function() return "" end,
  authority = function(self) return "@cert-authority * " .. public(self.dir .. "/host_ca") .. "\n" end,
  wildcard = function(self)
    return lines(self, function(_, _, key) return "[127.0.0.*]:*,!nobody " .. key end)
  end,
  broken = function(self)
    return "garbage\n@nothing x y z\n[127.0.0.1 ssh-ed25519\n" .. ("x"):rep(100000) .. "\n|1|a|b ssh-ed25519 AAAA\r\n"
      .. lines(self, function(name, _, key) return "\t" .. name .. "  " .. key .. " a comment\r" end)
  end,
}

function Server:known_hosts(variant)
  write_file(self.known_hosts_file, assert(VARIANTS[variant], variant)(self))
end

-- ---- the client's configuration -------------------------------------------------------------------------------------------

local function block(name, options)
  local list = {}
  for option, value in pairs(options) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if one then list[#list + 1] = ("  %s %s"):format(option, tostring(one)) end
    end
  end
  table.sort(list)
  return ("Host %s\n%s\n"):format(name, table.concat(list, "\n"))
end

local function write_config(self)
  local list = {}
  for _, one in ipairs(self.aliases) do
    -- Written out for each: of several IdentityFile that apply ssh takes all, not the first.
    local all = {}
    for _, options in ipairs { self.common, one.options } do
      for option, value in pairs(options) do all[option] = value end
    end
    list[#list + 1] = block(one.name, all)
  end
  write_file(self.config, table.concat(list))
end

function Server:alias(name, options)
  local all = { HostName = "127.0.0.1" }
  for option, value in pairs(options or {}) do all[option] = value end
  for i, one in ipairs(self.aliases) do
    if one.name == name then table.remove(self.aliases, i) break end
  end
  table.insert(self.aliases, 1, { name = name, options = all })
  write_config(self)
  return name
end

function Server:set(options)
  for option, value in pairs(options) do self.common[option] = value end
  write_config(self)
end

-- ---- daemons --------------------------------------------------------------------------------------------------------------

local SETTINGS = [[
UsePAM no
StrictModes no
PidFile none
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxAuthTries 20
LoginGraceTime 60
UseDNS no
PrintMotd no
AllowTcpForwarding yes
AllowAgentForwarding yes
Subsystem sftp internal-sftp
LogLevel VERBOSE
]]

local function daemon_config(self, i, options)
  -- Of several SetEnv the first counts.
  local settings, more = options.settings or "", ""
  settings = settings:gsub("SetEnv ([^\n]+)", function(words)
    more = more .. " " .. words
    return ""
  end)
  if os.getenv "PGSH_SPEC" then more = more .. " PGSH_SPEC=" .. os.getenv "PGSH_SPEC" end
  local list = { settings, SETTINGS, ("MaxSessions %d"):format(options.max_sessions or 1000),
    "MaxStartups " .. (options.max_startups or "1000"), -- of which the last counts, not the first
    ("ListenAddress 127.0.0.1:%d"):format(self.ports[i]),
    -- bash takes a second level for a reason not to read the user's .bashrc.
    ("SetEnv PGSH_SSHD=%s SHLVL=2%s"):format(self.dir, more),
    ("AuthorizedKeysFile %s/authorized_keys"):format(self.dir), ("TrustedUserCAKeys %s/user_ca.pub"):format(self.dir) }
  for _, kind in ipairs(self.kinds) do
    local path = keygen(self.dir, ("host%d_%s"):format(i, kind), kind)
    list[#list + 1] = "HostKey " .. path
    if options.host_certificates then
      must(("ssh-keygen -q -h -s %s/host_ca -I host%d -n 127.0.0.1 %s.pub"):format(self.dir, i, path))
      list[#list + 1] = ("HostCertificate %s-cert.pub"):format(path)
    end
  end
  write_file(("%s/sshd%d"):format(self.dir, i), table.concat(list, "\n") .. "\n")
end

function sshd.has_dropbear()
  return (run "[ $(id -u) = 0 ] && unshare -m true 2>/dev/null && command -v dropbear >/dev/null && command -v dropbearkey >/dev/null") == 0
end

-- A home in which the keys are, an own host key, and what runs it.
local function prepare_dropbear(self)
  must(([[cd %s && chmod 755 . && mkdir -p .ssh && ln -sf ../authorized_keys .ssh/authorized_keys
    sed "s|^root:.*|root:x:0:0:root:$PWD:/bin/sh|" /etc/passwd >passwd
    printf 'mount --bind %%s/passwd /etc/passwd || exit; exec "$@"\n' "$PWD" >wrap]]):format(self.dir))
  return ("unshare -m sh %s/wrap dropbear -F -E -s -m -W 2097152 -P ''"):format(self.dir)
end

local function dropbear_command(self, i)
  local key = ("%s/host%d_ed25519"):format(self.dir, i)
  if read_file(key) == "" then
    must(("dropbearkey -t ed25519 -f %s 2>/dev/null | grep ^ssh- >%s.pub"):format(key, key))
  end
  return ("%s -r %s -p 127.0.0.1:%d"):format(self.dropbear, key, self.ports[i])
end

function Server:start(i)
  i = i or 1
  local base = ("%s/sshd%d"):format(self.dir, i)
  local command = self.dropbear and dropbear_command(self, i) or ("%s %s -D -e -f %s"):format(self.wrap, self.program, base)
  must(("PGSH_SSHD=%s setsid %s </dev/null >>%s.log 2>&1 & echo $! >%s.pid"):format(self.dir, command, base, base))
  local deadline = socket.gettime() + START_LIMIT_S
  repeat
    local probe = socket.connect("127.0.0.1", self.ports[i])
    if probe then
      probe:close()
      return
    end
    socket.sleep(0.01)
  until socket.gettime() > deadline
  error("sshd did not start: " .. read_file(base .. ".log"), 0)
end

local function pid_of(self, i) return read_file(("%s/sshd%d.pid"):format(self.dir, i)):match "%d+" end

function Server:stop(i)
  must(("kill %s; rm -f %s/sshd%d.pid"):format(pid_of(self, i or 1), self.dir, i or 1))
end

-- Send a signal to the processes that hold the links, not to what runs in the sessions.
local function signal_sessions(self, name)
  local children, list = {}, {}
  for pid, parent, comm in must "ps -A -o pid=,ppid=,comm=":gmatch "(%d+)%s+(%d+)%s+(%S+)" do
    children[parent] = children[parent] or {}
    if comm:find "^sshd" then table.insert(children[parent], pid) end
  end
  local function walk(pid)
    for _, child in ipairs(children[pid] or {}) do
      list[#list + 1] = child
      walk(child)
    end
  end
  for i in ipairs(self.ports) do
    local pid = pid_of(self, i)
    if pid then walk(pid) end
  end
  if #list > 0 then run(("kill -%s %s"):format(name, table.concat(list, " "))) end
  return #list
end

function Server:kill_sessions() return signal_sessions(self, "KILL") end
function Server:freeze() return signal_sessions(self, "STOP") end
function Server:thaw() return signal_sessions(self, "CONT") end

-- The sessions have a mark in their environment; daemons and agents have too.
function Server:processes()
  local list = {}
  for path in must(("grep -lsxzF -- PGSH_SSHD=%s /proc/[0-9]*/environ || true"):format(self.dir)):gmatch "%S+" do
    local pid = path:match "%d+"
    local text = read_file(("/proc/%s/cmdline"):format(pid)):gsub("%z", " "):gsub(" $", "")
    local exe = must(("readlink /proc/%s/exe || true"):format(pid))
    if text ~= "" and not exe:find "/sshd" and not exe:find "/ssh%-agent" then list[#list + 1] = { pid = tonumber(pid), text = text } end
  end
  return list
end

function Server:log(i) return read_file(("%s/sshd%d.log"):format(self.dir, i or 1)) end

-- ---- an agent -------------------------------------------------------------------------------------------------------------

function Server:agent(names)
  self:agent_stop()
  -- A name of its own: one that ends takes its socket away when it gets round to it.
  self.agents = (self.agents or 0) + 1
  local path = ("%s/agent%d"):format(self.dir, self.agents)
  must(("PGSH_SSHD=%s setsid ssh-agent -D -a %s </dev/null >/dev/null 2>&1 & echo $! >%s.pid"):format(self.dir, path, path))
  local ask = self.dir .. "/askpass"
  write_file(ask, ("#!/bin/sh\necho %s\n"):format(quote(sshd.passphrase)))
  must(("chmod 700 %s; for i in $(seq 100); do SSH_AUTH_SOCK=%s ssh-add -l >/dev/null 2>&1; [ $? != 2 ] && break; sleep 0.05; done")
    :format(ask, path))
  for _, name in ipairs(names or {}) do
    must(("SSH_AUTH_SOCK=%s SSH_ASKPASS=%s SSH_ASKPASS_REQUIRE=force ssh-add -q %s"):format(path, ask, self:key(name)))
  end
  return path
end

function Server:agent_stop()
  local path = ("%s/agent%d"):format(self.dir, self.agents or 0)
  local pid = read_file(path .. ".pid"):match "%d+"
  if pid then run(("kill %s; rm -f %s %s.pid"):format(pid, path, path)) end
end

-- ---- all of it ------------------------------------------------------------------------------------------------------------

-- Ends daemons, links, agents and what still runs in sessions, then takes the directory away.
local GUARDIAN = [[
trap '' INT TERM HUP; cat >/dev/null; cd /
below() { for k in $(pgrep -P "$1"); do echo "$k"; below "$k"; done; }
for f in DIR/*.pid; do read -r p <"$f" || continue; kill -9 $(below "$p") "$p"; done
kill -9 $(grep -lsxzF -- PGSH_SSHD=DIR /proc/[0-9]*/environ | tr -dc '0-9\n')
rm -rf DIR
]]

function Server:remove()
  if not self.guardian then return end
  self.guardian:close() -- waits until the guardian has cleaned up
  self.guardian = nil
end

local function prepare(self, options)
  keygen(self.dir, "user_ca", "ed25519")
  keygen(self.dir, "host_ca", "ed25519")
  write_file(self.dir .. "/authorized_keys", "")
  if options.dropbear then self.dropbear = prepare_dropbear(self) end
  for i = 1, options.daemons or 1 do
    repeat
      self.ports[i] = free_port()
      local taken = false
      for k = 1, i - 1 do taken = taken or self.ports[k] == self.ports[i] end
    until not taken
    if not self.dropbear then daemon_config(self, i, options) end
    self:start(i)
  end
  self.port = self.ports[1]
end

local function client(self, options)
  self.common = {
    User = self.user, IdentityFile = self:key "ed25519", IdentitiesOnly = "yes", IdentityAgent = "none",
    UserKnownHostsFile = self.known_hosts_file, GlobalKnownHostsFile = "none", StrictHostKeyChecking = "yes", UpdateHostKeys = "no",
    ControlPath = "none",
  }
  for i = 1, options.hosts or #self.ports do
    self.hosts[i] = "h" .. i
    self.aliases[i] = { name = "h" .. i, options = { HostName = "127.0.0.1", Port = self.ports[(i - 1) % #self.ports + 1] } }
  end
  write_config(self)
  self:known_hosts "plain"
end

function sshd.start(options)
  options = options or {}
  -- Not os.tmpname's directory as it is: the names of sockets in it must be short.
  local dir = must "mktemp -d /tmp/sshd.XXXXXX":match "%S+"
  local self = setmetatable({
    dir = dir, config = dir .. "/config", known_hosts_file = dir .. "/known_hosts", ports = {}, hosts = {}, aliases = {},
    kinds = options.host_keys or { "ed25519" }, user = options.user or must "id -un":match "%S+",
    program = must "command -v sshd || ls /usr/sbin/sshd":match "%S+", wrap = options.wrap and options.wrap(dir) or "",
  }, Server)
  self.guardian = assert(io.popen("exec 2>/dev/null; " .. GUARDIAN:gsub("DIR", dir), "w"))
  -- sshd wants an absolute name, and as root a directory for its unprivileged part.
  if must "id -u":match "%d+" == "0" then must "mkdir -p /run/sshd && chmod 755 /run/sshd" end
  prepare(self, options)
  client(self, options)
  return self
end

return sshd
