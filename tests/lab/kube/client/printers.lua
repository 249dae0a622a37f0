-- The tables of kubectl get, and its other outputs.
local fail = require "kube.client.fail"
local json = require "core.json"
local jsonpath = require "kube.client.jsonpath"
local objects = require "kube.objects"
local yamlout = require "kube.client.yamlout"

local printers = {}

-- A duration as in the column AGE.
function printers.age(time)
  local from = objects.parse_time(time)
  if not from then return "<unknown>" end
  local s = math.max(0, os.time() - math.tointeger(from))
  if s < 120 then return s .. "s" end
  if s < 600 then return s % 60 == 0 and ("%dm"):format(s // 60) or ("%dm%ds"):format(s // 60, s % 60) end
  if s < 3 * 3600 then return s // 60 .. "m" end
  if s < 8 * 3600 then return s % 3600 // 60 == 0 and s // 3600 .. "h" or ("%dh%dm"):format(s // 3600, s % 3600 // 60) end
  if s < 48 * 3600 then return s // 3600 .. "h" end
  return s // 86400 .. "d"
end

local function modes(list)
  local short = { ReadWriteOnce = "RWO", ReadOnlyMany = "ROX", ReadWriteMany = "RWX", ReadWriteOncePod = "RWOP" }
  local out = {}
  for i, mode in ipairs(list or {}) do out[i] = short[mode] or mode end
  return table.concat(out, ",")
end
printers.modes = modes

-- The column STATUS of a pod.
function printers.pod_status(pod)
  local status = pod.status.reason or pod.status.phase or "Unknown"
  for _, container in ipairs(pod.status.containerStatuses or {}) do
    local waiting, terminated = objects.at(container, "state", "waiting", "reason"), objects.at(container, "state", "terminated")
    if waiting then
      status = waiting
    elseif terminated then
      status = terminated.reason or "ExitCode:" .. terminated.exitCode
    end
  end
  if pod.status.reason == "Evicted" then status = "Evicted" end
  if pod.metadata.deletionTimestamp then status = "Terminating" end
  return status
end

local function containers(spec)
  local names, images = {}, {}
  for i, container in ipairs(spec.containers or {}) do names[i], images[i] = container.name, container.image end
  return table.concat(names, ","), table.concat(images, ",")
end

local function selector_text(selector)
  local out = {}
  local labels = objects.at(selector, "matchLabels") or selector or {}
  for _, key in ipairs(objects.sorted_keys(labels)) do out[#out + 1] = key .. "=" .. tostring(labels[key]) end
  return #out > 0 and table.concat(out, ",") or "<none>"
end
printers.selector_text = selector_text

local COLUMNS = {
  Pod = { { "READY", function(o)
    local ready, all = 0, #(o.spec.containers or {})
    for _, container in ipairs(o.status.containerStatuses or {}) do if container.ready then ready = ready + 1 end end
    return ready .. "/" .. all
  end }, { "STATUS", printers.pod_status }, { "RESTARTS", function(o)
    local n = 0
    for _, container in ipairs(o.status.containerStatuses or {}) do n = n + container.restartCount end
    return n
  end }, "AGE", { "IP", function(o) return o.status.podIP or "<none>" end, wide = true },
    { "NODE", function(o) return o.spec.nodeName or "<none>" end, wide = true },
    { "NOMINATED NODE", function() return "<none>" end, wide = true }, { "READINESS GATES", function() return "<none>" end, wide = true } },
  Deployment = { { "READY", function(o) return (o.status.readyReplicas or 0) .. "/" .. o.spec.replicas end },
    { "UP-TO-DATE", function(o) return o.status.updatedReplicas or 0 end }, { "AVAILABLE", function(o) return o.status.availableReplicas
      or 0 end }, "AGE",
    { "CONTAINERS", function(o) return (containers(o.spec.template.spec)) end, wide = true },
    { "IMAGES", function(o) return select(2, containers(o.spec.template.spec)) end, wide = true },
    { "SELECTOR", function(o) return selector_text(o.spec.selector) end, wide = true } },
  ReplicaSet = { { "DESIRED", function(o) return o.spec.replicas end }, { "CURRENT", function(o) return o.status.replicas or 0 end },
    { "READY", function(o) return o.status.readyReplicas or 0 end }, "AGE" },
  StatefulSet = { { "READY", function(o) return (o.status.readyReplicas or 0) .. "/" .. o.spec.replicas end }, "AGE" },
  PersistentVolumeClaim = { { "STATUS", function(o) return o.metadata.deletionTimestamp and "Terminating" or o.status.phase end },
    { "VOLUME", function(o) return o.spec.volumeName or "" end }, { "CAPACITY", function(o) return objects.at(o, "status", "capacity",
      "storage") or "" end },
    { "ACCESS MODES", function(o) return o.spec.volumeName and modes(o.status.accessModes) or "" end },
    { "STORAGECLASS", function(o) return o.spec.storageClassName or "" end }, "AGE", { "VOLUMEMODE",
      function(o) return o.spec.volumeMode end, wide = true } },
  PersistentVolume = { { "CAPACITY", function(o) return objects.at(o, "spec", "capacity", "storage") or "" end },
    { "ACCESS MODES", function(o) return modes(o.spec.accessModes) end }, { "RECLAIM POLICY",
      function(o) return o.spec.persistentVolumeReclaimPolicy end },
    { "STATUS", function(o) return o.metadata.deletionTimestamp and "Terminating" or o.status.phase end }, { "CLAIM", function(o)
      local ref = objects.at(o, "spec", "claimRef")
      return ref and ref.namespace .. "/" .. ref.name or ""
    end }, { "STORAGECLASS", function(o) return o.spec.storageClassName or "" end }, { "REASON", function() return "" end }, "AGE",
    { "VOLUMEMODE", function(o) return o.spec.volumeMode end, wide = true } },
  StorageClass = { { "PROVISIONER", function(o) return o.provisioner end }, { "RECLAIMPOLICY", function(o) return o.reclaimPolicy end },
    { "VOLUMEBINDINGMODE", function(o) return o.volumeBindingMode end },
    { "ALLOWVOLUMEEXPANSION", function(o) return tostring(o.allowVolumeExpansion or false) end }, "AGE" },
  Service = { { "TYPE", function(o) return o.spec.type end }, { "CLUSTER-IP", function(o) return o.spec.clusterIP end },
    { "EXTERNAL-IP", function() return "<none>" end }, { "PORT(S)", function(o)
      local out = {}
      for i, port in ipairs(o.spec.ports or {}) do out[i] = port.port .. "/" .. port.protocol end
      return table.concat(out, ",")
    end }, "AGE", { "SELECTOR", function(o) return selector_text(o.spec.selector) end, wide = true } },
  ConfigMap = { { "DATA", function(o) return #objects.sorted_keys(o.data) end }, "AGE" },
  Secret = { { "TYPE", function(o) return o.type end }, { "DATA", function(o) return #objects.sorted_keys(o.data) end }, "AGE" },
  Namespace = { { "STATUS", function(o) return o.status.phase end }, "AGE" },
  Node = { { "STATUS", function(o)
    return objects.at(o, "status", "conditions", 1, "status") == "True" and "Ready" or "NotReady"
  end }, { "ROLES", function() return "<none>" end }, "AGE", { "VERSION", function(o) return objects.at(o, "status", "nodeInfo",
    "kubeletVersion") end } },
}

local function cells_of(kind, object, wide)
  local row = {}
  for _, column in ipairs(COLUMNS[kind.kind]) do
    if column == "AGE" then
      row[#row + 1] = printers.age(object.metadata.creationTimestamp)
    elseif not column.wide or wide then
      row[#row + 1] = tostring(column[2](object))
    end
  end
  return row
end

local function header_of(kind, wide)
  local row = {}
  for _, column in ipairs(COLUMNS[kind.kind]) do
    if column == "AGE" then row[#row + 1] = "AGE" elseif not column.wide or wide then row[#row + 1] = column[1] end
  end
  return row
end

-- Three blanks between columns, none after the last.
function printers.table(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(rows) do
    local out = {}
    for i, cell in ipairs(row) do
      out[i] = i < #row and cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell) + 3) or cell
    end
    io.stdout:write(table.concat(out), "\n")
  end
end

local function event_rows(found, all)
  local rows = {}
  for _, one in ipairs(found) do
    local event = one.object
    local row = { printers.age(event.lastTimestamp), event.type, event.reason, ("%s/%s"):format(event.involvedObject.kind:lower(),
      event.involvedObject.name), event.message }
    if all then table.insert(row, 1, event.metadata.namespace) end
    rows[#rows + 1] = row
  end
  return rows
end

-- found: { { kind, object } }. options: wide, headers, all (namespaces), prefix (names with their type), labels.
function printers.tables(found, options)
  local groups, order = {}, {}
  for _, one in ipairs(found) do
    if not groups[one.kind.kind] then
      groups[one.kind.kind] = {}
      order[#order + 1] = one.kind
    end
    table.insert(groups[one.kind.kind], one)
  end
  for i, kind in ipairs(order) do
    if i > 1 then io.stdout:write "\n" end
    local rows
    if kind.kind == "Event" then
      rows = event_rows(groups.Event, options.all)
      if options.headers then
        table.insert(rows, 1, { "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE" })
        if options.all then table.insert(rows[1], 1, "NAMESPACE") end
      end
    else
      rows = {}
      if options.headers then
        rows[1] = header_of(kind, options.wide)
        table.insert(rows[1], 1, "NAME")
        if options.all and kind.namespaced then table.insert(rows[1], 1, "NAMESPACE") end
        if options.labels then table.insert(rows[1], "LABELS") end
      end
      for _, one in ipairs(groups[kind.kind]) do
        local row = cells_of(kind, one.object, options.wide)
        table.insert(row, 1, (options.prefix and kind.prefix .. "/" or "") .. one.object.metadata.name)
        if options.all and kind.namespaced then table.insert(row, 1, one.object.metadata.namespace) end
        if options.labels then row[#row + 1] = selector_text(one.object.metadata.labels) end
        rows[#rows + 1] = row
      end
    end
    printers.table(rows)
  end
end

local function pretty(value, indent)
  if json.is_array(value) then
    if #value == 0 then return "[]" end
    local out = {}
    for i, item in ipairs(value) do out[i] = indent .. "    " .. pretty(item, indent .. "    ") end
    return "[\n" .. table.concat(out, ",\n") .. "\n" .. indent .. "]"
  elseif json.is_object(value) then
    local keys = objects.sorted_keys(value)
    if #keys == 0 then return "{}" end
    for i, key in ipairs(keys) do keys[i] = ("%s    %s: %s"):format(indent, json.encode(key), pretty(value[key], indent .. "    ")) end
    return "{\n" .. table.concat(keys, ",\n") .. "\n" .. indent .. "}"
  end
  return json.encode(value)
end
printers.pretty = pretty

-- A list of objects as kubectl prints several at once.
function printers.list(found)
  local items = json.array()
  for i, one in ipairs(found) do items[i] = one.object end
  return { apiVersion = "v1", items = items, kind = "List", metadata = { resourceVersion = "" } }
end

-- A printer of objects by the value of -o: function(object). Templates are checked at once. nil for tables.
function printers.of(format)
  if format == "json" then return function(object) io.stdout:write(pretty(object, ""), "\n") end end
  if format == "yaml" then return function(object) io.stdout:write(yamlout.text(object)) end end
  local template = format:match "^jsonpath=(.*)$"
  local file = format:match "^jsonpath%-file=(.*)$"
  if file then
    local handle = io.open(file) or fail.raise(("error reading template %s"):format(file))
    template = handle:read "a"
    handle:close()
  end
  if template then
    local render = jsonpath.compile(template)
    return function(object) io.stdout:write(render(object)) end
  end
  return nil
end

-- custom-columns=NAME:.metadata.name,…
function printers.custom(format)
  local spec = format:match "^custom%-columns=(.*)$"
  if not spec then return nil end
  local columns = {}
  for part in spec:gmatch "[^,]+" do
    local name, path = part:match "^([^:]+):(.+)$"
    if not name then fail.raise(("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>"):format(part)) end
    columns[#columns + 1] = { name = name, render = jsonpath.compile("{" .. path .. "}") }
  end
  return function(found, headers)
    local rows = {}
    if headers then
      rows[1] = {}
      for i, column in ipairs(columns) do rows[1][i] = column.name end
    end
    for _, one in ipairs(found) do
      local row = {}
      for i, column in ipairs(columns) do
        local text = column.render(one.object)
        row[i] = text == "" and "<none>" or text
      end
      rows[#rows + 1] = row
    end
    printers.table(rows)
  end
end

return printers
