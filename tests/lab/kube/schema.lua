-- What may stand in a manifest: the fields of the kinds the lab serves, their types, and which must be there. Errors are worded as by
-- kubectl's validation against the OpenAPI of the server.
local json = require "core.json"
local kinds = require "kube.kinds"
local objects = require "kube.objects"

local schema = {}

-- A type is "string", "integer", "boolean", "any", "map" (of strings), "quantity", "intorstring", { list = T } or { of = NAME }.
local S, I, B, ANY, MAP, Q, IS = "string", "integer", "boolean", "any", "map", "quantity", "intorstring"
local function list(inner) return { list = inner } end
local function of(name) return { of = name } end

local T = {}
local CORE, APPS, META = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1."

local function define(prefix, name, fields, required) T[name] = { full = prefix .. name, fields = fields, required = required or {} } end

define(META, "ObjectMeta", {
  name = S, namespace = S, generateName = S, labels = MAP, annotations = MAP, uid = S, resourceVersion = S, generation = I,
  creationTimestamp = S, deletionTimestamp = S, deletionGracePeriodSeconds = I, finalizers = list(S), ownerReferences = list(ANY),
  managedFields = list(ANY), selfLink = S, clusterName = S,
})
define(META, "LabelSelector", { matchLabels = MAP, matchExpressions = list(of "LabelSelectorRequirement") })
define(META, "LabelSelectorRequirement", { key = S, operator = S, values = list(S) }, { "key", "operator" })
define(CORE, "EnvVar", { name = S, value = S, valueFrom = of "EnvVarSource" }, { "name" })
define(CORE, "EnvVarSource", { secretKeyRef = of "SecretKeySelector", configMapKeyRef = of "ConfigMapKeySelector", fieldRef = ANY,
  resourceFieldRef = ANY })
define(CORE, "SecretKeySelector", { name = S, key = S, optional = B }, { "key" })
define(CORE, "ConfigMapKeySelector", { name = S, key = S, optional = B }, { "key" })
define(CORE, "EnvFromSource", { prefix = S, secretRef = ANY, configMapRef = ANY })
define(CORE, "ContainerPort", { name = S, containerPort = I, hostPort = I, hostIP = S, protocol = S }, { "containerPort" })
define(CORE, "VolumeMount", { name = S, mountPath = S, subPath = S, subPathExpr = S, readOnly = B, mountPropagation = S }, { "mountPath",
  "name" })
define(CORE, "ExecAction", { command = list(S) })
define(CORE, "TCPSocketAction", { port = IS, host = S }, { "port" })
define(CORE, "HTTPGetAction", { port = IS, path = S, host = S, scheme = S, httpHeaders = list(ANY) }, { "port" })
define(CORE, "Probe", { exec = of "ExecAction", tcpSocket = of "TCPSocketAction", httpGet = of "HTTPGetAction", initialDelaySeconds = I,
  periodSeconds = I, timeoutSeconds = I, successThreshold = I, failureThreshold = I })
define(CORE, "Handler", { exec = of "ExecAction", tcpSocket = of "TCPSocketAction", httpGet = of "HTTPGetAction" })
define(CORE, "Lifecycle", { postStart = of "Handler", preStop = of "Handler" })
define(CORE, "ResourceRequirements", { limits = Q, requests = Q })
define(CORE, "Container", { name = S, image = S, command = list(S), args = list(S), workingDir = S, env = list(of "EnvVar"),
  envFrom = list(of "EnvFromSource"), ports = list(of "ContainerPort"), volumeMounts = list(of "VolumeMount"), livenessProbe = of "Probe",
  readinessProbe = of "Probe", startupProbe = of "Probe", resources = of "ResourceRequirements", imagePullPolicy = S, securityContext = ANY,
  lifecycle = of "Lifecycle", stdin = B, stdinOnce = B, tty = B, terminationMessagePath = S, terminationMessagePolicy = S,
  volumeDevices = list(ANY) }, { "name" })
define(CORE, "Volume", { name = S, persistentVolumeClaim = of "PersistentVolumeClaimVolumeSource", emptyDir = ANY, configMap = ANY,
  secret = ANY,
  hostPath = ANY, projected = ANY, downwardAPI = ANY, csi = ANY, nfs = ANY, ephemeral = ANY }, { "name" })
define(CORE, "PersistentVolumeClaimVolumeSource", { claimName = S, readOnly = B }, { "claimName" })
define(CORE, "PodSpec", { containers = list(of "Container"), initContainers = list(of "Container"), volumes = list(of "Volume"),
  restartPolicy = S, terminationGracePeriodSeconds = I, activeDeadlineSeconds = I, dnsPolicy = S, nodeSelector = MAP,
    serviceAccountName = S,
  serviceAccount = S, automountServiceAccountToken = B, nodeName = S, hostNetwork = B, hostPID = B, hostIPC = B, securityContext = ANY,
  imagePullSecrets = list(ANY), hostname = S, subdomain = S, affinity = ANY, schedulerName = S, tolerations = list(ANY),
    hostAliases = list(ANY),
  priorityClassName = S, priority = I, dnsConfig = ANY, readinessGates = list(ANY), runtimeClassName = S, enableServiceLinks = B,
  preemptionPolicy = S, overhead = ANY, topologySpreadConstraints = list(ANY), setHostnameAsFQDN = B, shareProcessNamespace = B },
  { "containers" })
define(CORE, "PodTemplateSpec", { metadata = of "ObjectMeta", spec = of "PodSpec" })
define(APPS, "RollingUpdateDeployment", { maxSurge = IS, maxUnavailable = IS })
define(APPS, "DeploymentStrategy", { type = S, rollingUpdate = of "RollingUpdateDeployment" })
define(APPS, "DeploymentSpec", { replicas = I, selector = of "LabelSelector", template = of "PodTemplateSpec",
  strategy = of "DeploymentStrategy",
  minReadySeconds = I, revisionHistoryLimit = I, paused = B, progressDeadlineSeconds = I }, { "selector", "template" })
define(APPS, "StatefulSetSpec", { replicas = I, selector = of "LabelSelector", template = of "PodTemplateSpec", serviceName = S,
  volumeClaimTemplates = list(ANY), podManagementPolicy = S, updateStrategy = ANY, revisionHistoryLimit = I },
  { "selector", "serviceName", "template" })
define(APPS, "ReplicaSetSpec", { replicas = I, selector = of "LabelSelector", template = of "PodTemplateSpec", minReadySeconds = I }, {
  "selector" })
define(CORE, "PersistentVolumeClaimSpec", { accessModes = list(S), resources = of "ResourceRequirements", storageClassName = S,
  volumeName = S,
  volumeMode = S, selector = of "LabelSelector", dataSource = ANY })
define(CORE, "CSIPersistentVolumeSource", { driver = S, volumeHandle = S, fsType = S, readOnly = B, volumeAttributes = MAP,
  controllerExpandSecretRef = ANY, controllerPublishSecretRef = ANY, nodePublishSecretRef = ANY, nodeStageSecretRef = ANY },
  { "driver", "volumeHandle" })
define(CORE, "PersistentVolumeSpec", { accessModes = list(S), capacity = Q, claimRef = ANY, csi = of "CSIPersistentVolumeSource",
  hostPath = ANY,
  persistentVolumeReclaimPolicy = S, storageClassName = S, volumeMode = S, mountOptions = list(S), nodeAffinity = ANY, ["local"] = ANY,
    nfs = ANY })
define(CORE, "ServicePort", { name = S, port = I, targetPort = IS, protocol = S, nodePort = I, appProtocol = S }, { "port" })
define(CORE, "ServiceSpec", { selector = MAP, ports = list(of "ServicePort"), type = S, clusterIP = S, clusterIPs = list(S),
  sessionAffinity = S,
  externalName = S, externalIPs = list(S), publishNotReadyAddresses = B, ipFamilies = list(S), ipFamilyPolicy = S,
    externalTrafficPolicy = S,
  internalTrafficPolicy = S, loadBalancerIP = S, allocateLoadBalancerNodePorts = B })

local SPECS = {
  Pod = "PodSpec", Deployment = "DeploymentSpec", StatefulSet = "StatefulSetSpec", ReplicaSet = "ReplicaSetSpec",
  PersistentVolumeClaim = "PersistentVolumeClaimSpec", PersistentVolume = "PersistentVolumeSpec", Service = "ServiceSpec",
}

local EXTRA = {
  ConfigMap = { data = MAP, binaryData = MAP, immutable = B }, Secret = { data = MAP, stringData = MAP, type = S, immutable = B },
  StorageClass = { provisioner = S, parameters = MAP, reclaimPolicy = S, volumeBindingMode = S, allowVolumeExpansion = B,
    mountOptions = list(S),
    allowedTopologies = list(ANY) },
}

local TOP = {}
for _, entry in ipairs(kinds.list) do
  local fields = { apiVersion = S, kind = S, metadata = of "ObjectMeta", status = ANY }
  if SPECS[entry.kind] then fields.spec = of(SPECS[entry.kind]) elseif not EXTRA[entry.kind] then fields.spec = ANY end
  for name, kind in pairs(EXTRA[entry.kind] or {}) do fields[name] = kind end
  local group = entry.group == "" and "core" or entry.group:match "^[^.]+"
  TOP[entry.kind] = {
    full = ("io.k8s.api.%s.%s.%s"):format(group, entry.version, entry.kind), fields = fields,
    required = entry.kind == "StorageClass" and { "provisioner" } or {},
  }
end

local function name_of_type(value)
  if type(value) == "string" then return "string" end
  if type(value) == "boolean" then return "boolean" end
  if math.type(value) == "integer" then return "integer" end
  if type(value) == "number" then return "number" end
  if json.is_array(value) then return "array" end
  return "map"
end

local walk

local function check_value(found, path, owner, field, kind, value)
  if value == json.null or kind == ANY then return end
  local got = name_of_type(value)
  local expected = kind
  if type(kind) == "table" then
    expected = kind.list and "array" or "map"
  elseif kind == MAP or kind == Q then
    expected = "map"
  elseif kind == IS then
    if got ~= "string" and got ~= "integer" then expected = "string" else return end
  end
  if got ~= expected then
    found[#found + 1] = ('ValidationError(%s.%s): invalid type for %s.%s: got "%s", expected "%s"'):format(path, field, owner, field, got,
      expected)
  elseif type(kind) == "table" and kind.of then
    walk(found, path .. "." .. field, T[kind.of], value)
  elseif type(kind) == "table" then
    for i, item in ipairs(value) do
      local at = ("%s[%d]"):format(field, i - 1)
      if type(kind.list) == "table" then
        if name_of_type(item) ~= "map" then
          check_value(found, path, owner, at, kind.list, item)
        else
          walk(found, path .. "." .. at, T[kind.list.of], item)
        end
      else
        check_value(found, path, owner, at, kind.list, item)
      end
    end
  elseif kind == MAP then
    for _, key in ipairs(objects.sorted_keys(value)) do
      local item = value[key]
      if type(item) ~= "string" and item ~= json.null then
        found[#found + 1] = ('ValidationError(%s.%s.%s): invalid type for %s.%s: got "%s", expected "string"'):format(path, field, key,
          owner,
          field, name_of_type(item))
      end
    end
  end
end

function walk(found, path, kind, value)
  for _, field in ipairs(objects.sorted_keys(value)) do
    local expected = kind.fields[field]
    if not expected then
      found[#found + 1] = ('ValidationError(%s): unknown field "%s" in %s'):format(path, field, kind.full)
    else
      check_value(found, path, kind.full, field, expected, value[field])
    end
  end
  for _, field in ipairs(kind.required) do
    if value[field] == nil or value[field] == json.null then
      found[#found + 1] = ('ValidationError(%s): missing required field "%s" in %s'):format(path, field, kind.full)
    end
  end
end

-- What is wrong with a manifest, in one text, or nil.
function schema.problem(manifest)
  local found = {}
  if manifest.apiVersion == nil then found[1] = "apiVersion not set" end
  if manifest.kind == nil then found[#found + 1] = "kind not set" end
  if #found == 0 and TOP[manifest.kind] then walk(found, manifest.kind, TOP[manifest.kind], manifest) end
  if #found == 0 then return nil end
  return #found == 1 and found[1] or "[" .. table.concat(found, ", ") .. "]"
end

return schema
