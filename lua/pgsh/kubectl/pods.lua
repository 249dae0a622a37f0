-- Which pods a workload has, and what is in the way of an object: what `kubectl describe` shows, in a few words.
local client = require "pgsh.kubectl.client"
local unknown = require "pgsh.unknown"

local pods = {}

local PER_OBJECT = 4 -- reasons told of one object
local EVENT_AGE_MS = 15 * 60 * 1000

local function is_pod(name)
  local kind = name:match "^(%a+)/"
  return not kind or kind == "pod" or kind == "pods" or kind == "po"
end

-- A selector of an object as kubectl takes it on its command line.
function pods.selector(object)
  local selector, words = object.spec and object.spec.selector or {}, {}
  for label, value in pairs(selector.matchLabels or {}) do words[#words + 1] = ("%s=%s"):format(label, value) end
  for _, one in ipairs(selector.matchExpressions or {}) do
    local values = table.concat(one.values or {}, ",")
    local forms = { In = "%s in (%s)", NotIn = "%s notin (%s)", Exists = "%s", DoesNotExist = "!%s" }
    words[#words + 1] = (forms[one.operator] or "%s"):format(one.key, values)
  end
  table.sort(words)
  return table.concat(words, ",")
end

-- A deployment's pods are its replica sets', which are called DEPLOYMENT-HASH, and the hash is a label of the pod.
local function owns(object, pod)
  for _, owner in ipairs(pod.metadata.ownerReferences or {}) do
    if owner.uid == object.metadata.uid then return true end
    local template = (pod.metadata.labels or {})["pod-template-hash"]
    if object.kind == "Deployment" and owner.kind == "ReplicaSet" and template
      and owner.name == ("%s-%s"):format(object.metadata.name, template) then return true end
  end
  return false
end

local function of_object(self, object)
  local selector, out = object.selects or pods.selector(object), {}
  if selector == "" then return out end
  for _, pod in ipairs(self:list("pods", { selector = selector })) do
    if owns(object, pod) then out[#out + 1] = pod end
  end
  return out
end
pods.of_object = of_object

function pods.pods(self, name)
  if is_pod(name) then
    local pod = self:get(name:find "/" and name or "pod/" .. name)
    return pod and { pod } or {}
  end
  -- What a workload selects does not change while it lives.
  local known = self.workloads[name]
  local found = known and of_object(self, known) or {}
  if #found > 0 then return found end
  local object = self:get(name)
  if unknown.is(object) or not object then return {} end
  self.workloads[name] = { kind = object.kind, metadata = { name = object.metadata.name, uid = object.metadata.uid },
    selects = pods.selector(object) }
  if known and known.metadata.uid == object.metadata.uid then return found end
  return of_object(self, object)
end

local function condition(object, kind)
  for _, one in ipairs(object.status and object.status.conditions or {}) do
    if one.type == kind then return one end
  end
end
pods.condition = condition

function pods.is_ready(pod)
  local ready = condition(pod, "Ready")
  return ready ~= nil and ready.status == "True"
end

local function runs(pod, options)
  return pod.status and pod.status.phase == "Running" and not pod.metadata.deletionTimestamp
    and not (options and options.ready and not pods.is_ready(pod))
end

-- The third result tells that there are several.
function pods.pod(self, name, options)
  client.check_options("k:pod", options, { ready = true })
  local all = pods.pods(self, name)
  local found, names = {}, {}
  for _, pod in ipairs(all) do
    if runs(pod, options) then
      found[#found + 1] = pod
      names[#names + 1] = pod.metadata.name
    end
  end
  if #found == 1 then return found[1] end
  if #found > 1 then return nil, "several run: " .. table.concat(names, ", "), true end
  local why = self:trouble(name)
  return nil, why ~= "" and why or ("none runs%s"):format(options and options.ready and " and is ready" or "")
end

-- ---- trouble ----

local function add(list, text, ...)
  if not text then return end
  if select("#", ...) > 0 then text = text:format(...) end
  text = text:gsub("%s+", " ")
  if #text > 300 then text = text:sub(1, 297):gsub("[\x80-\xff]*$", "") .. "..." end
  for _, known in ipairs(list) do
    if known == text then return end
  end
  list[#list + 1] = text
end

-- What a container that died last said.
local function last_words(self, pod, container)
  for _, previous in ipairs { true, false } do
    local ok, text = pcall(self.logs, self, pod.metadata.name, { container = container, previous = previous, tail = 3 })
    if ok and type(text) == "string" and text:find "%S" then return (text:gsub("%s+$", ""):gsub("\n", " | ")) end
  end
end

local function of_container(self, out, pod, status)
  local waiting = status.state and status.state.waiting
  local ended = status.state and status.state.terminated or status.lastState and status.lastState.terminated
  if waiting and waiting.reason and waiting.reason ~= "ContainerCreating" and waiting.reason ~= "PodInitializing" then
    add(out, "%s: %s%s", status.name, waiting.reason, waiting.message and ": " .. waiting.message or "")
  end
  if ended and (ended.exitCode or 0) ~= 0 and not status.ready then
    local said = last_words(self, pod, status.name)
    add(out, "%s ended with %d%s%s", status.name, ended.exitCode,
      ended.reason and ended.reason ~= "Error" and " (" .. ended.reason .. ")" or "",
      said and ", its last words: " .. said or "")
  end
  if status.state and status.state.running and not status.ready then add(out, "%s runs and is not ready", status.name) end
end

local function events_of(self, out, object)
  local ok, list = pcall(self.list, self, "events", { fields = "involvedObject.uid=" .. tostring(object.metadata.uid) })
  if not ok then return end
  local host = require "pgsh.host"
  local warnings = {}
  for _, event in ipairs(list) do
    local at = event.lastTimestamp or event.eventTime or event.metadata.creationTimestamp
    local ms = at and host.parse_time(at)
    if event.type == "Warning" and (not ms or host.now() - ms < EVENT_AGE_MS) then
      warnings[#warnings + 1] = { ms = ms or 0, event = event }
    end
  end
  table.sort(warnings, function(a, b) return a.ms > b.ms end)
  for i = 1, math.min(2, #warnings) do add(out, "%s: %s", warnings[i].event.reason or "?", warnings[i].event.message or "") end
end

local function of_pod(self, out, pod)
  local found = {}
  if pod.metadata.deletionTimestamp then
    add(found, "is on its way out%s", pod.metadata.finalizers and ", held by " .. table.concat(pod.metadata.finalizers, ", ") or "")
  end
  local scheduled = condition(pod, "PodScheduled")
  if scheduled and scheduled.status == "False" then add(found, "%s: %s", scheduled.reason or "not scheduled", scheduled.message or "") end
  for _, key in ipairs { "initContainerStatuses", "containerStatuses" } do
    for _, status in ipairs(pod.status and pod.status[key] or {}) do of_container(self, found, pod, status) end
  end
  if not pods.is_ready(pod) and not pod.metadata.deletionTimestamp then events_of(self, found, pod) end
  local words = {}
  for i = 1, math.min(PER_OBJECT, #found) do words[i] = found[i] end
  if #words > 0 then
    add(out, "%s", ("%s: %s"):format(pod.metadata.name, table.concat(words, "; ")))
  elseif pod.status and pod.status.phase ~= "Running" then
    add(out, "%s is %s", pod.metadata.name, tostring(pod.status.phase))
  end
end

local WORKLOADS = { Deployment = true, StatefulSet = true, ReplicaSet = true, DaemonSet = true, Job = true }

-- Conditions that say that something is wrong, in one word or the other.
local function of_conditions(out, object)
  for _, one in ipairs(object.status and object.status.conditions or {}) do
    local bad = one.status == "False" and (one.type == "Available" or one.type == "Progressing")
      or one.status == "True" and (one.type == "ReplicaFailure" or one.type == "Failed" or one.type == "FileSystemResizePending")
    if bad and one.type ~= "Available" then add(out, "%s: %s", one.reason or one.type, one.message or "") end
  end
end

local function of_any(self, out, object)
  if object.metadata.deletionTimestamp then
    add(out, "is on its way out since %s%s", object.metadata.deletionTimestamp,
      object.metadata.finalizers and ", held by " .. table.concat(object.metadata.finalizers, ", ") or "")
  end
  if object.status and object.status.phase and not WORKLOADS[object.kind] then add(out, "it is %s", object.status.phase) end
  events_of(self, out, object)
end

-- Pods that use a claim, and so keep it from going.
local function of_claim(self, out, claim)
  local users = {}
  for _, pod in ipairs(self:list "pods") do
    for _, volume in ipairs(pod.spec and pod.spec.volumes or {}) do
      local one, phase = volume.persistentVolumeClaim, pod.status and pod.status.phase
      if one and one.claimName == claim.metadata.name and phase ~= "Succeeded" and phase ~= "Failed" then
        users[#users + 1] = pod.metadata.name
      end
    end
  end
  if #users > 0 and claim.metadata.deletionTimestamp then add(out, "used by %s", table.concat(users, ", ")) end
end

---What holds these up, in one line; "" when nothing is known.
function pods.trouble_of(self, object)
  local out = {}
  if object.kind == "Pod" then
    of_pod(self, out, object)
  elseif WORKLOADS[object.kind] then
    of_conditions(out, object)
    for _, pod in ipairs(of_object(self, object)) do
      if not (runs(pod, { ready = true })) then of_pod(self, out, pod) end
    end
    if #out == 0 then events_of(self, out, object) end
  else
    of_any(self, out, object)
    if object.kind == "PersistentVolumeClaim" then of_claim(self, out, object) end
  end
  return table.concat(out, "; ", 1, math.min(#out, PER_OBJECT))
end

function pods.trouble(self, name)
  local object = self:get(name:find "/" and name or "pod/" .. name)
  if unknown.is(object) then return "" end
  if not object then return name .. " does not exist" end
  return pods.trouble_of(self, object)
end

return pods
