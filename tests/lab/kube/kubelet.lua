-- The kubelet: takes pods through their lives. For every pod one coroutine schedules it, makes its sandbox, and starts its containers, each
-- of which has a coroutine that runs it, keeps its log, and runs it again.
local claims = require "kube.claims"
local cqueues = require "cqueues"
local disks = require "kube.disks"
local images = require "kube.images"
local json = require "core.json"
local luasocket = require "socket"
local objects = require "kube.objects"
local probes = require "kube.probes"
local proc = require "core.proc"
local sandbox = require "kube.sandbox"
local socket = require "cqueues.socket"

local kubelet = {}
local Kubelet = {}
Kubelet.__index = Kubelet

local LOG_KEEP = 20000

function kubelet.new(cluster)
  return setmetatable({ cluster = cluster, runtimes = {}, ending = 0 }, Kubelet)
end

-- Status -----------------------------------------------------------------------------------------------------------------------------

local function set_condition(status, kind, value, reason, message)
  local condition, new = objects.condition(status, kind)
  if new or condition.status ~= value then condition.lastTransitionTime = objects.now() end
  condition.lastProbeTime = json.null
  condition.status, condition.reason, condition.message = value, reason, message
end

local function container_id(container)
  return ("containerd://%064x"):format(container.runs * 7919 + #container.spec.name)
end

local function container_status(container)
  return {
    name = container.spec.name, image = container.spec.image, imageID = container.runs > 0 and "docker.io/library/" .. container.spec.image
      or "",
    ready = container.ready, started = container.started and container.state.running ~= nil, restartCount = container.restarts,
    state = objects.copy(container.state), lastState = objects.copy(container.last or {}),
    containerID = container.runs > 0 and container_id(container) or nil,
  }
end

-- Writes what the kubelet knows of a pod to the API server.
function Kubelet:publish(runtime)
  local pod = runtime.pod
  if runtime.gone then return end
  local status = objects.copy(pod.status)
  local all_ready, running, ended, failed = true, false, true, false
  if #runtime.containers > 0 then
    status.containerStatuses = json.array()
    for i, container in ipairs(runtime.containers) do
      status.containerStatuses[i] = container_status(container)
      all_ready = all_ready and container.ready
      running = running or container.runs > 0
      local terminated = container.state.terminated
      ended = ended and terminated ~= nil and container.final
      failed = failed or terminated and terminated.exitCode ~= 0
    end
  else
    all_ready = false
  end
  if runtime.evicted then
    status.phase, status.reason, status.message = "Failed", "Evicted", runtime.evicted
    set_condition(status, "Ready", "False", "PodFailed")
    set_condition(status, "ContainersReady", "False", "PodFailed")
  elseif runtime.scheduled then
    status.phase = #runtime.containers > 0 and ended and (failed and "Failed" or "Succeeded") or running and "Running" or "Pending"
    status.hostIP, status.podIP = self.cluster.node_address, runtime.address
    status.podIPs = runtime.address and json.array { { ip = runtime.address } } or nil
    status.startTime = status.startTime or objects.now()
    local names = {}
    for _, container in ipairs(runtime.containers) do if not container.ready then names[#names + 1] = container.spec.name end end
    set_condition(status, "Initialized", "True")
    local reason = not all_ready and "ContainersNotReady" or nil
    local message = not all_ready and ("containers with unready status: [%s]"):format(table.concat(names, " ")) or nil
    set_condition(status, "Ready", all_ready and "True" or "False", reason, message)
    set_condition(status, "ContainersReady", all_ready and "True" or "False", reason, message)
    set_condition(status, "PodScheduled", "True")
  end
  self.cluster.store:set_status(pod, status)
  self.cluster:endpoints_changed()
end

local function wait_state(container, reason, message)
  container.state = { waiting = { reason = reason, message = message } }
  container.ready = false
end

-- Containers -------------------------------------------------------------------------------------------------------------------------

local function remember(container, line)
  local log = container.log
  log[#log + 1] = { time = luasocket.gettime(), text = line }
  if #log > LOG_KEEP then table.remove(log, 1) end
  container.log_count = container.log_count + 1
end

-- Runs the container's process once; returns its exit status. Its output becomes the log.
local function run_once(self, runtime, container)
  local argv, env = images.entry(self.cluster, runtime, container)
  local token = ("lab-%s"):format(objects.suffix(12))
  local command = runtime.sandbox:command(argv, env, container.spec.workingDir)
  -- The shell outside tells the process's number first and its exit status last.
  local script = ("exec 2>/dev/null; setsid sh -c 'echo \"$0 $$\" >&3; exec 3>&-; exec \"$@\"' %s %s 3>&1 2>&1 </dev/null & wait $!; "
    .. "printf '\\n%s %%d\\n' $?"):format(token, command, token)
  local pipe = assert(io.popen(script, "r"))
  local reader = assert(socket.dup(pipe))
  reader:setmode("b", "b")
  container.log, container.log_count, container.pid = {}, 0, nil
  local status
  while not status do
    local line = reader:read "*l"
    if not line then break end
    local number = line:match("^" .. token:gsub("%-", "%%-") .. " (%d+)$")
    if number and not container.pid then
      container.pid = tonumber(number)
      container.running_since = luasocket.gettime()
    elseif number then
      status = tonumber(number)
    else
      remember(container, runtime.sandbox:show(line))
    end
  end
  -- The last newline is of the mark, not of the program.
  if container.log[#container.log] and container.log[#container.log].text == "" then
    container.log[#container.log] = nil
    container.log_count = container.log_count - 1
  end
  reader:close()
  pipe:close()
  return status or 137
end

local function reason_of(status) return status == 0 and "Completed" or "Error" end

local function pull(self, runtime, container)
  local store, image, told = self.cluster.store, container.spec.image, false
  local delay = 0.1
  while not runtime.stopping do
    local policy = container.spec.imagePullPolicy
    local ok, why = images.pull(self.cluster, image)
    if ok then
      if policy == "Always" then store:event(runtime.pod, "Normal", "Pulled", ('Successfully pulled image "%s" in 42ms'):format(image),
        "kubelet")
      else store:event(runtime.pod, "Normal", "Pulled", ('Container image "%s" already present on machine'):format(image), "kubelet") end
      return true
    elseif policy == "Never" then
      wait_state(container, "ErrImageNeverPull", ('Container image "%s" is not present with pull policy of Never'):format(image))
    else
      store:event(runtime.pod, "Normal", "Pulling", ('Pulling image "%s"'):format(image), "kubelet")
      store:event(runtime.pod, "Warning", "Failed", ('Failed to pull image "%s": %s'):format(image, why), "kubelet")
      wait_state(container, "ErrImagePull", why)
      if told then
        store:event(runtime.pod, "Normal", "BackOff", ('Back-off pulling image "%s"'):format(image), "kubelet")
        wait_state(container, "ImagePullBackOff", ('Back-off pulling image "%s"'):format(image))
      end
      told = true
    end
    self:publish(runtime)
    cqueues.sleep(delay)
    delay = math.min(delay * 2, 1)
  end
  return false
end

local function prepare_environment(self, runtime, container)
  while not runtime.stopping do
    local ok, found = pcall(images.environment, self.cluster, runtime, container.spec)
    if ok then
      container.env = found
      return true
    end
    wait_state(container, "CreateContainerConfigError", found)
    self.cluster.store:event(runtime.pod, "Warning", "Failed", "Error: " .. found, "kubelet")
    self:publish(runtime)
    cqueues.sleep(0.2)
  end
  return false
end

local function start_container(self, runtime, container)
  container.runs = container.runs + 1
  local store, run = self.cluster.store, container.runs
  store:event(runtime.pod, "Normal", "Created", "Created container " .. container.spec.name, "kubelet")
  store:event(runtime.pod, "Normal", "Started", "Started container " .. container.spec.name, "kubelet")
  local began = objects.now()
  container.state, container.ready, container.killed = { running = { startedAt = began } }, false, nil
  probes.start(self, runtime, container)
  self:publish(runtime)
  local status = run_once(self, runtime, container)
  container.ready, container.started = false, false
  container.runs = run
  container.state = { terminated = {
    exitCode = status, reason = reason_of(status), startedAt = began, finishedAt = objects.now(), containerID = container_id(container),
  } }
  return status
end

local function run_container(self, runtime, container)
  local options, delay = self.cluster.options, nil
  if not prepare_environment(self, runtime, container) or not pull(self, runtime, container) then return end
  while not runtime.stopping do
    local status = start_container(self, runtime, container)
    local policy = runtime.pod.spec.restartPolicy
    if runtime.stopping or policy == "Never" or policy == "OnFailure" and status == 0 then
      container.final = true
      self:publish(runtime)
      return
    end
    self:publish(runtime)
    container.last, container.previous_log = container.state, container.log
    container.restarts = container.restarts + 1
    if luasocket.gettime() - (container.running_since or 0) > options.backoff_ms / 1000 * 10 then delay = nil end
    if delay then
      wait_state(container, "CrashLoopBackOff", ("back-off %ds restarting failed container=%s pod=%s_%s(%s)"):format(
        math.ceil(delay), container.spec.name, runtime.pod.metadata.name, runtime.pod.metadata.namespace, runtime.pod.metadata.uid))
      self.cluster.store:event(runtime.pod, "Warning", "BackOff", "Back-off restarting failed container", "kubelet")
      self:publish(runtime)
      local deadline = cqueues.monotime() + delay
      while cqueues.monotime() < deadline and not runtime.stopping do cqueues.sleep(0.05) end
    end
    delay = math.min((delay or options.backoff_ms / 2000) * 2, options.backoff_ms / 1000 * 30)
  end
end

function Kubelet:kill_container(runtime, container, why)
  self.cluster.store:event(runtime.pod, "Normal", "Killing", ("Container %s %s, will be restarted"):format(container.spec.name, why),
    "kubelet")
  if container.pid then proc.run(("kill -%s %d; :"):format(images.stop_signal(container.spec.image), container.pid)) end
  local run, deadline = container.runs, cqueues.monotime() + self.cluster.options.grace_cap_s
  self.cluster:spawn("kill", function()
    while container.runs == run and container.state.running and cqueues.monotime() < deadline do cqueues.sleep(0.02) end
    if container.runs == run and container.state.running then proc.run(("kill -KILL -%d; kill -KILL %d; :"):format(container.pid or 0,
      container.pid or 0)) end
  end)
end

-- Pods -------------------------------------------------------------------------------------------------------------------------------

local function schedule(self, runtime)
  local pod, told = runtime.pod, nil
  while not runtime.stopping do
    local missing = claims.missing(self.cluster, pod)
    if not missing then break end
    if told ~= missing then
      self.cluster.store:event(pod, "Warning", "FailedScheduling", missing, "default-scheduler")
      local status = objects.copy(pod.status)
      set_condition(status, "PodScheduled", "False", "Unschedulable", missing)
      self.cluster.store:set_status(pod, status)
      told = missing
    end
    self.cluster.store:wait(0.1)
  end
  if runtime.stopping then return false end
  pod.spec.nodeName = self.cluster.node_name
  runtime.scheduled = true
  self.cluster.store:event(pod, "Normal", "Scheduled", ("Successfully assigned %s/%s to %s"):format(pod.metadata.namespace,
    pod.metadata.name,
    self.cluster.node_name), "default-scheduler")
  return true
end

-- A ReadWriteOnce disk goes to one node, and the lab has one: what is awaited is that the copy of a clone is whole.
local function attach(self, runtime)
  for _, volume in ipairs(runtime.pod.spec.volumes or {}) do
    local dir, id = claims.directory(self.cluster, runtime.pod, volume)
    if id then
      while not runtime.stopping do
        local disk = disks.read(self.cluster.dir, id)
        if disk and disk.status == "active" and not self.cluster.faults:holds("attach", runtime.pod.metadata.name) then break end
        self.cluster.store:event(runtime.pod, "Warning", "FailedAttachVolume",
          ("AttachVolume.Attach failed for volume \"%s\" : rpc error: code = "
          .. "Internal desc = volume %d is not available"):format(disk and disk.label or "?", id), "attachdetach-controller")
        cqueues.sleep(0.2)
      end
      if runtime.stopping then return false end
      disks.attach(self.cluster.dir, id, true)
      runtime.disks[#runtime.disks + 1] = id
      self.cluster.store:event(runtime.pod, "Normal", "SuccessfulAttachVolume", ('AttachVolume.Attach succeeded for volume "%s" '):format(
        disks.read(self.cluster.dir, id).label), "attachdetach-controller")
    elseif dir then
      proc.must("mkdir -p " .. proc.quote(dir))
    end
    runtime.volumes[volume.name] = dir
  end
  return true
end

local function write_files(dir, data)
  for name, text in pairs(data) do
    local file = assert(io.open(dir .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
end

-- emptyDir, configMap and secret volumes: directories of the pod.
local function other_volume(self, runtime, volume)
  local dir = ("%s/volumes/%s"):format(runtime.sandbox.dir, volume.name)
  proc.must(("mkdir -p %s && chmod 1777 %s"):format(proc.quote(dir), proc.quote(dir)))
  local namespace = runtime.pod.metadata.namespace
  local map = volume.configMap and self.cluster.store:get("ConfigMap", namespace, volume.configMap.name)
  if map then write_files(dir, map.data or {}) end
  return dir
end

local function make_sandbox(self, runtime)
  local apart = #(runtime.pod.spec.volumes or {}) > 0
  for _, spec in ipairs(runtime.pod.spec.containers) do apart = apart or images.postgres_major(spec.image) ~= nil or spec.command ~= nil end
  local box = sandbox.new(self.cluster, runtime.pod, {}, apart)
  runtime.sandbox = box
  local seen = {}
  for _, container in ipairs(runtime.pod.spec.containers) do
    for _, mount in ipairs(container.volumeMounts or {}) do
      for _, volume in ipairs(runtime.pod.spec.volumes or {}) do
        if volume.name == mount.name and not seen[mount.mountPath] then
          local dir = runtime.volumes[volume.name] or other_volume(self, runtime, volume)
          if mount.subPath and mount.subPath ~= "" then
            dir = dir .. "/" .. mount.subPath
            proc.must("mkdir -p " .. proc.quote(dir))
          end
          seen[mount.mountPath] = true
          box.mounts[#box.mounts + 1] = { path = mount.mountPath:gsub("(.)/$", "%1"), dir = dir }
        end
      end
    end
  end
  box:open()
end

local function still_running(runtime)
  for _, container in ipairs(runtime.containers) do
    if container.state.running then return true end
  end
  return false
end

-- Ends the containers: the stop signal, the grace period, SIGKILL.
local function stop_containers(self, runtime, grace)
  for _, container in ipairs(runtime.containers) do
    if container.state.running then
      self.cluster.store:event(runtime.pod, "Normal", "Killing", "Stopping container " .. container.spec.name, "kubelet")
      if container.pid and grace > 0 then proc.run(("kill -%s %d; :"):format(images.stop_signal(container.spec.image), container.pid)) end
    end
  end
  local deadline = cqueues.monotime() + math.min(grace, self.cluster.options.grace_cap_s)
  while still_running(runtime) and cqueues.monotime() < deadline do cqueues.sleep(0.01) end
  if runtime.sandbox then runtime.sandbox:close() end
  while still_running(runtime) do cqueues.sleep(0.01) end
end

local function tear_down(self, runtime)
  while self.cluster.faults:holds("stuck-terminating", runtime.pod.metadata.name) do cqueues.sleep(0.05) end
  local grace = runtime.pod.metadata.deletionGracePeriodSeconds or runtime.pod.spec.terminationGracePeriodSeconds or 30
  if runtime.crash then grace = 0 end
  stop_containers(self, runtime, grace)
  for _, id in ipairs(runtime.disks) do
    local used = false
    for _, other in pairs(self.runtimes) do
      if other ~= runtime then
        for _, theirs in ipairs(other.disks) do used = used or theirs == id end
      end
    end
    if not used then disks.attach(self.cluster.dir, id, false) end
  end
  runtime.disks = {}
end

local function live(self, runtime)
  local pod = runtime.pod
  if schedule(self, runtime) then
    runtime.address = self.cluster:new_pod_address()
    for i, spec in ipairs(pod.spec.containers) do
      runtime.containers[i] = { spec = spec, state = { waiting = { reason = "ContainerCreating" } }, restarts = 0, runs = 0, ready = false,
        log = {}, log_count = 0 }
    end
    self:publish(runtime)
    if attach(self, runtime) then
      make_sandbox(self, runtime)
      for _, container in ipairs(runtime.containers) do
        self.cluster:spawn("container " .. container.spec.name, run_container, self, runtime, container)
      end
    end
  end
  while not runtime.stopping do runtime.wake:wait(1) end
  tear_down(self, runtime)
  if runtime.evicted then
    for _, container in ipairs(runtime.containers) do container.ready = false end
    self:publish(runtime)
    while not runtime.deleted do runtime.wake:wait(1) end
  end
  runtime.gone = true
  self.runtimes[pod.metadata.uid] = nil
  self.cluster.store:remove(pod)
  self.cluster:endpoints_changed()
end

-- Every pod of the store has a coroutine; a deletion wakes it.
function Kubelet:reconcile()
  local condition = require "cqueues.condition"
  for _, pod in ipairs(self.cluster.store:list "Pod") do
    local runtime = self.runtimes[pod.metadata.uid]
    if not runtime then
      runtime = { pod = pod, containers = {}, volumes = {}, disks = {}, wake = condition.new() }
      self.runtimes[pod.metadata.uid] = runtime
      self.cluster:spawn("pod " .. pod.metadata.name, live, self, runtime)
    end
    if pod.metadata.deletionTimestamp and not runtime.deleted then
      runtime.deleted, runtime.stopping = true, true
      runtime.wake:signal()
    end
  end
end

function Kubelet:of(pod) return self.runtimes[pod.metadata.uid] end

-- Node pressure: the pod fails and stays as a record until somebody deletes it.
function Kubelet:evict(pod)
  local runtime = self:of(pod)
  runtime.evicted = "The node was low on resource: memory. "
  self.cluster.store:event(pod, "Warning", "Evicted", runtime.evicted, "kubelet")
  runtime.crash, runtime.stopping = true, true
  runtime.wake:signal()
end

return kubelet
