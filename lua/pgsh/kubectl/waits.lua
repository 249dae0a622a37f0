-- Waits: each looks, says what it sees, and what is in the way; it is also what the time-out says.
local client = require "pgsh.kubectl.client"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local pods = require "pgsh.kubectl.pods"
local unknown = require "pgsh.unknown"
local wait = require "pgsh.wait"

local waits = {}

local DEFAULT = "5m"

-- With what is in the way behind it, where something is.
local function with_trouble(self, text, object)
  local ok, why = pcall(pods.trouble_of, self, object)
  return ok and why ~= "" and ("%s; %s"):format(text, why) or text
end

local function upto(options, what, f)
  return wait.upto(options.timeout or DEFAULT, what, f, { every = options.every })
end

local WAIT_OPTIONS = { timeout = true, every = true }

-- ---- rollouts ----

-- nil: it is complete; else what is missing, and whether it will never be.
local function deployment(object)
  local status, wanted = object.status or {}, object.spec.replicas or 1
  local progress = pods.condition(object, "Progressing")
  if progress and progress.reason == "ProgressDeadlineExceeded" then return progress.message or "its progress deadline has passed", true end
  local updated, all, available = status.updatedReplicas or 0, status.replicas or 0, status.availableReplicas or 0
  if updated < wanted then return ("%d of %d pods are as they are to be"):format(updated, wanted) end
  if all > updated then return ("%d old pods are still there"):format(all - updated) end
  if available < updated then return ("%d of %d pods are available"):format(available, updated) end
end

local function stateful_set(object)
  local status, wanted = object.status or {}, object.spec.replicas or 1
  local ready, updated = status.readyReplicas or 0, status.updatedReplicas or 0
  if status.updateRevision and status.currentRevision ~= status.updateRevision and updated < wanted then
    return ("%d of %d pods are as they are to be"):format(updated, wanted)
  end
  if ready < wanted then return ("%d of %d pods are ready"):format(ready, wanted) end
  if (status.replicas or 0) > wanted then return ("%d pods are too many"):format(status.replicas - wanted) end
end

local function daemon_set(object)
  local status = object.status or {}
  local wanted, updated, available = status.desiredNumberScheduled or 0, status.updatedNumberScheduled or 0, status.numberAvailable or 0
  if updated < wanted then return ("%d of %d pods are as they are to be"):format(updated, wanted) end
  if available < wanted then return ("%d of %d pods are available"):format(available, wanted) end
end

local ROLLOUTS = { Deployment = deployment, StatefulSet = stateful_set, DaemonSet = daemon_set }

local function missing(object)
  local status = object.status or {}
  if (status.observedGeneration or 0) < (object.metadata.generation or 0) then return "the cluster has not seen the change yet" end
  local look = ROLLOUTS[object.kind]
  if not look then errors.usage("wait_rollout: a deployment, stateful set or daemon set expected, not a %s", tostring(object.kind)) end
  return look(object)
end

-- The object, or an error: a name that is wrong does not come true by waiting.
local function need(self, name)
  local object = self:get(name)
  if object or unknown.is(object) then return object end
  error(host.error("kubectl", { message = name .. " does not exist", target = tostring(self), reason = "NotFound" }), 0)
end

function waits.wait_rollout(self, name, options)
  options = client.check_options("k:wait_rollout", options, WAIT_OPTIONS)
  client.check_name("k:wait_rollout", name)
  return upto(options, "the rollout of " .. tostring(name), function()
    local object = need(self, name)
    if unknown.is(object) then return object end
    local what, never = missing(object)
    if not what then return true end
    what = with_trouble(self, what, object)
    if never then
      error(host.error("kubectl", { message = ("the rollout of %s has failed: %s"):format(name, what), target = tostring(self) }), 0)
    end
    return false, what
  end)
end

-- ---- gone ----

local function names_of(list)
  local names = {}
  for i, object in ipairs(list) do names[i] = object.metadata.name end
  return table.concat(names, ", ")
end

local function list_gone(self, list, what)
  if #list == 0 then return true end
  return false, with_trouble(self, ("%d %s: %s"):format(#list, #list == 1 and "is still there" or "are still there", names_of(list)),
    list[1]), what
end

function waits.wait_gone(self, name, options)
  options = client.check_options("k:wait_gone", options, { timeout = true, every = true, uid = true })
  if type(name) == "table" and not unknown.is(name) then
    client.check_options("k:wait_gone", name, { kind = true, selector = true })
    if type(name.selector) ~= "string" then errors.usage "k:wait_gone: { kind =, selector = } expected" end
    local kind = name.kind or "pods"
    return upto(options, ("the %s with %s to be gone"):format(kind, name.selector), function()
      return list_gone(self, self:list(kind, { selector = name.selector }))
    end)
  end
  local workload = type(name) == "string" and name:match "^pods of (.+)$"
  client.check_name("k:wait_gone", workload or name)
  return upto(options, ("%s to be gone"):format(tostring(name)), function()
    if workload then return list_gone(self, self:pods(workload)) end
    local object = self:get(name)
    if unknown.is(object) then return object end
    if not object or (options.uid and object.metadata.uid ~= options.uid) then return true end
    local text = object.metadata.deletionTimestamp and "it is on its way out" or "it is there, and nobody deletes it"
    return false, with_trouble(self, text, object)
  end)
end

-- ---- claims and pods ----

function waits.wait_bound(self, name, options)
  options = client.check_options("k:wait_bound", options, WAIT_OPTIONS)
  client.check_name("k:wait_bound", name)
  return upto(options, tostring(name) .. " to be bound", function()
    local object = need(self, name)
    if unknown.is(object) then return object end
    local phase = object.status and object.status.phase
    if phase == "Bound" and not object.metadata.deletionTimestamp then return object end
    if phase == "Lost" then error(host.error("kubectl", { message = name .. " has lost its volume", target = tostring(self) }), 0) end
    return false, with_trouble(self, "it is " .. tostring(phase or "not seen yet"), object)
  end)
end

function waits.wait_ready(self, name, options)
  options = client.check_options("k:wait_ready", options, { timeout = true, every = true, ready = true })
  local ready = options.ready ~= false
  return upto(options, ("the pod of %s to %s"):format(tostring(name), ready and "be ready" or "run"), function()
    local pod, why = self:pod(name, { ready = ready })
    if pod then return pod end
    return false, why
  end)
end

return waits
