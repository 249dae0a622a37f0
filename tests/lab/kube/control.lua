-- The control interface for specs, JSON over HTTP below /_lab:
--   GET  /_lab/state        POST /_lab/reset {world?, options…}   POST /_lab/options        GET /_lab/calls    GET /_lab/audit
--   POST /_lab/faults [..]  DELETE /_lab/faults                   POST /_lab/hold {name, on?, clear?}
--   POST /_lab/sql {namespace?, deployment, dbname?, sql}         POST /_lab/evict {namespace?, pod | deployment}
--   GET  /_lab/volumes      POST /_lab/kill {namespace?, deployment}   (the container's first process, SIGKILL)
local control_of = require "core.control"
local cluster_module = require "kube.cluster"
local disks = require "kube.disks"
local json = require "core.json"
local luasocket = require "socket"
local proc = require "core.proc"
local refusal = require "core.refusal"
local router = require "core.router"
local world = require "kube.world"
local workloads = require "kube.workloads"

local control = {}

local function body_of(request)
  if request.body == "" then return {} end
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  return decoded
end

local function checked_options(given)
  for name, value in pairs(given) do
    local default = cluster_module.DEFAULTS[name]
    if default == nil then refusal.raise(422, "invalid", "no option " .. name) end
    if type(default) ~= type(value) then refusal.raise(422, "invalid", ("option %s is a %s"):format(name, type(default))) end
  end
  return given
end

local function pod_of(cluster, given)
  local namespace = given.namespace or "default"
  if given.pod then
    return cluster.store:get("Pod", namespace, given.pod) or refusal.raise(404, "not_found", "no pod " .. given.pod)
  end
  local name = given.deployment or refusal.raise(422, "invalid", "pod or deployment is needed")
  local found = world.ready_pod(cluster, namespace, name)
  if found then return found end
  for _, pod in ipairs(cluster.store:list("Pod", namespace)) do
    if pod.metadata.name:sub(1, #name + 1) == name .. "-" and not pod.metadata.deletionTimestamp then return pod end
  end
  refusal.raise(404, "not_found", "no pod of " .. name)
end

local function state(cluster)
  local out = { deployments = {}, pods = json.array(), claims = {}, volumes = {}, world = cluster.which, mode = cluster.mode }
  for _, deployment in ipairs(cluster.store:list "Deployment") do
    local spec = deployment.spec
    out.deployments[deployment.metadata.namespace .. "/" .. deployment.metadata.name] = {
      replicas = spec.replicas, ready = deployment.status.readyReplicas or 0, generation = deployment.metadata.generation,
      image = spec.template.spec.containers[1].image,
    }
  end
  for i, pod in ipairs(cluster.store:list "Pod") do
    local runtime = cluster.kubelet:of(pod)
    local container = runtime and runtime.containers[1]
    out.pods[i] = {
      name = pod.metadata.name, namespace = pod.metadata.namespace, phase = pod.status.phase, ready = workloads.is_ready(pod),
      terminating = pod.metadata.deletionTimestamp ~= nil, address = runtime and runtime.address, restarts = container
        and container.restarts or 0,
      running = container and container.state.running ~= nil or false,
    }
  end
  for _, claim in ipairs(cluster.store:list "PersistentVolumeClaim") do
    out.claims[claim.metadata.namespace .. "/" .. claim.metadata.name] = {
      phase = claim.status.phase, volume = claim.spec.volumeName, terminating = claim.metadata.deletionTimestamp ~= nil,
    }
  end
  for _, volume in ipairs(cluster.store:list "PersistentVolume") do
    out.volumes[volume.metadata.name] = {
      phase = volume.status.phase, handle = volume.spec.csi and volume.spec.csi.volumeHandle,
        terminating = volume.metadata.deletionTimestamp ~= nil,
    }
  end
  return 200, out
end

local function reset(cluster, request)
  local given, began = body_of(request), luasocket.gettime()
  local which = given.world or cluster.which
  given.world = nil
  world.fill(cluster, which, checked_options(given))
  world.write_manifests(cluster)
  return 200, { took = luasocket.gettime() - began }
end

local function options(cluster, request)
  for name, value in pairs(checked_options(body_of(request))) do cluster.options[name] = value end
  return 200, cluster.options
end

local function sql(cluster, request)
  local given = body_of(request)
  local status, output = world.sql(cluster, pod_of(cluster, given), given.dbname, given.sql, given.user)
  if status ~= 0 then refusal.raise(422, "sql", output) end
  return 200, { output = output }
end

local function calls(cluster)
  local out = json.array()
  for i, call in ipairs(cluster.calls) do out[i] = call end
  return 200, out
end

local function kill(cluster, request)
  local runtime = cluster.kubelet:of(pod_of(cluster, body_of(request)))
  proc.run(("kill -KILL %d"):format(runtime.containers[1].pid))
  return 200, { ok = true }
end

local function routes(cluster)
  local function with(handler) return function(request) return handler(cluster, request) end end
  return {
    { "GET", "/_lab/state", function() return state(cluster) end },
    { "POST", "/_lab/reset", with(reset) },
    { "POST", "/_lab/options", with(options) },
    { "POST", "/_lab/sql", with(sql) },
    { "GET", "/_lab/conninfo", function(request)
      return 200, { conninfo = (world.conninfo(cluster, pod_of(cluster, router.query(request.query)))) }
    end },
    { "GET", "/_lab/calls", function() return calls(cluster) end },
    { "GET", "/_lab/audit", function() return 200, json.array(cluster.store.audit) end },
    { "GET", "/_lab/volumes", function() return 200, json.array(disks.list(cluster.dir)) end },
    { "POST", "/_lab/faults", function(request)
      for _, rule in ipairs(body_of(request)) do cluster.faults:add(rule) end
      return 200, cluster.faults:list()
    end },
    { "DELETE", "/_lab/faults", function()
      cluster.faults:clear()
      cluster.store.changed:signal()
      return 200, json.array()
    end },
    { "POST", "/_lab/hold", function(request)
      cluster.faults:hold(body_of(request))
      cluster.store.changed:signal()
      return 200, { ok = true }
    end },
    { "POST", "/_lab/evict", function(request)
      cluster.kubelet:evict(pod_of(cluster, body_of(request)))
      return 200, { ok = true }
    end },
    { "POST", "/_lab/kill", with(kill) },
  }
end

-- A handler for core.http; nothing here is logged or spoiled by faults.
function control.handler(cluster)
  return control_of(routes(cluster))
end

return control
