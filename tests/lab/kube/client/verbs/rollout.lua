-- kubectl rollout status, restart, undo, history, pause, resume.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local objects = require "kube.objects"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"
local scale = require "kube.client.verbs.scale"

local verbs = {}

local POLL_S = 0.03

local status_of = {}

-- Text and whether it is over; or nil and what went wrong.
function status_of.Deployment(object)
  local name, status, wanted = object.metadata.name, object.status, object.spec.replicas
  if object.metadata.generation > (status.observedGeneration or 0) then return "Waiting for deployment spec update to be observed...\n",
    false end
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded" then
      return nil, ('deployment "%s" exceeded its progress deadline'):format(name)
    end
  end
  local updated, total, available = status.updatedReplicas or 0, status.replicas or 0, status.availableReplicas or 0
  local head = ('Waiting for deployment "%s" rollout to finish: '):format(name)
  if updated < wanted then return ("%s%d out of %d new replicas have been updated...\n"):format(head, updated, wanted), false end
  if total > updated then return ("%s%d old replicas are pending termination...\n"):format(head, total - updated), false end
  if available < updated then return ("%s%d of %d updated replicas are available...\n"):format(head, available, updated), false end
  return ('deployment "%s" successfully rolled out\n'):format(name), true
end

function status_of.StatefulSet(object)
  local status, wanted = object.status, object.spec.replicas
  if object.metadata.generation > (status.observedGeneration or 0) then return "Waiting for statefulset spec update to be observed...\n",
    false end
  if (status.readyReplicas or 0) < wanted then
    return ("Waiting for %d pods to be ready...\n"):format(wanted - (status.readyReplicas or 0)), false
  end
  local partition = objects.at(object, "spec", "updateStrategy", "rollingUpdate", "partition")
  if partition then
    if (status.updatedReplicas or 0) < wanted - partition then
      return ("Waiting for partitioned roll out to finish: %d out of %d new pods have been updated...\n"):format(status.updatedReplicas
        or 0,
        wanted - partition), false
    end
    return ("partitioned roll out complete: %d new pods have been updated...\n"):format(status.updatedReplicas or 0), true
  end
  return ("statefulset rolling update complete %d pods at revision %s...\n"):format(status.currentReplicas or 0, status.currentRevision),
    true
end

local function watch_one(ctx, one, deadline)
  local meta, last = one.object.metadata, nil
  while true do
    local object, problem = ctx.client:try(rpc.request("get", one.kind.kind, meta.namespace, meta.name))
    if problem then
      if problem.status == 404 and last then fail.raise "object has been deleted" end
      fail.exit(1, rpc.text(problem))
    end
    if object.metadata.resourceVersion ~= last then
      last = object.metadata.resourceVersion
      local text, over = status_of[one.kind.kind](object)
      if not text then
        io.stdout:flush()
        fail.raise(over)
      end
      io.stdout:write(text)
      io.stdout:flush()
      local revision = ctx.values.revision
      if over or ctx.values.watch == false or revision and revision < 0 then return end
    end
    if deadline and cqueues.monotime() >= deadline then fail.raise "timed out waiting for the condition" end
    cqueues.sleep(POLL_S)
  end
end

local function targets(ctx)
  if #ctx.words == 0 and not ctx.values.filename and not ctx.values.selector then fail.raise "required resource not specified" end
  return scale.targets(ctx)
end

local function status(ctx)
  local found, problems = targets(ctx)
  if fail.old and #found > 1 then
    fail.raise(("rollout status is only supported on individual resources and resource collections - %d resources were "
      .. "found"):format(#found))
  end
  if #found == 0 and #problems == 0 then
    fail.warn(("No resources found in %s namespace."):format(ctx.namespace))
    return 0
  end
  local timeout = ctx.values.timeout
  local deadline = timeout and timeout > 0 and cqueues.monotime() + timeout or nil
  for _, one in ipairs(found) do
    if not status_of[one.kind.kind] then fail.raise(('no status viewer has been implemented for %s'):format(one.kind.kind)) end
    watch_one(ctx, one, deadline)
  end
  return resources.tell(problems) and 1 or 0
end

-- Each target in turn; act returns the word to print, or nil and a text.
local function each(ctx, act)
  local found, problems = targets(ctx)
  for _, one in ipairs(found) do
    local word, why = act(one, one.object.metadata)
    if word then
      io.stdout:write(resources.id(one.kind, one.object.metadata.name), " ", word, "\n")
    else
      problems[#problems + 1] = { text = why }
    end
  end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

local function restart(ctx)
  return each(ctx, function(one, meta)
    local result, problem = ctx.client:try(rpc.request("restart", one.kind.kind, meta.namespace, meta.name))
    if problem then return nil, rpc.text(problem) end
    if result.paused then
      return nil, ('error: %s "%s" can\'t restart paused deployment (run rollout resume first)'):format(one.kind.resource, meta.name)
    elseif result.again then
      return nil, ("error: failed to create patch for %s: %s"):format(meta.name, fail.old and "empty patch"
        or "if restart has already been triggered within the past second, please wait before attempting to trigger another")
    end
    return "restarted"
  end)
end

local function undo(ctx)
  return each(ctx, function(one, meta)
    local result, problem = ctx.client:try(rpc.request("undo", one.kind.kind, meta.namespace, meta.name, {
      revision = ctx.values["to-revision"], dry = ctx.values["dry-run"] ~= nil,
    }))
    if problem then return nil, rpc.text(problem) end
    if result.missing then return nil, ("error: unable to find specified revision %d in history"):format(result.missing) end
    if result.none then return nil, ("error: no rollout history found for deployment \"%s\""):format(meta.name) end
    return result.changed and "rolled back" or "skipped rollback (current template already matches revision " .. (ctx.values["to-revision"]
      or 0) .. ")"
  end)
end

local function history(ctx)
  local found, problems = targets(ctx)
  for _, one in ipairs(found) do
    local meta = one.object.metadata
    local result = ctx.client:must(rpc.request("history", one.kind.kind, meta.namespace, meta.name))
    io.stdout:write(resources.id(one.kind, meta.name), " \nREVISION  CHANGE-CAUSE\n")
    for _, revision in ipairs(result.revisions) do io.stdout:write(("%-8d  <none>\n"):format(revision)) end
    io.stdout:write "\n"
  end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

local function pausing(value, word)
  return function(ctx)
    return each(ctx, function(one, meta)
      local result, problem = ctx.client:try(rpc.request("pause", one.kind.kind, meta.namespace, meta.name, { paused = value }))
      if problem then return nil, rpc.text(problem) end
      if not result.changed then
        return nil, ('error: %s "%s" is %s'):format(one.kind.resource, meta.name, value and "already paused" or "not paused")
      end
      return word
    end)
  end
end

local SELECT = { filename = { type = "list", short = "f" }, selector = { type = "string", short = "l" }, recursive = { type = "bool",
  short = "R" } }

local function with(more)
  for name, flag in pairs(SELECT) do more[name] = flag end
  return more
end

verbs.rollout = { sub = {
  status = { run = status, flags = with { watch = { type = "bool", short = "w" }, timeout = { type = "duration" }, revision = {
    type = "int" } } },
  restart = { run = restart, flags = with { output = { type = "string", short = "o" } } },
  undo = { run = undo, flags = with { ["to-revision"] = { type = "int" }, ["dry-run"] = { type = "string", bare = "unchanged" },
    output = { type = "string", short = "o" } } },
  history = { run = history, flags = with { revision = { type = "int" }, output = { type = "string", short = "o" } } },
  pause = { run = pausing(true, "paused"), flags = with {} },
  resume = { run = pausing(false, "resumed"), flags = with {} },
} }

return verbs
