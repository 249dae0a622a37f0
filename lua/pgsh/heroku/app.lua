-- An app: formation, dynos, config vars, releases, and the databases attached to it.
local attachments = require "pgsh.heroku.attachments"
local client = require "pgsh.heroku.client"
local data = require "pgsh.heroku.data"
local fail = require "pgsh.heroku.fail"
local json = require "pgsh.json"
local releases = require "pgsh.heroku.releases"
local secret = require "pgsh.secret"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"
local wait = require "pgsh.wait"

local App = {}
App.__index = App
App.__name = "heroku.app"

-- What a script writes as `unset`.
local UNSET = json.null

function App:__tostring()
  return "heroku " .. self.name
end

local usage = fail.usage

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Raises what would make the first request fail: an address that is refused, a credential that is not there.
function App:check_credential()
  return self.requests:check()
end

function App:info()
  return self.requests:get(client.path("/apps/%s", self.name))
end

-- Every process type → { quantity, size }; with a type, that one; with a list of types, those. An unknown type is an error that names
-- those there are.
function App:formation(process)
  local list = self.requests:get(client.path("/apps/%s/formation", self.name))
  local all, out = {}, {}
  for _, item in ipairs(list) do all[item.type] = { quantity = item.quantity, size = item.size } end
  if process == nil then return all end
  for _, name in ipairs(type(process) == "table" and process or { process }) do
    out[name] = all[name]
    if not all[name] then usage("%s has no process type %s; it has %s", self.name, name, table.concat(sorted_keys(all), ", ")) end
  end
  return type(process) == "table" and out or out[process]
end

-- What the operator gave for one type, as { quantity, size }.
local function wanted_process(process, value)
  if type(value) == "number" then value = { quantity = value } end
  if type(value) ~= "table" or math.type(value.quantity) ~= "integer" or value.quantity < 0 then
    usage("scale: %s needs a quantity (a whole number, not negative) or { quantity =, size = }", process)
  end
  return { quantity = value.quantity, size = value.size }
end

local function scale_text(name, wanted)
  return name .. "=" .. wanted.quantity .. (wanted.size and ":" .. wanted.size or "")
end

local function is_scaled(now, wanted)
  for process, value in pairs(wanted) do
    local seen = now[process]
    if not seen or seen.quantity ~= value.quantity or (value.size and seen.size ~= value.size) then return false end
  end
  return true
end

-- Do the processes have these quantities (and sizes)? Written as for scale.
function App:is_scaled(processes)
  local wanted = {}
  for name, value in pairs(processes) do wanted[name] = wanted_process(name, value) end
  return is_scaled(self:formation(), wanted)
end

-- In a plan a quantity may not be known yet: only shown.
local function scale_unknown(self, processes)
  local words = {}
  for _, name in ipairs(sorted_keys(processes)) do
    words[#words + 1] = ("%s=%s"):format(name, tostring(processes[name]))
  end
  return self.requests:change("patch", client.path("/apps/%s/formation", self.name), {
    json = processes, what = "PATCH /formation " .. table.concat(words, " "),
  })
end

-- Change quantities and sizes in one request: scale { background_worker = 0 }, scale { web = { quantity = 2, size =
-- "Standard-2X" } }.
function App:scale(processes)
  if unknown.within(processes) then return scale_unknown(self, processes) end
  local updates, wanted, words = {}, {}, {}
  for _, name in ipairs(sorted_keys(processes)) do
    local value = wanted_process(name, processes[name])
    wanted[name] = value
    updates[#updates + 1] = { type = name, quantity = value.quantity, size = value.size }
    words[#words + 1] = scale_text(name, value)
  end
  if #updates == 0 then usage("scale: no process type is named") end
  return self.requests:change("patch", client.path("/apps/%s/formation", self.name), {
    json = { updates = updates }, what = "PATCH /formation " .. table.concat(words, " "), idempotent = true,
    resolve = function() return (settle.look(self.settle, function() return is_scaled(self:formation(), wanted) end)) end,
  })
end

-- A process type, a list of them, or nothing (all) as a set.
local function set_of(processes)
  if processes == nil then return nil end
  local out = {}
  for _, name in ipairs(type(processes) == "table" and processes or { processes }) do out[name] = true end
  return out
end

-- The dynos (of a process type, or of several): name, type, state, size, release.version.
function App:dynos(process)
  local list, wanted, out = self.requests:get(client.path("/apps/%s/dynos", self.name)), set_of(process), {}
  if not wanted then return list end
  for _, dyno in ipairs(list) do
    if wanted[dyno.type] then out[#out + 1] = dyno end
  end
  return out
end

-- How many dynos of a type (or of several) still run or are about to: everything listed but the crashed ones.
function App:dynos_up(process)
  local count = 0
  for _, dyno in ipairs(self:dynos(process)) do
    if dyno.state ~= "crashed" and dyno.state ~= "down" then count = count + 1 end
  end
  return count
end

local function scaled_look(self, names)
  local wanted, dynos, late = self:formation(names), self:dynos(names), {}
  for _, name in ipairs(names) do
    local up, listed, quantity = 0, 0, wanted[name].quantity
    for _, dyno in ipairs(dynos) do
      if dyno.type == name then
        listed = listed + 1
        if dyno.state == "up" or dyno.state == "idle" then up = up + 1 end
      end
    end
    if up ~= quantity or listed ~= quantity then
      local of = #names > 1 and name .. " " or ""
      late[#late + 1] = ("%s%d of %d up%s"):format(of, up, quantity, listed ~= up and (", %d listed"):format(listed) or "")
    end
  end
  if #late == 0 then return true end
  return false, table.concat(late, "; ")
end

-- Wait until as many dynos of a type (or of each in a list) are up as its formation says, and no other is listed. options: timeout ("5m").
function App:wait_for_dynos(process, options)
  local names = type(process) == "table" and process or { process }
  local what = ("the dynos of %s follow the formation"):format(table.concat(names, ", "))
  wait.upto((options or {}).timeout or "5m", what, function() return client.survive(scaled_look, self, names) end)
end

local SMELLS = { "KEY", "SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "AUTH", "DSN" }

-- Config vars are full of credentials: their values are removed from everything pgsh shows or writes.
local function hide(name, value)
  secret.credentials(value)
  local upper = name:upper()
  for _, smell in ipairs(SMELLS) do
    if upper:find(smell, 1, true) then
      secret(value)
      return
    end
  end
  -- An address alone is no secret; one with a user, a path or a query may be (webhooks, DSNs).
  if upper:find("URL", 1, true) and (value:match("^%a[%w+.-]*://[^/]*@") or value:match("^%a[%w+.-]*://[^/]*/.")) then
    secret(value)
  end
end

local function read_config(self)
  local vars = self.requests:get(client.path("/apps/%s/config-vars", self.name))
  for name, value in pairs(vars) do hide(name, value) end
  return vars
end

local function config_text(changes)
  local words = {}
  for _, name in ipairs(sorted_keys(changes)) do
    local value = changes[name]
    words[#words + 1] = value == UNSET and name .. " unset" or ("%s=%s"):format(name, tostring(value))
  end
  return table.concat(words, " ")
end

local function config_body(changes)
  local body = {}
  for name, value in pairs(changes) do
    if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") then
      usage("config: %s is no name of a config var", tostring(name))
    end
    local known = not unknown.is(value)
    if known and value ~= UNSET and type(value) ~= "string" and type(value) ~= "number" then
      usage("config: %s must be a string or unset", name)
    end
    body[name] = type(value) == "number" and tostring(value) or value
  end
  if not next(body) then usage "config: no config var is named" end
  return body
end

local function is_configured(vars, changes)
  for name, value in pairs(changes) do
    local wanted = value ~= UNSET and tostring(value) or nil
    if vars[name] ~= wanted then return false end
  end
  return true
end

local function change_config(self, changes)
  local body = config_body(changes)
  local latest = releases.latest(self)
  local before = latest and latest.version or 0
  local expected = not is_configured(read_config(self), changes)
  local result = self.requests:change("patch", client.path("/apps/%s/config-vars", self.name), {
    json = body, what = "PATCH /config-vars " .. config_text(changes), idempotent = true,
    resolve = function()
      return (settle.look(self.settle, function() return is_configured(read_config(self), changes) end))
    end,
  })
  if not unknown.is(result) then result.release = releases.note(self, before, expected) end
  return result
end

-- Without an argument: every config var (values are registered as secrets, and never journaled). With one: change them
-- all in one request, which makes one release: config { READ_ONLY_MODE = "1", DB_OFFLINE = unset }.
-- The result's release is its version.
function App:config(changes)
  if changes == nil then return read_config(self) end
  return change_config(self, changes)
end

-- Do the config vars have these values? Written as for config.
function App:config_is(changes)
  return is_configured(read_config(self), changes)
end

-- "DB_OFFLINE=follower READ_ONLY_MODE=1"
function App.config_text(_, changes)
  return config_text(changes)
end

-- The newest release: { version, status, description }.
function App:release()
  local latest = releases.latest(self)
  return latest and { version = latest.version, status = latest.status, description = latest.description }
end

function App:wait_for_release(options)
  return releases.wait(self, options)
end

-- The add-ons of the app: name, id, service, plan, web_url.
function App:addons()
  local out = {}
  for i, addon in ipairs(self.requests:get(client.path("/apps/%s/addons", self.name))) do
    out[i] = {
      id = addon.id, name = addon.name, service = addon.addon_service and addon.addon_service.name,
      plan = addon.plan and addon.plan.name, web_url = addon.web_url, state = addon.state,
    }
  end
  return out
end

-- What is attached to the app: id, name, addon, addon_id, billed_to, namespace; with a name, that one, or nil.
function App:attachments() return attachments.list(self) end
function App:attachment(name) return attachments.find(self, name) end

function App:attach(addon, options) return attachments.attach(self, addon, options) end
function App:detach(name) return attachments.detach(self, name) end
function App:create_addon(plan, options) return attachments.create(self, plan, options) end

-- Give a name (DATABASE unless `as` says otherwise) to a database: what `heroku pg:promote` does. before: of promote_before, for `keep`.
function App:promote(db, options)
  return attachments.promote(self, type(db) == "string" and self:database(db) or db, options)
end

function App:promote_before(name)
  return attachments.before(self, name or "DATABASE")
end

-- Every Postgres add-on attached to the app, as `heroku pg:info` lists them.
function App:databases()
  return data.list(self)
end

-- Is every one of them available? For wait.upto: false and those that are not.
function App:databases_available()
  local list, failure = client.survive(data.list, self)
  if not list then return false, failure end
  local late = {}
  for _, database in ipairs(list) do
    if database.status ~= "Available" then
      late[#late + 1] = ("%s is %s"):format(database.name, database.status or "without a status")
    end
  end
  if #late == 0 then return true end
  return false, table.concat(late, ", ")
end

-- What a name means for this app, without raising: { found = true, addon, copied } or { found = false, why }, and
-- absent = true when it is certain that the app has no such database. For fact, whose value is journaled.
function App:lookup(name)
  return self:database(name):lookup()
end

-- The add-on of a service: { found = true, name, web_url }, or { found = false, why, absent } as lookup.
function App:lookup_service(service)
  local ok, list = pcall(self.addons, self)
  if not ok then return data.not_found(list) end
  for _, addon in ipairs(list) do
    if addon.service == service then return { found = true, name = addon.name, web_url = addon.web_url } end
  end
  return { found = false, why = ("%s has no add-on %s"):format(self.name, service), absent = true }
end

local open

-- The database behind an attachment, a config var or an add-on; "other-app::DATABASE" is another app's.
function App:database(name)
  local other, rest = name:match("^(.-)::(.+)$")
  if other then return open(other):database(rest) end
  self.database_handles[name] = self.database_handles[name] or data.open(self, name)
  return self.database_handles[name]
end

-- A name may mean another database from now on: its address is asked for again.
function App:forget_databases()
  for _, db in pairs(self.database_handles) do db:forget() end
end

-- One handle an app: a database named through another app shares it. options: settle ("20s": how long Heroku is asked for a
-- change whose answer was lost).
local opened = {}

function open(name, options)
  -- "<app>" stands for a name that is not given, in a checklist.
  if type(name) ~= "string" or not (name:match("^[%w%-]+$") or name:match("^<.*>$")) then
    usage("heroku.app: %s is no name of a Heroku app", tostring(name))
  end
  if not opened[name] then
    opened[name] = setmetatable({ name = name, requests = client.new(name), database_handles = {} }, App)
  end
  for key, value in pairs(options or {}) do
    if key ~= "settle" then usage("heroku.app: unknown option %s", tostring(key)) end
    opened[name].settle = value
  end
  return opened[name]
end

return { open = open }
