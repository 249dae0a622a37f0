-- State as the Platform API's JSON objects.
local account = require "heroku.account"
local json = require "core.json"
local world_of = require "world"

local view = {}

local stamp = world_of.timestamp

local DYNO_MEMORY = { ["Standard-1X"] = 512, ["Standard-2X"] = 1024 }

function view.app_reference(app)
  return { id = app.id, name = app.name }
end

function view.app(app)
  return {
    id = app.id, name = app.name, maintenance = app.maintenance, created_at = stamp(app.created_at),
    updated_at = stamp(app.created_at), released_at = stamp(app.releases[#app.releases].created_at),
    archived_at = json.null, owner = { id = app.id, email = "operator@example.com" }, organization = json.null,
    team = json.null, space = json.null, region = { id = app.id, name = "us" },
    stack = { id = app.id, name = "heroku-24" },
    build_stack = { id = app.id, name = "heroku-24" }, acm = false, repo_size = 1024, slug_size = 2048,
    git_url = ("https://git.heroku.com/%s.git"):format(app.name),
    web_url = ("https://%s.herokuapp.com/"):format(app.name),
    buildpack_provided_description = "Rust", internal_routing = json.null,
  }
end

function view.process(app, process)
  return {
    id = process.id, app = view.app_reference(app), type = process.type, quantity = process.quantity,
    size = process.size, command = process.command, created_at = stamp(process.created_at),
    updated_at = stamp(process.updated_at),
    dyno_size = { id = process.id, name = process.size },
  }
end

function view.release(app, release)
  return {
    id = release.id, version = release.version, description = release.description, status = release.status,
    current = release.current, user = release.user, app = view.app_reference(app), addon_plan_names = json.array(),
    slug = { id = app.id }, output_stream_url = json.null, created_at = stamp(release.created_at),
    updated_at = stamp(release.updated_at), eligible_for_rollback = true,
  }
end

function view.dyno(app, item)
  local dyno, process = item.dyno, app.formation[item.dyno.type]
  return {
    id = dyno.id, name = ("%s.%d"):format(dyno.type, dyno.number), type = dyno.type, state = item.state,
    release = { id = item.release.id, version = item.release.version }, size = process.size, command = process.command,
    app = view.app_reference(app), attach_url = json.null, created_at = stamp(dyno.created_at),
    updated_at = stamp(math.max(dyno.created_at, dyno.shows_at)),
    memory = DYNO_MEMORY[process.size],
  }
end

local function vars_of_addon(self, addon)
  local out = json.array()
  for _, attachment in ipairs(self.attachments) do
    if attachment.addon == addon and attachment.app == addon.app then
      for _, name in ipairs(account.vars_of(attachment)) do out[#out + 1] = name end
    end
  end
  return out
end

function view.plan_name(addon)
  return addon.service .. ":" .. addon.plan
end

function view.addon(self, addon, expanded)
  local plan = { id = addon.plan_id, name = view.plan_name(addon) }
  if expanded then
    plan.price = { cents = 0, unit = "month", contract = false, metered = false }
    plan.human_name = addon.plan
    plan.state = "ga"
  end
  return {
    id = addon.id, name = addon.name, app = view.app_reference(addon.app), plan = plan,
    state = account.state_of(addon),
    addon_service = { id = addon.plan_id, name = addon.service }, config_vars = vars_of_addon(self, addon),
    actions = json.array(), billed_price = json.null,
    billing_entity = { id = addon.app.id, name = addon.app.name, type = "app" },
    provider_id = addon.provider_id, web_url = addon.web_url or json.null, created_at = stamp(addon.created_at),
    updated_at = stamp(addon.updated_at),
  }
end

-- inclusion: { plan = true, config_vars = true } as the header Accept-Inclusion asks.
function view.attachment(attachment, inclusion)
  local addon = attachment.addon
  local out = {
    id = attachment.id, name = attachment.name, namespace = json.null, app = view.app_reference(attachment.app),
    addon = { id = addon.id, name = addon.name, app = view.app_reference(addon.app) },
    log_input_url = json.null, web_url = addon.web_url or json.null, created_at = stamp(attachment.created_at),
    updated_at = stamp(attachment.updated_at),
  }
  if inclusion.plan then out.addon.plan = { id = addon.plan_id, name = view.plan_name(addon) } end
  if inclusion.config_vars then out.config_vars = json.array(account.vars_of(attachment)) end
  return out
end

return view
