-- kubectl scale.
local fail = require "kube.client.fail"
local files = require "kube.client.files"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"

local verbs = {}

-- What is to be changed: by names or by a selector. Missing ones are told after the others are done.
local function targets(ctx)
  local values = ctx.values
  local wanted = values.filename and files.wanted(ctx) or resources.parse(ctx.words)
  if #wanted == 0 then
    fail.raise("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f "
      .. "rsrc.yaml'\n   "
      .. "'--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'")
  end
  for _, one in ipairs(wanted) do
    if not one.name and not values.selector and not values.all then
      fail.raise "resource(s) were provided, but no name was specified"
    end
  end
  return resources.find(ctx.client, wanted, ctx.namespace, { selector = values.selector })
end
verbs.targets = targets

local function run(ctx)
  local values = ctx.values
  if values.replicas < 0 then fail.raise "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0" end
  local current = values["current-replicas"]
  if current == -1 then current = nil end
  local found, problems = targets(ctx)
  if #found == 0 then
    if #problems == 0 then fail.raise "no objects passed to scale" end
    if fail.old or problems[1].problem.status ~= 404 then fail.exit(1, problems[1].text) end
    fail.raise("no objects passed to scale " .. problems[1].problem.message)
  end
  local dry = values["dry-run"] and values["dry-run"] ~= "none"
  local failed = #problems > 0
  for _, one in ipairs(found) do
    local meta = one.object.metadata
    local result, problem = ctx.client:try(rpc.request("scale", one.kind.kind, meta.namespace, meta.name, {
      replicas = values.replicas, current = current, dry = dry,
    }))
    if problem then
      problems[#problems + 1] = { text = rpc.text(problem) }
    elseif result.expected then
      problems[#problems + 1] = { text = ("error: Expected replicas to be %d, was %d"):format(result.expected, result.was) }
    else
      local tail = not fail.old and dry and (" (%s dry run)"):format(values["dry-run"]) or ""
      if values["dry-run"] == "client" then tail = " (dry run)" end
      io.stdout:write(values.output == "name" and resources.id(one.kind, meta.name) or resources.id(one.kind, meta.name) .. " scaled"
        .. tail, "\n")
    end
  end
  io.stdout:flush()
  failed = resources.tell(problems) or failed
  return failed and 1 or 0
end

verbs.scale = {
  run = run, required = { "replicas" },
  flags = {
    replicas = { type = "int" }, ["current-replicas"] = { type = "int" }, timeout = { type = "duration" }, selector = { type = "string",
      short = "l" },
    all = { type = "bool" }, output = { type = "string", short = "o" }, filename = { type = "list", short = "f" }, recursive = {
      type = "bool", short = "R" },
    ["dry-run"] = { type = "string", bare = "unchanged" }, ["resource-version"] = { type = "string" }, record = { type = "bool" },
  },
}

return verbs
