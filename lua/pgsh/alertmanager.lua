-- alertmanager: alerts and silences of a Prometheus Alertmanager (API v2).
--
-- A silence has no name of its own. So the run's id is written into its comment: when the answer to its creation is lost, or the
-- run was killed before it could note the answer, the list of silences decides whether it is there, and no second one is made.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local http = require "pgsh.http"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"

local alertmanager = {}

local Server = {}
Server.__index = Server
Server.__name = "alertmanager"

function Server:__tostring() return "alertmanager " .. self.name end

local function connect(self)
  if not self.handle then
    self.handle = http(self.url, { kind = "alertmanager", name = self.name })
  end
  return self.handle
end

-- Its version; raises when it is not there or not ready.
function Server:version()
  local status = connect(self):get_json "/api/v2/status"
  return status.versionInfo and status.versionInfo.version
end

-- Matchers ---------------------------------------------------------------------------------------------------------------------

-- How many matchers, regexes and negations: "alertname=Pg", 'instance=~"db.*"', 'severity!="info"', 'team!~ops'.
local function matcher_of(text)
  if type(text) == "table" then
    return {
      name = text.name, value = text.value, isRegex = text.isRegex == true or text.regex == true, isEqual = text.isEqual ~= false,
    }
  end
  local name, operator, value = tostring(text):match "^%s*([%a_][%w_]*)%s*([=!][=~]?)%s*(.-)%s*$"
  if not name or operator == "!" or operator == "==" then
    errors.usage("alertmanager: %q is no matcher: NAME=VALUE, =~, !=, !~", tostring(text))
  end
  local quoted = value:match '^"(.*)"$'
  if quoted then value = quoted:gsub('\\(["\\])', "%1") end
  return { name = name, value = value, isRegex = operator:sub(-1) == "~", isEqual = operator:sub(1, 1) == "=" }
end

local function matchers_of(list)
  if type(list) == "string" then list = { list } end
  if type(list) ~= "table" or #list == 0 then
    errors.usage "alertmanager: at least one matcher is needed, like alertname=PostgreSQL_Down"
  end
  local out = {}
  for i, text in ipairs(list) do out[i] = matcher_of(text) end
  return out
end

local function text_of(matcher)
  local operator = (matcher.isEqual == false and "!" or "=") .. (matcher.isRegex and "~" or matcher.isEqual == false and "=" or "")
  return ("%s%s%q"):format(matcher.name, operator, matcher.value)
end

local function texts_of(matchers)
  local out = {}
  for i, matcher in ipairs(matchers) do out[i] = text_of(matcher) end
  table.sort(out)
  return out
end

-- Alerts -----------------------------------------------------------------------------------------------------------------------

-- The alerts that fire: { name, state ("active" or "suppressed"), labels, annotations, since, silenced_by }. options: filter (matchers),
-- silenced = false (only those that nobody has silenced).
function Server:alerts(options)
  options = options or {}
  local query = { active = true }
  if options.filter then query.filter = texts_of(matchers_of(options.filter)) end
  if options.silenced == false then query.silenced, query.inhibited = false, false end
  local out = {}
  for _, alert in ipairs((connect(self):get_json("/api/v2/alerts", { query = query }))) do
    out[#out + 1] = {
      name = alert.labels.alertname or alert.fingerprint, state = alert.status.state, labels = alert.labels,
      annotations = alert.annotations, since = alert.startsAt, silenced_by = alert.status.silencedBy,
    }
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

-- Is no alert firing? With the names of those that are. options as for alerts.
function Server:is_quiet(options)
  local names = {}
  for i, alert in ipairs(self:alerts(options)) do
    names[i] = alert.labels.instance and ("%s (%s)"):format(alert.name, alert.labels.instance) or alert.name
  end
  return #names == 0, table.concat(names, ", ")
end

-- Silences ---------------------------------------------------------------------------------------------------------------------

local function silence_of(raw)
  return {
    id = raw.id, state = raw.status.state, from = raw.startsAt, ["until"] = raw.endsAt, by = raw.createdBy, comment = raw.comment,
    matchers = texts_of(raw.matchers),
  }
end

-- The silences: { id, state ("pending", "active", "expired"), from, until, by, comment, matchers }. options: expired = true (those, too),
-- mine = true (made by this run), comment (containing this).
function Server:silences(options)
  options = options or {}
  local mark, out = options.mine and self:mark() or options.comment, {}
  for _, raw in ipairs((connect(self):get_json "/api/v2/silences")) do
    local silence = silence_of(raw)
    local fits = not mark or (silence.comment or ""):find(mark, 1, true) ~= nil
    if fits and (options.expired or silence.state ~= "expired") then out[#out + 1] = silence end
  end
  return out
end

-- One silence; nil when there is none of that id.
function Server:get(id)
  local reply = connect(self):get(("/api/v2/silence/%s"):format(http.encode(id)), { expect = { 200, 404 } })
  if reply.status == 404 then return nil end
  return silence_of(reply.json)
end

-- What this run writes into the comments of its silences.
function Server:mark()
  local current = require("pgsh.session").current
  local run = self.run or current and current.run
  return run and ("[pgsh %s]"):format(run) or nil
end

local function same_list(a, b)
  return table.concat(a, "\n") == table.concat(b, "\n")
end

local OPTIONS = { matchers = true, from = true, lasts = true, ["until"] = true, comment = true, by = true, known = true }

local function time_text(value)
  if type(value) == "number" then return host.iso(math.tointeger(value) or value // 1 | 0) end
  return value
end

local function window_of(given)
  if given["until"] then return time_text(given.from or host.now()), time_text(given["until"]) end
  local span = host.duration(given.lasts or "")
  if not span then errors.usage("alertmanager silence: lasts = %s is no duration, and until is missing", tostring(given.lasts)) end
  local from = given.from
  if type(from) == "string" then from = host.parse_time(from) or errors.usage("alertmanager silence: from = %s is no time", from) end
  from = from or host.now()
  return time_text(from), time_text(from + span)
end

local function contains(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then return true end
  end
  return false
end

-- Make a silence. matchers, comment; lasts ("2h") or until, from (now unless given), by (the operator), known (ids that are no answer,
-- from keep; needed only where there is no run whose id marks it). Result: json.silenceID.
function Server:silence(given)
  given = options_of.check("alertmanager silence", given, OPTIONS)
  local matchers, mark = matchers_of(given.matchers), self:mark()
  local from, to = window_of(given)
  local comment = (given.comment or "maintenance") .. (mark and " " .. mark or "")
  local by, texts = given.by or host.user, texts_of(matchers)
  local known = given.known
  if not mark and not known and host.mode() ~= "plan" then
    known = {}
    for i, silence in ipairs(self:silences()) do known[i] = silence.id end
  end
  local function made()
    for _, silence in ipairs(self:silences()) do
      if silence.comment == comment and silence.by == by and same_list(silence.matchers, texts) and not contains(known, silence.id) then
        return silence.id
      end
    end
  end
  return connect(self):post("/api/v2/silences", {
    json = { matchers = matchers, startsAt = from, endsAt = to, createdBy = by, comment = comment }, pick = { "silenceID" },
    what = ("silence %s"):format(table.concat(texts, ",")),
    resolve = function()
      local happened, id = settle.look(self.settle, made)
      return happened, happened and { status = 200, json = { silenceID = id } } or nil
    end,
  })
end

-- End a silence. One that is expired already is no error, nor one that is no longer listed: false.
function Server:expire(id)
  if not unknown.is(id) and not self:get(id) then return false end
  local shown = unknown.is(id) and "‹id, known after the run›" or id
  return connect(self):delete("/api/v2/silence/" .. http.encode(shown), { what = "expire the silence " .. shown })
end

local opened = {}

-- An Alertmanager by its address (ALERTMANAGER_URL unless given). Named as a target at once; nothing is asked before the first use.
-- options: name (of the target), settle ("20s"), run (id to mark silences by, instead of this run's).
function alertmanager.at(url, options)
  url = url or plain.env "ALERTMANAGER_URL"
  if not url or not url:match "%S" then errors.usage "alertmanager: no address is given, and ALERTMANAGER_URL is not set" end
  url = url:gsub("/+$", "")
  local name = url:match "^https?://([^/]+)"
  if not name then errors.usage("alertmanager: %s is no address", url) end
  options = options_of.check("alertmanager.at", options, { name = true, settle = true, run = true })
  name = options.name or name:gsub("^.*@", "")
  if not opened[url] then opened[url] = setmetatable({ url = url, name = name }, Server) end
  host.target("alertmanager", opened[url].name)
  for key, value in pairs(options) do
    if key ~= "name" then opened[url][key] = value end
  end
  return opened[url]
end

return alertmanager
