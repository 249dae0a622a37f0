-- kubectl describe, in short: what a person looks for, and the events.
local fail = require "kube.client.fail"
local objects = require "kube.objects"
local printers = require "kube.client.printers"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"

local verbs = {}

local function line(name, value, width)
  io.stdout:write((("%-" .. (width or 16) .. "s %s"):format(name .. ":", tostring(value))), "\n")
end

local function map_lines(name, map, joint, width)
  local first = true
  for _, key in ipairs(objects.sorted_keys(map)) do
    if not key:find("last%-applied") then
      io.stdout:write(("%-" .. width .. "s %s%s%s\n"):format(first and name .. ":" or "", key, joint, tostring(map[key])))
      first = false
    end
  end
  if first then line(name, "<none>", width) end
end

local function events(ctx, object)
  local list = ctx.client:must(rpc.request("list", "Event", object.metadata.namespace or "default", nil, {
    field_selector = "involvedObject.uid=" .. object.metadata.uid,
  }))
  if #list == 0 then
    io.stdout:write "Events:                <none>\n"
    return
  end
  io.stdout:write "Events:\n"
  local rows = { { "  Type", "Reason", "Age", "From", "Message" }, { "  ----", "------", "----", "----", "-------" } }
  for _, event in ipairs(list) do
    local age = printers.age(event.lastTimestamp)
    if event.count > 1 then age = ("%s (x%d over %s)"):format(age, event.count, printers.age(event.firstTimestamp)) end
    rows[#rows + 1] = { "  " .. event.type, event.reason, age, event.source.component, event.message }
  end
  -- Two blanks between columns here, unlike in get.
  local widths = {}
  for _, row in ipairs(rows) do for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end end
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do row[i] = row[i] .. (" "):rep(widths[i] - #row[i]) end
    io.stdout:write(table.concat(row, "  "), "\n")
  end
end

local of = {}

function of.PersistentVolume(o)
  local ref, csi = objects.at(o, "spec", "claimRef"), objects.at(o, "spec", "csi")
  line("Name", o.metadata.name)
  map_lines("Labels", o.metadata.labels, "=", 16)
  map_lines("Annotations", o.metadata.annotations, ": ", 16)
  line("Finalizers", "[" .. table.concat(o.metadata.finalizers or {}, " ") .. "]")
  line("StorageClass", o.spec.storageClassName)
  line("Status", o.metadata.deletionTimestamp and ("Terminating (lasts %s)"):format(printers.age(o.metadata.deletionTimestamp))
    or o.status.phase)
  line("Claim", ref and ref.namespace .. "/" .. ref.name or "")
  line("Reclaim Policy", o.spec.persistentVolumeReclaimPolicy)
  line("Access Modes", printers.modes(o.spec.accessModes))
  line("VolumeMode", o.spec.volumeMode)
  line("Capacity", o.spec.capacity.storage)
  line("Node Affinity", "<none>")
  line("Message", "")
  io.stdout:write "Source:\n"
  if csi then
    io.stdout:write("    Type:              CSI (a Container Storage Interface (CSI) volume source)\n", "    Driver:            ",
      csi.driver,
      "\n    FSType:            ", csi.fsType or "", "\n    VolumeHandle:      ", csi.volumeHandle, "\n    ReadOnly:          false\n")
    local attributes = csi.volumeAttributes or {}
    local keys = objects.sorted_keys(attributes)
    io.stdout:write("    VolumeAttributes:  ", keys[1] and "    " .. keys[1] .. "=" .. attributes[keys[1]] or "<none>", "\n")
  else
    io.stdout:write("    Type:          HostPath (bare host directory volume)\n    Path:          ", objects.at(o, "spec", "hostPath",
      "path") or "", "\n")
  end
end

function of.PersistentVolumeClaim(o)
  line("Name", o.metadata.name, 14)
  line("Namespace", o.metadata.namespace, 14)
  line("StorageClass", o.spec.storageClassName, 14)
  line("Status", o.metadata.deletionTimestamp and ("Terminating (lasts %s)"):format(printers.age(o.metadata.deletionTimestamp))
    or o.status.phase, 14)
  line("Volume", o.spec.volumeName or "", 14)
  map_lines("Labels", o.metadata.labels, "=", 14)
  map_lines("Annotations", o.metadata.annotations, ": ", 14)
  line("Finalizers", "[" .. table.concat(o.metadata.finalizers or {}, " ") .. "]", 14)
  line("Capacity", objects.at(o, "status", "capacity", "storage") or "", 14)
  line("Access Modes", printers.modes(objects.at(o, "status", "accessModes")), 14)
  line("VolumeMode", o.spec.volumeMode, 14)
end

function of.Pod(o)
  line("Name", o.metadata.name, 12)
  line("Namespace", o.metadata.namespace, 12)
  line("Node", (o.spec.nodeName or "<none>") .. (o.status.hostIP and "/" .. o.status.hostIP or ""), 12)
  map_lines("Labels", o.metadata.labels, "=", 12)
  line("Status", printers.pod_status(o):match "^Terminating" or o.status.phase, 12)
  line("IP", o.status.podIP or "", 12)
  io.stdout:write "Containers:\n"
  for i, container in ipairs(o.spec.containers) do
    local status = objects.at(o, "status", "containerStatuses", i) or {}
    io.stdout:write("  ", container.name, ":\n    Image:          ", container.image, "\n")
    for _, state in ipairs { "running", "waiting", "terminated" } do
      local given = objects.at(status, "state", state)
      if given then
        io.stdout:write("    State:          ", state:sub(1, 1):upper(), state:sub(2), "\n")
        if given.reason then io.stdout:write("      Reason:       ", given.reason, "\n") end
        if given.exitCode then io.stdout:write("      Exit Code:    ", given.exitCode, "\n") end
      end
    end
    io.stdout:write("    Ready:          ", status.ready and "True" or "False", "\n    Restart Count:  ", status.restartCount or 0, "\n")
  end
end

local function plain(o)
  line("Name", o.metadata.name, 24)
  if o.metadata.namespace then line("Namespace", o.metadata.namespace, 24) end
  line("CreationTimestamp", o.metadata.creationTimestamp, 24)
  map_lines("Labels", o.metadata.labels, "=", 24)
  map_lines("Annotations", o.metadata.annotations, ": ", 24)
end

function of.Deployment(o)
  plain(o)
  line("Selector", printers.selector_text(o.spec.selector), 24)
  line("Replicas", ("%d desired | %d updated | %d total | %d available | %d unavailable"):format(o.spec.replicas, o.status.updatedReplicas
    or 0,
    o.status.replicas or 0, o.status.availableReplicas or 0, o.status.unavailableReplicas or 0), 24)
  line("StrategyType", o.spec.strategy.type, 24)
  io.stdout:write "Pod Template:\n  Containers:\n"
  for _, container in ipairs(o.spec.template.spec.containers) do
    io.stdout:write("   ", container.name, ":\n    Image:  ", container.image, "\n")
  end
  io.stdout:write "Conditions:\n  Type           Status  Reason\n  ----           ------  ------\n"
  for _, condition in ipairs(o.status.conditions or {}) do
    io.stdout:write(("  %-14s %-7s %s\n"):format(condition.type, condition.status, condition.reason))
  end
end

local function run(ctx)
  if #ctx.words == 0 then
    fail.raise("You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported "
      .. "resources.")
  end
  local found, problems = resources.find(ctx.client, resources.parse(ctx.words), ctx.namespace, {
    selector = ctx.values.selector, all = ctx.values["all-namespaces"],
  })
  for i, one in ipairs(found) do
    if i > 1 then io.stdout:write "\n\n" end
    local printer = of[one.kind.kind] or plain
    printer(one.object)
    if ctx.values["show-events"] ~= false then events(ctx, one.object) end
  end
  if #found == 0 and #problems == 0 then fail.warn(("No resources found in %s namespace."):format(ctx.namespace)) end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

verbs.describe = { run = run, flags = {
  selector = { type = "string", short = "l" }, ["all-namespaces"] = { type = "bool", short = "A" }, ["show-events"] = { type = "bool" },
  ["chunk-size"] = { type = "int" },
} }

return verbs
