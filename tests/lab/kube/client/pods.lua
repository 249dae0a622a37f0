-- The pod that exec and logs mean: by its name, or the first of a workload.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local kinds = require "kube.kinds"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"

local pods = {}

local function rank(pod)
  local ready = 0
  for _, condition in ipairs(pod.status.conditions or {}) do
    if condition.type == "Ready" and condition.status == "True" then ready = 1 end
  end
  return (pod.metadata.deletionTimestamp and 0 or 4) + (pod.status.phase == "Running" and 2 or 0) + ready
end

local function selector_of(object)
  local labels, out = object.spec.selector and (object.spec.selector.matchLabels or object.spec.selector) or {}, {}
  for key, value in pairs(labels) do out[#out + 1] = key .. "=" .. tostring(value) end
  return table.concat(out, ",")
end

-- All pods of a workload, the most usable first.
function pods.of(ctx, object)
  local items = ctx.client:must(rpc.request("list", "Pod", object.metadata.namespace, nil, { selector = selector_of(object) }))
  table.sort(items, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) > rank(b) end
    return a.metadata.name < b.metadata.name
  end)
  return items
end

-- The pod's name. word: POD or TYPE/NAME. limit: seconds to wait for one of a workload.
function pods.resolve(ctx, word, limit)
  local type_name, name = word:match "^([^/]+)/(.+)$"
  if not type_name then
    ctx.client:must(rpc.request("get", "Pod", ctx.namespace, word))
    return word
  end
  local one = resources.parse({ word })[1]
  local object = ctx.client:must(rpc.request("get", one.kind.kind, ctx.namespace, name))
  if one.kind.kind == "Pod" then return name end
  if not kinds.of(one.kind.kind).namespaced or not object.spec or not object.spec.selector then
    fail.raise(("cannot attach to *v1.%s: selector for *v1.%s not implemented"):format(one.kind.kind, one.kind.kind))
  end
  local deadline = cqueues.monotime() + limit
  while true do
    local items = pods.of(ctx, object)
    if items[1] then return items[1].metadata.name end
    if cqueues.monotime() >= deadline then fail.raise "timed out waiting for the condition" end
    cqueues.sleep(0.05)
  end
end

return pods
