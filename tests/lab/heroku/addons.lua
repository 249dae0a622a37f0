-- Platform API: add-ons, their attachments, and the two resolvers.
local account = require "heroku.account"
local check = require "core.check"
local gate = require "heroku.gate"
local json = require "core.json"
local range = require "heroku.range"
local refusal = require "core.refusal"
local view = require "heroku.view"

local IDENTITY = check.either(check.filled, check.record({ name = check.filled, id = check.filled }))
local ATTACHMENT_NAME = check.pattern("^[A-Z][A-Z0-9_]*$", "made of capital letters, digits and _")
local FIELDS = { id = true, name = true }

local ATTACH = check.record({
  addon = IDENTITY, app = IDENTITY, name = ATTACHMENT_NAME, confirm = check.string,
  namespace = check.nullable(check.string),
}, { "addon", "app" })
local CREATE = check.record({
  plan = IDENTITY, config = check.map(check.string, check.string), attachment = check.record { name = ATTACHMENT_NAME },
  name = check.filled, confirm = check.string,
}, { "plan" })
local RESOLVE_ATTACHMENT = check.record({
  addon_attachment = check.filled, app = check.nullable(check.filled), addon_service = check.filled,
}, { "addon_attachment" })
local RESOLVE_ADDON = check.record({
  addon = check.filled, app = check.nullable(check.filled), addon_service = check.filled,
}, { "addon" })

local function identity(value)
  if type(value) == "string" then return value end
  return value.id or value.name or refusal.raise(422, "invalid_params", "an identity needs id or name")
end

local function optional(value)
  if value ~= json.null then return value end
end

-- A name in use asks for a confirmation that repeats the application's name.
local function require_confirmation(self, app, addon, body)
  local current = body.name and account.attachment_named(self, app, body.name)
  if not current or current.addon == addon or body.confirm == app.name then return end
  local text = "The attachment %s on %s is in use by %s. To replace it, confirm with %s."
  local message = text:format(body.name, app.name, current.addon.name, app.name)
  refusal.raise(400, "confirmation_required", message, { app = app })
end

local function refuse_shadowing(app, name)
  if app.config[name .. "_URL"] then
    refusal.raise(422, "invalid_params", ("Name %s is taken: the config var %s_URL is set."):format(name, name))
  end
end

local function attach(self, request)
  local body = gate.body(request, ATTACH)
  local addon, app = account.find_addon(self, identity(body.addon)), account.find_app(self, identity(body.app))
  if optional(body.namespace) then
    refusal.raise(422, "invalid_params", "The namespace " .. body.namespace .. " does not exist.")
  end
  require_confirmation(self, app, addon, body)
  local name = body.name or account.free_attachment_name(self, addon, app)
  refuse_shadowing(app, name)
  local current = account.attachment_named(self, app, name)
  if current and current.addon == addon then
    refusal.raise(422, "invalid_params", ("%s is attached as %s already."):format(addon.name, name))
  end
  if current then account.refuse_last(self, current, addon) end
  return 201, view.attachment(account.attach(self, addon, app, name), gate.inclusion(request))
end

local function create_addon(self, app, request)
  local body = gate.body(request, CREATE)
  local plan = identity(body.plan)
  if plan ~= "scheduler:standard" and plan ~= "scheduler" then
    local text = "Couldn't find either the add-on service or the add-on plan of %q."
    refusal.raise(422, "invalid_params", text:format(plan))
  end
  for _, addon in ipairs(account.addons_of(self, app)) do
    if addon.service == "scheduler" then
      refusal.raise(422, "invalid_params", "The scheduler add-on is already installed on " .. app.name .. ".")
    end
  end
  local addon = account.new_scheduler(app, self.world.options.addon_provision_ms, self.world.options.addon_fails)
  if body.name then
    if account.look_up_addon(self, body.name) then refusal.raise(422, "invalid_params", "Name is already taken") end
    addon.name = body.name
  end
  self.addons[#self.addons + 1] = addon
  local name = body.attachment and body.attachment.name or account.free_attachment_name(self, addon, app)
  account.attach(self, addon, app, name)
  return 201, view.addon(self, addon, true)
end

local function of_service(addon, service)
  return service == nil or addon.service == service
end

local function resolve_attachments(self, request)
  local body, out = gate.body(request, RESOLVE_ATTACHMENT), json.array()
  local apps = optional(body.app) and { account.find_app(self, body.app) } or self.apps
  for _, app in ipairs(apps) do
    for _, attachment in ipairs(account.resolve_attachments(self, app, body.addon_attachment)) do
      if of_service(attachment.addon, body.addon_service) then
        out[#out + 1] = view.attachment(attachment, gate.inclusion(request))
      end
    end
  end
  if #out == 0 then
    refusal.raise(404, "not_found", "Couldn't find that add on attachment.", { resource = "add_on attachment" })
  end
  return 200, out
end

local function resolve_addons(self, request)
  local body, out, seen = gate.body(request, RESOLVE_ADDON), json.array(), {}
  local app = optional(body.app) and account.find_app(self, body.app)
  local function add(addon)
    if addon and not seen[addon] and of_service(addon, body.addon_service) then
      seen[addon] = true
      out[#out + 1] = view.addon(self, addon, (request.headers["accept-expansion"] or ""):find("plan", 1, true))
    end
  end
  add(account.look_up_addon(self, body.addon))
  for _, candidate in ipairs(app and { app } or {}) do
    for _, attachment in ipairs(account.resolve_attachments(self, candidate, body.addon)) do add(attachment.addon) end
  end
  if #out == 0 then refusal.raise(404, "not_found", "Couldn't find that add-on.", { resource = "add_on" }) end
  return 200, out
end

local function find_attachment(self, id)
  for _, attachment in ipairs(self.attachments) do
    if attachment.id == id then return attachment end
  end
  refusal.raise(404, "not_found", "Couldn't find that add on attachment.", { resource = "add_on attachment" })
end

local function attachment_of_app(self, app, key)
  for _, attachment in ipairs(account.attachments_of(self, app)) do
    if attachment.name == key or attachment.id == key then return attachment end
  end
  return find_attachment(self, "")
end

local function page(world, request, list, make)
  local items = json.array()
  for i, item in ipairs(list) do items[i] = make(item) end
  return range.page(request, items, FIELDS, "name", world.options.page_size)
end

local function addon_view(world, request)
  local expanded = (request.headers["accept-expansion"] or ""):find("plan", 1, true) ~= nil
  return function(addon) return view.addon(world.heroku, addon, expanded) end
end

local function attachment_view(request)
  return function(attachment) return view.attachment(attachment, gate.inclusion(request)) end
end

local function attachments_of_addon(self, addon)
  local list = {}
  for _, attachment in ipairs(self.attachments) do
    if attachment.addon == addon then list[#list + 1] = attachment end
  end
  return list
end

local function find_addon_of(self, app, key)
  local addon = account.find_addon(self, key)
  if addon.app ~= app then refusal.raise(404, "not_found", "Couldn't find that add-on.", { resource = "add_on" }) end
  return addon
end

local function detach(self, request, id)
  gate.body(request, nil)
  local attachment = find_attachment(self, id)
  account.refuse_last(self, attachment)
  account.detach(self, attachment)
  return 200, view.attachment(attachment, gate.inclusion(request))
end

local function addon_routes(world, on)
  local function self() return world.heroku end
  return {
    { "GET", "/addons", function(request) return page(world, request, self().addons, addon_view(world, request)) end },
    { "GET", "/addons/:addon", function(request, captures)
      return 200, addon_view(world, request)(account.find_addon(self(), captures.addon))
    end },
    { "GET", "/addons/:addon/addon-attachments", function(request, captures)
      local list = attachments_of_addon(self(), account.find_addon(self(), captures.addon))
      return page(world, request, list, attachment_view(request))
    end },
    { "GET", "/apps/:app/addons", on(function(app, request)
      return page(world, request, account.addons_of(self(), app), addon_view(world, request))
    end) },
    { "GET", "/apps/:app/addons/:addon", on(function(app, request, captures)
      return 200, addon_view(world, request)(find_addon_of(self(), app, captures.addon))
    end) },
    { "POST", "/apps/:app/addons", on(function(app, request) return create_addon(self(), app, request) end) },
    { "POST", "/actions/addons/resolve", function(request) return resolve_addons(self(), request) end, read = true },
  }
end

local function attachment_routes(world, on)
  local function self() return world.heroku end
  return {
    { "GET", "/apps/:app/addon-attachments", on(function(app, request)
      return page(world, request, account.attachments_of(self(), app), attachment_view(request))
    end) },
    { "GET", "/apps/:app/addon-attachments/:name", on(function(app, request, captures)
      return 200, attachment_view(request)(attachment_of_app(self(), app, captures.name))
    end) },
    { "GET", "/addon-attachments", function(request)
      return page(world, request, self().attachments, attachment_view(request))
    end },
    { "GET", "/addon-attachments/:id", function(request, captures)
      return 200, attachment_view(request)(find_attachment(self(), captures.id))
    end },
    { "POST", "/addon-attachments", function(request) return attach(self(), request) end },
    { "DELETE", "/addon-attachments/:id", function(request, captures) return detach(self(), request, captures.id) end },
    { "POST", "/actions/addon-attachments/resolve", function(request) return resolve_attachments(self(), request) end,
      read = true },
  }
end

local function routes(world)
  -- Gives a handler the application its path names.
  local function on(handler)
    return function(request, captures)
      return handler(account.find_app(world.heroku, captures.app), request, captures)
    end
  end
  local out = addon_routes(world, on)
  for _, route in ipairs(attachment_routes(world, on)) do out[#out + 1] = route end
  return out
end

return { routes = routes }
