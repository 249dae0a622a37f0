-- What the operator's account holds: applications, add-ons, attachments. State and its rules, no HTTP.
local application = require "heroku.application"
local refusal = require "core.refusal"
local world_of = require "world"

local account = {}

account.APP = "crates-io"

local ADDON_NAMES = { "postgresql-concave-10231", "postgresql-shaped-20477", "postgresql-round-30915" }

-- The connection string of one of the lab's servers.
local function url(world, server_name, credentials)
  local server = world.pg[server_name]
  return ("postgres://%s:%s@127.0.0.1:%d/%s")
    :format(credentials.user, credentials.password, server.port, world.pg.credentials.dbname)
end

local function new_addon(service, plan, name, app)
  local now = world_of.now()
  return {
    id = world_of.uuid(), name = name, service = service, plan = plan, plan_id = world_of.uuid(), app = app,
    state = "provisioned", created_at = now, updated_at = now, provider_id = tostring(math.random(10 ^ 6, 10 ^ 7)),
  }
end

local function new_database(world, name, app, server_name, credentials)
  local addon = new_addon("heroku-postgresql", world.options.plan, name, app)
  addon.server_name = server_name
  addon.url = function() return url(world, server_name, credentials) end
  addon.maintenance = { status = world.options.maintenance_status, starts = 0, refused = 0, history = {} }
  addon.window = { day_of_week = "Tuesday", time_of_day = "18:00" }
  return addon
end

function account.new_scheduler(app)
  local addon = new_addon("scheduler", "standard", ("scheduler-curved-%05d"):format(math.random(10000, 99999)), app)
  addon.web_url = ("https://addons-sso.heroku.com/apps/%s/addons/%s"):format(app.id, addon.id)
  return addon
end

local function add_attachment(self, name, addon, app)
  local now = world_of.now()
  local attachment = { id = world_of.uuid(), name = name, addon = addon, app = app, created_at = now, updated_at = now }
  self.attachments[#self.attachments + 1] = attachment
  return attachment
end

-- Add-ons and attachments as the options want them; called again when such an option changes.
function account.build_addons(self)
  local world, app = self.world, self.app
  local options = world.options
  self.addons, self.attachments = {}, {}
  app.config.READ_ONLY_REPLICA_URL = nil
  local primary = new_database(world, ADDON_NAMES[1], app, "primary", world.pg.credentials)
  self.addons[1] = primary
  add_attachment(self, "DATABASE", primary, app)
  add_attachment(self, "HEROKU_POSTGRESQL_COPPER", primary, app)
  local secrets = { world.pg.credentials, world.pg.second }
  for number = 1, options.followers do
    local follower = new_database(world, ADDON_NAMES[number + 1], app, "follower", secrets[number])
    follower.leader = primary
    self.addons[#self.addons + 1] = follower
    add_attachment(self, number == 1 and "HEROKU_POSTGRESQL_IVORY" or "HEROKU_POSTGRESQL_ROSE", follower, app)
    if number == 1 and options.hand_copied_replica_url then
      app.config.READ_ONLY_REPLICA_URL = follower.url()
    elseif number == 1 then
      add_attachment(self, "READ_ONLY_REPLICA", follower, app)
    end
  end
  if options.scheduler then
    local scheduler = account.new_scheduler(app)
    self.addons[#self.addons + 1] = scheduler
    add_attachment(self, "SCHEDULER", scheduler, app)
  end
end

function account.new(world)
  local self = {
    world = world, id = world_of.uuid(), apps = {}, tokens = world.options.rate_limit, filled_at = world_of.now(),
  }
  self.app = application.new(world, account.APP)
  self.apps[1] = self.app
  account.build_addons(self)
  return self
end

function account.find_app(self, key)
  for _, app in ipairs(self.apps) do
    if app.name == key or app.id == key then return app end
  end
  refusal.raise(404, "not_found", "Couldn't find that app.", { resource = "app" })
end

-- By name or id; nil when there is none.
function account.look_up_addon(self, key)
  for _, addon in ipairs(self.addons) do
    if addon.name == key or addon.id == key then return addon end
  end
end

function account.find_addon(self, key)
  return account.look_up_addon(self, key)
    or refusal.raise(404, "not_found", "Couldn't find that add-on.", { resource = "add_on" })
end

function account.attachments_of(self, app)
  local out = {}
  for _, attachment in ipairs(self.attachments) do
    if attachment.app == app then out[#out + 1] = attachment end
  end
  return out
end

function account.addons_of(self, app)
  local out = {}
  for _, addon in ipairs(self.addons) do
    if addon.app == app then out[#out + 1] = addon end
  end
  return out
end

function account.attachment_named(self, app, name)
  for _, attachment in ipairs(self.attachments) do
    if attachment.app == app and attachment.name == name then return attachment end
  end
end

-- The names of the config vars an attachment gives its app.
function account.vars_of(attachment)
  return attachment.addon.url and { attachment.name .. "_URL" } or {}
end

-- Config vars as a reader sees them: the app's own and those of its attachments.
function account.config_of(self, app)
  local out = {}
  for name, value in pairs(app.config) do out[name] = value end
  for _, attachment in ipairs(account.attachments_of(self, app)) do
    for _, name in ipairs(account.vars_of(attachment)) do out[name] = attachment.addon.url() end
  end
  return out
end

-- The attachment that owns a config var of the app, if any.
function account.owner_of_var(self, app, name)
  for _, attachment in ipairs(account.attachments_of(self, app)) do
    for _, var in ipairs(account.vars_of(attachment)) do
      if var == name then return attachment end
    end
  end
end

-- What an argument of the attachment resolver may name: attachment, config var, add-on by name or id.
function account.resolve_attachments(self, app, key)
  local out = {}
  for _, attachment in ipairs(account.attachments_of(self, app)) do
    local names = { attachment.name, attachment.id, attachment.addon.name, attachment.addon.id }
    for _, var in ipairs(account.vars_of(attachment)) do names[#names + 1] = var end
    for _, name in ipairs(names) do
      if name == key then
        out[#out + 1] = attachment
        break
      end
    end
  end
  return out
end

-- Attaches, replacing an attachment of that name; one release does both.
function account.attach(self, addon, app, name)
  local previous = account.attachment_named(self, app, name)
  for i, attachment in ipairs(self.attachments) do
    if attachment == previous then table.remove(self.attachments, i) break end
  end
  local attachment = add_attachment(self, name, addon, app)
  application.release(app, ("Attach %s (@ref:%s)"):format(name, addon.name))
  return attachment
end

function account.detach(self, attachment)
  for i, candidate in ipairs(self.attachments) do
    if candidate == attachment then
      table.remove(self.attachments, i)
      application.release(attachment.app, ("Detach %s (@ref:%s)"):format(attachment.name, attachment.addon.name))
      return
    end
  end
end

-- A free name like HEROKU_POSTGRESQL_AMBER, or the service's own.
function account.free_attachment_name(self, addon, app)
  local base = addon.service == "heroku-postgresql" and "HEROKU_POSTGRESQL_" or addon.service:upper():gsub("%W", "_")
  local colours = addon.service == "heroku-postgresql" and { "AMBER", "BLUE", "CYAN", "GRAY", "GREEN", "JADE" }
    or { "", "_2", "_3", "_4" }
  for _, colour in ipairs(colours) do
    if not account.attachment_named(self, app, base .. colour) then return base .. colour end
  end
  refusal.raise(422, "invalid_params", "No attachment name is left.")
end

return account
