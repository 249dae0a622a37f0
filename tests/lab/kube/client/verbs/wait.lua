-- kubectl wait.
local cqueues = require "cqueues"
local fail = require "kube.client.fail"
local files = require "kube.client.files"
local jsonpath = require "kube.client.jsonpath"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"

local verbs = {}

local POLL_S = 0.03
local DEFAULT_S = 30
local WEEK_S = 7 * 24 * 3600

local function condition_test(text)
  local name, value = text:match "^([^=]+)=?(.*)$"
  if not name then return nil end
  value = value == "" and "true" or value
  return function(object)
    for _, condition in ipairs(object.status and object.status.conditions or {}) do
      if condition.type:lower() == name:lower() then return tostring(condition.status):lower() == value:lower() end
    end
    return false
  end
end

local function path_test(text)
  local path, value = text:match "^({.-})=?(.*)$"
  if not path then
    path, value = text:match "^'?({.-})'?=(.*)$"
  end
  if not path then fail.raise("jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or "
    .. "--for=jsonpath='{.status.readyReplicas}'") end
  return function(object)
    local found = jsonpath.values(path, object)
    if #found == 0 then return false end
    return value == "" or jsonpath.shown(found[1]) == value
  end
end

-- What is waited for: a test of an object, or "delete", or "create".
local function parse_for(text)
  if text:lower() == "delete" then return "delete" end
  if text:lower() == "create" and not fail.old then return "create" end
  local condition = text:match "^condition=(.+)$"
  if condition then return condition_test(condition) end
  local path = text:match "^jsonpath=(.+)$"
  if path and not fail.old then return path_test(path) end
  fail.raise(('unrecognized condition: "%s"'):format(text))
end

local function get(ctx, one)
  local object, problem = ctx.client:try(rpc.request("get", one.kind.kind, one.namespace, one.name))
  if problem and problem.status ~= 404 then fail.exit(1, rpc.text(problem)) end
  return object
end

-- Waits for one object; whether it happened before the deadline.
local function wait_one(ctx, one, test, deadline)
  while true do
    local object = get(ctx, one)
    if test == "delete" then
      if not object or object.metadata.uid ~= one.uid then return true end
    elseif object and test(object) then
      return true
    end
    if cqueues.monotime() >= deadline then return false end
    cqueues.sleep(POLL_S)
  end
end

local function wait_created(ctx, wanted, deadline)
  for _, one in ipairs(wanted) do
    one.namespace = ctx.namespace
    while not get(ctx, one) do
      if cqueues.monotime() >= deadline then fail.raise "timed out waiting for the condition" end
      cqueues.sleep(POLL_S)
    end
    io.stdout:write(resources.id(one.kind, one.name), " condition met\n")
  end
  return 0
end

local function run(ctx)
  local values = ctx.values
  local test = parse_for(values["for"] or "")
  local timeout = values.timeout or DEFAULT_S
  if timeout < 0 then timeout = WEEK_S end
  local deadline = cqueues.monotime() + timeout
  local wanted = values.filename and files.wanted(ctx) or resources.parse(ctx.words)
  if #wanted == 0 then
    fail.raise("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f "
      .. "rsrc.yaml'\n   "
      .. "'--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'")
  end
  if test == "create" then return wait_created(ctx, wanted, deadline) end
  for _, one in ipairs(wanted) do
    if not one.name and not values.selector and not values.all and not values["field-selector"] then
      fail.raise "resource(s) were provided, but no name was specified"
    end
  end
  local found, problems = resources.find(ctx.client, wanted, ctx.namespace, {
    selector = values.selector, field_selector = values["field-selector"], all = values["all-namespaces"],
      ignore_not_found = test == "delete",
  })
  if #problems > 0 then fail.exit(1, problems[1].text) end
  if #found == 0 then
    if test == "delete" and not fail.old then return 0 end
    fail.raise "no matching resources found"
  end
  local late = {}
  for _, one in ipairs(found) do
    local meta = one.object.metadata
    local ok = wait_one(ctx, { kind = one.kind, name = meta.name, namespace = meta.namespace, uid = meta.uid }, test, deadline)
    if ok then
      io.stdout:write(resources.id(one.kind, meta.name), " condition met\n")
      io.stdout:flush()
    else
      late[#late + 1] = (timeout == 0 and not fail.old and "condition not met for %s/%s"
        or "timed out waiting for the condition on %s/%s"):format(
        one.kind.plural, meta.name)
    end
  end
  if #late == 1 then fail.raise(late[1]) end
  if #late > 1 then fail.exit(1, table.concat(late, "\n")) end
  return 0
end

verbs.wait = { run = run, flags = {
  ["for"] = { type = "string" }, timeout = { type = "duration" }, selector = { type = "string", short = "l" }, all = { type = "bool" },
  ["all-namespaces"] = { type = "bool", short = "A" }, filename = { type = "list", short = "f" }, output = { type = "string", short = "o" },
  ["field-selector"] = { type = "string" }, recursive = { type = "bool", short = "R" },
} }

return verbs
