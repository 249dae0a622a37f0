-- What the API server refuses although the manifest is well formed: names, missing parts, fields that may not change.
local json = require "core.json"
local objects = require "kube.objects"
local refuse = require "kube.refuse"

local validate = {}

local SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
  .. "end with "
  .. "an alphanumeric character (e.g. 'example.com', regex used for validation is "
  .. "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

local function name_ok(name)
  if name == "" or #name > 253 then return false end
  for part in (name .. "."):gmatch "(.-)%." do
    if not part:match "^[a-z0-9]$" and not part:match "^[a-z0-9][-a-z0-9]*[a-z0-9]$" then return false end
  end
  return true
end

-- Go's %#v of a label selector, as the server shows it.
local function go_selector(selector)
  local labels = {}
  for _, key in ipairs(objects.sorted_keys(selector.matchLabels)) do
    labels[#labels + 1] = ('"%s":"%s"'):format(key, selector.matchLabels[key])
  end
  return ("v1.LabelSelector{MatchLabels:map[string]string{%s}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}"):format(
    table.concat(labels, ", "))
end

-- claims: of a stateful set, which are volumes too.
local function check_containers(causes, path, pod, claims)
  local volumes, names = {}, {}
  for _, claim in ipairs(claims or {}) do volumes[claim.metadata.name] = true end
  for _, volume in ipairs(pod.volumes or {}) do volumes[volume.name] = true end
  if #(pod.containers or {}) == 0 then causes[#causes + 1] = path .. ".containers: Required value" end
  for i, container in ipairs(pod.containers or {}) do
    local at = ("%s.containers[%d]"):format(path, i - 1)
    if not container.image or container.image == "" then causes[#causes + 1] = at .. ".image: Required value" end
    if names[container.name] then causes[#causes + 1] = ('%s.name: Duplicate value: "%s"'):format(at, container.name) end
    names[container.name or ""] = true
    for k, mount in ipairs(container.volumeMounts or {}) do
      if not volumes[mount.name] then
        causes[#causes + 1] = ('%s.volumeMounts[%d].name: Not found: "%s"'):format(at, k - 1, mount.name)
      end
    end
    for _, name in ipairs { "livenessProbe", "readinessProbe", "startupProbe" } do
      local probe = container[name]
      if probe and not (probe.exec or probe.tcpSocket or probe.httpGet) then
        causes[#causes + 1] = ("%s.%s: Required value: must specify a handler type"):format(at, name)
      end
    end
  end
end

local function check_workload(causes, object)
  local spec = object.spec
  if (spec.replicas or 0) < 0 then
    causes[#causes + 1] = ("spec.replicas: Invalid value: %d: must be greater than or equal to 0"):format(spec.replicas)
  end
  local labels = objects.at(spec, "template", "metadata", "labels") or {}
  if not next(objects.at(spec, "selector", "matchLabels") or {}) and #(objects.at(spec, "selector", "matchExpressions") or {}) == 0 then
    causes[#causes + 1] = 'spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), '
      .. 'MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for deployment'
  elseif not objects.selected(spec.selector, labels) then
    local shown = {}
    for _, key in ipairs(objects.sorted_keys(labels)) do shown[#shown + 1] = ('"%s":"%s"'):format(key, labels[key]) end
    causes[#causes + 1] = ("spec.template.metadata.labels: Invalid value: map[string]string{%s}: `selector` does not match template "
      .. "`labels`")
      :format(table.concat(shown, ", "))
  end
  check_containers(causes, "spec.template.spec", spec.template.spec, spec.volumeClaimTemplates)
  local strategy = spec.strategy
  if strategy and strategy.type == "Recreate" and strategy.rollingUpdate and strategy.rollingUpdate ~= json.null then
    causes[#causes + 1] = "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
  elseif strategy and strategy.type ~= "Recreate" and strategy.type ~= "RollingUpdate" then
    causes[#causes + 1] = ('spec.strategy.type: Unsupported value: "%s": supported values: "Recreate", '
      .. '"RollingUpdate"'):format(strategy.type)
  end
end

local of = {}
of.Deployment, of.ReplicaSet = check_workload, check_workload

function of.StatefulSet(causes, object) check_workload(causes, object) end

function of.Pod(causes, object) check_containers(causes, "spec", object.spec) end

function of.PersistentVolumeClaim(causes, object)
  local spec = object.spec or {}
  if #(spec.accessModes or {}) == 0 then causes[#causes + 1] = "spec.accessModes: Required value: at least 1 access mode is required" end
  local storage = objects.at(spec, "resources", "requests", "storage")
  if not storage then
    causes[#causes + 1] = "spec.resources[storage]: Required value"
  elseif not objects.quantity(storage) then
    causes[#causes + 1] = ('spec.resources[storage]: Invalid value: "%s": must be a quantity'):format(storage)
  end
end

function of.PersistentVolume(causes, object)
  local spec = object.spec or {}
  if not objects.at(spec, "capacity", "storage") then causes[#causes + 1] = "spec.capacity: Required value" end
  if #(spec.accessModes or {}) == 0 then causes[#causes + 1] = "spec.accessModes: Required value" end
  if not (spec.csi or spec.hostPath or spec["local"] or spec.nfs) then
    causes[#causes + 1] = "spec: Required value: must specify a volume type"
  end
end

-- A whole object before it is stored.
function validate.object(object)
  local causes, name = {}, object.metadata.name
  if not name or name == "" then
    causes[1] = "metadata.name: Required value: name or generateName is required"
  elseif not name_ok(name) then
    causes[1] = ('metadata.name: Invalid value: "%s": %s'):format(name, SUBDOMAIN)
  end
  if of[object.kind] then of[object.kind](causes, object) end
  if #causes > 0 then refuse.invalid(object.kind, name or "", causes) end
end

local function without_size(spec)
  local out = objects.copy(spec)
  if objects.at(out, "resources", "requests") then out.resources.requests.storage = nil end
  return out
end

-- A claim's spec stays as it is; only the size of a bound claim may grow, where its class allows that.
local function claim_change(store, before, after)
  local before_spec, after_spec = objects.copy(before.spec), objects.copy(after.spec)
  if not objects.equal(without_size(before_spec), without_size(after_spec)) or before.status.phase ~= "Bound" then
    if objects.equal(before_spec, after_spec) then return end
    refuse.invalid("PersistentVolumeClaim", after.metadata.name, {
      "spec: Forbidden: spec is immutable after creation except resources.requests for bound claims\n"
        .. "  core.PersistentVolumeClaimSpec{\n"
        .. "  \t... // fields that differ\n  }\n" })
  end
  local old, new = objects.quantity(before_spec.resources.requests.storage), objects.quantity(after_spec.resources.requests.storage)
  if new < old then
    refuse.invalid("PersistentVolumeClaim", after.metadata.name, {
      "spec.resources.requests.storage: Forbidden: field can not be less than previous value" })
  elseif new > old then
    local class = store:get("StorageClass", nil, before_spec.storageClassName or "")
    if not class or not class.allowVolumeExpansion then
      refuse.raise(403, "Forbidden", ('persistentvolumeclaims "%s" is forbidden: only dynamically provisioned pvc can be resized and the '
        .. "storageclass that provisions the pvc must support resize"):format(after.metadata.name))
    end
  end
end

-- What may not change from one version of an object to the next.
function validate.change(store, before, after)
  local kind, name = after.kind, after.metadata.name
  if kind == "Deployment" or kind == "ReplicaSet" then
    if not objects.equal(before.spec.selector, after.spec.selector) then
      refuse.invalid(kind, name, { ("spec.selector: Invalid value: %s: field is immutable"):format(go_selector(after.spec.selector)) })
    end
  elseif kind == "StatefulSet" then
    local allowed = { replicas = true, template = true, updateStrategy = true }
    for _, key in ipairs(objects.sorted_keys(after.spec)) do
      if not allowed[key] and not objects.equal(before.spec[key], after.spec[key]) then
        refuse.invalid(kind, name, { "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template', and "
          .. "'updateStrategy' are forbidden" })
      end
    end
  elseif kind == "PersistentVolumeClaim" then
    claim_change(store, before, after)
  elseif kind == "PersistentVolume" then
    for _, source in ipairs { "csi", "hostPath", "local", "nfs" } do
      if not objects.equal(before.spec[source], after.spec[source]) then
        refuse.invalid(kind, name, { "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation" })
      end
    end
  elseif kind == "Service" and before.spec.clusterIP ~= after.spec.clusterIP then
    refuse.invalid(kind, name, { ('spec.clusterIP: Invalid value: "%s": field is immutable'):format(tostring(after.spec.clusterIP)) })
  elseif kind == "Pod" then
    local old, new = objects.copy(before.spec), objects.copy(after.spec)
    for _, spec in ipairs { old, new } do
      for _, container in ipairs(spec.containers) do container.image = nil end
    end
    if not objects.equal(old, new) then
      refuse.invalid(kind, name, { "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
        .. "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to existing tolerations)" })
    end
  end
end

return validate
