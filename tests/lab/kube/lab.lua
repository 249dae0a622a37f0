-- The Kubernetes lab: a cluster behind a stand-in for kubectl, whose pods are real PostgreSQL servers and real clients of them.
-- Prints one line of JSON when everything is ready, serves until stdin ends or a signal comes, leaves nothing.
--   lua5.4 lab.lua [--dir PARENT] [--world upgrade|restore|all|empty] [--client 1.32|1.20]
-- --client: which kubectl's texts the stand-in prints, where the two differ.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = ("%s/../?.lua;%s"):format(here, package.path)

local luasocket = require "socket"
local main = require "core.main"
local cluster = require "kube.cluster"
local control = require "kube.control"
local gate = require "kube.gate"
local guardian = require "kube.guardian"
local http = require "core.http"
local json = require "core.json"
local old_major = require "kube.old_major"
local proc = require "core.proc"
local sandbox = require "kube.sandbox"
local world = require "kube.world"

local USAGE = "usage: lab.lua [--dir PARENT] [--world upgrade|restore|all|empty] [--client 1.32|1.20]\n"
local WORLDS = { upgrade = true, restore = true, all = true, empty = true }

local function parse_arguments()
  local options, i = { world = "upgrade", client = "1.32" }, 1
  while arg[i] do
    local word, value = arg[i], arg[i + 1]
    if word == "--dir" and value then
      options.parent = value
    elseif word == "--world" and WORLDS[value] then
      options.world = value
    elseif word == "--client" and (value == "1.32" or value == "1.20") then
      options.client = value
    else
      io.stderr:write(USAGE)
      os.exit(2)
    end
    i = i + 2
  end
  return options
end

local KUBECONFIG = [[
apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster:
    server: http://127.0.0.1:%d
contexts:
- name: lab
  context: {cluster: lab, user: deployer, namespace: default}
- name: lab-selfhosted
  context: {cluster: lab, user: deployer, namespace: selfhosted}
current-context: lab
users:
- name: deployer
  user: {token: %s}
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  assert(file:close())
end

-- The command that is first on PATH. It and what it leaves bear the lab's mark, too: the guardian ends them.
local function write_command(dir, absolute)
  proc.must(("mkdir -p %s/bin %s/exec && chmod 700 %s/exec"):format(dir, dir, dir))
  write(dir .. "/bin/kubectl", ("#!/bin/sh\nPGSH_POD=%s/kubectl exec lua5.4 %s/kubectl \"$@\"\n"):format(proc.quote(dir),
    proc.quote(absolute)))
  proc.must(("chmod 755 %s/bin/kubectl"):format(dir))
end

local function majors_of(found)
  local out = {}
  for _, which in ipairs { "old", "new" } do
    local one = found[which]
    out[which] = { bin = one.bin, version = one.full, major = one.major, derived = one.derived or false }
  end
  return out
end

local function start(queue, options, dir, began)
  local _, absolute = proc.run(("cd %s && pwd -P"):format(proc.quote(here)))
  absolute = absolute:match "^%s*(.-)%s*$"
  local self = cluster.new(queue, dir)
  self.here, self.pristine, self.seeds = absolute, {}, {}
  sandbox.prepare(self, absolute)
  self.majors = old_major.find(dir .. "/images")
  proc.must(("mkdir -p %s/images/cache/%d %s/images/cache/%d %s/pristine %s/hosts && chmod 777 %s/images/cache/*"):format(dir,
    self.majors.old.major, dir,
    self.majors.new.major, dir, dir, dir))
  local ports = { api = http.listen(queue, gate.handler(self)), control = http.listen(queue, control.handler(self)) }
  local token = {}
  for i = 1, 32 do token[i] = ("%x"):format(math.random(0, 15)) end
  write(dir .. "/kubeconfig", KUBECONFIG:format(ports.api, table.concat(token)))
  write_command(dir, absolute)
  queue:wrap(function() self:run() end)
  world.fill(self, options.world)
  world.write_manifests(self)
  io.stdout:write(json.encode {
    dir = dir, control = "http://127.0.0.1:" .. ports.control, api = "http://127.0.0.1:" .. ports.api, mode = self.mode,
    mode_reason = self.mode_reason or json.null, majors = majors_of(self.majors), volumes = dir .. "/volumes", work = dir .. "/work",
    kubeconfig = dir .. "/kubeconfig", took = luasocket.gettime() - began,
    env = { KUBECONFIG = dir .. "/kubeconfig", PATH = dir .. "/bin:" .. os.getenv "PATH", PGSH_LAB_KUBECTL = options.client },
  }, "\n")
  io.stdout:flush()
end

-- Copies of data directories are what takes time: in memory where there is plenty of it and programs may run from there.
local MEMORY, ENOUGH_KIB = "/dev/shm", 2 * 1024 * 1024

local function place(options)
  local given = os.getenv "TMPDIR"
  if options.parent or given and given ~= "" then return options.parent end
  local status, output = proc.run(("t=$(mktemp %s/pgsh-lab.XXXXXX) && echo 'exit 0' >\"$t\" && chmod 700 \"$t\" && \"$t\"; s=$?; "
    .. "rm -f \"$t\"; df -Pk %s | awk 'NR == 2 { print $4 }'; (exit $s)"):format(MEMORY, MEMORY))
  if status == 0 and (tonumber(output) or 0) >= ENOUGH_KIB then return MEMORY end
  return nil
end

local began, options = luasocket.gettime(), parse_arguments()
main { parent = place(options), watch = guardian.watch, start = function(queue, dir) start(queue, options, dir, began) end }
