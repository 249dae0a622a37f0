-- kubectl delete.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local files = require "kube.client.files"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"

local verbs = {}

local POLL_S = 0.03
local WORDS = { background = true, foreground = true, orphan = true }

local function cascade_of(values)
  local word = values.cascade or "background"
  if word == "true" then return "background" elseif word == "false" then return "orphan" end
  if not WORDS[word] then
    fail.raise(('invalid cascade value (%s). Must be "background", "foreground", or "orphan"'):format(word))
  end
  return word
end

-- Until every object is gone (another one of its name counts as gone); nil, or the text of what is not.
local function wait_gone(ctx, gone, timeout)
  local deadline = timeout and timeout > 0 and cqueues.monotime() + timeout or nil
  for _, one in ipairs(gone) do
    while true do
      local object, problem = ctx.client:try(rpc.request("get", one.kind.kind, one.namespace, one.name))
      if problem and problem.status == 404 or object and object.metadata.uid ~= one.uid then break end
      if problem and problem.status ~= 404 then return rpc.text(problem) end
      if deadline and cqueues.monotime() >= deadline then
        return ("error: timed out waiting for the condition on %s/%s"):format(one.kind.plural, one.name)
      end
      cqueues.sleep(POLL_S)
    end
  end
  return nil
end

local function gather(ctx)
  local values = ctx.values
  if values.filename then
    local wanted = files.wanted(ctx)
    return wanted, {}
  end
  if #ctx.words == 0 then
    fail.raise("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f "
      .. "rsrc.yaml'\n   "
      .. "'--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'")
  end
  local wanted = resources.parse(ctx.words)
  if wanted[1].name then return wanted, {} end
  if not values.all and not values.selector then fail.raise "resource(s) were provided, but no name was specified" end
  local found, problems = resources.find(ctx.client, wanted, ctx.namespace, { selector = values.selector, all = values["all-namespaces"] })
  local out = {}
  for i, one in ipairs(found) do out[i] = { kind = one.kind, name = one.object.metadata.name,
    namespace = one.object.metadata.namespace } end
  return out, problems
end

local function run(ctx)
  local values = ctx.values
  local cascade, gone = cascade_of(values), {}
  if values.force and values.now then fail.raise "--force and --now cannot be specified together" end
  local grace = values["grace-period"]
  if grace and grace < 0 then grace = nil end
  if values.now then grace = 1 end
  if values.force then
    grace = 0
    fail.warn("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource "
      .. "may continue to run on the cluster indefinitely.")
  elseif grace == 0 then
    grace = 1
  end
  local dry = values["dry-run"] and values["dry-run"] ~= "none"
  local wanted, problems = gather(ctx)
  for _, one in ipairs(wanted) do
    local namespace = one.namespace or ctx.namespace
    local result, problem = ctx.client:try(rpc.request("delete", one.kind.kind, namespace, one.name, {
      grace = grace, force = values.force, cascade = cascade, dry = dry,
    }))
    if problem then
      if not (problem.status == 404 and values["ignore-not-found"]) then
        local text = one.file and problem.status == 404
          and ('Error from server (NotFound): error when deleting "%s": %s'):format(one.file, problem.message) or rpc.text(problem)
        problems[#problems + 1] = { text = text }
      end
    else
      local tail = dry and (values["dry-run"] == "server" and " (server dry run)" or " (dry run)") or ""
      local short = values.output == "name" and resources.id(one.kind, one.name)
        or ('%s "%s" %sdeleted%s'):format(one.kind.prefix, one.name, values.force and "force " or "", tail)
      io.stdout:write(short, "\n")
      gone[#gone + 1] = { kind = one.kind, name = one.name, namespace = namespace, uid = result.uid }
    end
  end
  if #wanted == 0 and #problems == 0 then io.stdout:write "No resources found\n" end
  io.stdout:flush()
  local failed = resources.tell(problems)
  if not dry and values.wait ~= false and not (values.force and values.wait == nil) and #gone > 0 then
    local why = wait_gone(ctx, gone, values.timeout)
    if why then fail.exit(1, why) end
  end
  return failed and 1 or 0
end

verbs.delete = { run = run, flags = {
  filename = { type = "list", short = "f" }, recursive = { type = "bool", short = "R" }, selector = { type = "string", short = "l" },
    all = { type = "bool" },
  ["all-namespaces"] = { type = "bool", short = "A" }, ["ignore-not-found"] = { type = "bool" }, cascade = { type = "string",
    bare = "background" },
  ["grace-period"] = { type = "int" }, force = { type = "bool" }, now = { type = "bool" }, wait = { type = "bool" }, timeout = {
    type = "duration" },
  output = { type = "string", short = "o" }, ["dry-run"] = { type = "string", bare = "unchanged" }, ["field-selector"] = {
    type = "string" },
} }

return verbs
