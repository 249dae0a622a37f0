-- kubectl get.
local fail = require "kube.client.fail"
local files = require "kube.client.files"
local json = require "core.json"
local printers = require "kube.client.printers"
local resources = require "kube.client.resources"

local verbs = {}

local FORMATS = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,"
  .. "template,templatefile,"
  .. "wide,yaml"

-- Secrets of no interest to a reader of the cluster's state are left out, as kubectl leaves out managedFields.
local function shown(object)
  object.order = nil
  return object
end

local function print_many(print, found, single)
  if single and #found == 1 then return print(shown(found[1].object)) end
  for _, one in ipairs(found) do shown(one.object) end
  print(printers.list(found))
end

local function empty_notice(ctx, wanted)
  local namespaced = false
  for _, one in ipairs(wanted) do namespaced = namespaced or one.kind.namespaced end
  if namespaced and not ctx.values["all-namespaces"] then
    fail.warn(("No resources found in %s namespace."):format(ctx.namespace))
  else
    fail.warn "No resources found"
  end
end

local function run(ctx)
  local values = ctx.values
  local format = values.output or ""
  local print, custom = nil, nil
  if #ctx.words == 0 and not values.filename then
    fail.exit(1, "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported "
      .. "resources.\n\n"
      .. "error: Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. "
      .. "kubectl explain "
      .. "pods).\nSee 'kubectl get -h' for help and examples")
  end
  if format ~= "" and format ~= "wide" and format ~= "name" then
    custom = printers.custom(format)
    print = not custom and printers.of(format)
    if not custom and not print then
      fail.raise(('unable to match a printer suitable for the output format "%s", allowed formats are: %s'):format(format, FORMATS))
    end
  end
  local wanted = values.filename and files.wanted(ctx) or resources.parse(ctx.words)
  local found, problems = resources.find(ctx.client, wanted, ctx.namespace, {
    selector = values.selector, field_selector = values["field-selector"], all = values["all-namespaces"],
    ignore_not_found = values["ignore-not-found"],
  })
  local single = #wanted == 1 and wanted[1].name ~= nil
  local sort_by = values["sort-by"]
  if sort_by then
    local key = require("kube.client.jsonpath").compile(sort_by:match "^{" and sort_by or "{" .. (sort_by:match "^%." and "" or ".")
      .. sort_by .. "}")
    table.sort(found, function(a, b) return key(a.object) < key(b.object) end)
  end
  if custom then
    custom(found, not values["no-headers"])
  elseif format == "name" then
    for _, one in ipairs(found) do io.stdout:write(resources.id(one.kind, one.object.metadata.name), "\n") end
  elseif print then
    local missing = single and #found == 0
    if not missing and (#found > 0 or #problems == 0) then print_many(print, found, single) end
  elseif #found > 0 then
    local several = {}
    for _, one in ipairs(wanted) do several[one.kind.kind] = true end
    local slashes = ctx.words[1] and ctx.words[1]:find("/", 1, true)
    local count = 0
    for _ in pairs(several) do count = count + 1 end
    printers.tables(found, {
      wide = format == "wide", headers = not values["no-headers"], all = values["all-namespaces"], prefix = count > 1 or slashes
        and #wanted > 1 or
        values["show-kind"], labels = values["show-labels"],
    })
  elseif #problems == 0 and not (single and values["ignore-not-found"]) and not values["ignore-not-found"] then
    empty_notice(ctx, wanted)
  end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

verbs.get = {
  run = run,
  flags = {
    output = { type = "string", short = "o" }, selector = { type = "string", short = "l" }, ["field-selector"] = { type = "string" },
    ["all-namespaces"] = { type = "bool", short = "A" }, ["ignore-not-found"] = { type = "bool" }, ["no-headers"] = { type = "bool" },
    ["show-labels"] = { type = "bool" }, ["show-kind"] = { type = "bool" }, ["sort-by"] = { type = "string" },
    filename = { type = "list", short = "f" }, recursive = { type = "bool", short = "R" }, ["chunk-size"] = { type = "int" },
    ["show-managed-fields"] = { type = "bool" }, ["label-columns"] = { type = "list", short = "L" }, ["allow-missing-template-keys"] = {
      type = "bool" },
    template = { type = "string" },
  },
}

verbs.null = json.null

return verbs
