-- Statuspage API v1, for one page: incidents, scheduled maintenances and components.
local check = require "core.check"
local json = require "core.json"
local refusal = require "core.refusal"
local world_of = require "world"

local statuspage = {}

statuspage.PAGE = "kctbh9vrtdwd"

local REALTIME = { "investigating", "identified", "monitoring", "resolved" }
local SCHEDULED = { "scheduled", "in_progress", "verifying", "completed" }
local COMPONENT = { "operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage", "" }
local IMPACTS = { "none", "maintenance", "minor", "major", "critical" }

local function set_of(list)
  local out = {}
  for _, name in ipairs(list) do out[name] = true end
  return out
end

local IS_SCHEDULED, IS_REALTIME = set_of(SCHEDULED), set_of(REALTIME)

local function both_lists()
  local out = {}
  for _, list in ipairs { REALTIME, SCHEDULED } do
    for _, name in ipairs(list) do out[#out + 1] = name end
  end
  return out
end

local DATE_TIME = check.pattern("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*[Z+-][%d:]*$", "an RFC 3339 date and time")

local FIELDS = {
  name = check.at_most(255), status = check.one_of(both_lists()), body = check.at_most(25000),
  component_ids = check.list(check.filled), components = check.map(check.filled, check.one_of(COMPONENT)),
  impact_override = check.nullable(check.one_of(IMPACTS)), deliver_notifications = check.boolean,
  metadata = check.map(check.string, check.object), backfilled = check.boolean, backfill_date = check.string,
  auto_tweet_at_beginning = check.boolean, auto_tweet_on_completion = check.boolean,
  auto_tweet_on_creation = check.boolean, auto_tweet_one_hour_before = check.boolean,
  scheduled_for = DATE_TIME, scheduled_until = DATE_TIME, scheduled_remind_prior = check.boolean,
  scheduled_auto_in_progress = check.boolean, scheduled_auto_completed = check.boolean,
  auto_transition_to_maintenance_state = check.boolean, auto_transition_to_operational_state = check.boolean,
  auto_transition_deliver_notifications_at_start = check.boolean,
  auto_transition_deliver_notifications_at_end = check.boolean,
}
local KEPT = {
  "name", "impact_override", "metadata", "scheduled_for", "scheduled_until", "scheduled_remind_prior",
  "scheduled_auto_in_progress", "scheduled_auto_completed", "auto_transition_to_maintenance_state",
  "auto_transition_to_operational_state", "auto_transition_deliver_notifications_at_start",
  "auto_transition_deliver_notifications_at_end",
}
local CREATE = check.record({ incident = check.record(FIELDS, { "name" }) }, { "incident" })
local UPDATE = check.record({ incident = check.record(FIELDS) }, { "incident" })
local COMPONENT_BODY = check.record({ component = check.record {
  status = check.one_of(COMPONENT), name = check.filled, description = check.nullable(check.string),
} }, { "component" })
local UPDATE_BODY = check.record({ incident_update = check.record {
  body = check.at_most(25000), display_at = DATE_TIME, deliver_twitter_update = check.boolean,
  wants_twitter_update = check.boolean,
} }, { "incident_update" })

local function refuse(status, message)
  refusal.raise(status, "statuspage", message)
end

-- Twelve lower-case letters and digits.
local function new_id()
  local alphabet, out = "abcdefghijklmnopqrstuvwxyz0123456789", {}
  for i = 1, 12 do
    local at = math.random(#alphabet)
    out[i] = alphabet:sub(at, at)
  end
  return table.concat(out)
end

local function stamp()
  local now = world_of.now()
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(now)) .. (".%03dZ"):format(math.floor(now % 1 * 1000))
end

function statuspage.new(world)
  local self = { world = world, incidents = {}, components = {}, requests = {}, component_lists = {} }
  for i, name in ipairs { "crates.io", "crates.io API", "Crate downloads" } do
    self.components[i] = {
      id = new_id(), page_id = statuspage.PAGE, group_id = json.null, created_at = stamp(), updated_at = stamp(),
      group = false, name = name, description = json.null, position = i, status = "operational", showcase = true,
      only_show_if_degraded = false, automation_email = json.null, start_date = json.null,
    }
  end
  return self
end

-- Seconds since the epoch of an RFC 3339 time, for comparisons.
local function parse_time(text)
  local year, month, day, hour, minute, second, rest = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)(.*)$")
  local sign, h, m = rest:match("([+-])(%d%d):?(%d%d)$")
  local offset = sign and (tonumber(h) * 60 + tonumber(m)) * 60 * (sign == "+" and 1 or -1) or 0
  local y, mo = tonumber(year), tonumber(month)
  if mo < 3 then y, mo = y - 1, mo + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (mo - 3) + 2) // 5 + tonumber(day) - 719469
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60 + tonumber(second) - offset
end

local function check_window(first, last)
  if first == json.null or last == json.null then return end
  if parse_time(last) <= parse_time(first) then refuse(422, "scheduled_until must be later than scheduled_for") end
end

local function find(list, id, what)
  for _, item in ipairs(list) do
    if item.id == id then return item end
  end
  refuse(404, what .. " not found")
end

local function affected_map(self, given)
  local out = {}
  for _, id in ipairs(given.component_ids or {}) do
    find(self.components, id, "Component")
    out[id] = false
  end
  for id, status in pairs(given.components or {}) do
    find(self.components, id, "Component")
    out[id] = status
  end
  return out
end

-- Sets the components an incident names; returns what an incident update says about them.
local function touch_components(self, incident, wanted)
  local out = json.array()
  for _, component in ipairs(self.components) do
    local status = wanted[component.id]
    if status ~= nil then
      incident.affected[component.id] = true
      local old = component.status
      if status and status ~= "" then component.status, component.updated_at = status, stamp() end
      out[#out + 1] = { code = component.id, name = component.name, old_status = old, new_status = component.status }
    end
  end
  return #out > 0 and out or json.null
end

local function add_update(self, incident, given)
  local affected = touch_components(self, incident, affected_map(self, given))
  if given.body == nil and given.status == nil then return end
  local now = stamp()
  table.insert(incident.updates, 1, {
    id = new_id(), incident_id = incident.id, status = incident.status, body = given.body or "", created_at = now,
    display_at = now, updated_at = now, deliver_notifications = given.deliver_notifications ~= false,
    affected_components = affected, custom_tweet = json.null, tweet_id = json.null, wants_twitter_update = false,
  })
end

local function note_status(incident)
  if incident.status == "monitoring" then incident.monitoring_at = stamp() end
  if incident.status == "resolved" or incident.status == "completed" then incident.resolved_at = stamp() end
end

local function impact_of(incident)
  local override = incident.kept.impact_override
  if override and override ~= json.null then return override end
  return IS_SCHEDULED[incident.status] and "maintenance" or "none"
end

local function incident_view(self, incident)
  local out, components = {}, json.array()
  for _, name in ipairs(KEPT) do out[name] = incident.kept[name] == nil and json.null or incident.kept[name] end
  for _, component in ipairs(self.components) do
    if incident.affected[component.id] then components[#components + 1] = component end
  end
  for _, name in ipairs { "id", "status", "created_at", "updated_at", "monitoring_at", "resolved_at" } do
    out[name] = incident[name] or json.null
  end
  out.page_id, out.impact, out.components = statuspage.PAGE, impact_of(incident), components
  out.shortlink = "https://stspg.io/" .. incident.id
  out.incident_updates = json.array(incident.updates)
  out.metadata = incident.kept.metadata or {}
  out.postmortem_body, out.postmortem_published_at = json.null, json.null
  return out
end

local function keep_fields(incident, given)
  for _, name in ipairs(KEPT) do
    if given[name] ~= nil then incident.kept[name] = given[name] end
  end
  check_window(incident.kept.scheduled_for or json.null, incident.kept.scheduled_until or json.null)
end

local function body_of(request, schema, key)
  if request.json == nil then refuse(400, "A JSON body is required.") end
  local why = schema(request.json, "body")
  if why then refuse(422, why) end
  return request.json[key]
end

local function create(self, request)
  local given = body_of(request, CREATE, "incident")
  local status = given.status or (given.scheduled_for and "scheduled" or "investigating")
  if given.name == "" then refuse(422, "name must not be empty") end
  if IS_SCHEDULED[status] and not (given.scheduled_for and given.scheduled_until) then
    refuse(422, "a maintenance needs scheduled_for and scheduled_until")
  end
  if IS_REALTIME[status] and (given.scheduled_for or given.scheduled_until) then
    refuse(422, "an incident that is not scheduled takes no scheduled_for or scheduled_until")
  end
  local now = stamp()
  local incident = {
    id = new_id(), status = status, created_at = now, updated_at = now, kept = {}, updates = {}, affected = {},
  }
  keep_fields(incident, given)
  affected_map(self, given)
  note_status(incident)
  add_update(self, incident, { status = status, body = given.body, components = given.components,
    component_ids = given.component_ids, deliver_notifications = given.deliver_notifications })
  table.insert(self.incidents, 1, incident)
  return 201, incident_view(self, incident)
end

local function update(self, incident, request)
  local given = body_of(request, UPDATE, "incident")
  if given.status and IS_SCHEDULED[given.status] ~= IS_SCHEDULED[incident.status] then
    refuse(422, ("status %s does not go with %s"):format(given.status, incident.status))
  end
  check_window(given.scheduled_for or incident.kept.scheduled_for or json.null,
    given.scheduled_until or incident.kept.scheduled_until or json.null)
  affected_map(self, given)
  keep_fields(incident, given)
  incident.status, incident.updated_at = given.status or incident.status, stamp()
  note_status(incident)
  add_update(self, incident, given)
  return 200, incident_view(self, incident)
end

local function edit_update(self, incident, id, request)
  local given = body_of(request, UPDATE_BODY, "incident_update")
  local item = find(incident.updates, id, "Incident update")
  item.body, item.display_at, item.updated_at = given.body or item.body, given.display_at or item.display_at, stamp()
  return 200, incident_view(self, incident).incident_updates
end

local function remove_incident(self, incident)
  for i, candidate in ipairs(self.incidents) do
    if candidate == incident then table.remove(self.incidents, i) break end
  end
  return 200, incident_view(self, incident)
end

local function page_of(params, list, size_name, default)
  local number = math.tointeger(tonumber(params.page or 1)) or 0
  local size = math.tointeger(tonumber(params[size_name] or default)) or 0
  if number < 1 or size < 1 or size > 100 then refuse(400, "page and " .. size_name .. " must be positive numbers") end
  local out = json.array()
  for i = (number - 1) * size + 1, math.min(number * size, #list) do out[#out + 1] = list[i] end
  return out
end

local function select_incidents(self, test)
  local out = {}
  for _, incident in ipairs(self.incidents) do
    if test(incident) then out[#out + 1] = incident_view(self, incident) end
  end
  return out
end

local function has_status(...)
  local wanted = set_of { ... }
  return function(incident) return wanted[incident.status] == true end
end

local LISTS = {
  unresolved = has_status("investigating", "identified", "monitoring"),
  scheduled = has_status(table.unpack(SCHEDULED)),
  upcoming = has_status("scheduled"),
  active_maintenance = has_status("in_progress", "verifying"),
}

-- Times of the requests in the rolling window; refuses with the seconds until one falls out of it.
local function take_slot(self, times, limit)
  local now, window = world_of.now(), self.world.options.statuspage_window_s
  while times[1] and times[1] <= now - window do table.remove(times, 1) end
  if #times >= limit then
    local seconds = times[1] and math.max(1, math.ceil(times[1] + window - now)) or window
    refusal.raise(429, "rate_limit", "Too many requests", { headers = { ["Retry-After"] = tostring(seconds) } })
  end
  times[#times + 1] = now
end

local function admit(world, request)
  local key = request.query:match("api_key=([^&]*)")
  local header = request.headers.authorization
  if header ~= "OAuth " .. world.statuspage_key and not (header == nil and key == world.statuspage_key) then
    refuse(401, "Could not authenticate")
  end
  take_slot(world.statuspage, world.statuspage.requests, world.options.statuspage_limit)
end

local function incident_routes(self, base)
  local function on(handler)
    return function(request, captures)
      return handler(self(), find(self().incidents, captures.id, "Incident"), request, captures)
    end
  end
  local function change(state, incident, request) return update(state, incident, request) end
  local function edit(state, incident, request, captures)
    return edit_update(state, incident, captures.update, request)
  end
  local out = {
    { "POST", base, function(request) return create(self(), request) end },
    { "GET", base, function(request)
      local wanted = request.params.q
      return 200, page_of(request.params, select_incidents(self(), function(incident)
        return not wanted or incident.kept.name:find(wanted, 1, true) ~= nil
      end), "limit", 100)
    end },
  }
  for name, test in pairs(LISTS) do
    out[#out + 1] = { "GET", base .. "/" .. name, function(request)
      return 200, page_of(request.params, select_incidents(self(), test), "per_page", 100)
    end }
  end
  for _, route in ipairs {
    { "GET", base .. "/:id", on(function(state, incident) return 200, incident_view(state, incident) end) },
    { "PATCH", base .. "/:id", on(change) },
    { "PUT", base .. "/:id", on(change) },
    { "DELETE", base .. "/:id", on(remove_incident) },
    { "PATCH", base .. "/:id/incident_updates/:update", on(edit) },
    { "PUT", base .. "/:id/incident_updates/:update", on(edit) },
  } do
    out[#out + 1] = route
  end
  return out
end

local function component_routes(self, base)
  local function change(request, captures)
    local given = body_of(request, COMPONENT_BODY, "component")
    local component = find(self().components, captures.id, "Component")
    for name, value in pairs(given) do component[name] = value end
    component.updated_at = stamp()
    return 200, component
  end
  return {
    { "GET", base, function(request)
      if not request.params.page and not request.params.per_page then
        take_slot(self(), self().component_lists, self().world.options.statuspage_components_limit)
      end
      return 200, page_of(request.params, self().components, "per_page", 100)
    end },
    { "GET", base .. "/:id", function(_, captures) return 200, find(self().components, captures.id, "Component") end },
    { "PATCH", base .. "/:id", change },
    { "PUT", base .. "/:id", change },
  }
end

-- The definition for core.service.
function statuspage.definition(world)
  local function self() return world.statuspage end
  local page, list = "/v1/pages/" .. statuspage.PAGE, {}
  for _, route in ipairs(incident_routes(self, page .. "/incidents")) do list[#list + 1] = route end
  for _, route in ipairs(component_routes(self, page .. "/components")) do list[#list + 1] = route end
  return {
    name = "statuspage", world = world, routes = list,
    -- Every path also works with the suffix .json.
    path = function(path) return (path:gsub("%.json$", "")) end,
    admit = function(request) admit(world, request) end,
    error_body = function(failure) return { message = failure.message } end,
    refuse_body = refuse,
  }
end

-- For the control interface.
function statuspage.state(self)
  local incidents = select_incidents(self, function() return true end)
  return { incidents = json.array(incidents), components = json.array(self.components) }
end

return statuspage
