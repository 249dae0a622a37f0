-- What the operator's account holds: applications, add-ons, attachments. State and its rules, no HTTP.
local application = require "heroku.application"
local fixtures = require "heroku.fixtures"
local refusal = require "core.refusal"
local world_of = require "world"

local account = {}



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

function account.new_database(world, name, app, server_name, credentials)
  local addon = new_addon("heroku-postgresql", world.options.plan, name, app)
  addon.server_name = server_name
  addon.url = function() return url(world, server_name, credentials) end
  addon.maintenance = { status = world.options.maintenance_status, starts = 0, refused = 0, history = {} }
  addon.version = world.options.pg_version
  addon.upgrade = { status = "none", starts = 0, refused = 0 }
  addon.window = { day_of_week = "Tuesday", time_of_day = "18:00" }
  return addon
end

-- provision_ms: how long it is in the making; then it is there, or not at all (fails).
function account.new_scheduler(app, provision_ms, fails)
  local addon = new_addon("scheduler", "standard", ("scheduler-curved-%05d"):format(math.random(10000, 99999)), app)
  addon.ready_at = addon.created_at + (provision_ms or 0) / 1000
  addon.state = fails and "deprovisioned" or "provisioned"
  addon.web_url = ("https://addons-sso.heroku.com/apps/%s/addons/%s"):format(app.id, addon.id)
  return addon
end

function account.add_attachment(self, name, addon, app)
  local now = world_of.now()
  local attachment = { id = world_of.uuid(), name = name, addon = addon, app = app, created_at = now, updated_at = now }
  self.attachments[#self.attachments + 1] = attachment
  return attachment
end

-- Add-ons and attachments as the fixture and the options want them; called again when such an option changes.
function account.build_addons(self)
  self.addons, self.attachments = {}, {}
  fixtures[self.world.options.fixture].build(self, account)
end

function account.new(world)
  local self = {
    world = world, id = world_of.uuid(), apps = {}, tokens = world.options.rate_limit, filled_at = world_of.now(),
  }
  for i, shape in ipairs(fixtures[world.options.fixture].apps) do
    self.apps[i] = application.new(world, shape.name, shape.formation)
  end
  self.app = self.apps[1]
  account.build_addons(self)
  return self
end

function account.find_app(self, key)
  for _, app in ipairs(self.apps) do
    if app.name == key or app.id == key then return app end
  end
  refusal.raise(404, "not_found", "Couldn't find that app.", { resource = "app" })
end

-- As a reader sees it now.
function account.state_of(addon)
  return addon.ready_at and world_of.now() < addon.ready_at and "provisioning" or addon.state
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

-- The billing app keeps an attachment to what it pays for. `instead`: the add-on that takes the attachment's name over.
function account.refuse_last(self, attachment, instead)
  local addon, app = attachment.addon, attachment.app
  if addon == instead or addon.app ~= app then return end
  for _, other in ipairs(self.attachments) do
    if other ~= attachment and other.addon == addon and other.app == app then return end
  end
  refusal.raise(422, "invalid_params", "Cannot destroy last attachment to billing app for resource " .. addon.name)
end

-- Attaches, replacing an attachment of that name; one release does both.
function account.attach(self, addon, app, name)
  local previous = account.attachment_named(self, app, name)
  for i, attachment in ipairs(self.attachments) do
    if attachment == previous then table.remove(self.attachments, i) break end
  end
  local attachment = account.add_attachment(self, name, addon, app)
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
