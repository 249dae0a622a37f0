-- kubectl version, config, auth can-i.
local config = require "kube.client.config"
local fail = require "kube.client.fail"
local json = require "core.json"
local kinds = require "kube.kinds"
local printers = require "kube.client.printers"
local rpc = require "kube.client.rpc"
local yamlout = require "kube.client.yamlout"

local verbs = {}

local function client_version()
  local minor = fail.old and "20" or "32"
  return {
    major = "1", minor = minor, gitVersion = fail.old and "v1.20.2" or "v1.32.4", gitCommit = ("0"):rep(40), gitTreeState = "clean",
    buildDate = fail.old and "2021-01-13T13:28:09Z" or "2025-04-22T16:03:58Z", goVersion = fail.old and "go1.15.5" or "go1.23.6",
      compiler = "gc",
    platform = "linux/amd64",
  }
end

local function old_text(name, version)
  return ('%s Version: version.Info{Major:"%s", Minor:"%s", GitVersion:"%s", GitCommit:"", GitTreeState:"clean", BuildDate:"", '
    .. 'GoVersion:"", '
    .. 'Compiler:"gc", Platform:"%s"}\n'):format(name, version.major, version.minor, version.gitVersion, version.platform)
end

function verbs.run_version(ctx)
  local values = ctx.values
  if values.output and values.output ~= "json" and values.output ~= "yaml" then fail.raise "--output must be 'yaml' or 'json'" end
  local out = { clientVersion = client_version() }
  if not fail.old then out.kustomizeVersion = "v5.5.0" end
  local problem
  if not values.client then
    out.serverVersion, problem = ctx.client:try { op = "version", verb = "get" }
  end
  if values.output == "json" then
    -- Two blanks here, four elsewhere.
    io.stdout:write((printers.pretty(out, ""):gsub("\n( +)", function(blanks) return "\n" .. blanks:sub(1, #blanks // 2) end)), "\n")
  elseif values.output == "yaml" then
    io.stdout:write(yamlout.text(out))
  elseif fail.old then
    io.stdout:write(old_text("Client", out.clientVersion))
    if out.serverVersion then io.stdout:write(old_text("Server", out.serverVersion)) end
  else
    io.stdout:write(("Client Version: %s\nKustomize Version: v5.5.0\n"):format(out.clientVersion.gitVersion))
    if out.serverVersion then io.stdout:write(("Server Version: %s\n"):format(out.serverVersion.gitVersion)) end
  end
  io.stdout:flush()
  if problem then fail.exit(1, rpc.text(problem)) end
  return 0
end

local function current(ctx)
  local all = config.load(ctx.values)
  if not all.current then fail.raise "current-context is not set" end
  io.stdout:write(all.current, "\n")
  return 0
end

local function contexts(ctx)
  local all, rows = config.load(ctx.values), {}
  if ctx.values.output == "name" then
    for _, name in ipairs(all.list) do io.stdout:write(name, "\n") end
    return 0
  end
  if not ctx.values["no-headers"] then rows[1] = { "CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE" } end
  for _, name in ipairs(all.list) do
    if #ctx.words == 0 or ctx.words[1] == name then
      local context = all.contexts[name]
      rows[#rows + 1] = { name == all.current and "*" or "", name, context.cluster or "", context.user or "", context.namespace or "" }
    end
  end
  if #ctx.words > 0 and #rows < 2 then fail.raise(('context %s not found'):format(ctx.words[1])) end
  printers.table(rows)
  return 0
end

local function view(ctx)
  local all = config.load(ctx.values)
  local shown = all.raw or { apiVersion = "v1", clusters = json.null, contexts = json.null, ["current-context"] = "", kind = "Config",
    preferences = {},
    users = json.null }
  shown.preferences = shown.preferences or {}
  if not ctx.values.raw then
    for _, entry in ipairs(all.raw and shown.users or {}) do
      if entry.user and entry.user.token then entry.user.token = "REDACTED" end
    end
  end
  if ctx.values.minify and all.current then
    local context = all.contexts[ctx.values.context or all.current]
    if not context then fail.raise(("cannot locate context %s"):format(tostring(ctx.values.context))) end
    local name = ctx.values.context or all.current
    shown = { apiVersion = "v1", kind = "Config", preferences = {}, ["current-context"] = name,
      contexts = json.array { { context = context, name = name } },
      clusters = json.array { { cluster = all.clusters[context.cluster], name = context.cluster } },
      users = json.array { { user = { token = "REDACTED" }, name = context.user } } }
  end
  local print = printers.of(ctx.values.output or "yaml") or fail.raise(('unable to match a printer suitable for the output format "%s"')
    :format(ctx.values.output))
  print(shown)
  return 0
end

local function can_i(ctx)
  local values = ctx.values
  if #ctx.words < 2 then
    fail.raise(fail.old and "you must specify two or three arguments: verb, resource, and optional resourceName"
      or "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.")
  end
  local word, name = ctx.words[2]:match "^([^/]+)/?(.*)$"
  local kind = kinds.named(word)
  local sub = values.subresource
  if not kind then fail.warn(("Warning: the server doesn't have a resource type '%s'"):format(word)) end
  local verb = ctx.words[1]
  if sub == "exec" then verb = "exec" end
  local result = ctx.client:must { op = "can_i", verb = "create", asked = verb == "update" and "patch" or verb, resource = kind
    and kind.plural or word,
    namespace = ctx.namespace, name = name ~= "" and name or ctx.words[3] or "" }
  if not values.quiet then io.stdout:write(result.allowed and "yes" or "no", "\n") end
  return result.allowed and 0 or 1
end

verbs.version = { run = verbs.run_version, flags = { client = { type = "bool" }, output = { type = "string", short = "o" }, short = {
  type = "bool" } } }
verbs.config = { sub = {
  ["current-context"] = { run = current, offline = true },
  ["get-contexts"] = { run = contexts, offline = true, flags = { output = { type = "string", short = "o" }, ["no-headers"] = {
    type = "bool" } } },
  view = { run = view, offline = true, flags = {
    output = { type = "string", short = "o" }, minify = { type = "bool" }, raw = { type = "bool" }, flatten = { type = "bool" }, merge = {
      type = "bool" },
  } },
} }
verbs.auth = { sub = { ["can-i"] = { run = can_i, flags = {
  quiet = { type = "bool", short = "q" }, subresource = { type = "string" }, ["all-namespaces"] = { type = "bool", short = "A" }, list = {
    type = "bool" },
} } } }

return verbs
