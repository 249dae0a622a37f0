-- EC2 Auto Scaling's Query interface: groups and their suspended processes. As strict as the service: who is not known, signs wrongly,
-- names an action, a version, a parameter, a process or a group that there is not, is refused with its errors in XML.
local json = require "core.json"
local refusal = require "core.refusal"
local signature = require "aws.signature"

local autoscaling = {}

autoscaling.REGION = "us-east-1"
autoscaling.GROUPS = { "production-2-workers-org", "precise-production-2-workers-org" }

local VERSION = "2011-01-01"
local NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
local PROCESSES = {
  "Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy",
  "ScheduledActions",
}

-- The parameters an action takes: "list" is NAME.member.N.
local ACTIONS = {
  DescribeAutoScalingGroups = { AutoScalingGroupNames = "list", MaxRecords = "text", NextToken = "text" },
  SuspendProcesses = { AutoScalingGroupName = "text", ScalingProcesses = "list" },
  ResumeProcesses = { AutoScalingGroupName = "text", ScalingProcesses = "list" },
}

local function refuse(status, code, format, ...)
  refusal.raise(status, code, select("#", ...) > 0 and format:format(...) or format)
end

local function invalid(format, ...) refuse(400, "ValidationError", format, ...) end

-- State ------------------------------------------------------------------------------------------------------------------------

local function new_group(name, desired)
  return { name = name, min = 1, max = desired * 2, desired = desired, suspended = {}, changes = 0 }
end

-- credentials: key → { secret, token?, expired? }; the session is what most people have.
function autoscaling.new(world)
  local self = {
    world = world, groups = {}, order = {}, tokens = {},
    credentials = {
      [world.aws.key] = { secret = world.aws.secret, token = world.aws.token },
      [world.aws.second.key] = { secret = world.aws.second.secret, token = world.aws.second.token },
      [world.aws.static.key] = { secret = world.aws.static.secret },
    },
  }
  for i, name in ipairs(autoscaling.GROUPS) do
    self.groups[name] = new_group(name, 2 + i)
    self.order[i] = name
  end
  return self
end

function autoscaling.add(self, name)
  self.groups[name] = new_group(name, 1)
  self.order[#self.order + 1] = name
end

function autoscaling.remove(self, name)
  self.groups[name] = nil
  for i, other in ipairs(self.order) do
    if other == name then table.remove(self.order, i) end
  end
end

function autoscaling.state(self)
  local out = {}
  for name, group in pairs(self.groups) do
    local names = json.array()
    for process in pairs(group.suspended) do names[#names + 1] = process end
    table.sort(names)
    out[name] = { suspended = names, changes = group.changes }
  end
  return out
end

-- Forms ------------------------------------------------------------------------------------------------------------------------

local function unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(two) return string.char(tonumber(two, 16)) end))
end

-- name → value; a name that comes twice is refused.
function autoscaling.form(text)
  local out = {}
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    name = unescape(name)
    if out[name] then invalid("the parameter %s is given twice", name) end
    out[name] = unescape(value)
  end
  return out
end

-- The parameters by the action's own list; lists must be numbered 1, 2, …
local function parameters(form, action)
  local allowed, out = ACTIONS[action], {}
  for name, value in pairs(form) do
    local base, number = name:match "^(%w+)%.member%.(%d+)$"
    if allowed[name] == "text" then
      out[name] = value
    elseif base and allowed[base] == "list" and tostring(math.tointeger(tonumber(number))) == number then
      out[base] = out[base] or {}
      out[base][tonumber(number)] = value
    elseif name ~= "Action" and name ~= "Version" then
      invalid("%s is no parameter of %s", name, action)
    end
  end
  for base, kind in pairs(allowed) do
    local count = 0
    for _ in pairs(kind == "list" and out[base] or {}) do count = count + 1 end
    if count ~= #(kind == "list" and out[base] or {}) then invalid("%s: the members are not numbered 1, 2, …", base) end
  end
  return out
end

-- XML --------------------------------------------------------------------------------------------------------------------------

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escaped(value) return (tostring(value):gsub("[&<>\"']", ENTITIES)) end

local function element(name, value)
  return value and ("<%s>%s</%s>"):format(name, escaped(value), name) or ""
end

local function stamp(self) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(self.world.now())) end

local function group_xml(group)
  local processes = {}
  for _, name in ipairs(PROCESSES) do
    if group.suspended[name] then
      processes[#processes + 1] = ("<member>%s%s</member>"):format(element("ProcessName", name),
        element("SuspensionReason", "User suspended at " .. group.suspended[name]))
    end
  end
  local instances = {}
  for i = 1, group.desired do
    instances[i] = ("<member>%s%s%s%s</member>"):format(element("InstanceId", ("i-%017x"):format(i)),
      element("LifecycleState", "InService"), element("HealthStatus", "Healthy"), element("ProtectedFromScaleIn", "false"))
  end
  return table.concat {
    "<member>", element("AutoScalingGroupName", group.name),
    element("AutoScalingGroupARN", ("arn:aws:autoscaling:%s:123456789012:autoScalingGroup:%s"):format(autoscaling.REGION, group.name)),
    element("MinSize", group.min), element("MaxSize", group.max), element("DesiredCapacity", group.desired),
    element("DefaultCooldown", 300), element("HealthCheckType", "EC2"), element("CreatedTime", "2017-01-01T00:00:00Z"),
    "<AvailabilityZones><member>us-east-1b</member></AvailabilityZones><LoadBalancerNames/><Tags/><EnabledMetrics/>",
    "<Instances>", table.concat(instances), "</Instances><SuspendedProcesses>", table.concat(processes), "</SuspendedProcesses></member>",
  }
end

local function answer(action, result)
  result = result and ("  <%sResult>%s</%sResult>\n"):format(action, result, action) or ""
  return 200, ('<%sResponse xmlns="%s">\n%s  <ResponseMetadata><RequestId>7c6e177f-f082-11e1-ac58-3714bEXAMPLE</RequestId>'
    .. "</ResponseMetadata>\n</%sResponse>\n"):format(action, NAMESPACE, result, action)
end

local function error_body(failure)
  return ('<ErrorResponse xmlns="%s">\n  <Error>\n    <Type>%s</Type>\n    <Code>%s</Code>\n    <Message>%s</Message>\n  </Error>\n'
    .. "  <RequestId>0a1b2c3d-f082-11e1-ac58-3714bEXAMPLE</RequestId>\n</ErrorResponse>\n"):format(NAMESPACE,
    failure.status < 500 and "Sender" or "Receiver", escaped(failure.id), escaped(failure.message))
end

-- Actions ----------------------------------------------------------------------------------------------------------------------

local function group_named(self, name)
  if not name or name == "" then
    invalid "1 validation error detected: Value null at 'autoScalingGroupName' failed to satisfy constraint: Member must not be null"
  end
  return self.groups[name] or invalid("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name)
end

local function processes_named(names)
  local known = {}
  for _, name in ipairs(PROCESSES) do known[name] = true end
  for _, name in ipairs(names) do
    if not known[name] then invalid("Unsupported process type: %s", name) end
  end
  return #names > 0 and names or PROCESSES
end

local function change(self, given, value)
  local group = group_named(self, given.AutoScalingGroupName)
  for _, name in ipairs(processes_named(given.ScalingProcesses or {})) do
    -- What is suspended already keeps its reason.
    if value == nil or not group.suspended[name] then group.suspended[name] = value end
  end
  group.changes = group.changes + 1
end

local handlers = {}

function handlers.SuspendProcesses(self, given)
  change(self, given, stamp(self))
  return answer "SuspendProcesses"
end

function handlers.ResumeProcesses(self, given)
  change(self, given, nil)
  return answer "ResumeProcesses"
end

local function chosen(self, names)
  local wanted, out = {}, {}
  for _, name in ipairs(names or {}) do wanted[name] = true end
  for _, name in ipairs(self.order) do
    if not names or wanted[name] then out[#out + 1] = self.groups[name] end
  end
  return out
end

function handlers.DescribeAutoScalingGroups(self, given)
  local limit = math.tointeger(tonumber(given.MaxRecords or 50))
  if not limit or limit < 1 or limit > 100 then invalid("MaxRecords must be between 1 and 100, not %s", given.MaxRecords) end
  limit = math.min(limit, self.world.options.page_size)
  local from = 0
  if given.NextToken then
    from = self.tokens[given.NextToken] or refuse(400, "InvalidNextToken", "The token '%s' is invalid.", given.NextToken)
  end
  local groups, parts = chosen(self, given.AutoScalingGroupNames), {}
  for i = from + 1, math.min(#groups, from + limit) do parts[#parts + 1] = group_xml(groups[i]) end
  local token
  if from + limit < #groups then
    token = ("token-%d-%s"):format(from + limit, self.world.uuid())
    self.tokens[token] = from + limit
  end
  return answer("DescribeAutoScalingGroups", ("<AutoScalingGroups>%s</AutoScalingGroups>%s"):format(table.concat(parts),
    element("NextToken", token)))
end

-- Requests ---------------------------------------------------------------------------------------------------------------------

-- Before the action is looked at: who asks, and is it a request of this interface?
local function admit(world, request)
  local self = world.autoscaling
  world.served = world.served + 1
  signature.verify(request, {
    find = function(key) return self.credentials[key] end, region = autoscaling.REGION, service = "autoscaling",
    now = world.now() + world.options.clock_ahead_s,
  })
  if request.target ~= "/" then refuse(404, "UnknownOperationException", "no such path") end
  if request.method == "POST" then
    local kind = (request.headers["content-type"] or ""):lower()
    if not kind:match "^application/x%-www%-form%-urlencoded%s*;?" then
      refuse(400, "MalformedInput", "the body must be application/x-www-form-urlencoded, not %s", kind)
    end
    if request.query ~= "" then refuse(400, "MalformedInput", "a POST with a query") end
  elseif request.method ~= "GET" or request.body ~= "" then
    refuse(405, "MalformedInput", "GET or POST, and a GET has no body")
  end
  request.form = autoscaling.form(request.method == "POST" and request.body or request.query)
  local action, version = request.form.Action, request.form.Version
  if not action then refuse(400, "MissingAction", "Missing Action") end
  if not ACTIONS[action] or version ~= VERSION then
    refuse(400, "InvalidAction", "Could not find operation %s for version %s", action, tostring(version))
  end
  -- The token bucket of the account: so many in a row, then one more each time the bucket has been refilled.
  local now = world.now()
  local bucket = world.bucket
  bucket.tokens = math.min(world.options.rate_burst, bucket.tokens + (now - bucket.at) * world.options.rate_per_s)
  bucket.at = now
  if bucket.tokens < 1 then refuse(400, "Throttling", "Rate exceeded") end
  bucket.tokens = bucket.tokens - 1
end

-- The definition for core.service. Requests are told apart by what they do: their path becomes "/ACTION", for the log and the faults.
function autoscaling.definition(world)
  local routes = {}
  for action in pairs(ACTIONS) do
    local function handler(request)
      return handlers[action](world.autoscaling, parameters(request.form, action))
    end
    local read = action:match "^Describe" ~= nil
    routes[#routes + 1] = { "POST", "/" .. action, handler, read = read }
    if read then routes[#routes + 1] = { "GET", "/" .. action, handler, read = true } end
  end
  return {
    name = "aws", world = world, routes = routes, raw = true,
    admit = function(request) admit(world, request) end,
    error_body = error_body,
    refuse_body = function(status, why) refuse(status, "MalformedInput", "%s", why) end,
    encode = function(body) return body, "text/xml" end,
  }
end

-- What core.http gives, as core.service is to see it.
function autoscaling.front(handler)
  return function(request)
    local form = request.method == "POST" and request.body or request.query
    request.target = request.path
    request.path = "/" .. (form:match "^Action=(%w+)" or form:match "&Action=(%w+)" or "")
    return handler(request)
  end
end

return autoscaling
