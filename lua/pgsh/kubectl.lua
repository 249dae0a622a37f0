-- kubectl: a cluster and a namespace in it, by the kubectl binary. Here are the handle and what only reads; kubectl/ has the rest.
local client = require "pgsh.kubectl.client"
local copy = require "pgsh.kubectl.copy"
local errors = require "pgsh.errors"
local exec = require "pgsh.kubectl.exec"
local host = require "pgsh.host"
local json = require "pgsh.json"
local objects = require "pgsh.kubectl.objects"
local pods = require "pgsh.kubectl.pods"
local session = require "pgsh.session"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"
local waits = require "pgsh.kubectl.waits"

local Kubectl = {}
Kubectl.__index = Kubectl
Kubectl.__name = "kubectl.handle"

function Kubectl:__tostring() return tostring(self.tool) end

for _, name in ipairs { "read", "exec", "forget", "output", "input" } do Kubectl[name] = exec[name] end
for _, name in ipairs { "pods", "pod", "trouble" } do Kubectl[name] = pods[name] end
for _, name in ipairs { "wait_rollout", "wait_gone", "wait_bound", "wait_ready" } do Kubectl[name] = waits[name] end
for _, name in ipairs { "scale", "diff", "apply", "delete", "restart", "set_image" } do Kubectl[name] = objects[name] end
for _, name in ipairs { "upload", "download" } do Kubectl[name] = copy[name] end

-- ---- reads ----

local OLDEST = { 1, 20 }

local function check_client(self, text)
  local major, minor = text:match "^v?(%d+)%.(%d+)"
  major, minor = tonumber(major), tonumber(minor)
  if not major or major < OLDEST[1] or (major == OLDEST[1] and minor < OLDEST[2]) then
    error(host.error("kubectl", {
      message = ("%s is version %s: 1.%d or newer is needed"):format(self.options.binary, text, OLDEST[2]), target = tostring(self),
    }), 0)
  end
end

function Kubectl:version(options)
  options = client.check_options("k:version", options, { server = true })
  local words = { "version", "-o", "json" }
  if options.server == false then words[#words + 1] = "--client" end
  -- kubectl says its own version even when there is no server to ask: but then it ends with 1.
  local result = client.read(self, words)
  if unknown.is(result) then return result end
  local found = client.decode(result)
  local out = { client = (found.clientVersion or {}).gitVersion or "?", server = found.serverVersion and found.serverVersion.gitVersion }
  check_client(self, out.client)
  return out
end

local OPTIONS = { namespace = true, timeout = true }

function Kubectl:get(name, options)
  client.check_name("k:get", name)
  options = client.check_options("k:get", options, OPTIONS)
  local result = client.read(self, { "get", name, "-o", "json", "--ignore-not-found" }, {
    namespace = options.namespace, timeout = options.timeout, what = "kubectl get " .. tostring(name) })
  if unknown.is(result) then return result end
  if not result.out:find "%S" then return nil end
  return client.decode(result)
end

function Kubectl:list(kind, options)
  options = client.check_options("k:list", options, { namespace = true, timeout = true, selector = true, fields = true,
    all_namespaces = true })
  if type(kind) ~= "string" or not kind:find "^%a[%w.-]*$" then
    errors.usage("k:list: a kind of objects expected, got %s", tostring(kind))
  end
  local words = { "get", kind, "-o", "json" }
  if options.selector then words[#words + 1] = "--selector=" .. options.selector end
  if options.fields then words[#words + 1] = "--field-selector=" .. options.fields end
  if options.all_namespaces then words[#words + 1] = "--all-namespaces" end
  local result = client.read(self, words, { namespace = options.namespace, timeout = options.timeout })
  if unknown.is(result) then return result end
  return client.decode(result).items or {}
end

local function seconds(what, value)
  local ms = host.duration(value)
  if not ms then errors.usage("%s: %s is not a duration", what, tostring(value)) end
  return ("%ds"):format(math.max(1, (ms + 999) // 1000))
end

function Kubectl:logs(pod, options)
  options = client.check_options("k:logs", options, {
    container = true, since = true, since_time = true, tail = true, previous = true, namespace = true, limit = true })
  if type(pod) == "table" and pod.metadata then pod = pod.metadata.name end
  if type(pod) ~= "string" or not pod:find "^%w" then errors.usage("k:logs: a pod expected, got %s", tostring(pod)) end
  local words = { "logs", pod }
  if options.container then words[#words + 1] = "--container=" .. options.container end
  if options.since then words[#words + 1] = "--since=" .. seconds("since", options.since) end
  if options.since_time then words[#words + 1] = "--since-time=" .. options.since_time end
  if options.tail then words[#words + 1] = ("--tail=%d"):format(options.tail) end
  if options.previous then words[#words + 1] = "--previous" end
  return client.read(self, words, { namespace = options.namespace, limit = options.limit or "16M" }).out
end

-- Ends with 1 when the answer is no.
function Kubectl:can(verb, resource, options)
  options = client.check_options("k:can", options, { namespace = true })
  local result = client.read(self, { "auth", "can-i", verb, resource }, { namespace = options.namespace, ok = { 0, 1 } })
  if unknown.is(result) then return result end
  local answer = result.out:match "^%s*(%a+)"
  if answer ~= "yes" and answer ~= "no" then
    error(client.failure(self, "auth can-i", host.error("process", {
      message = ("kubectl exited with %d"):format(result.exit), exit = result.exit, detail = result.err })), 0)
  end
  return answer == "yes"
end

-- ---- the handle ----

local function config_argv(options)
  local words = { options.binary }
  if options.kubeconfig then words[#words + 1] = "--kubeconfig=" .. options.kubeconfig end
  return words
end

-- What the kubeconfig says of the context; of the current one when none is named. A read of this machine's, without a server.
local function read_config(options)
  local words = config_argv(options)
  table.move({ "config", "view", "--minify", "-o", "json" }, 1, 5, #words + 1, words)
  if options.context then words[#words + 1] = "--context=" .. options.context end
  local env = { LC_ALL = "C" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local ok, result = pcall(sh.read, words, { env = env, what = "kubectl config view --minify" })
  if not ok then
    local say = client.failure({ options = options }, "config view", result)
    if type(say) == "table" then
      say.target = nil
      if options.context == nil and say.detail == nil and say.kind == "kubectl" and say.exit then
        say.hint = "name the context: kubectl { context = … }; kubectl config get-contexts lists them"
      end
    end
    error(say, 0)
  end
  local view = json.decode(result.out)
  local context = type(view.contexts) == "table" and view.contexts[1] or {}
  local inside = type(context.context) == "table" and context.context or {}
  local namespace = type(inside.namespace) == "string" and inside.namespace ~= "" and inside.namespace or "default"
  local name = type(view["current-context"]) == "string" and view["current-context"] ~= "" and view["current-context"] or context.name
  return { context = options.context or name, namespace = namespace }
end

-- While a procedure loads, what is found is a fact: a resumed run stays with the cluster it began with, whatever is current by then.
local function settled(options)
  if options.context and options.namespace then return options end
  local current = session.current
  if not (current and current.registering) then return read_config(options) end
  local name = ("kubectl context %s%s"):format(options.context or "(current)", options.kubeconfig and " of " .. options.kubeconfig or "")
  return require("pgsh.steps").fact(name)(function() return read_config(options) end)
end

local KNOWN = { context = true, namespace = true, kubeconfig = true, timeout = true, binary = true, env = true, settle = true }

local function check_word(what, value)
  if value ~= nil and (type(value) ~= "string" or value == "" or value:find "^%-" or value:find "%c") then
    errors.usage("kubectl: %s: a name expected, got %s", what, tostring(value))
  end
end

local function new(_, options)
  options = client.check_options("kubectl", options, KNOWN)
  local own = { binary = "kubectl", timeout = "30s", settle = "10s" }
  for key, value in pairs(options) do own[key] = value end
  for _, key in ipairs { "context", "namespace", "kubeconfig", "binary" } do
    if not unknown.is(own[key]) then check_word(key, own[key]) end
  end
  for _, key in ipairs { "timeout", "settle" } do
    if not host.duration(own[key]) then errors.usage("kubectl: %s: %s is not a duration", key, tostring(own[key])) end
  end
  local found = settled(own)
  local function text(value, name) return unknown.is(value) and "‹" .. name .. "›" or value end
  local context = text(unknown.is(found) and found or own.context or found.context, "context")
  local namespace = text(own.namespace or (unknown.is(found) and found or found.namespace), "namespace")
  local argv = config_argv(own)
  argv[#argv + 1] = "--context=" .. context
  argv[#argv + 1] = "--namespace=" .. namespace
  local env = { LC_ALL = "C" }
  for name, value in pairs(own.env or {}) do env[name] = value end
  return setmetatable({
    options = own, context = context, namespace = namespace, workloads = {}, seen = {},
    tool = sh.tool { kind = "kubectl", name = context .. "/" .. namespace, shown = "kubectl", argv = argv, env = env,
      detail = own.kubeconfig },
  }, Kubectl)
end

return setmetatable({}, { __call = new })
