-- Add-ons and what they are attached as: attach, detach, create, and the promotion of a database, which is an attachment that changes
-- hands. Every one of them is made only when it is not there yet; in a resumed run the journal knows whether it is there by its own
-- doing.
local check = require("pgsh.options").check
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"
local releases = require "pgsh.heroku.releases"
local session = require "pgsh.session"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"
local wait = require "pgsh.wait"

local attachments = {}

local NAME = "^%u[%u%d_]*$"

-- Every attachment of the app: id, name, addon (its name), addon_id, billed_to (the app that pays), namespace.
function attachments.list(app)
  local out = {}
  for i, item in ipairs(app.requests:get(client.path("/apps/%s/addon-attachments", app.name))) do
    out[i] = {
      id = item.id, name = item.name, namespace = item.namespace, addon = item.addon.name, addon_id = item.addon.id,
      billed_to = item.addon.app and item.addon.app.name,
    }
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

-- The attachment of that name, or nil.
function attachments.find(app, name)
  for _, item in ipairs(attachments.list(app)) do
    if item.name == name and not item.namespace then return item end
  end
end

local function is_attached(app, addon, name)
  local found = attachments.find(app, name)
  return found ~= nil and (found.addon == addon or found.addon_id == addon)
end

-- Is what comes next not made yet, as far as the journal knows?
local function is_new()
  local outcome = host.recorded()
  return outcome == nil or outcome == "failed"
end

local function addon_name(addon)
  if type(addon) == "table" and addon.addon then return addon:addon().name end
  if type(addon) == "string" and addon:match("^[%w%-]+$") then return addon end
  fail.usage("attach: %s is neither a database nor the name of an add-on", tostring(addon))
end

local function check_name(name, what)
  if type(name) ~= "string" or not name:match(NAME) then
    fail.usage("%s: %s is no name of an attachment (LOGS_DATABASE)", what, tostring(name))
  end
  return name
end

-- One POST attaches, and takes the name from whatever had it. Result: the release that it makes.
local function post(app, addon, name, words, happened)
  local latest = releases.latest(app)
  local before, expected = latest and latest.version or 0, not happened()
  local result = app.requests:change("post", "/addon-attachments", {
    json = { addon = { name = addon }, app = { name = app.name }, name = name, confirm = app.name }, what = words,
    resolve = function() return (settle.look(app.settle, happened)) end,
  })
  if not unknown.is(result) then result.release = releases.note(app, before, expected) end
  return result
end

local function attach(app, addon, name)
  local words = ("POST /addon-attachments %s as %s"):format(addon, name)
  local result = post(app, addon, name, words, function() return is_attached(app, addon, name) end)
  app:forget_databases()
  return result
end

-- Attach an add-on (its name, or a database) to the app. options: as; replace (take the name from another add-on).
function attachments.attach(app, addon, options)
  options = check("attach", options, { as = "string", replace = "boolean" })
  local name, wanted = check_name(options.as, "attach"), addon_name(addon)
  if is_new() then
    local current = attachments.find(app, name)
    if current and current.addon == wanted then return { already = true } end
    if current and not options.replace then
      fail.app(app.name, ("%s of %s is %s already"):format(name, app.name, current.addon),
        { code = "refused", hint = "attach with replace = true takes the name from it" })
    end
  end
  return attach(app, wanted, name)
end

-- Detach; what is not attached is left alone.
function attachments.detach(app, name)
  check_name(name, "detach")
  local present = attachments.find(app, name)
  if not present and is_new() then return { already = true } end
  local latest = releases.latest(app)
  -- Gone, and begun here: the journal answers, or that it is gone; nothing is sent then.
  local path = client.path("/addon-attachments/%s", present and present.id or "none")
  local result = app.requests:change("delete", path, {
    what = "DELETE /addon-attachments " .. name, idempotent = false,
    resolve = function() return (settle.look(app.settle, function() return not attachments.find(app, name) end)) end,
  })
  if not unknown.is(result) then result.release = releases.note(app, latest and latest.version or 0, present ~= nil) end
  app:forget_databases()
  return result
end

-- Create an add-on -----------------------------------------------------------------------------------------------------------

local function of_service(app, service)
  for _, addon in ipairs(app:addons()) do
    if addon.service == service and addon.state ~= "deprovisioned" then return addon end
  end
end

local function shown(addon)
  return { name = addon.name, plan = addon.plan, state = addon.state, web_url = addon.web_url }
end

local function provisioned(app, service)
  local addon = of_service(app, service)
  if not addon then
    fail.app(app.name, ("%s was not provisioned"):format(service), { hint = ("heroku addons -a %s"):format(app.name) })
  end
  if addon.state == "provisioning" then return false, addon.name .. " is being provisioned" end
  return shown(addon)
end

-- Create an add-on ("scheduler:standard") where the app has none of that service; wait until it is there. options: as (name of the
-- attachment), name, timeout ("15m").
function attachments.create(app, plan, options)
  options = check("create_addon", options, { as = "string", name = "string", timeout = true })
  local service = tostring(plan):match("^([%w%-]+):?[%w%-]*$")
  if not service then fail.usage("create_addon: %s is no plan (scheduler:standard)", tostring(plan)) end
  local attachment = options.as and { name = check_name(options.as, "create_addon") }
  local present = is_new() and of_service(app, service)
  if present then
    if plan:find(":", 1, true) and present.plan ~= plan then
      host.emit("log", { level = "warn", text = ("%s has %s already, as plan %s"):format(app.name, service, present.plan) })
    end
  else
    local made = app.requests:change("post", client.path("/apps/%s/addons", app.name), {
      json = { plan = { name = plan }, name = options.name, attachment = attachment },
      what = "POST /addons " .. plan,
      resolve = function() return (settle.look(app.settle, function() return of_service(app, service) end)) end,
    })
    if unknown.is(made) then return made end
  end
  return wait.upto(options.timeout or "15m", ("%s of %s is provisioned"):format(service, app.name), function()
    local done, text = client.survive(provisioned, app, service)
    return done or false, text
  end)
end

-- Promote ----------------------------------------------------------------------------------------------------------------------

local POOL = "connection-pooling:default"

-- What has the name now: addon, and whether it keeps an attachment when it loses this one. For `keep`.
function attachments.before(app, name)
  check_name(name, "promote")
  local current, others, pool = attachments.find(app, name), false, false
  if not current then return { name = name } end
  for _, item in ipairs(attachments.list(app)) do
    if item.addon == current.addon and item.name ~= name then
      if item.namespace then pool = pool or item.namespace == POOL else others = true end
    end
  end
  return { name = name, addon = current.addon, spare = others or current.billed_to ~= app.name, pool = pool or nil }
end

-- A sentence, and what helps; nil when nothing speaks against it.
local function objection(db, before)
  local status = db:wait_status()
  if status.waiting then
    return ("%s is not ready to be promoted: %s"):format(db.name, status.message or "an operation runs"), "wait for it"
  end
  local leader = db:follower_of()
  if leader then
    return ("%s follows %s and takes no writes"):format(db.name, leader), "upgrade it, or let it unfollow, first"
  end
  if before.pool and before.name == "DATABASE" then
    return before.addon .. " has a connection pool, which would stay with it", "detach the pool, and attach one to the new database after"
  end
end

local function check_promotable(app, db, before)
  local why, hint = objection(db, before)
  if not why then return end
  -- What has to happen first may be a step before this one, which a plan only shows.
  if host.mode() == "plan" then return host.emit("log", { level = "warn", text = "as things are now: " .. why }) end
  fail.app(app.name, why, { code = "refused", hint = hint .. "; or force = true" })
end

-- An app keeps an attachment to every add-on that it is billed for: the one that loses its only name gets another, a colour.
local function keep_attached(app, before)
  return post(app, before.addon, nil, ("POST /addon-attachments %s, as it loses %s"):format(before.addon, before.name), function()
    for _, item in ipairs(attachments.list(app)) do
      if item.addon == before.addon and item.name ~= before.name and not item.namespace then return true end
    end
  end)
end

-- A database takes the name over. options: as ("DATABASE"); before (what attachments.before gave, kept by the step: a resume needs it);
-- force (though it follows another, or something runs on it).
function attachments.promote(app, db, options)
  options = check("promote", options, { as = "string", before = "table", force = "boolean" })
  local name = check_name(options.as or "DATABASE", "promote")
  local before = options.before or attachments.before(app, name)
  if before.name ~= name then fail.usage("promote: before is of %s, not of %s", tostring(before.name), name) end
  local wanted = addon_name(db)
  if before.addon == wanted then return { already = true } end
  -- In a plan what makes it promotable was only shown.
  if is_new() and not options.force and not session.shows() then check_promotable(app, db, before) end
  if before.addon and not before.spare then keep_attached(app, before) end
  return attach(app, wanted, name)
end

return attachments
