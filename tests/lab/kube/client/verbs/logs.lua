-- kubectl logs.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local objects = require "kube.objects"
local pods = require "kube.client.pods"
local rpc = require "kube.client.rpc"

local verbs = {}

local POLL_S = 0.05
local TAIL_OF_SELECTOR = 10

local function print_lines(result, values, prefix)
  for _, line in ipairs(result.lines) do
    local stamp = ""
    if values.timestamps then
      local whole = math.floor(line.time)
      stamp = os.date("!%Y-%m-%dT%H:%M:%S", whole) .. (".%09dZ "):format(math.floor((line.time - whole) * 1e9))
    end
    io.stdout:write(prefix or "", stamp, line.text, "\n")
  end
  io.stdout:flush()
end

local function one_container(ctx, pod, container, tail, prefix)
  local values = ctx.values
  local request = rpc.request("log", "Pod", ctx.namespace, pod, {
    container = container, tail = tail, since = values.since or nil, previous = values.previous,
  })
  if values["since-time"] then
    local at = objects.parse_time(values["since-time"])
    if not at then fail.raise(('parsing time "%s" failed'):format(values["since-time"])) end
    request.since = os.time() - at
  end
  local result = ctx.client:must(request)
  if not container and #result.containers > 1 and not values["all-containers"] and not prefix then
    fail.warn(('Defaulted container "%s" out of: %s'):format(result.containers[1], table.concat(result.containers, ", ")))
  end
  print_lines(result, values, prefix)
  while values.follow and not result.ended do
    cqueues.sleep(POLL_S)
    request.from, request.run, request.tail, request.since = result.next, result.run, nil, nil
    local problem
    result, problem = ctx.client:try(request)
    if problem then break end
    if result.run ~= request.run then break end
    print_lines(result, values, prefix)
  end
end

local function one_pod(ctx, pod, tail, prefix)
  if not ctx.values["all-containers"] then return one_container(ctx, pod, ctx.values.container, tail, prefix) end
  local object = ctx.client:must(rpc.request("get", "Pod", ctx.namespace, pod))
  for _, spec in ipairs(object.spec.containers) do one_container(ctx, pod, spec.name, tail, prefix) end
end

local function run(ctx)
  local values = ctx.values
  local tail = values.tail
  if tail and tail < -1 then fail.raise "--tail must be greater than or equal to -1" end
  if tail == -1 then tail = nil end
  if values.selector then
    if #ctx.words > 0 then fail.raise "only a selector (-l) or a POD name is allowed" end
    local items = ctx.client:must(rpc.request("list", "Pod", ctx.namespace, nil, { selector = values.selector }))
    if #items == 0 then fail.warn(("No resources found in %s namespace."):format(ctx.namespace)) end
    for _, pod in ipairs(items) do
      local prefix = values.prefix and ("[pod/%s/%s] "):format(pod.metadata.name, values.container or pod.spec.containers[1].name) or nil
      one_pod(ctx, pod.metadata.name, tail or TAIL_OF_SELECTOR, prefix)
    end
    return 0
  end
  if #ctx.words == 0 then
    fail.raise("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs "
      .. "command\nSee 'kubectl logs -h' for help and examples")
  end
  if #ctx.words == 2 and not values.container then values.container = ctx.words[2] end
  local name = pods.resolve(ctx, ctx.words[1], values["pod-running-timeout"] or 20)
  one_pod(ctx, name, tail)
  return 0
end

verbs.logs = { run = run, flags = {
  follow = { type = "bool", short = "f" }, previous = { type = "bool", short = "p" }, container = { type = "string", short = "c" },
  tail = { type = "int" }, since = { type = "duration" }, ["since-time"] = { type = "string" }, timestamps = { type = "bool" },
  selector = { type = "string", short = "l" }, ["all-containers"] = { type = "bool" }, prefix = { type = "bool" }, ["limit-bytes"] = {
    type = "int" },
  ["pod-running-timeout"] = { type = "duration" }, ["ignore-errors"] = { type = "bool" }, ["max-log-requests"] = { type = "int" },
} }

return verbs
