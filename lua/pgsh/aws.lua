-- aws: Amazon's services, as far as the procedures need them: the groups of EC2 Auto Scaling, and which of their processes are suspended.
--
-- To suspend what is suspended already is no error there, and to resume does not ask who suspended. So before it suspends, a script keeps
-- what is not suspended yet, and resumes only that.
local client = require "pgsh.aws.client"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local options = require "pgsh.options"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"
local xml = require "pgsh.aws.xml"

local aws = {}

local Group = {}
Group.__index = Group
Group.__name = "aws.group"

local SERVICE = { name = "autoscaling", version = "2011-01-01", variable = "AUTO_SCALING" }

local PROCESSES = {
  "AZRebalance", "AddToLoadBalancer", "AlarmNotification", "HealthCheck", "InstanceRefresh", "Launch", "ReplaceUnhealthy",
  "ScheduledActions", "Terminate",
}
local KNOWN = {}
for _, name in ipairs(PROCESSES) do KNOWN[name] = true end

-- A list that always names a next page must not keep us.
local PAGES = 100

function Group:__tostring()
  return "autoscaling " .. self.name
end

-- One or several names of processes, sorted and each once.
local function processes_of(given, call)
  if type(given) == "string" then given = { given } end
  if type(given) ~= "table" then errors.usage("aws %s: name the processes, like \"Terminate\"", call) end
  local seen, list = {}, {}
  for _, name in ipairs(given) do
    if not KNOWN[name] then errors.usage("aws: there is no process %s; there are %s", tostring(name), table.concat(PROCESSES, ", ")) end
    if not seen[name] then list[#list + 1] = name end
    seen[name] = true
  end
  table.sort(list)
  return list
end

local function number_of(element, name)
  return math.tointeger(tonumber(xml.text(element, name) or ""))
end

local function group_of(element)
  local suspended, states = {}, {}
  for i, member in ipairs(xml.members(element, "SuspendedProcesses")) do suspended[i] = xml.text(member, "ProcessName") end
  table.sort(suspended)
  local instances = xml.members(element, "Instances")
  for _, member in ipairs(instances) do
    local state = xml.text(member, "LifecycleState") or "?"
    states[state] = (states[state] or 0) + 1
  end
  return {
    name = xml.text(element, "AutoScalingGroupName"), min = number_of(element, "MinSize"), max = number_of(element, "MaxSize"),
    desired = number_of(element, "DesiredCapacity"), instances = #instances, states = states, suspended = suspended,
    status = xml.text(element, "Status"),
  }
end

-- Every group that the parameters choose, page by page.
local function list(requests, names)
  local out, token, pages = {}, nil, 0
  repeat
    pages = pages + 1
    if pages > PAGES then error(host.error("limit", { message = ("the list of groups does not end after %d pages"):format(PAGES) }), 0) end
    local result = requests:read("DescribeAutoScalingGroups", { AutoScalingGroupNames = names, MaxRecords = 100, NextToken = token })
    for _, member in ipairs(xml.members(result, "AutoScalingGroups")) do out[#out + 1] = group_of(member) end
    token = xml.text(result, "NextToken")
  until not token or token == ""
  return out
end

-- Groups -------------------------------------------------------------------------------------------------------------------------

-- The group now: { name, min, max, desired, instances, states, suspended, status }; nil when there is none of that name.
function Group:find()
  return list(self.requests, { self.name })[1]
end

-- The same; raises when there is none.
function Group:info()
  local found = self:find()
  if found then return found end
  local _, region = self.requests:check()
  errors.usage("there is no Auto Scaling group %s in %s", self.name, region)
end

-- The names of its suspended processes, sorted.
function Group:suspended()
  return self:info().suspended
end

-- Those of these processes that are not suspended now: what suspend would change, for keep.
function Group:active(processes)
  local wanted, now, out = processes_of(processes, "active"), {}, {}
  for _, name in ipairs(self:suspended()) do now[name] = true end
  for _, name in ipairs(wanted) do
    if not now[name] then out[#out + 1] = name end
  end
  return out
end

-- Are these processes suspended? For verify: false and those that are not.
function Group:is_suspended(processes)
  local active = self:active(processes)
  return #active == 0, #active > 0 and table.concat(active, ", ") .. (#active == 1 and " is" or " are") .. " not suspended" or nil
end

-- Does none of these processes remain suspended? For verify: false and those that do.
function Group:is_active(processes)
  local wanted, still = {}, {}
  for _, name in ipairs(processes_of(processes, "is_active")) do wanted[name] = true end
  for _, name in ipairs(self:suspended()) do
    if wanted[name] then still[#still + 1] = name end
  end
  return #still == 0, #still > 0 and table.concat(still, ", ") .. (#still == 1 and " is" or " are") .. " suspended" or nil
end

local function change(self, action, processes, holds)
  if unknown.within(processes) then
    return self.requests:change(action, { AutoScalingGroupName = self.name }, { what = action .. " ‹processes, known after the run›" })
  end
  local names = processes_of(processes, action)
  -- Without a name the service takes all of them.
  if #names == 0 then return nil end
  return self.requests:change(action, { AutoScalingGroupName = self.name, ScalingProcesses = names }, {
    what = ("%s %s"):format(action, table.concat(names, ",")),
    resolve = function() return settle.look(self.settle, function() return (holds(self, names)) end), { status = 200 } end,
  })
end

-- Suspend these processes. An empty list changes nothing (and not everything, as it does at the service).
function Group:suspend(processes)
  return change(self, "SuspendProcesses", processes, Group.is_suspended)
end

-- Resume these processes, whoever suspended them. An empty list changes nothing.
function Group:resume(processes)
  return change(self, "ResumeProcesses", processes, Group.is_active)
end

-- Raises what would make the first request fail: no credentials, no region. Where the credentials come from, and the region.
function Group:check_credential()
  return self.requests:check()
end

-- The module ---------------------------------------------------------------------------------------------------------------------

local OPTIONS = { region = "string", profile = "string", settle = true }

local function options_of(given, call)
  given = options.check(call, given, OPTIONS)
  if given.region and not given.region:match "^[%w-]+$" then errors.usage("%s: %q is no region", call, given.region) end
  return given
end

-- An Auto Scaling group by its name. Named as a target at once; nothing is asked before the first use. options: region, profile, settle
-- ("20s": how long the service is asked for a change whose answer was lost).
function aws.group(name, given)
  given = options_of(given, "aws.group")
  if type(name) ~= "string" or name == "" or #name > 255 or name:match "[%c:]" then
    errors.usage("aws.group: %s is no name of an Auto Scaling group", tostring(name))
  end
  return setmetatable({ name = name, settle = given.settle, requests = client.new(SERVICE, name, given) }, Group)
end

-- The Auto Scaling groups of the region: all of them, or those of these names. options: region, profile.
function aws.groups(names, given)
  given = options_of(given, "aws.groups")
  if names and #names == 0 then return {} end
  return list(client.new(SERVICE, "every group", given), names)
end

return aws
