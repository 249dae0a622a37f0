-- Platform API: account, applications, formation, config vars, releases, dynos.
local account = require "heroku.account"
local application = require "heroku.application"
local check = require "core.check"
local gate = require "heroku.gate"
local json = require "core.json"
local range = require "heroku.range"
local refusal = require "core.refusal"
local view = require "heroku.view"

local SIZES = {}
for _, size in ipairs {
  "Eco", "Basic", "Standard-1X", "Standard-2X", "Performance-M", "Performance-L", "Performance-L-RAM", "Performance-XL",
  "Performance-2XL", "Private-S", "Private-M", "Private-L",
} do
  SIZES[size:lower()] = size
end

local QUANTITY = check.either(check.natural, check.pattern("^[+-]?%d+$", "an integer, or a string like 2, +1 or -1"))
local UPDATE = { type = check.filled, quantity = QUANTITY, size = check.filled }
local BATCH = check.record({ updates = check.list(check.record(UPDATE, { "type" })) }, { "updates" })
local SINGLE = check.record({ quantity = QUANTITY, size = check.filled })
local CONFIG = check.map(check.pattern("^[%w_]+$", "made of letters, digits and _"), check.nullable(check.string))
local APP_UPDATE = check.record({ maintenance = check.boolean })

local RELEASE_FIELDS, DYNO_FIELDS = { id = true, version = true }, { id = true, name = true }
local APP_FIELDS = { id = true, name = true, updated_at = true }

local function sorted_values(map)
  local keys, out = {}, {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do out[i] = map[key] end
  return out
end

local function mapped(list, make)
  local out = json.array()
  for i, item in ipairs(list) do out[i] = make(item) end
  return out
end

-- The new quantity of an update: absolute, or relative to the present one.
local function resolve_quantity(process, quantity)
  if quantity == nil then return process.quantity end
  local sign, digits = tostring(quantity):match("^([+-]?)(%d+)$")
  local number = math.tointeger(tonumber(digits))
  if sign == "+" then number = process.quantity + number end
  if sign == "-" then number = process.quantity - number end
  if number < 0 or number > 100 then
    refusal.raise(422, "invalid_params", "The quantity of a process type must be between 0 and 100.")
  end
  return number
end

local function checked_update(app, update)
  local process = app.formation[update.type]
  if not process then
    local text = ("Couldn't find that process type (%s)."):format(update.type)
    refusal.raise(404, "not_found", text, { resource = "formation" })
  end
  local size = update.size and SIZES[update.size:lower()]
  if update.size and not size then
    refusal.raise(422, "invalid_params", ("%s is not a dyno size."):format(update.size))
  end
  return { type = update.type, quantity = resolve_quantity(process, update.quantity), size = size }
end

-- All or nothing: every update is checked before the first is made.
local function scale(app, updates)
  local checked, seen = {}, {}
  for i, update in ipairs(updates) do
    if seen[update.type] then refusal.raise(422, "invalid_params", "type given twice: " .. update.type) end
    seen[update.type] = true
    checked[i] = checked_update(app, update)
  end
  for _, update in ipairs(checked) do application.scale(app, update.type, update.quantity, update.size) end
end

local function refuse_owned(self, app, changes)
  for name, value in pairs(changes) do
    local owner = account.owner_of_var(self, app, name)
    if owner then
      local verb = value == json.null and "destroy" or "overwrite"
      refusal.raise(422, "invalid_params", ("Cannot %s attachment values %s"):format(verb, name))
    end
  end
end

local function describe(changes)
  local set, unset = {}, {}
  for name, value in pairs(changes) do
    local list = value == json.null and unset or set
    list[#list + 1] = name
  end
  table.sort(set)
  table.sort(unset)
  local out = {}
  if #set > 0 then out[1] = "Set " .. table.concat(set, ", ") .. " config vars" end
  if #unset > 0 then out[#out + 1] = "Remove " .. table.concat(unset, ", ") .. " config vars" end
  return table.concat(out, " and ")
end

local function patch_config(self, app, changes)
  refuse_owned(self, app, changes)
  local changed = false
  for name, value in pairs(changes) do
    local wanted = value ~= json.null and value or nil
    changed = changed or app.config[name] ~= wanted
    app.config[name] = wanted
  end
  if next(changes) and (changed or self.world.options.equal_config_releases) then
    application.release(app, describe(changes))
  end
end

local function find_release(app, key)
  for _, release in ipairs(app.releases) do
    if release.id == key or tostring(release.version) == key then return release end
  end
  refusal.raise(404, "not_found", "Couldn't find that release.", { resource = "release" })
end

local function find_process(app, key)
  for name, process in pairs(app.formation) do
    if name == key or process.id == key then return process end
  end
  refusal.raise(404, "not_found", ("Couldn't find that process type (%s)."):format(key), { resource = "formation" })
end

-- The handlers that need more than a line.
local function handlers_of(world)
  local handlers = {}

  local function page(request, items, fields, default, make)
    return range.page(request, items, fields, default, world.options.page_size, make)
  end

  function handlers.account()
    return 200, { id = world.heroku.id, email = "operator@example.com", name = "Operator", verified = true, beta = false,
      two_factor_authentication = false, allow_tracking = false, federated = false, default_organization = json.null }
  end

  function handlers.apps(request)
    return page(request, mapped(world.heroku.apps, view.app), APP_FIELDS, "name")
  end

  function handlers.update_app(app, request)
    local body = gate.body(request, APP_UPDATE)
    if body.maintenance ~= nil then app.maintenance = body.maintenance end
    return 200, view.app(app)
  end

  function handlers.formation(app)
    return 200, mapped(sorted_values(app.formation), function(process) return view.process(app, process) end)
  end

  function handlers.scale_batch(app, request)
    scale(app, gate.body(request, BATCH).updates)
    return handlers.formation(app)
  end

  function handlers.scale_one(app, request, captures)
    local body, process = gate.body(request, SINGLE), find_process(app, captures.type)
    scale(app, { { type = process.type, quantity = body.quantity, size = body.size } })
    return 200, view.process(app, process)
  end

  function handlers.patch_config(app, request)
    patch_config(world.heroku, app, gate.body(request, CONFIG))
    return 200, account.config_of(world.heroku, app)
  end

  function handlers.releases(app, request)
    return page(request, app.releases, RELEASE_FIELDS, "version", function(release) return view.release(app, release) end)
  end

  function handlers.dynos(app, request)
    local items = mapped(application.list_dynos(app), function(item) return view.dyno(app, item) end)
    return page(request, items, DYNO_FIELDS, "name")
  end

  return handlers
end

local function routes(world)
  local handlers = handlers_of(world)

  -- Gives a handler the application its path names.
  local function on(handler)
    return function(request, captures)
      return handler(account.find_app(world.heroku, captures.app), request, captures)
    end
  end

  return {
    { "GET", "/account", handlers.account },
    { "GET", "/account/rate-limits", function() return 200, { remaining = gate.remaining(world.heroku) } end },
    { "GET", "/apps", handlers.apps },
    { "GET", "/apps/:app", on(function(app) return 200, view.app(app) end) },
    { "PATCH", "/apps/:app", on(handlers.update_app) },
    { "GET", "/apps/:app/formation", on(handlers.formation) },
    { "PATCH", "/apps/:app/formation", on(handlers.scale_batch) },
    { "GET", "/apps/:app/formation/:type", on(function(app, _, captures)
      return 200, view.process(app, find_process(app, captures.type))
    end) },
    { "PATCH", "/apps/:app/formation/:type", on(handlers.scale_one) },
    { "GET", "/apps/:app/config-vars", on(function(app) return 200, account.config_of(world.heroku, app) end) },
    { "PATCH", "/apps/:app/config-vars", on(handlers.patch_config) },
    { "GET", "/apps/:app/releases", on(handlers.releases) },
    { "GET", "/apps/:app/releases/:release", on(function(app, _, captures)
      return 200, view.release(app, find_release(app, captures.release))
    end) },
    { "GET", "/apps/:app/dynos", on(handlers.dynos) },
  }
end

return { routes = routes }
