-- An sshd of its own for each node, on the node's address: own port, own host key, the operator's key; and what the operator needs
-- to get there: a key, known hosts, a configuration with the aliases db1 db2 db3.
local proc = require "core.proc"
local nodes = require "cluster.nodes"

local hosts = {}

local SSHD = [[
Port %d
ListenAddress %s
HostKey %s/host_key
PidFile %s/sshd.pid
AuthorizedKeysFile %s/ssh/operator.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowAgentForwarding no
X11Forwarding no
UseDNS no
PrintMotd no
PrintLastLog no
MaxSessions 200
MaxStartups 200
Subsystem sftp internal-sftp
SetEnv LAB_NODE=%s PATH=%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
]]

local CONFIG = [[
Host %s
  HostName %s
  Port %d
]]

local COMMON = [[
Host db1 db2 db3
  User %s
  IdentityFile %s/ssh/operator
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s/ssh/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ConnectTimeout 5
]]

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  assert(file:close())
end

local function keygen(path, comment)
  proc.must(("rm -f %s %s.pub && ssh-keygen -q -t ed25519 -N '' -C %s -f %s"):format(path, path, comment, path))
end

local function known_line(node)
  local file = assert(io.open(node.dir .. "/host_key.pub"))
  local key = file:read("a"):match "^%S+ %S+"
  file:close()
  return ("[%s]:%d %s\n"):format(node.address, node.ssh_port, key)
end

local function listen(node)
  local path = node.dir .. "/sshd_config"
  write_file(path, SSHD:format(node.ssh_port, node.address, node.dir, node.dir, node.cluster.lab, node.dir, node.cluster.commands))
  proc.must(("/usr/sbin/sshd -f %s -E %s/log/sshd"):format(path, node.dir), "sshd of " .. node.name)
  nodes.wait_until("sshd of " .. node.name .. " listens", function() return node:pid "sshd" end, 5)
end

-- The whole of sshd: its configuration, keys, and what the operator has of it.
function hosts.start(cluster)
  local lab = cluster.lab
  proc.must(("mkdir -p %s/ssh && chmod 755 %s/ssh"):format(lab, lab))
  local _, user = proc.run "id -un"
  if user:match "%S+" == "root" then proc.must "mkdir -p -m 755 /run/sshd" end
  keygen(lab .. "/ssh/operator", "operator")
  local config, known = {}, {}
  for i, node in ipairs(cluster) do
    node.ssh_port = nodes.free_port(node.address)
    keygen(node.dir .. "/host_key", node.name)
    listen(node)
    config[i] = CONFIG:format(node.name, node.address, node.ssh_port)
    known[i] = known_line(node)
  end
  config[#config + 1] = COMMON:format(user:match "%S+", lab, lab)
  cluster.ssh_config, cluster.known_hosts = lab .. "/ssh/config", table.concat(known)
  write_file(cluster.ssh_config, table.concat(config))
  write_file(lab .. "/ssh/known_hosts", cluster.known_hosts)
end

-- Every ssh link to the node is cut; the daemon goes on listening.
function hosts.cut(node)
  local listener = node:pid "sshd"
  if not listener then return end
  proc.run(([[ps -eo pid=,ppid=,comm= | awk -v top=%s '
    { parent[$1] = $2; name[$1] = $3 }
    END { for (p in parent) { q = p; while (q > 1 && q != top) q = parent[q]
      if (q == top && p != top && name[p] ~ /^sshd/) print p } }' | xargs -r kill -KILL]]):format(listener))
end

local function stop(node)
  local pid = node:pid "sshd"
  if not pid then return end
  proc.run("kill " .. pid)
  nodes.wait_until("sshd of " .. node.name .. " is gone", function() return not node:pid "sshd" end, 5)
end

-- The host has another key from now on; on = false: its old one.
function hosts.change_key(node, on)
  stop(node)
  if on then
    proc.must(("cd %s && { [ -e first_key ] || mv host_key first_key; } "):format(node.dir))
    keygen(node.dir .. "/host_key", "changed")
  else
    proc.run(("cd %s && [ -e first_key ] && mv first_key host_key"):format(node.dir))
  end
  listen(node)
end

-- No sshd at all; on = false: it listens again.
function hosts.close(node, on)
  stop(node)
  hosts.cut(node)
  if not on then listen(node) end
end

function hosts.reset(cluster)
  for _, node in ipairs(cluster) do
    hosts.cut(node)
    if proc.run(("test -e %s/first_key"):format(node.dir)) == 0 then hosts.change_key(node, false) end
    if not node:pid "sshd" then listen(node) end
  end
  write_file(cluster.lab .. "/ssh/known_hosts", cluster.known_hosts)
end

return hosts
