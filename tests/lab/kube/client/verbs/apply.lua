-- kubectl apply, create -f and diff.
local fail = require "kube.client.fail"
local files = require "kube.client.files"
local json = require "core.json"
local kinds = require "kube.kinds"
local objects = require "kube.objects"
local printers = require "kube.client.printers"
local proc = require "core.proc"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"
local yamlout = require "kube.client.yamlout"

local verbs = {}

local DRY = { none = true, server = true, client = true, unchanged = true, ["true"] = true, ["false"] = true }

local function dry_of(values)
  local dry = values["dry-run"] or "none"
  if not DRY[dry] then fail.raise(('Invalid dry-run value (%s). Must be "none", "server", or "client".'):format(dry)) end
  if dry == "unchanged" or dry == "true" then dry = "client" end
  if dry == "none" or dry == "false" then return nil end
  return dry
end

-- The text of the annotation: the manifest, with an empty map of annotations and the namespace, in one line.
local function applied_text(object)
  local shown = objects.copy(object)
  shown.metadata.annotations = shown.metadata.annotations or {}
  shown.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"] = nil
  shown.status = nil
  return json.encode(shown) .. "\n"
end

local function request_of(one, dry)
  local meta = one.object.metadata
  return rpc.request("apply", one.kind.kind, meta.namespace, meta.name, { object = one.object, applied = applied_text(one.object),
    dry = dry })
end

-- "Error from server (Forbidden): error when applying patch: …" carries what was sent.
local function patch_problem(one, problem)
  if problem.reason == "Invalid" then return rpc.text(problem) end
  local meta = one.object.metadata
  if problem.reason == "NotFound" then
    return ('Error from server (NotFound): error when creating "%s": %s'):format(one.file, problem.message)
  end
  if problem.reason == "Forbidden" and not problem.message:find("cannot", 1, true) then
    return ('Error from server (Forbidden): error when applying patch:\n%s\nto:\nResource: "%s, Resource=%s", GroupVersionKind: "%s, '
      .. 'Kind=%s"\nName: "%s", '
      .. 'Namespace: "%s"\nfor: "%s": %s%s'):format(json.encode { spec = one.object.spec }, "/" .. one.kind.version, one.kind.plural, "/"
      .. one.kind.version,
      one.kind.kind, meta.name, meta.namespace or "", one.file, fail.old and "" or ('error when patching "%s": '):format(one.file),
        problem.message)
  end
  return ('Error from server (%s): error when applying patch to "%s": %s'):format(problem.reason, one.file, problem.message)
end

local function tell_warnings(one, warnings)
  for _, warning in ipairs(warnings or {}) do
    local name = one.object.metadata.name
    if warning == "deleting" then
      fail.warn(("Warning: Detected changes to resource %s which is currently being deleted."):format(name))
    else
      fail.warn(("Warning: resource %s/%s is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required "
        .. "by kubectl apply. "
        .. "kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl "
        .. "apply. The missing "
        .. "annotation will be patched automatically."):format(one.kind.plural, name))
    end
  end
end

-- What --dry-run=client says: the server is asked, nothing is sent.
local function client_dry(ctx, one)
  local meta = one.object.metadata
  local live, problem = ctx.client:try(rpc.request("get", one.kind.kind, meta.namespace, meta.name))
  if problem and problem.status ~= 404 then return nil, problem end
  if not live then return { result = "created", object = one.object } end
  local found, why = ctx.client:try(request_of(one, true))
  if not found then return nil, why end
  -- Without the server's defaults the client sees no difference only where apply would see none.
  return { result = found.result == "unchanged" and "unchanged" or "configured", object = found.object, warnings = found.warnings }
end

local function show(ctx, one, result, dry)
  local values = ctx.values
  local name = resources.id(one.kind, one.object.metadata.name)
  if values.output == "name" then
    io.stdout:write(name, "\n")
  elseif values.output and values.output ~= "" then
    local print = printers.of(values.output)
      or fail.raise(('unable to match a printer suitable for the output format "%s"'):format(values.output))
    print(result.object)
  else
    local tail = dry == "client" and " (dry run)" or dry == "server" and " (server dry run)" or ""
    io.stdout:write(name, " ", result.result, tail, "\n")
  end
end

local function check_words(ctx, status)
  if not ctx.values.filename and not ctx.values.kustomize then fail.raise("must specify one of -f and -k", status) end
  if ctx.values.kustomize then fail.raise("kustomize is not part of the lab", status) end
  if #ctx.words > 0 then
    fail.raise(("Unexpected args: [%s]\nSee 'kubectl %s -h' for help and examples"):format(table.concat(ctx.words, " "), ctx.path), status)
  end
end

local function run_apply(ctx)
  local dry = dry_of(ctx.values)
  check_words(ctx, 1)
  local list, failed = files.load(ctx, 1, { validate = ctx.values.validate ~= "false" }), false
  if #list == 0 then fail.raise "no objects passed to apply" end
  -- What does not validate keeps everything from being applied in its file, but not what came before it.
  for _, one in ipairs(list) do
    if one.problem then
      fail.warn("error: " .. one.problem)
      failed = true
    end
  end
  if failed then return 1 end
  for _, one in ipairs(list) do
    local result, problem
    if dry == "client" then
      result, problem = client_dry(ctx, one)
    else
      result, problem = ctx.client:try(request_of(one, dry ~= nil))
    end
    if problem then
      io.stdout:flush()
      fail.warn(patch_problem(one, problem))
      failed = true
    else
      tell_warnings(one, result.warnings)
      show(ctx, one, result, dry)
    end
  end
  return failed and 1 or 0
end

local function run_create(ctx)
  local dry = dry_of(ctx.values)
  if ctx.words[1] == "namespace" or ctx.words[1] == "ns" then
    local name = ctx.words[2] or fail.raise "exactly one NAME is required, got 0"
    ctx.client:must(rpc.request("create", "Namespace", nil, name, { object = { apiVersion = "v1", kind = "Namespace", metadata = {
      name = name } } }))
    io.stdout:write("namespace/", name, " created\n")
    return 0
  end
  check_words(ctx, 1)
  local failed = false
  for _, one in ipairs(files.load(ctx, 1, { validate = ctx.values.validate ~= "false" })) do
    if one.problem then fail.raise(one.problem) end
    local meta = one.object.metadata
    local result, problem = { object = one.object }, nil
    if dry ~= "client" then
      result, problem = ctx.client:try(rpc.request("create", one.kind.kind, meta.namespace, meta.name, { object = one.object,
        dry = dry ~= nil }))
    end
    if problem then
      local text = problem.reason == "Invalid" and rpc.text(problem)
        or ('Error from server (%s): error when creating "%s": %s'):format(problem.reason, one.file, problem.message)
      fail.warn(text)
      failed = true
    else
      result.result = "created"
      show(ctx, one, result, dry)
    end
  end
  return failed and 1 or 0
end

-- diff -----------------------------------------------------------------------------------------------------------------------------------

local function diffable(object)
  local shown = objects.copy(object)
  shown.metadata.managedFields = nil
  return yamlout.text(shown)
end

local function name_of(one)
  local kind = kinds.of(one.object.kind)
  local group = kind.group == "" and kind.version or kind.group .. "." .. kind.version
  return ("%s.%s.%s.%s"):format(group, kind.kind, one.object.metadata.namespace or "", one.object.metadata.name)
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function run_diff(ctx)
  check_words(ctx, 2)
  local list = files.load(ctx, 2)
  for _, one in ipairs(list) do if one.problem then fail.raise(one.problem, 2) end end
  local _, made = proc.run "mktemp -d"
  local dir = made:match "%S+"
  local live_dir, merged_dir = ("%s/LIVE-%d"):format(dir, math.random(1e8, 4e9 // 1)), ("%s/MERGED-%d"):format(dir, math.random(1e8,
    4e9 // 1))
  proc.run(("mkdir %s %s"):format(live_dir, merged_dir))
  local function clean(status, text)
    proc.run("rm -rf " .. proc.quote(dir))
    if text then fail.exit(status, text) end
    return status
  end
  for _, one in ipairs(list) do
    local result, problem = ctx.client:try(request_of(one, true))
    if problem then clean(2, patch_problem(one, problem)) end
    tell_warnings(one, {})
    if result.live ~= json.null then write(live_dir .. "/" .. name_of(one), diffable(result.live)) end
    write(merged_dir .. "/" .. name_of(one), diffable(result.object))
  end
  local program = os.getenv "KUBECTL_EXTERNAL_DIFF"
  local words = {}
  for word in (program and program ~= "" and program or "diff -u -N"):gmatch "%S+" do words[#words + 1] = word end
  if proc.run("command -v " .. proc.quote(words[1])) ~= 0 then
    clean(2, ('error: failed to run "%s": executable file not found in $PATH'):format(words[1]))
  end
  words[#words + 1], words[#words + 2] = live_dir, merged_dir
  io.stdout:flush()
  local _, _, status = os.execute(proc.command(words))
  clean()
  return status
end

local COMMON = {
  filename = { type = "list", short = "f" }, recursive = { type = "bool", short = "R" }, kustomize = { type = "string", short = "k" },
  ["field-manager"] = { type = "string" }, selector = { type = "string", short = "l" }, ["server-side"] = { type = "bool" },
  ["force-conflicts"] = { type = "bool" }, prune = { type = "bool" }, ["prune-allowlist"] = { type = "list" },
}

local function with_common(more)
  for name, flag in pairs(COMMON) do more[name] = flag end
  return more
end

verbs.apply = { run = run_apply, flags = with_common {
  output = { type = "string", short = "o" }, ["dry-run"] = { type = "string", bare = "unchanged" }, validate = { type = "string",
    bare = "strict" },
  wait = { type = "bool" }, timeout = { type = "duration" }, force = { type = "bool" }, overwrite = { type = "bool" }, record = {
    type = "bool" },
  cascade = { type = "string", bare = "background" }, ["grace-period"] = { type = "int" }, ["openapi-patch"] = { type = "bool" }, all = {
    type = "bool" },
  ["show-managed-fields"] = { type = "bool" },
} }

verbs.create = { run = run_create, flags = with_common {
  output = { type = "string", short = "o" }, ["dry-run"] = { type = "string", bare = "unchanged" }, validate = { type = "string",
    bare = "strict" },
  ["save-config"] = { type = "bool" }, record = { type = "bool" },
} }

verbs.diff = { run = run_diff, flags = with_common { concurrency = { type = "int" } } }

return verbs
