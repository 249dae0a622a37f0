-- What the API server knows: kinds with their names, groups, short names and scope. Shared by the server and by kubectl.
local kinds = {}

local function kind(name, plural, group, namespaced, short)
  local version = "v1"
  return {
    kind = name, plural = plural, singular = name:lower(), group = group, version = version, namespaced = namespaced, short = short or {},
    api = group == "" and version or group .. "/" .. version,
    -- As in "deployments.apps" and "deployment.apps/site".
    resource = group == "" and plural or plural .. "." .. group,
    prefix = group == "" and name:lower() or name:lower() .. "." .. group,
  }
end

kinds.list = {
  kind("Pod", "pods", "", true, { "po" }),
  kind("Deployment", "deployments", "apps", true, { "deploy" }),
  kind("ReplicaSet", "replicasets", "apps", true, { "rs" }),
  kind("StatefulSet", "statefulsets", "apps", true, { "sts" }),
  kind("PersistentVolumeClaim", "persistentvolumeclaims", "", true, { "pvc" }),
  kind("PersistentVolume", "persistentvolumes", "", false, { "pv" }),
  kind("StorageClass", "storageclasses", "storage.k8s.io", false, { "sc" }),
  kind("Service", "services", "", true, { "svc" }),
  kind("ConfigMap", "configmaps", "", true, { "cm" }),
  kind("Secret", "secrets", "", true),
  kind("Event", "events", "", true, { "ev" }),
  kind("Namespace", "namespaces", "", false, { "ns" }),
  kind("Node", "nodes", "", false, { "no" }),
}

local by_word, by_kind = {}, {}
for _, entry in ipairs(kinds.list) do
  by_kind[entry.kind] = entry
  local words = { entry.plural, entry.singular, table.unpack(entry.short) }
  for _, word in ipairs(words) do
    by_word[word] = entry
    if entry.group ~= "" and (word == entry.plural or word == entry.singular) then
      by_word[word .. "." .. entry.group] = entry
      by_word[word .. "." .. entry.version .. "." .. entry.group] = entry
    end
  end
end

-- By what is typed: deploy, deployment, deployments.apps, Deployment.
function kinds.named(word) return by_word[word:lower()] end
function kinds.of(name) return by_kind[name] end

-- By the two fields of a manifest.
function kinds.of_manifest(api_version, name)
  local found = by_kind[name]
  if found and found.api == api_version then return found end
  return nil
end

return kinds
