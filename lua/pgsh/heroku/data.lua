-- A database of an app: the add-on, its state as Heroku sees it, and SQL over a connection of its own.
--
-- A handle is bound late: it is named after an attachment or a config var, and which add-on and which URL that is, is
-- asked when it is needed. A maintenance may give the app another address or password; the next connection asks anew.
local address = require "pgsh.heroku.address"
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"
local maintenance = require "pgsh.heroku.maintenance"
local psql = require "pgsh.psql"
local resolve = require "pgsh.heroku.resolve"
local secret = require "pgsh.secret"
local upgrade = require "pgsh.heroku.upgrade"

local data = {}

local Database = {}
Database.__index = Database
Database.__name = "heroku.database"

function Database:__tostring()
  return ("%s of %s"):format(self.name, self.app.name)
end

-- A Postgres URL without TLS is only right on this machine, or when the operator says so.
local function with_tls(url)
  local name = url:match("^%a+://[^@/?]*@([^/?]*)") or url:match("^%a+://([^/?]*)") or ""
  name = name:match("^%[([^%]]*)%]") or name:gsub(":%d*$", "")
  if name == "" or address.is_loopback(name) then return url end
  if (host.getenv "PGSSLMODE" or "") ~= "" or url:find("[?&]sslmode=") then return url end
  return url .. (url:find("?", 1, true) and "&" or "?") .. "sslmode=require"
end

local function locate(self)
  local app = self.app
  local attachments = resolve.attachments(app.requests, app.name)
  local config = app:config()
  local attachment, copied, absent = resolve.find(attachments, config, app.name, self.name)
  return attachment, copied, config, absent
end

local function must_locate(self)
  local attachment, copied, config, absent = locate(self)
  if not attachment then fail.usage("%s", absent) end
  return attachment, copied, config
end

local function addon_of(attachment, copied)
  return {
    id = attachment.addon.id, name = attachment.addon.name, plan = resolve.plan_of(attachment),
    attachment = attachment.name, app = attachment.app.name, copied = copied,
  }
end

-- The add-on behind the name: id, name, plan, attachment; copied: the config var, when it is a copy of the add-on's URL
-- set by hand. Asked once, and again after the app's attachments were changed here: which add-on it is does not change under a
-- maintenance.
function Database:addon()
  if not self.found then
    local attachment, copied = must_locate(self)
    self.found = addon_of(attachment, copied)
  end
  return self.found
end

-- As addon, without raising: { found = true, addon, copied }, or { found = false, why, absent }; absent is false when
-- Heroku could not be asked.
function Database:lookup()
  local ok, attachment, copied, _, absent = pcall(locate, self)
  if not ok then return data.not_found(attachment) end
  if not attachment then return { found = false, why = absent, absent = true } end
  self.found = addon_of(attachment, copied)
  return { found = true, addon = self.found.name, copied = copied }
end

-- A failure of a lookup, as a value; what is no answer about Heroku (an interrupt, a defect) is raised.
function data.not_found(failure)
  if failure.kind ~= "usage" and failure.kind ~= "http" and failure.kind ~= "refused" then error(failure, 0) end
  return { found = false, why = failure.message, absent = false }
end

-- The add-on was found by a URL copied by hand; after new credentials neither the copy nor the way back would be there.
local function late_url(self)
  local attachment, copied, config = must_locate(self)
  self.found = self.found or addon_of(attachment, copied)
  return with_tls((resolve.url(attachment, config, self.name, copied)))
end

local function bind_url(self)
  if not (self.found and self.found.copied) then return late_url(self) end
  local url = self.app:config()[self.found.copied]
  if url then return with_tls(url) end
  return late_url(self)
end

-- The name may mean another database now.
function Database:forget()
  self.found, self.older_interface, self.older_upgrade = nil, nil, nil
  self.stale = true
end

-- The connection URL as it is now, a secret: for a tool that wants one in its environment or on its standard input.
function Database:url()
  return secret(bind_url(self))
end

local function info_values(reply)
  local out = {}
  for _, item in ipairs(reply.info or {}) do
    -- "Following" is the leader's whole URL.
    local text = table.concat(item.values or {}, ", "):gsub("(%a://)[^/@%s]*@", "%1")
    if text ~= "" then out[item.name] = text end
  end
  return out
end

local function describe(addon, reply)
  local info = info_values(reply)
  return {
    id = addon.id, name = addon.name, plan = addon.plan, attachments = addon.attachments,
    config_vars = addon.config_vars,
    status = info.Status, info = info, version = reply.postgres_version or info["PG Version"],
    following = reply.following ~= "" and reply.following or nil, leader = reply.leader,
    waiting = reply["waiting?"] == true, in_recovery = reply.is_in_recovery, connections = reply.num_connections,
  }
end

local function read_info(app, addon)
  return describe(addon, app.requests:get_data(client.path("/client/v11/databases/%s", addon.id)))
end

-- What `heroku pg:info` prints of this database: status, plan, version, following, leader, waiting, connections, info.
function Database:info()
  local addon = self:addon()
  local attachments = { addon.attachment }
  return read_info(self.app, { id = addon.id, name = addon.name, plan = addon.plan, attachments = attachments })
end

-- "Available", …
function Database:status()
  return self:info().status
end

-- Name of the add-on this one follows, or nil.
function Database:follower_of()
  local info = self:info()
  if not info.following then return nil end
  return info.leader or info.following
end

-- How far behind its leader it is: a number of commits, and what Heroku says; nil for what follows nobody.
function Database:behind()
  local info = self:info()
  local text = info.following and info.info["Behind By"] or nil
  return text and math.tointeger(tonumber((text:gsub(",", ""):match("^%d+")))) or nil, text
end

function Database:wait_status() return upgrade.wait_status(self) end
function Database:wait_available(options) return upgrade.wait_available(self, options) end
function Database:unfollow() return upgrade.unfollow(self) end

-- The state before an upgrade, for keep: run_upgrade and wait_upgrade compare with it.
function Database:upgrade_before() return upgrade.state(self) end
function Database:upgrade_problems(options) return upgrade.problems(self, options) end
function Database:run_upgrade(options) return upgrade.run(self, options) end
function Database:prepare_upgrade(options) return upgrade.prepare(self, options) end
function Database:cancel_upgrade(options) return upgrade.cancel(self, options) end
function Database:wait_upgrade(options) return upgrade.wait(self, options) end

function Database:maintenance()
  return maintenance.state(self)
end

-- The state before a run, for keep: run_maintenance and wait_maintenance compare with it.
function Database:maintenance_before()
  return maintenance.before(self)
end

function Database:run_maintenance(options)
  return maintenance.run(self, options)
end

function Database:wait_maintenance(options)
  return maintenance.wait(self, options)
end

-- What speaks against running its maintenance now: a list of sentences, empty when nothing does.
-- options: any_state (also when Heroku does not say that one is ready).
function Database:maintenance_problems(options)
  return maintenance.problems(self, options)
end

local function is_psql(failure)
  return type(failure) == "table" and failure.kind == "psql"
end

-- A refused password or connection: the next attempt asks the app for its URL again.
local function forget_address(self, failure)
  if not is_psql(failure) then return end
  local state = failure.sqlstate or ""
  if failure.code == "psql_connect" or state:match("^28") or state:match("^08") or state:match("^57P") then
    self.sql:rebind()
  end
end

for _, verb in ipairs { "value", "row", "rows", "each", "execute" } do
  Database[verb] = function(self, ...)
    if self.stale then
      self.sql:rebind()
      self.stale = nil
    end
    local result = table.pack(pcall(self.sql[verb], self.sql, ...))
    if result[1] then return table.unpack(result, 2, result.n) end
    forget_address(self, result[2])
    error(result[2], 0)
  end
end

-- For a wait: f(self), but an error of the server gives false and its text.
local function attempt(self, f)
  local result = table.pack(pcall(f, self))
  if result[1] then return table.unpack(result, 2, result.n) end
  if not is_psql(result[2]) then error(result[2], 0) end
  return false, result[2].message
end

local STATE = "select pg_is_in_recovery() as recovery, current_setting('default_transaction_read_only') as read_only"

-- Is it a primary that takes writes? For wait.upto: false and what it says instead.
function Database:accepts_writes()
  return attempt(self, function()
    local row = self:row(STATE)
    if row.recovery then return false, "in recovery" end
    if row.read_only ~= "off" then return false, "new transactions are read-only" end
    return true
  end)
end

-- Does it answer SELECT 1? For wait.upto.
function Database:answers()
  return attempt(self, function() return self:value "select 1" == 1 end)
end

function data.open(app, name)
  local self = setmetatable({ app = app, name = name }, Database)
  self.sql = psql { name = app.name .. " " .. name, conninfo = function() return bind_url(self) end }
  return self
end

local function group_by_addon(attachments)
  local addons, by_id = {}, {}
  for _, attachment in ipairs(attachments) do
    local addon = by_id[attachment.addon.id]
    if not addon then
      addon = {
        id = attachment.addon.id, name = attachment.addon.name, plan = resolve.plan_of(attachment),
        attachments = {}, config_vars = {},
      }
      by_id[addon.id] = addon
      addons[#addons + 1] = addon
    end
    addon.attachments[#addon.attachments + 1] = attachment.name
    table.move(attachment.config_vars, 1, #attachment.config_vars, #addon.config_vars + 1, addon.config_vars)
  end
  return addons
end

function data.list(app)
  local addons = group_by_addon(resolve.attachments(app.requests, app.name))
  for i, addon in ipairs(addons) do addons[i] = read_info(app, addon) end
  table.sort(addons, function(a, b) return a.name < b.name end)
  return addons
end

return data
