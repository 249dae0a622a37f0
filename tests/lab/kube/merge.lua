-- Strategic merges: the three-way one of apply, and patches. Lists of things with a name are merged by it, others replaced.
local json = require "core.json"
local objects = require "kube.objects"

local merge = {}

local KEYS = {
  containers = "name", initContainers = "name", env = "name", volumes = "name", volumeMounts = "mountPath", imagePullSecrets = "name",
  conditions = "type", hostAliases = "ip",
}

local function key_of(field, items)
  if field == "ports" then return items[1] and (items[1].containerPort and "containerPort" or items[1].port and "port") or nil end
  return KEYS[field]
end

local function find(items, key, value)
  for i, item in ipairs(items or {}) do
    if type(item) == "table" and item[key] == value then return item, i end
  end
  return nil
end

local merge_map

local function merge_list(field, before, wanted, live)
  local key = key_of(field, wanted) or key_of(field, live)
  if not key then return objects.copy(wanted) end
  local out = json.array()
  for _, item in ipairs(wanted) do
    local there = find(live, key, item[key])
    out[#out + 1] = there and merge_map(find(before, key, item[key]) or {}, item, there) or objects.copy(item)
  end
  for _, item in ipairs(live) do
    if not find(wanted, key, item[key]) and not find(before, key, item[key]) then out[#out + 1] = objects.copy(item) end
  end
  return out
end

-- before: what was applied last; wanted: what is applied now; live: what is there.
function merge_map(before, wanted, live)
  local out = objects.copy(live)
  for key in pairs(before) do
    if wanted[key] == nil then out[key] = nil end
  end
  for key, value in pairs(wanted) do
    local there = live[key]
    if value == json.null then
      out[key] = nil
    elseif json.is_array(value) and json.is_array(there) then
      out[key] = merge_list(key, json.is_array(before[key]) and before[key] or {}, value, there)
    elseif json.is_object(value) and json.is_object(there) then
      out[key] = merge_map(json.is_object(before[key]) and before[key] or {}, value, there)
    else
      out[key] = objects.copy(value)
    end
  end
  return out
end

merge.three_way = merge_map

-- kubectl patch: strategic (default) or merge (RFC 7386).
function merge.patch(live, patch, kind)
  if kind == "merge" then
    if not json.is_object(patch) then return objects.copy(patch) end
    local out = json.is_object(live) and objects.copy(live) or {}
    for key, value in pairs(patch) do
      if value == json.null then out[key] = nil else out[key] = merge.patch(out[key], value, kind) end
    end
    return out
  end
  return merge_map({}, patch, live)
end

return merge
