-- What exec and logs need from the node: which pod and container, how the command is started there, what the container said.
local json = require "core.json"
local luasocket = require "socket"
local objects = require "kube.objects"
local refuse = require "kube.refuse"

local streams = {}

local function pod_of(cluster, request)
  local pod = cluster.store:get("Pod", request.namespace, request.name)
  if not pod then refuse.not_found("Pod", request.name) end
  return pod
end

local function container_of(cluster, pod, name)
  local spec
  for _, given in ipairs(pod.spec.containers) do
    if given.name == (name or pod.spec.containers[1].name) then spec = given end
  end
  if not spec then refuse.bad_request(("container %s is not valid for pod %s"):format(name, pod.metadata.name)) end
  local runtime = cluster.kubelet:of(pod)
  for _, container in ipairs(runtime and runtime.containers or {}) do
    if container.spec.name == spec.name then return container, runtime, spec end
  end
  return nil, runtime, spec
end

-- The shell command that kubectl runs in the place of the node's runtime. Raises what the server or the node would answer.
function streams.exec(cluster, request)
  local pod = pod_of(cluster, request)
  if pod.status.phase == "Succeeded" or pod.status.phase == "Failed" then return { completed = pod.status.phase } end
  local container, runtime, spec = container_of(cluster, pod, request.container)
  if not pod.spec.nodeName then refuse.bad_request(("pod %s does not have a host assigned"):format(request.name)) end
  if not container or not container.state.running or not runtime.sandbox or runtime.stopping and not container.pid then
    return { no_container = spec.name }
  end
  local names = json.array()
  for i, given in ipairs(pod.spec.containers) do names[i] = given.name end
  local words = { "sh", runtime.sandbox:images() .. "/command.sh" }
  for _, word in ipairs(request.words) do words[#words + 1] = word end
  return {
    shell = runtime.sandbox:command(words, container.env, spec.workingDir), dir = cluster.dir .. "/exec", container = spec.name,
      containers = names,
    mark = runtime.sandbox.mark, shown_paths = runtime.sandbox:shown_paths(),
  }
end

-- Lines of a container: { lines, next, ended }. from: number of the first line wanted (for following); since: seconds.
function streams.log(cluster, request)
  local pod = pod_of(cluster, request)
  local container, _, spec = container_of(cluster, pod, request.container)
  if not container then refuse.bad_request(('container "%s" in pod "%s" is waiting to start: ContainerCreating'):format(spec.name,
    request.name)) end
  local names = json.array()
  for i, given in ipairs(pod.spec.containers) do names[i] = given.name end
  local log = container.log
  if request.previous then
    log = container.previous_log
    if not log then
      refuse.bad_request(('previous terminated container "%s" in pod "%s" not found'):format(spec.name, request.name))
    end
  elseif container.runs == 0 then
    local waiting = objects.at(container, "state", "waiting", "reason") or "ContainerCreating"
    local how = (waiting:match "^Err" or waiting:match "BackOff$") and "trying and failing to pull image" or waiting
    refuse.bad_request(('container "%s" in pod "%s" is waiting to start: %s'):format(spec.name, request.name, how))
  end
  local lines, first, now = json.array(), 1, luasocket.gettime()
  local dropped = request.previous and 0 or container.log_count - #log
  if request.from and request.run == container.runs then first = math.max(1, request.from - dropped) end
  if request.tail and request.tail >= 0 and not request.from then first = math.max(first, #log - request.tail + 1) end
  for i = first, #log do
    if not request.since or log[i].time >= now - request.since then lines[#lines + 1] = { time = log[i].time, text = log[i].text } end
  end
  return { lines = lines, next = dropped + #log + 1, run = container.runs, ended = container.state.running == nil, containers = names }
end

return streams
