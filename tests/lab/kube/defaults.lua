-- The fields that the API server fills in.
local json = require "core.json"

local defaults = {}

local function set(map, fields)
  for key, value in pairs(fields) do
    if map[key] == nil or map[key] == json.null then map[key] = value end
  end
end

local function probe(given)
  if not given then return end
  set(given, { failureThreshold = 3, periodSeconds = 10, successThreshold = 1, timeoutSeconds = 1 })
  if given.httpGet then set(given.httpGet, { path = "/", scheme = "HTTP" }) end
end

local function container(given)
  local tag = (given.image or ""):match ":([^/:]+)$"
  set(given, {
    resources = {}, terminationMessagePath = "/dev/termination-log", terminationMessagePolicy = "File",
    imagePullPolicy = (not tag or tag == "latest") and "Always" or "IfNotPresent",
  })
  for _, port in ipairs(given.ports or {}) do set(port, { protocol = "TCP" }) end
  probe(given.livenessProbe)
  probe(given.readinessProbe)
  probe(given.startupProbe)
end

local function pod(spec)
  set(spec, { dnsPolicy = "ClusterFirst", restartPolicy = "Always", schedulerName = "default-scheduler", securityContext = {},
    terminationGracePeriodSeconds = 30 })
  for _, given in ipairs(spec.containers or {}) do container(given) end
  for _, given in ipairs(spec.initContainers or {}) do container(given) end
  for _, volume in ipairs(spec.volumes or {}) do
    if volume.secret then set(volume.secret, { defaultMode = 420 }) end
    if volume.configMap then set(volume.configMap, { defaultMode = 420 }) end
  end
end

local function template(given)
  given.metadata = given.metadata or {}
  if given.metadata.creationTimestamp == nil then given.metadata.creationTimestamp = json.null end
  pod(given.spec)
end

local of = {}

function of.Pod(object) pod(object.spec) end

function of.Deployment(object)
  local spec = object.spec
  set(spec, { replicas = 1, revisionHistoryLimit = 10, progressDeadlineSeconds = 600, strategy = {} })
  set(spec.strategy, { type = "RollingUpdate" })
  if spec.strategy.type == "RollingUpdate" then
    set(spec.strategy, { rollingUpdate = {} })
    set(spec.strategy.rollingUpdate, { maxSurge = "25%", maxUnavailable = "25%" })
  end
  template(spec.template)
end

function of.StatefulSet(object)
  local spec = object.spec
  set(spec, { replicas = 1, revisionHistoryLimit = 10, podManagementPolicy = "OrderedReady", updateStrategy = {} })
  set(spec.updateStrategy, { type = "RollingUpdate" })
  if spec.updateStrategy.type == "RollingUpdate" then set(spec.updateStrategy, { rollingUpdate = { partition = 0 } }) end
  template(spec.template)
end

function of.ReplicaSet(object)
  set(object.spec, { replicas = 1 })
  if object.spec.template then template(object.spec.template) end
end

-- cluster: gives the default storage class.
function of.PersistentVolumeClaim(object, cluster)
  set(object.spec, { volumeMode = "Filesystem" })
  if object.spec.storageClassName == nil then object.spec.storageClassName = cluster.default_class end
  object.status = object.status or { phase = "Pending" }
end

function of.PersistentVolume(object)
  set(object.spec, { volumeMode = "Filesystem", persistentVolumeReclaimPolicy = "Retain" })
  object.status = object.status or { phase = "Pending" }
end

function of.Service(object, cluster)
  set(object.spec, { type = "ClusterIP", sessionAffinity = "None" })
  if not object.spec.clusterIP then
    object.spec.clusterIP = cluster:new_service_address()
    object.spec.clusterIPs = json.array { object.spec.clusterIP }
  end
  for _, port in ipairs(object.spec.ports or {}) do set(port, { protocol = "TCP", targetPort = port.port }) end
  object.status = object.status or { loadBalancer = {} }
end

function of.Secret(object)
  set(object, { type = "Opaque" })
  if object.stringData then
    object.data = object.data or {}
    local mime = require "mime"
    for key, value in pairs(object.stringData) do object.data[key] = (mime.b64(value)) end
    object.stringData = nil
  end
end

function of.StorageClass(object) set(object, { reclaimPolicy = "Delete", volumeBindingMode = "Immediate" }) end
function of.Namespace(object) object.status = object.status or { phase = "Active" } end

-- Fills in a whole object. Finalizers of claims and volumes come with admission.
function defaults.fill(object, cluster)
  local filler = of[object.kind]
  if filler then filler(object, cluster) end
end

function defaults.admit(object)
  local finalizer = object.kind == "PersistentVolumeClaim" and "kubernetes.io/pvc-protection"
    or object.kind == "PersistentVolume" and "kubernetes.io/pv-protection"
  if finalizer then object.metadata.finalizers = json.array { finalizer } end
end

return defaults
