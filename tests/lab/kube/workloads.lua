-- The controllers of deployments, replica sets and stateful sets, and the collector of what lost its owner.
local json = require "core.json"
local objects = require "kube.objects"

local workloads = {}

local REVISION = "deployment.kubernetes.io/revision"

local function owner(object)
  return json.array { {
    apiVersion = object.apiVersion, kind = object.kind, name = object.metadata.name, uid = object.metadata.uid, controller = true,
    blockOwnerDeletion = true,
  } }
end

local function owned_by(object, uid)
  for _, reference in ipairs(object.metadata.ownerReferences or {}) do
    if reference.uid == uid then return true end
  end
  return false
end

local function owned(cluster, kind, object)
  return cluster.store:list(kind, object.metadata.namespace, function(other) return owned_by(other, object.metadata.uid) end)
end

local function is_ready(pod)
  for _, condition in ipairs(pod.status.conditions or {}) do
    if condition.type == "Ready" then return condition.status == "True" end
  end
  return false
end
workloads.is_ready = is_ready

local function is_active(pod)
  return not pod.metadata.deletionTimestamp and pod.status.phase ~= "Succeeded" and pod.status.phase ~= "Failed"
end

local function new_pod(cluster, parent, name, template, labels)
  local meta = objects.copy(template.metadata or {})
  meta.creationTimestamp = nil
  meta.name, meta.namespace, meta.ownerReferences = name, parent.metadata.namespace, owner(parent)
  meta.labels = meta.labels or {}
  for key, value in pairs(labels or {}) do meta.labels[key] = value end
  return cluster.store:insert {
    apiVersion = "v1", kind = "Pod", metadata = meta, spec = objects.copy(template.spec), status = { phase = "Pending",
      qosClass = "BestEffort" },
  }
end

-- Replica sets -----------------------------------------------------------------------------------------------------------------------

local function rank(pod) return (is_ready(pod) and 2 or 0) + (pod.status.phase == "Running" and 1 or 0) end

local function reconcile_set(cluster, set)
  local pods, active = owned(cluster, "Pod", set), {}
  for _, pod in ipairs(pods) do if is_active(pod) then active[#active + 1] = pod end end
  local wanted = set.metadata.deletionTimestamp and 0 or set.spec.replicas
  for _ = #active + 1, wanted do
    local pod = new_pod(cluster, set, set.metadata.name .. "-" .. objects.suffix(5), set.spec.template)
    active[#active + 1] = pod
    cluster.store:event(set, "Normal", "SuccessfulCreate", "Created pod: " .. pod.metadata.name, "replicaset-controller")
  end
  table.sort(active, function(a, b) return rank(a) < rank(b) end)
  for i = 1, #active - wanted do
    cluster:delete_pod(active[i])
    cluster.store:event(set, "Normal", "SuccessfulDelete", "Deleted pod: " .. active[i].metadata.name, "replicaset-controller")
  end
  local status = { replicas = 0, observedGeneration = set.metadata.generation }
  for _, pod in ipairs(owned(cluster, "Pod", set)) do
    if is_active(pod) then
      status.replicas = status.replicas + 1
      if is_ready(pod) then
        status.readyReplicas = (status.readyReplicas or 0) + 1
        status.availableReplicas = (status.availableReplicas or 0) + 1
      end
    end
  end
  if status.replicas > 0 then status.fullyLabeledReplicas = status.replicas end
  cluster.store:set_status(set, status)
end

local function scale_set(cluster, deployment, set, size)
  if set.spec.replicas == size then return end
  local direction = size > set.spec.replicas and "up" or "down"
  set.spec.replicas = size
  cluster.store:touch(set, true)
  cluster.store:event(deployment, "Normal", "ScalingReplicaSet", ("Scaled %s replica set %s to %d"):format(direction, set.metadata.name,
    size),
    "deployment-controller")
end

-- Deployments ------------------------------------------------------------------------------------------------------------------------

local function revision_of(set) return tonumber(objects.at(set, "metadata", "annotations", REVISION)) or 0 end
workloads.revision_of = revision_of

function workloads.sets_of(cluster, deployment) return owned(cluster, "ReplicaSet", deployment) end

local function new_set(cluster, deployment, sets)
  local template = objects.copy(deployment.spec.template)
  local hash = objects.template_hash(template)
  local newest = 0
  for _, set in ipairs(sets) do newest = math.max(newest, revision_of(set)) end
  for _, set in ipairs(sets) do
    if set.metadata.labels["pod-template-hash"] == hash then
      if revision_of(set) < newest then
        set.metadata.annotations[REVISION] = tostring(newest + 1)
        cluster.store:touch(set)
      end
      return set
    end
  end
  template.metadata.labels["pod-template-hash"] = hash
  local labels = objects.copy(template.metadata.labels)
  local selector = objects.copy(deployment.spec.selector)
  selector.matchLabels = selector.matchLabels or {}
  selector.matchLabels["pod-template-hash"] = hash
  local set = cluster.store:insert {
    apiVersion = "apps/v1", kind = "ReplicaSet",
    metadata = {
      name = deployment.metadata.name .. "-" .. hash, namespace = deployment.metadata.namespace, labels = labels,
      annotations = { [REVISION] = tostring(newest + 1) }, ownerReferences = owner(deployment),
    },
    spec = { replicas = 0, selector = selector, template = template }, status = { replicas = 0 },
  }
  sets[#sets + 1] = set
  return set
end

local function rounded(value, of, up)
  local percent = tostring(value):match "^(%d+)%%$"
  if not percent then return tonumber(value) end
  local exact = tonumber(percent) * of / 100
  return math.tointeger(up and math.ceil(exact) or math.floor(exact))
end

local function roll(cluster, deployment, set, sets)
  local spec, old, total, available = deployment.spec, {}, 0, 0
  for _, other in ipairs(sets) do
    if other ~= set then old[#old + 1] = other end
    total = total + other.spec.replicas
    available = available + (other.status.availableReplicas or 0)
  end
  if #old == 0 or total == set.spec.replicas then return scale_set(cluster, deployment, set, spec.replicas) end
  local surge = rounded(spec.strategy.rollingUpdate.maxSurge, spec.replicas, true)
  local missing = rounded(spec.strategy.rollingUpdate.maxUnavailable, spec.replicas, false)
  if surge == 0 and missing == 0 then missing = 1 end
  if set.spec.replicas > spec.replicas then scale_set(cluster, deployment, set, spec.replicas) end
  local room = spec.replicas + surge - total
  if room > 0 and set.spec.replicas < spec.replicas then
    scale_set(cluster, deployment, set, math.min(spec.replicas, set.spec.replicas + room))
  end
  local spare = available - (spec.replicas - missing)
  for _, other in ipairs(old) do
    -- Pods that are not available may go in any case.
    local sick = other.spec.replicas - (other.status.availableReplicas or 0)
    local down = math.min(other.spec.replicas, math.max(0, spare) + (set.spec.replicas >= spec.replicas and sick or 0))
    if down > 0 then
      scale_set(cluster, deployment, other, other.spec.replicas - down)
      spare = spare - down
    end
  end
end

local function recreate(cluster, deployment, set, sets)
  local left = 0
  for _, other in ipairs(sets) do
    if other ~= set then
      scale_set(cluster, deployment, other, 0)
      left = left + #owned(cluster, "Pod", other)
    end
  end
  if left == 0 then scale_set(cluster, deployment, set, deployment.spec.replicas) end
end

local function set_condition(status, kind, value, reason, message)
  local condition, new = objects.condition(status, kind)
  local now = objects.now()
  if new or condition.status ~= value then condition.lastTransitionTime = now end
  if new or condition.reason ~= reason or condition.message ~= message then condition.lastUpdateTime = now end
  condition.status, condition.reason, condition.message = value, reason, message
end

local function progress(cluster, deployment, status, set, complete)
  local name, key = set.metadata.name, deployment.metadata.uid
  local seen = ("%s %d %d %d"):format(name, status.updatedReplicas or 0, status.availableReplicas or 0, status.replicas or 0)
  local clock = cluster.progress[key]
  if not clock or clock.seen ~= seen then
    clock = { seen = seen, since = cluster.monotime() }
    cluster.progress[key] = clock
  end
  local current = objects.condition(status, "Progressing")
  if complete then
    if current.reason ~= "NewReplicaSetAvailable" or not tostring(current.message):find(name, 1, true) then
      set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", ('ReplicaSet "%s" has successfully progressed.'):format(name))
    end
  elseif cluster.monotime() - clock.since > deployment.spec.progressDeadlineSeconds then
    set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", ('ReplicaSet "%s" has timed out progressing.'):format(name))
  elseif current.reason == nil or current.reason == "NewReplicaSetAvailable" and not tostring(current.message):find(name, 1, true)
    or current.reason == "ProgressDeadlineExceeded" and clock.since + 1 > cluster.monotime() then
    set_condition(status, "Progressing", "True", "ReplicaSetUpdated", ('ReplicaSet "%s" is progressing.'):format(name))
  end
end

local function deployment_status(cluster, deployment, set, sets)
  local status = { observedGeneration = deployment.metadata.generation, conditions = objects.copy((deployment.status or {}).conditions) }
  local total, ready, available = 0, 0, 0
  for _, other in ipairs(sets) do
    total = total + (other.status.replicas or 0)
    ready = ready + (other.status.readyReplicas or 0)
    available = available + (other.status.availableReplicas or 0)
  end
  local function positive(n) return n > 0 and n or nil end
  local wanted, updated = deployment.spec.replicas, set and set.status.replicas or 0
  status.replicas, status.readyReplicas, status.availableReplicas = positive(total), positive(ready), positive(available)
  status.updatedReplicas = positive(updated)
  status.unavailableReplicas = positive(math.max(wanted, total) - available)
  local least = wanted
  if deployment.spec.strategy.type == "RollingUpdate" then
    least = wanted - math.min(wanted, rounded(deployment.spec.strategy.rollingUpdate.maxUnavailable, wanted, false))
  end
  if available >= least then
    set_condition(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
  else
    set_condition(status, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
  end
  if set then
    progress(cluster, deployment, status, set, updated == wanted and total == wanted and available == wanted)
  end
  cluster.store:set_status(deployment, status)
end

local function reconcile_deployment(cluster, deployment)
  local sets = owned(cluster, "ReplicaSet", deployment)
  if deployment.metadata.deletionTimestamp then return end
  local set
  if deployment.spec.paused then
    local hash = objects.template_hash(deployment.spec.template)
    for _, other in ipairs(sets) do if other.metadata.labels["pod-template-hash"] == hash then set = other end end
  else
    set = new_set(cluster, deployment, sets)
    local annotations = deployment.metadata.annotations or {}
    deployment.metadata.annotations = annotations
    if annotations[REVISION] ~= set.metadata.annotations[REVISION] then
      annotations[REVISION] = set.metadata.annotations[REVISION]
      cluster.store:touch(deployment)
    end
    if deployment.spec.strategy.type == "Recreate" then
      recreate(cluster, deployment, set, sets)
    else
      roll(cluster, deployment, set, sets)
    end
  end
  for _, other in ipairs(sets) do reconcile_set(cluster, other) end
  deployment_status(cluster, deployment, set, sets)
end

-- Stateful sets ----------------------------------------------------------------------------------------------------------------------

local function stateful_pod(cluster, set, ordinal, hash)
  local name = ("%s-%d"):format(set.metadata.name, ordinal)
  local template = objects.copy(set.spec.template)
  for _, claim in ipairs(set.spec.volumeClaimTemplates or {}) do
    local claim_name = claim.metadata.name .. "-" .. name
    if not cluster.store:get("PersistentVolumeClaim", set.metadata.namespace, claim_name) then
      cluster:create_claim(set.metadata.namespace, claim_name, claim)
    end
    template.spec.volumes = template.spec.volumes or json.array()
    table.insert(template.spec.volumes, { name = claim.metadata.name, persistentVolumeClaim = { claimName = claim_name } })
  end
  new_pod(cluster, set, name, template, { ["controller-revision-hash"] = hash, ["statefulset.kubernetes.io/pod-name"] = name })
end

local function reconcile_stateful(cluster, set)
  local hash = set.metadata.name .. "-" .. objects.template_hash(set.spec.template)
  local pods, status = {}, { observedGeneration = set.metadata.generation, replicas = 0, updateRevision = hash, collisionCount = 0 }
  for _, pod in ipairs(owned(cluster, "Pod", set)) do pods[tonumber(pod.metadata.name:match "%-(%d+)$")] = pod end
  local wanted, settled = set.spec.replicas, true
  for ordinal = 0, wanted - 1 do
    local pod = pods[ordinal]
    if not pod then
      stateful_pod(cluster, set, ordinal, hash)
      settled = false
      break
    elseif not is_ready(pod) or pod.metadata.deletionTimestamp then
      settled = false
      break
    end
  end
  for ordinal, pod in pairs(pods) do
    if ordinal >= wanted and not pod.metadata.deletionTimestamp then
      if not pods[ordinal + 1] then cluster:delete_pod(pod) end
      settled = false
    end
  end
  local old_hash = objects.at(set, "status", "currentRevision") or hash
  for ordinal = wanted - 1, 0, -1 do
    local pod = pods[ordinal]
    if pod and pod.metadata.labels["controller-revision-hash"] ~= hash and not pod.metadata.deletionTimestamp then
      -- A pod of the old template that is broken goes even while others are not ready.
      if settled or not is_ready(pod) then cluster:delete_pod(pod) end
      settled = false
      break
    end
  end
  local current, updated = 0, 0
  for _, pod in pairs(pods) do
    status.replicas = status.replicas + 1
    if is_ready(pod) then status.readyReplicas = (status.readyReplicas or 0) + 1 end
    if pod.metadata.labels["controller-revision-hash"] == hash then updated = updated + 1 end
    if pod.metadata.labels["controller-revision-hash"] == old_hash then current = current + 1 end
  end
  status.currentRevision = updated == wanted and settled and hash or old_hash
  if status.currentRevision == hash then current = updated end
  status.updatedReplicas = updated > 0 and updated or nil
  status.currentReplicas = current > 0 and current or nil
  cluster.store:set_status(set, status)
end

-- The collector: dependents whose owner is gone.
local function collect(cluster)
  for _, kind in ipairs { "ReplicaSet", "Pod" } do
    for _, object in ipairs(cluster.store:list(kind)) do
      for _, reference in ipairs(object.metadata.ownerReferences or {}) do
        local parent = cluster.store:get(reference.kind, object.metadata.namespace, reference.name)
        if not parent or parent.metadata.uid ~= reference.uid then
          if kind == "Pod" then cluster:delete_pod(object) else cluster.store:remove(object) end
        end
      end
    end
  end
end

function workloads.reconcile(cluster)
  collect(cluster)
  for _, deployment in ipairs(cluster.store:list "Deployment") do reconcile_deployment(cluster, deployment) end
  for _, set in ipairs(cluster.store:list "ReplicaSet") do
    if not set.metadata.ownerReferences then reconcile_set(cluster, set) end
  end
  for _, set in ipairs(cluster.store:list "StatefulSet") do reconcile_stateful(cluster, set) end
end

return workloads
