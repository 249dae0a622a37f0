-- Liveness, readiness and startup probes: really run in the pod (exec), really connected (tcp). An httpGet holds while the process lives,
-- as the pods of the lab serve no HTTP.
local cqueues = require "cqueues"
local objects = require "kube.objects"
local proc = require "core.proc"
local socket = require "cqueues.socket"

local probes = {}

local LEAST_PERIOD_S, EAGER_S = 0.4, 0.15

local function run(runtime, container, probe)
  if probe.exec then
    local command = runtime.sandbox:command(objects.copy(probe.exec.command), container.env, container.spec.workingDir)
    local status, output = proc.run(("timeout -k 1 %d %s"):format(probe.timeoutSeconds or 1, command))
    if status == 124 then return false, "command timed out" end
    return status == 0, output
  elseif probe.tcpSocket then
    local port = math.tointeger(probe.tcpSocket.port) or 5432
    for _, given in ipairs(container.spec.ports or {}) do
      if given.name == probe.tcpSocket.port then port = given.containerPort end
    end
    local con = socket.connect { host = runtime.address, port = port }
    con:onerror(function(_, _, code) return code end)
    local ok = con:connect(probe.timeoutSeconds or 1)
    con:close()
    return ok ~= nil, ("dial tcp %s:%d: connect: connection refused"):format(runtime.address, port)
  end
  return true
end

local NAMES = { startupProbe = "Startup", livenessProbe = "Liveness", readinessProbe = "Readiness" }

-- Runs one probe of a container for as long as that run of it lasts. settle(ok): after the threshold, each time.
local function watch(kubelet, runtime, container, kind, probe, settle)
  local run_number, good, bad = container.runs, 0, 0
  local scale = kubelet.cluster.options.probe_scale
  local period = math.max(LEAST_PERIOD_S, (probe.periodSeconds or 10) * scale)
  -- Before the first success it is tried more often; only one failure in a period counts.
  local counted = cqueues.monotime()
  local since = counted
  cqueues.sleep((probe.initialDelaySeconds or 0) * scale)
  while container.runs == run_number and container.state.running and not runtime.stopping do
    if kind == "startupProbe" or container.started then
      local ok, output = run(runtime, container, probe)
      if container.runs ~= run_number or runtime.stopping then return end
      local now = cqueues.monotime()
      good = ok and good + 1 or 0
      if ok then
        bad, since = 0, now
      elseif now - counted >= period then
        bad, counted = bad + 1, now
        kubelet.cluster.store:event(runtime.pod, "Warning", "Unhealthy", ("%s probe failed: %s"):format(NAMES[kind], output or ""),
          "kubelet")
      end
      if good >= (probe.successThreshold or 1) then
        if settle(true) == "over" then return end
      elseif not ok and bad >= (probe.failureThreshold or 3)
        and (kind == "readinessProbe" or now - since >= kubelet.cluster.options.patience_s) then
        if settle(false) == "over" then return end
      end
    end
    cqueues.sleep((good > 0 or kind == "livenessProbe") and period or EAGER_S)
  end
end

-- Starts the probes of a container that has just been started.
function probes.start(kubelet, runtime, container)
  local spec, cluster = container.spec, kubelet.cluster
  container.started, container.ready = spec.startupProbe == nil, false
  if spec.startupProbe then
    cluster:spawn("startup probe", watch, kubelet, runtime, container, "startupProbe", spec.startupProbe, function(ok)
      if ok then
        container.started = true
        if not spec.readinessProbe then container.ready = true end
        kubelet:publish(runtime)
      else
        kubelet:kill_container(runtime, container, "failed startup probe")
      end
      return "over"
    end)
  end
  if spec.readinessProbe then
    cluster:spawn("readiness probe", watch, kubelet, runtime, container, "readinessProbe", spec.readinessProbe, function(ok)
      if container.ready ~= ok then
        container.ready = ok
        kubelet:publish(runtime)
      end
    end)
  elseif not spec.startupProbe then
    container.ready = true
  end
  if spec.livenessProbe then
    cluster:spawn("liveness probe", watch, kubelet, runtime, container, "livenessProbe", spec.livenessProbe, function(ok)
      if not ok then
        kubelet:kill_container(runtime, container, "failed liveness probe")
        return "over"
      end
    end)
  end
end

return probes
