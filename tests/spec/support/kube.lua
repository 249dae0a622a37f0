-- The Kubernetes lab for specs: one process for a spec file, put back to its first day before each test.
--
--   local kube = require("tests.spec.support.kube").start()   options: world ("upgrade", "restore", "all", "empty"), client ("1.32",
--   "1.20")
--   kube.env                    KUBECONFIG, and PATH with the stand-in for kubectl first
--   kube.dir, kube.work         the lab's directory; copies of the manifests to edit (postgresql/, services/, selfhosted/)
--   kube.volumes                the directory of the simulated cloud's volumes (tests/lab/kube/disks.lua)
--   kube.majors.old, .new       { major, version, bin, derived }: what the images postgres:<major> run
--   kube.mode                   how pods are kept apart: root, user or rewrite (tests/lab/kube/sandbox.lua)
--   kube:reset { world = "restore", service_pause = 0.1 }    options as tests/lab/kube/cluster.lua lists them; returns seconds taken
--   kube:kubectl("get pods")    status, stdout and stderr together;  kube:shell(command) the same for any command
--   kube:sql("postgres", "select 1", { namespace, dbname, user })   asked of the deployment's pod directly, whatever kubectl is made to say
--   kube:state()                .deployments["default/site"] = { replicas, ready, image }, .pods, .claims, .volumes
--   kube:faults { … }; kube:faults(false)                    tests/lab/kube/faults.lua lists them
--   kube:hold("stuck-finalizer", "postgres%-data"); kube:release("stuck-finalizer", "postgres%-data")
--   kube:evict("postgres"); kube:kill("postgres")
--   kube:calls()                every kubectl so far: { args, status, time, requests };  kube:calls(true): as texts
--   kube:audit()                what changed: { what, kind, namespace, name, detail };   kube:changes(): as texts, "scaled Deployment/site
--   2 -> 0"
--   kube:disks()                the cloud's volumes: { id, label, size, status, linode_id }
--   kube:wait_until(test, seconds); kube:stop()
local labs = require "tests.spec.support.lab"

local kube = {}
local Kube = labs.derive { patience_s = 20, poll_s = 0.05 }

kube.quote = labs.quote

function kube.start(options)
  options = options or {}
  local words = { "tests/lab/kube/lab.lua" }
  if options.world then words[#words + 1] = "--world " .. options.world end
  if options.client then words[#words + 1] = "--client " .. options.client end
  local self = labs.launch(table.concat(words, " "), Kube)
  for _, one in pairs(self.majors) do one.major = math.tointeger(one.major) end
  return self
end

function Kube:reset(options)
  return self:call("POST", "/reset", options and next(options) and options or nil).took
end

function Kube:options(options) return self:call("POST", "/options", options) end
function Kube:state() return self:call("GET", "/state") end
function Kube:audit() return self:call("GET", "/audit") end
function Kube:disks() return self:call("GET", "/volumes") end

-- A list adds faults; false takes all back, the standing ones too.
function Kube:faults(list)
  if list == false then return self:call("DELETE", "/faults") end
  return self:call("POST", "/faults", list)
end

function Kube:hold(name, on) self:call("POST", "/hold", { name = name, on = on }) end
function Kube:release(name, on) self:call("POST", "/hold", { name = name, on = on, clear = true }) end

function Kube:evict(deployment, namespace) self:call("POST", "/evict", { deployment = deployment, namespace = namespace }) end
function Kube:kill(deployment, namespace) self:call("POST", "/kill", { deployment = deployment, namespace = namespace }) end

function Kube:sql(deployment, text, options)
  local body = { deployment = deployment, sql = text }
  for name, value in pairs(options or {}) do body[name] = value end
  return self:call("POST", "/sql", body).output
end

-- A conninfo (Unix socket, superuser) of the server in a deployment's pod.
function Kube:conninfo(deployment, namespace)
  return self:call("GET", ("/conninfo?deployment=%s&namespace=%s"):format(deployment, namespace or "default")).conninfo
end

function Kube:calls(as_texts)
  local all = self:call("GET", "/calls")
  if not as_texts then return all end
  for i, call in ipairs(all) do all[i] = table.concat(call.args, " ") end
  return all
end

function Kube:changes()
  local out = {}
  for _, entry in ipairs(self:audit()) do
    out[#out + 1] = ("%s %s/%s%s"):format(entry.what, entry.kind, entry.name, entry.detail and " " .. entry.detail or "")
  end
  return out
end

function Kube:kubectl(words) return self:shell("kubectl " .. words) end

return kube
