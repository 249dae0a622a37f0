-- kubectl exec.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local json = require "core.json"
local pods = require "kube.client.pods"
local relay = require "kube.client.relay"
local rpc = require "kube.client.rpc"

local verbs = {}

local DEFAULT_WAIT_S = 60

local function split(ctx)
  local words = ctx.words
  if #words == 0 or ctx.dash == 0 then fail.raise "pod, type/name or --filename must be specified" end
  local target = table.remove(words, 1)
  if ctx.dash == nil and #words > 0 then
    if not fail.old then
      fail.raise("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help "
        .. "and examples")
    end
    fail.warn("kubectl exec [POD] [COMMAND] is DEPRECATED and will be removed in a future version. Use kubectl exec [POD] -- [COMMAND] "
      .. "instead.")
  end
  if #words == 0 then fail.raise "you must specify at least one command for the container" end
  return target, words
end

local function random_id()
  local out = {}
  for i = 1, 64 do out[i] = ("%x"):format(math.random(0, 15)) end
  return table.concat(out)
end

local function tell_default(plan, name, values, namespace)
  if values.container or #plan.containers < 2 or values.quiet then return end
  if fail.old then
    fail.warn(("Defaulting container name to %s.\nUse 'kubectl describe pod/%s -n %s' to see all of the containers in this "
      .. "pod."):format(plan.container,
      name, namespace))
  else
    fail.warn(('Defaulted container "%s" out of: %s'):format(plan.container, table.concat(plan.containers, ", ")))
  end
end

-- Runs words in a pod; the exit status of kubectl.
function verbs.in_pod(ctx, name, words, with_input)
  local plan, fault = ctx.client:must(rpc.request("exec", "Pod", ctx.namespace, name, { container = ctx.values.container,
    words = json.array(words) }))
  if not plan then
    fail.exit(1, "Error from server: error dialing backend: dial tcp 192.168.128.10:10250: connect: connection refused")
  elseif plan.completed then
    fail.raise("cannot exec into a container in a completed pod; current phase is " .. plan.completed)
  elseif plan.no_container then
    fail.raise(('unable to upgrade connection: container not found ("%s")'):format(plan.no_container))
  end
  tell_default(plan, name, ctx.values, ctx.namespace)
  if ctx.values.tty then fail.warn "Unable to use a TTY - input is not a terminal or the right kind of file" end
  local status, unstarted = relay.run(plan, with_input, fault)
  while fault and fault.action == "hang" do cqueues.sleep(60) end
  if status == nil or fault and fault.action == "after" then
    if fault.text and fault.text ~= json.null then fail.warn(fault.text) end
    return math.tointeger(fault.status) or 0
  end
  if unstarted then
    fail.raise(("Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "
      .. "\"%s\": OCI runtime exec "
      .. "failed: exec failed: unable to start container process: exec: \"%s\": %s: unknown"):format(random_id(), words[1],
      unstarted == "missing" and (words[1]:find "/" and ("stat %s: no such file or directory"):format(words[1])
        or "executable file not found in $PATH")
        or "permission denied"))
  end
  if status ~= 0 then fail.exit(status, ("command terminated with exit code %d"):format(status)) end
  return 0
end

local function run(ctx)
  local target, words = split(ctx)
  local name = pods.resolve(ctx, target, ctx.values["pod-running-timeout"] or DEFAULT_WAIT_S)
  return verbs.in_pod(ctx, name, words, ctx.values.stdin)
end

verbs.exec = { run = run, flags = {
  stdin = { type = "bool", short = "i" }, tty = { type = "bool", short = "t" }, container = { type = "string", short = "c" },
  ["pod-running-timeout"] = { type = "duration" }, quiet = { type = "bool", short = "q" }, filename = { type = "list", short = "f" },
} }

return verbs
