-- statuspage: incidents and scheduled maintenances of an Atlassian Statuspage page.
--
-- The service knows no idempotency key. When the answer to a change is lost, the page itself is asked: a new incident
-- of that name with that text, or an update with that status and text, is ours; so no message is posted twice.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local json = require "pgsh.json"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local settle = require "pgsh.settle"
local token_api = require "pgsh.token_api"
local unknown = require "pgsh.unknown"

local statuspage = {}

local Page = {}
Page.__index = Page
Page.__name = "statuspage.page"

local SERVICE = {
  title = "Statuspage", kind = "statuspage", address = "https://api.statuspage.io/v1", redirect = "PGSH_STATUSPAGE_URL",
  variable = "STATUSPAGE_API_KEY", scheme = "OAuth", hint = "the key is made under API info of the page's user menu",
}

function Page:__tostring()
  return "statuspage " .. self.id
end

local function connect(self) return token_api.connect(self, SERVICE, self.id) end

-- Raises what would make the first request fail.
function Page:check_credential()
  connect(self)
end

local function path_of(self, rest)
  return ("/pages/%s/incidents%s"):format(self.id, rest or "")
end

local function fetch(self, path, query)
  return plain.value((connect(self):get_json(path, { query = query })))
end

-- The lists where something that goes on or is to come is found. An incident may be in two of them.
local LISTS = { "unresolved", "scheduled", "active_maintenance" }

local function open_incidents(self)
  local out, seen = {}, {}
  for _, name in ipairs(LISTS) do
    for _, incident in ipairs(fetch(self, path_of(self, "/" .. name), { per_page = 100 })) do
      if not seen[incident.id] and incident.status ~= "completed" and incident.status ~= "resolved" then
        out[#out + 1] = incident
      end
      seen[incident.id] = true
    end
  end
  return out
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- The incident with its updates.
function Page:get(id)
  return fetch(self, path_of(self, "/" .. id))
end

-- How long ahead a maintenance was announced, in seconds.
local function ahead_of(incident)
  local from, made = host.parse_time(incident.scheduled_for or ""), host.parse_time(incident.created_at or "")
  return from and made and (from - made) // 1000 or nil
end

-- The incidents and maintenances of that name which are not over: id, status, scheduled_for, scheduled_until,
-- created_at, ahead.
function Page:find(name)
  local out = {}
  for _, incident in ipairs(open_incidents(self)) do
    if incident.name == name then
      out[#out + 1] = {
        id = incident.id, status = incident.status, scheduled_for = incident.scheduled_for,
        scheduled_until = incident.scheduled_until, created_at = incident.created_at, ahead = ahead_of(incident),
      }
    end
  end
  return out
end

-- What goes on under a name, for keep: known, the ids (what a change compares with when its answer is lost), and scheduled, the
-- id of the maintenance that is scheduled, if there is one.
function Page:before(name)
  local before = { known = json.array {} }
  for i, incident in ipairs(self:find(name)) do
    before.known[i] = incident.id
    if incident.status == "scheduled" then before.scheduled = before.scheduled or incident.id end
  end
  return before
end

-- The id of what goes on under that name and was not known before, if there is something.
function Page:made(name, known)
  for _, incident in ipairs(self:find(name)) do
    if not contains(known or {}, incident.id) then return incident.id end
  end
end

local function has_update(incident, status, body)
  for _, update in ipairs(incident.incident_updates or {}) do
    if update.body == (body or "") and (status == nil or update.status == status) then return true end
  end
  return false
end

-- Was an incident of that name and text made, that was not there before? Then its id.
local function made_since(self, given, known)
  for _, incident in ipairs(open_incidents(self)) do
    if incident.name == given.name and not contains(known, incident.id) and has_update(incident, nil, given.body) then
      return incident.id
    end
  end
end

local OPTIONS = {
  name = true, body = true, status = true, from = true, ["until"] = true, components = true, impact = true, lasts = true,
  notify = true, known = true,
}

local function check_options(given, call)
  options_of.check("statuspage " .. call, given, OPTIONS)
  if type(given.name) ~= "string" or given.name == "" then errors.usage("statuspage %s: name is missing", call) end
end

-- Component ids → what the incident sets them to.
local function component_map(components, status)
  if not components or #components == 0 or not status then return nil end
  local map = {}
  for _, id in ipairs(components) do map[id] = status end
  return map
end

local function time_text(value)
  if type(value) == "number" then return host.iso(math.tointeger(value) or value // 1 | 0) end
  return value
end

local function create(self, given, status, component_status)
  local incident = {
    name = given.name, status = status, body = given.body, impact_override = given.impact,
    deliver_notifications = given.notify ~= false, components = component_map(given.components, component_status),
    component_ids = given.components and #given.components > 0 and given.components or nil,
  }
  if given.from then
    incident.scheduled_for, incident.scheduled_until = time_text(given.from), time_text(given["until"])
    -- The run says when it begins and ends, not the clock.
    incident.scheduled_auto_in_progress, incident.scheduled_auto_completed = false, false
  end
  local known = given.known or self:before(given.name).known
  return connect(self):post(path_of(self), {
    json = { incident = incident }, pick = { "id" },
    what = ("POST %s %s \"%s\""):format(path_of(self), status, given.name),
    resolve = function()
      local happened, id = settle.look(self.settle, function() return made_since(self, given, known) end)
      return happened, happened and { status = 201, json = { id = id } } or nil
    end,
  })
end

-- Announce a maintenance: name, body, from, until; components (ids), notify, known. Result: json.id.
function Page:schedule(given)
  check_options(given, "schedule")
  if not given.from or not given["until"] then errors.usage "statuspage schedule: from and until are needed" end
  return create(self, given, "scheduled", nil)
end

-- Begin now: an incident ("investigating" unless status is given), or, when it is given how long it lasts, a
-- maintenance that is in progress. name, body; lasts (seconds or "5m"), status, components (ids), impact, notify,
-- known. Result: json.id.
function Page:start(given)
  check_options(given, "start")
  if given.lasts then
    local span = host.duration(given.lasts)
    if not span then errors.usage("statuspage start: lasts = %s is no duration", tostring(given.lasts)) end
    local now = host.now()
    -- The service wants an end that is later than the beginning; times have whole seconds there.
    local window = setmetatable({ from = now, ["until"] = now + math.max(span, 60000) }, { __index = given })
    return create(self, window, "in_progress", "under_maintenance")
  end
  return create(self, given, given.status or "investigating", "under_maintenance")
end

-- Has the page that update already?
local function has_settled(self, id, given)
  local incident = self:get(id)
  return (given.status == nil or incident.status == given.status) and has_update(incident, given.status, given.body)
end

-- Post an update: status, body; components (ids), component_status, notify.
function Page:update(id, given)
  local incident = {
    status = given.status, body = given.body, deliver_notifications = given.notify ~= false,
    components = component_map(given.components, given.component_status),
  }
  local shown = unknown.is(id) and "‹id, known after the run›" or id
  return connect(self):patch(path_of(self, "/" .. tostring(id)), {
    json = { incident = incident }, pick = { "id" },
    what = ("PATCH %s %s"):format(path_of(self, "/" .. shown), given.status or "update"),
    resolve = function()
      return settle.look(self.settle, function() return has_settled(self, id, given) end), { status = 200, json = { id = id } }
    end,
  })
end

local function finish(self, id, status, body, options)
  options = options or {}
  return self:update(id, {
    status = status, body = body, notify = options.notify, components = options.components,
    component_status = "operational",
  })
end

-- A maintenance is over.
function Page:complete(id, body, options)
  return finish(self, id, "completed", body, options)
end

-- An incident is over.
function Page:resolve(id, body, options)
  return finish(self, id, "resolved", body, options)
end

-- Over, whichever of the two it is: the page itself says which words go with it.
local SCHEDULED = { scheduled = true, in_progress = true, verifying = true, completed = true }
function Page:close(id, body, options)
  return finish(self, id, SCHEDULED[self:get(id).status] and "completed" or "resolved", body, options)
end

local opened = {}

-- A page by its id. Named as a target at once; nothing is asked before the first use. options: settle ("20s": how long the page is
-- asked for a change whose answer was lost).
function statuspage.page(id, options)
  if type(id) ~= "string" or not id:match("^%w+$") then errors.usage("statuspage.page: %s is no page's id", tostring(id)) end
  if not opened[id] then
    host.target("statuspage", id, token_api.redirected(SERVICE))
    opened[id] = setmetatable({ id = id }, Page)
  end
  options = options_of.check("statuspage.page", options, { settle = true })
  opened[id].settle = options.settle or opened[id].settle
  return opened[id]
end

return statuspage
