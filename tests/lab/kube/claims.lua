-- The controller of claims and volumes: binding, provisioning by the CSI driver, protection by finalizers, reclaiming.
local disks = require "kube.disks"
local json = require "core.json"
local objects = require "kube.objects"

local claims = {}

claims.DRIVER = "linodebs.csi.linode.com"
local MIN_GIB = 10

local function key_of(claim) return claim.metadata.namespace .. "/" .. claim.metadata.name end

local function claim_of(cluster, volume)
  local ref = objects.at(volume, "spec", "claimRef")
  if not ref then return nil end
  local claim = cluster.store:get("PersistentVolumeClaim", ref.namespace, ref.name)
  if claim and (not ref.uid or ref.uid == claim.metadata.uid) then return claim end
  return nil
end

local function bind(cluster, claim, volume)
  volume.spec.claimRef = {
    apiVersion = "v1", kind = "PersistentVolumeClaim", name = claim.metadata.name, namespace = claim.metadata.namespace,
    resourceVersion = claim.metadata.resourceVersion, uid = claim.metadata.uid,
  }
  volume.metadata.annotations = volume.metadata.annotations or {}
  volume.metadata.annotations["pv.kubernetes.io/bound-by-controller"] = "yes"
  volume.status = { phase = "Bound" }
  cluster.store:touch(volume)
  claim.metadata.annotations = claim.metadata.annotations or {}
  claim.metadata.annotations["pv.kubernetes.io/bind-completed"] = "yes"
  claim.metadata.annotations["pv.kubernetes.io/bound-by-controller"] = "yes"
  claim.spec.volumeName = volume.metadata.name
  claim.status = { phase = "Bound", accessModes = objects.copy(claim.spec.accessModes), capacity = objects.copy(volume.spec.capacity) }
  cluster.store:touch(claim)
end

local function fits(claim, volume)
  if volume.status.phase ~= "Available" or volume.metadata.deletionTimestamp then return false end
  if (volume.spec.storageClassName or "") ~= (claim.spec.storageClassName or "") then return false end
  local ref = objects.at(volume, "spec", "claimRef")
  if ref and (ref.name ~= claim.metadata.name or ref.namespace ~= claim.metadata.namespace) then return false end
  return objects.quantity(volume.spec.capacity.storage) >= objects.quantity(claim.spec.resources.requests.storage)
end

local function gib(text) return math.max(MIN_GIB, math.ceil(objects.quantity(text) / (1 << 30))) end

-- Makes a disk and a PersistentVolume for a claim. In a coroutine of its own.
function claims.provision(cluster, claim, from)
  local class = cluster.store:get("StorageClass", nil, claim.spec.storageClassName)
  local size = gib(claim.spec.resources.requests.storage)
  local name = "pvc" .. claim.metadata.uid:gsub("-", ""):sub(1, 16)
  local disk = disks.create(cluster.dir, name, size, from)
  if cluster.store:get("PersistentVolumeClaim", claim.metadata.namespace, claim.metadata.name) ~= claim then
    return disks.remove(cluster.dir, disk.id)
  end
  local volume = cluster.store:insert {
    apiVersion = "v1", kind = "PersistentVolume",
    metadata = {
      name = name, annotations = { ["pv.kubernetes.io/provisioned-by"] = class.provisioner },
      finalizers = json.array { "kubernetes.io/pv-protection" },
    },
    spec = {
      accessModes = objects.copy(claim.spec.accessModes), capacity = { storage = size .. "Gi" }, storageClassName = class.metadata.name,
      persistentVolumeReclaimPolicy = class.reclaimPolicy, volumeMode = "Filesystem",
      csi = {
        driver = class.provisioner, fsType = "ext4", volumeHandle = ("%d-%s"):format(disk.id, name),
        volumeAttributes = { ["storage.kubernetes.io/csiProvisionerIdentity"] = "1700000000000-8081-" .. class.provisioner },
      },
    },
    status = { phase = "Available" },
  }
  cluster.store:event(claim, "Normal", "ProvisioningSucceeded", "Successfully provisioned volume " .. name, claims.DRIVER .. "_lke-node-1")
  bind(cluster, claim, volume)
end

local function start_provisioning(cluster, claim)
  if cluster.provisioning[claim.metadata.uid] then return end
  cluster.provisioning[claim.metadata.uid] = true
  cluster.store:event(claim, "Normal", "ExternalProvisioning",
    ('waiting for a volume to be created, either by external provisioner "%s" or '
    .. "manually created by system administrator"):format(claims.DRIVER), "persistentvolume-controller")
  cluster:spawn("provision", function()
    cluster:pause(cluster.options.provision_ms)
    while cluster.faults:holds("slow-binding", claim.metadata.name) do cluster:pause(50) end
    if cluster.store:get("PersistentVolumeClaim", claim.metadata.namespace, claim.metadata.name) == claim then
      -- The data of a fresh lab; a claim made anew gets an empty disk.
      local seed = cluster.seeds[key_of(claim)]
      cluster.seeds[key_of(claim)] = nil
      claims.provision(cluster, claim, seed)
    end
    cluster.provisioning[claim.metadata.uid] = nil
  end)
end

local function reconcile_pending(cluster, claim)
  local store = cluster.store
  if claim.spec.volumeName then
    local volume = store:get("PersistentVolume", nil, claim.spec.volumeName)
    local ref = volume and objects.at(volume, "spec", "claimRef")
    local other = ref and ref.uid and ref.uid ~= claim.metadata.uid or ref and ref.name ~= claim.metadata.name
    if volume and not other and not volume.metadata.deletionTimestamp then bind(cluster, claim, volume) end
    return
  end
  if cluster.faults:holds("slow-binding", claim.metadata.name) then return end
  for _, volume in ipairs(store:list "PersistentVolume") do
    if fits(claim, volume) then return bind(cluster, claim, volume) end
  end
  local class = store:get("StorageClass", nil, claim.spec.storageClassName or "")
  if class then
    start_provisioning(cluster, claim)
  elseif (claim.spec.storageClassName or "") ~= "" then
    if not cluster.warned[claim.metadata.uid] then
      store:event(claim, "Warning", "ProvisioningFailed",
        ('storageclass.storage.k8s.io "%s" not found'):format(claim.spec.storageClassName),
        "persistentvolume-controller")
    end
    cluster.warned[claim.metadata.uid] = true
  end
end

-- Whether a pod that has not ended names the claim.
local function in_use(cluster, claim)
  for _, pod in ipairs(cluster.store:list("Pod", claim.metadata.namespace)) do
    if pod.status.phase ~= "Succeeded" and pod.status.phase ~= "Failed" and pod.spec.nodeName then
      for _, volume in ipairs(pod.spec.volumes or {}) do
        if objects.at(volume, "persistentVolumeClaim", "claimName") == claim.metadata.name then return true end
      end
    end
  end
  return false
end

local function reconcile_claim(cluster, claim)
  if claim.metadata.deletionTimestamp then
    if not in_use(cluster, claim) and not cluster.faults:holds("stuck-finalizer", claim.metadata.name) then cluster.store:remove(claim) end
  elseif claim.status.phase == "Pending" then
    reconcile_pending(cluster, claim)
  elseif claim.status.phase == "Bound" and not cluster.store:get("PersistentVolume", nil, claim.spec.volumeName) then
    claim.status.phase = "Lost"
    cluster.store:touch(claim)
  end
end

local function reclaim(cluster, volume)
  local id = disks.id_of(objects.at(volume, "spec", "csi", "volumeHandle"))
  local ours = objects.at(volume, "spec", "csi", "driver") == claims.DRIVER
  cluster.store:remove(volume)
  if id and ours then disks.remove(cluster.dir, id) end
end

local function reconcile_volume(cluster, volume)
  local store, claim = cluster.store, claim_of(cluster, volume)
  local phase = volume.status.phase
  local stays = cluster.faults:holds("stuck-finalizer", volume.metadata.name)
  local ref = objects.at(volume, "spec", "claimRef")
  if volume.metadata.deletionTimestamp and not claim and not stays then
    if volume.spec.persistentVolumeReclaimPolicy == "Delete" and ref then return reclaim(cluster, volume) end
    return store:remove(volume)
  elseif phase == "Bound" and not claim then
    volume.status = { phase = "Released" }
    store:touch(volume)
  elseif phase == "Released" and volume.spec.persistentVolumeReclaimPolicy == "Delete" and not stays then
    reclaim(cluster, volume)
  elseif phase == "Pending" or phase == "Released" and not ref then
    volume.status = { phase = "Available" }
    store:touch(volume)
  end
end

function claims.reconcile(cluster)
  for _, volume in ipairs(cluster.store:list "PersistentVolume") do reconcile_volume(cluster, volume) end
  for _, claim in ipairs(cluster.store:list "PersistentVolumeClaim") do reconcile_claim(cluster, claim) end
  for _, volume in ipairs(cluster.store:list "PersistentVolume") do reconcile_volume(cluster, volume) end
end

-- What a pod needs to be scheduled: nil, or why it is not.
function claims.missing(cluster, pod)
  for _, volume in ipairs(pod.spec.volumes or {}) do
    local name = objects.at(volume, "persistentVolumeClaim", "claimName")
    local claim = name and cluster.store:get("PersistentVolumeClaim", pod.metadata.namespace, name)
    if name and not claim then
      return ('0/1 nodes are available: 1 persistentvolumeclaim "%s" not found.'):format(name)
    elseif claim and claim.metadata.deletionTimestamp then
      return ('0/1 nodes are available: 1 persistentvolumeclaim "%s" is being deleted.'):format(name)
    elseif claim and claim.status.phase ~= "Bound" then
      return "0/1 nodes are available: 1 pod has unbound immediate PersistentVolumeClaims."
    end
  end
  return nil
end

-- The directory behind a volume of a pod, and the id of its disk where it has one.
function claims.directory(cluster, pod, volume)
  local name = objects.at(volume, "persistentVolumeClaim", "claimName")
  if not name then return nil end
  local claim = cluster.store:get("PersistentVolumeClaim", pod.metadata.namespace, name)
  local pv = claim and cluster.store:get("PersistentVolume", nil, claim.spec.volumeName or "")
  if not pv then return nil end
  local id = disks.id_of(objects.at(pv, "spec", "csi", "volumeHandle"))
  if id then return disks.path(cluster.dir, id) .. "/data", id end
  return ("%s/hostpath/%s"):format(cluster.dir, pv.metadata.name), nil
end

claims.key_of = key_of

return claims
