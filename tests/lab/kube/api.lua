-- The API server: verbs on objects, as kubectl asks for them, one request a call. Refusals are raised (kube.refuse).
local claims = require "kube.claims"
local defaults = require "kube.defaults"
local json = require "core.json"
local kinds = require "kube.kinds"
local merge = require "kube.merge"
local objects = require "kube.objects"
local refuse = require "kube.refuse"
local validate = require "kube.validate"
local workloads = require "kube.workloads"

local api = {}

api.APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

local function find(cluster, kind, namespace, name)
  local object = cluster.store:get(kind, namespace, name)
  if object then return object end
  -- A missing namespace is only named where the server looks for it: on reads of a namespaced object it does not exist either.
  if kinds.of(kind).namespaced and namespace and not cluster.store:get("Namespace", nil, namespace) then refuse.not_found("Namespace",
    namespace) end
  refuse.not_found(kind, name)
end

function api.get(cluster, request) return find(cluster, request.kind, request.namespace, request.name) end

local function field_test(text)
  local rules = {}
  for term in text:gmatch "[^,]+" do
    local path, op, value = term:match "^%s*([%w_.]+)%s*([=!]=?)%s*(.-)%s*$"
    if not path then refuse.bad_request(("invalid field selector %s"):format(text)) end
    rules[#rules + 1] = { path = path, same = op ~= "!=", value = value }
  end
  return function(object)
    for _, rule in ipairs(rules) do
      local keys = {}
      for key in rule.path:gmatch "[^.]+" do keys[#keys + 1] = key end
      if (tostring(objects.at(object, table.unpack(keys)) or "") == rule.value) ~= rule.same then return false end
    end
    return true
  end
end

function api.list(cluster, request)
  local test = request.selector and (objects.parse_selector(request.selector)
    or refuse.bad_request(("unable to parse requirement: found '%s'"):format(request.selector)))
  local fields = request.field_selector and field_test(request.field_selector)
  local items = json.array(cluster.store:list(request.kind, request.namespace, function(object)
    return (not test or test(object.metadata.labels)) and (not fields or fields(object))
  end))
  return items
end

local function check_namespace(cluster, object)
  local meta = object.metadata
  if kinds.of(object.kind).namespaced and not cluster.store:get("Namespace", nil, meta.namespace) then
    refuse.not_found("Namespace", meta.namespace)
  end
end

-- A new object through defaulting, validation and admission; dry: not stored.
function api.admit(cluster, object, dry)
  check_namespace(cluster, object)
  object.metadata = object.metadata or {}
  for _, field in ipairs { "uid", "resourceVersion", "creationTimestamp", "generation" } do object.metadata[field] = nil end
  defaults.fill(object, cluster)
  validate.object(object)
  defaults.admit(object)
  if cluster.store:get(object.kind, object.metadata.namespace, object.metadata.name) then refuse.exists(object.kind,
    object.metadata.name) end
  if object.kind == "Pod" then object.status = { phase = "Pending", qosClass = "BestEffort" } end
  if object.kind == "Deployment" or object.kind == "StatefulSet" or object.kind == "ReplicaSet" then object.status = object.status or {} end
  if object.kind == "StatefulSet" or object.kind == "ReplicaSet" then object.status.replicas = object.status.replicas or 0 end
  if dry then
    object.metadata.uid, object.metadata.creationTimestamp = objects.uid(), objects.now()
    if object.spec and kinds.of(object.kind).group == "apps" then object.metadata.generation = 1 end
    return object
  end
  return cluster.store:insert(object)
end

function api.create(cluster, request)
  return { object = api.admit(cluster, objects.copy(request.object), request.dry) }
end

-- Stores a changed version of an object. Returns whether anything differed. dry: nothing is stored, the new one is returned.
local function update(cluster, live, wanted, dry)
  wanted.metadata.uid, wanted.metadata.resourceVersion = live.metadata.uid, live.metadata.resourceVersion
  wanted.metadata.creationTimestamp, wanted.metadata.generation = live.metadata.creationTimestamp, live.metadata.generation
  wanted.status = live.status
  defaults.fill(wanted, cluster)
  validate.object(wanted)
  validate.change(cluster.store, live, wanted)
  if objects.equal(live, wanted) then return false, live end
  local spec = not objects.equal(live.spec, wanted.spec)
  if dry then
    if spec and wanted.metadata.generation then wanted.metadata.generation = wanted.metadata.generation + 1 end
    return true, wanted
  end
  for key in pairs(live) do if wanted[key] == nil then live[key] = nil end end
  for key, value in pairs(wanted) do live[key] = value end
  cluster.store:touch(live, spec)
  cluster.store:note(spec and "changed" or "annotated", live)
  return true, live
end

-- kubectl apply. object: the manifest; applied: its text for the annotation.
function api.apply(cluster, request)
  local object = objects.copy(request.object)
  local meta = object.metadata
  local live = cluster.store:get(object.kind, meta.namespace, meta.name or "")
  if not live then
    meta.annotations = meta.annotations or {}
    meta.annotations[api.APPLIED] = request.applied
    return { result = "created", object = api.admit(cluster, object, request.dry), live = json.null }
  end
  local warnings, before = json.array(), objects.at(live, "metadata", "annotations", api.APPLIED)
  if not before then warnings[1] = "missing" end
  if live.metadata.deletionTimestamp then warnings[#warnings + 1] = "deleting" end
  -- As in the annotation, an empty map: what controllers annotated stays.
  request.object.metadata.annotations = request.object.metadata.annotations or {}
  local previous = before and json.decode(before) or {}
  previous.status = nil
  local wanted = merge.three_way(previous, request.object, live)
  wanted.metadata.annotations = wanted.metadata.annotations or {}
  wanted.metadata.annotations[api.APPLIED] = request.applied
  if objects.equal(request.object, previous) then wanted.metadata.annotations[api.APPLIED] = before end
  local shown = objects.copy(live)
  local changed, stored = update(cluster, live, wanted, request.dry)
  return { result = changed and "configured" or "unchanged", object = stored, live = shown, warnings = warnings }
end

function api.patch(cluster, request)
  local live = find(cluster, request.kind, request.namespace, request.name)
  local changed, stored = update(cluster, live, merge.patch(live, request.patch, request.type), request.dry)
  return { changed = changed, object = stored }
end

function api.scale(cluster, request)
  local live = find(cluster, request.kind, request.namespace, request.name)
  if not (objects.at(live, "spec", "replicas")) then refuse.raise(404, "NotFound", "the server could not find the requested resource") end
  if request.current and live.spec.replicas ~= request.current then
    return { expected = request.current, was = live.spec.replicas }
  end
  local was = live.spec.replicas
  if not request.dry and was ~= request.replicas then
    live.spec.replicas = request.replicas
    cluster.store:touch(live, true)
    cluster.store:note("scaled", live, ("%d -> %d"):format(was, request.replicas))
  end
  return { object = live }
end

-- Another image for containers. images: { name or "*" = image }.
function api.set_image(cluster, request)
  local live = find(cluster, request.kind, request.namespace, request.name)
  local wanted = objects.copy(live)
  local spec = wanted.spec.template and wanted.spec.template.spec or wanted.spec
  for name, image in pairs(request.images) do
    local found = false
    for _, container in ipairs(spec.containers or {}) do
      if container.name == name or name == "*" then container.image, found = image, true end
    end
    if not found then refuse.raise(404, "Container", ('unable to find container named "%s"'):format(name)) end
  end
  local changed, stored = update(cluster, live, wanted, request.dry)
  return { changed = changed, object = stored }
end

local function workload(cluster, request, what)
  local live = find(cluster, request.kind, request.namespace, request.name)
  if request.kind ~= "Deployment" and request.kind ~= "StatefulSet" then
    refuse.raise(422, "Unsupported", ("%s %s is not supported"):format(kinds.of(request.kind).plural, what))
  end
  return live
end

function api.restart(cluster, request)
  local live = workload(cluster, request, "restarting")
  if live.spec.paused then return { paused = true, object = live } end
  local wanted, now = objects.copy(live), objects.now()
  local meta = wanted.spec.template.metadata
  meta.annotations = meta.annotations or {}
  if meta.annotations["kubectl.kubernetes.io/restartedAt"] == now then return { again = true, object = live } end
  meta.annotations["kubectl.kubernetes.io/restartedAt"] = now
  update(cluster, live, wanted)
  return { object = live }
end

function api.pause(cluster, request)
  local live = workload(cluster, request, "pausing")
  local wanted = objects.copy(live)
  wanted.spec.paused = request.paused and true or nil
  local changed = update(cluster, live, wanted)
  return { changed = changed, object = live }
end

-- Revisions of a deployment, oldest first: { revision, template }.
local function revisions(cluster, deployment)
  local out = {}
  for _, set in ipairs(workloads.sets_of(cluster, deployment)) do
    out[#out + 1] = { revision = workloads.revision_of(set), template = set.spec.template }
  end
  table.sort(out, function(a, b) return a.revision < b.revision end)
  return out
end

function api.history(cluster, request)
  local live = workload(cluster, request, "history viewer")
  local out = json.array()
  for i, entry in ipairs(revisions(cluster, live)) do out[i] = entry.revision end
  return { revisions = out, object = live }
end

function api.undo(cluster, request)
  local live = workload(cluster, request, "rolling back")
  if request.kind ~= "Deployment" then refuse.raise(422, "Unsupported", "no rollbacker has been implemented for this kind in the lab") end
  local list = revisions(cluster, live)
  local found
  if request.revision and request.revision > 0 then
    for _, entry in ipairs(list) do if entry.revision == request.revision then found = entry end end
    if not found then return { missing = request.revision, object = live } end
  else
    found = list[#list - 1]
    if not found then return { none = true, object = live } end
  end
  local wanted = objects.copy(live)
  wanted.spec.template = objects.copy(found.template)
  wanted.spec.template.metadata.labels["pod-template-hash"] = nil
  local changed = update(cluster, live, wanted, request.dry)
  return { changed = changed, object = live }
end

-- Marks for deletion, or removes what nothing holds. orphan: dependents lose their owner and stay.
function api.delete(cluster, request)
  local live = find(cluster, request.kind, request.namespace, request.name)
  local uid = live.metadata.uid
  if request.dry then return { uid = uid } end
  cluster.store:note("deleted", live)
  if live.kind == "Pod" then
    cluster:delete_pod(live, request.grace)
    if request.grace == 0 and request.force then
      -- By force: the record goes at once, the kubelet follows.
      cluster.kubelet:reconcile()
      cluster.store:remove(live)
    end
  elseif live.metadata.finalizers and #live.metadata.finalizers > 0 then
    if not live.metadata.deletionTimestamp then
      live.metadata.deletionTimestamp, live.metadata.deletionGracePeriodSeconds = objects.now(), 0
      cluster.store:touch(live)
    end
    claims.reconcile(cluster)
  else
    if request.cascade == "orphan" then
      for _, kind in ipairs { "ReplicaSet", "Pod" } do
        for _, other in ipairs(cluster.store:list(kind, live.metadata.namespace)) do
          if objects.at(other.metadata, "ownerReferences", 1, "uid") == uid then
            other.metadata.ownerReferences = nil
            cluster.store:touch(other)
          end
        end
      end
    end
    cluster.store:remove(live)
    if live.kind == "Namespace" then
      for _, entry in ipairs(kinds.list) do
        if entry.namespaced then
          for _, object in ipairs(cluster.store:list(entry.kind, live.metadata.name)) do
            if entry.kind == "Pod" then cluster:delete_pod(object) else cluster.store:remove(object) end
          end
        end
      end
    end
  end
  return { uid = uid }
end

return api
