-- The cluster: store, controllers and kubelet in one process, and what they share (addresses, options, the names of services).
local claims = require "kube.claims"
local cqueues = require "cqueues"
local faults = require "kube.faults"
local json = require "core.json"
local kubelet = require "kube.kubelet"
local objects = require "kube.objects"
local proc = require "core.proc"
local store = require "kube.store"
local workloads = require "kube.workloads"

local cluster = {}
local Cluster = {}
Cluster.__index = Cluster

cluster.DEFAULTS = {
  provision_ms = 30,       -- from a claim to its volume
  backoff_ms = 300,        -- the first pause of CrashLoopBackOff (10 s in a real cluster)
  grace_cap_s = 5,         -- no grace period lasts longer
  probe_scale = 0.1,       -- the seconds of probes are multiplied by this
  patience_s = 20,         -- a liveness or startup probe must have failed for so long before it kills: machines of tests are slow
  service_pause = 0.3,     -- seconds between two statements of a service
  locale = "C.UTF-8",      -- of the PostgreSQL image
}

function cluster.new(queue, dir)
  local self = setmetatable({
    queue = queue, dir = dir, store = store.new(), options = {}, user = "deployer", node_name = "lke-node-1",
      node_address = "192.168.128.10",
    default_class = "linode-block-storage", monotime = cqueues.monotime,
  }, Cluster)
  for name, value in pairs(cluster.DEFAULTS) do self.options[name] = value end
  self.faults = faults.new()
  self.kubelet = kubelet.new(self)
  self.provisioning, self.warned, self.progress, self.calls = {}, {}, {}, {}
  self.net, self.last_address, self.last_service = math.random(20, 220), 0, 0
  return self
end

-- A coroutine of the cluster; what it raises is told on stderr, and nobody else is hurt.
function Cluster:spawn(what, body, ...)
  local generation = self.generation
  self.queue:wrap(function(...)
    local ok, why = xpcall(body, debug.traceback, ...)
    if not ok and generation == self.generation then io.stderr:write(("lab: %s: %s\n"):format(what, tostring(why))) end
  end, ...)
end

-- luacheck: no self
function Cluster:pause(ms) cqueues.sleep(ms / 1000) end

-- Addresses of the machine's own loopback network, so that every pod can listen on 5432.
function Cluster:new_pod_address()
  self.last_address = self.last_address + 1
  local n = self.last_address
  return ("127.%d.%d.%d"):format(self.net, n // 250 % 250, n % 250 + 2)
end

function Cluster:new_service_address()
  self.last_service = self.last_service + 1
  return ("10.128.%d.%d"):format(self.last_service // 250, self.last_service % 250 + 10)
end

function Cluster:new_claim_object(namespace, name, given)
  return {
    apiVersion = "v1", kind = "PersistentVolumeClaim", metadata = { name = name, namespace = namespace,
      labels = objects.copy(given.metadata.labels) },
    spec = objects.copy(given.spec),
  }
end

function Cluster:create_claim(namespace, name, given)
  require("kube.api").admit(self, self:new_claim_object(namespace, name, given))
end

-- Asks for a pod's end. grace: seconds, or nil for the pod's own.
function Cluster:delete_pod(pod, grace)
  local meta = pod.metadata
  if meta.deletionTimestamp then return end
  meta.deletionGracePeriodSeconds = grace or pod.spec.terminationGracePeriodSeconds or 30
  meta.deletionTimestamp = objects.now()
  self.store:touch(pod)
end

-- The ready pods behind a service, as addresses.
function Cluster:endpoints(service)
  local out = {}
  if not service.spec.selector then return out end
  for _, pod in ipairs(self.store:list("Pod", service.metadata.namespace)) do
    if pod.status.podIP and workloads.is_ready(pod) and not pod.metadata.deletionTimestamp
      and objects.selected({ matchLabels = service.spec.selector }, pod.metadata.labels) then
      out[#out + 1] = pod.status.podIP
    end
  end
  return out
end

local function host_lines(self, namespace)
  local lines = {}
  for _, service in ipairs(self.store:list "Service") do
    local address = self:endpoints(service)[1]
    if address then
      local name, of = service.metadata.name, service.metadata.namespace
      if of == namespace then lines[#lines + 1] = address .. " " .. name end
      for _, tail in ipairs { "", ".svc", ".svc.cluster.local" } do lines[#lines + 1] = ("%s %s.%s%s"):format(address, name, of, tail) end
      for alias in (objects.at(service, "metadata", "annotations", "external-dns.alpha.kubernetes.io/hostname") or ""):gmatch "[^,%s]+" do
        lines[#lines + 1] = address .. " " .. alias
      end
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- In place: the file may be mounted or open.
local function overwrite(path, text)
  local file = io.open(path, "w")
  if not file then return end
  file:write(text)
  file:close()
end

-- /etc/hosts of one pod: itself, and the services.
function Cluster:write_hosts(box)
  local runtime = self.kubelet.runtimes[box.uid]
  if not runtime or not box.holder then return end
  overwrite(box.dir .. "/hosts", ("%s localhost\n%s %s\n"):format(runtime.address, runtime.address, runtime.pod.metadata.name)
    .. host_lines(self, runtime.pod.metadata.namespace))
end

function Cluster:endpoints_changed()
  local seen = {}
  for _, service in ipairs(self.store:list "Service") do
    seen[#seen + 1] = service.metadata.namespace .. "/" .. service.metadata.name .. "=" .. table.concat(self:endpoints(service), ",")
  end
  local text = table.concat(seen, " ")
  if text == self.endpoints_seen then return end
  self.endpoints_seen = text
  for _, namespace in ipairs(self.store:list "Namespace") do
    overwrite(self.dir .. "/hosts/" .. namespace.metadata.name, host_lines(self, namespace.metadata.name))
  end
  for _, runtime in pairs(self.kubelet.runtimes) do
    if runtime.sandbox and runtime.sandbox.holder then self:write_hosts(runtime.sandbox) end
  end
end

function Cluster:reconcile()
  claims.reconcile(self)
  workloads.reconcile(self)
  self.kubelet:reconcile()
  self:endpoints_changed()
end

-- Until nothing changes any more within one pass: controllers see each other's writes.
function Cluster:settle()
  for _ = 1, 20 do
    local before = self.store.changes
    self:reconcile()
    if self.store.changes == before then return end
  end
end

-- The controllers' loop.
function Cluster:run()
  while true do
    if not self.paused then
      local ok, why = xpcall(function() self:settle() end, debug.traceback)
      if not ok then io.stderr:write("lab: controller: ", tostring(why), "\n") end
    end
    self.store:wait(0.25)
    -- Changes come in bursts.
    cqueues.sleep(0.005)
  end
end

-- Everything that runs is killed at once, the objects are forgotten.
function Cluster:clear()
  self.paused = true
  self.faults:clear()
  local left = true
  for _, pod in ipairs(self.store:list "Pod") do
    local runtime = self.kubelet:of(pod)
    if runtime then
      runtime.crash, runtime.stopping, runtime.deleted = true, true, true
      runtime.wake:signal()
    end
  end
  require("kube.sandbox").kill_all(self.dir .. "/")
  while left do
    left = next(self.kubelet.runtimes) ~= nil
    if left then cqueues.sleep(0.01) end
  end
  while next(self.provisioning) do cqueues.sleep(0.01) end
  self.store:reset()
  self.provisioning, self.warned, self.progress, self.calls, self.endpoints_seen = {}, {}, {}, {}, nil
  for name, value in pairs(cluster.DEFAULTS) do self.options[name] = value end
  proc.run(("rm -rf %s/volumes %s/hostpath; mkdir -p %s/volumes %s/hosts"):format(self.dir, self.dir, self.dir, self.dir))
  self.paused = false
end

cluster.null = json.null

return cluster
