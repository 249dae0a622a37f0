-- From what an operator calls a database (attachment, config var, add-on) to the add-on behind it, as the Heroku CLI
-- does.
--
-- The CLI asks POST /actions/addon-attachments/resolve. A POST is no read here, so the same answer is found in the list
-- of the app's attachments, which a GET gives.
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"

local resolve = {}

-- The name the Postgres service goes by.
local function service_name()
  for _, variable in ipairs { "HEROKU_POSTGRESQL_ADDON_NAME", "HEROKU_DATA_SERVICE" } do
    local value = host.getenv(variable)
    if value and value ~= "" then return value end
  end
  return "heroku-postgresql"
end

local function is_postgres(attachment)
  local plan = attachment.addon.plan
  return plan ~= nil and (plan.name or ""):match("^[^:]*") == service_name()
end

-- Plan without its service: "standard-0".
function resolve.plan_of(attachment)
  return (attachment.addon.plan.name:gsub("^[^:]*:", ""))
end

-- Why maintenance cannot be run on that plan, or nil.
function resolve.no_maintenance(plan)
  if plan:find("^essential") or plan:find("^dev") or plan:find("^basic") or plan:find("^mini") then
    return ("plan %s has no maintenance that can be run: it is an Essential-tier plan"):format(plan)
  end
end

-- The Postgres attachments of an app, each with its plan and config vars, sorted by name.
function resolve.attachments(requests, app)
  local list = requests:get(client.path("/apps/%s/addon-attachments", app),
    { sdk = true, inclusion = "addon:plan,config_vars" })
  local out = {}
  for _, attachment in ipairs(list) do
    attachment.config_vars = attachment.config_vars or {}
    if is_postgres(attachment) then out[#out + 1] = attachment end
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

local function url_var(attachment)
  for _, name in ipairs(attachment.config_vars) do
    if name:match("_URL$") then return name end
  end
end

local function is_database_url(value)
  return value ~= nil and value:match("^postgres://") ~= nil or value ~= nil and value:match("^postgresql://") ~= nil
end

local function names_of(attachment)
  local names = { attachment.name, attachment.id, attachment.addon.name, attachment.addon.id }
  return table.move(attachment.config_vars, 1, #attachment.config_vars, #names + 1, names)
end

local function matching(attachments, argument)
  local out = {}
  for _, attachment in ipairs(attachments) do
    for _, name in ipairs(names_of(attachment)) do
      if name == argument then
        out[#out + 1] = attachment
        break
      end
    end
  end
  return out
end

local function same_database(found, config)
  local first = found[1]
  for _, other in ipairs(found) do
    if other.addon.id ~= first.addon.id or other.app.id ~= first.app.id then return false end
    local a, b = url_var(first), url_var(other)
    if a and b and config[a] ~= config[b] then return false end
  end
  return true
end

-- One attachment out of several, or an error that names them.
local function only_one(found, config, argument)
  if #found == 1 then return found[1] end
  local plain = {}
  for _, attachment in ipairs(found) do
    if not attachment.namespace then plain[#plain + 1] = attachment end
  end
  if #plain == 0 then fail.usage("Couldn't find that addon: %s is only attached with other credentials", argument) end
  if #plain == 1 or same_database(plain, config) then return plain[1] end
  local names = {}
  for i, attachment in ipairs(plain) do names[i] = attachment.addon.name end
  fail.usage("Ambiguous identifier %s; multiple matching add-ons found: %s", argument, table.concat(names, ", "))
end

-- A config var set by hand with the URL of a database: those whose own URL has the same value.
local function by_value(attachments, config, argument)
  local variable = argument:match("_URL$") and argument or argument .. "_URL"
  local value, out = config[variable], {}
  if not value then return out end
  for _, attachment in ipairs(attachments) do
    local name = url_var(attachment)
    if name and config[name] == value then out[#out + 1] = attachment end
  end
  return out, variable
end

local function options_text(attachments)
  local seen, out = {}, {}
  for _, attachment in ipairs(attachments) do
    for _, name in ipairs(attachment.config_vars) do
      if not seen[name] then out[#out + 1] = name end
      seen[name] = true
    end
  end
  table.sort(out)
  return table.concat(out, ", ")
end

-- The attachment an argument names, and the hand-set config var when it was found by its value. nil, nil and a sentence
-- when there is no such database. Raises "usage" when it is ambiguous.
function resolve.find(attachments, config, app, argument)
  if #attachments == 0 then return nil, nil, app .. " has no databases" end
  local found = matching(attachments, argument)
  if #found > 0 then return only_one(found, config, argument), nil end
  local copied, variable = by_value(attachments, config, argument)
  if #copied == 0 then
    return nil, nil, ("Unknown database: %s. Valid options are: %s"):format(argument, options_text(attachments))
  end
  return only_one(copied, config, argument), variable
end

-- The config var whose value is the connection URL, and that value.
function resolve.url(attachment, config, argument, copied)
  local candidates = { copied or false, attachment.name .. "_URL", table.unpack(attachment.config_vars) }
  if argument:match("_URL$") then table.insert(candidates, 1, argument) end
  for _, name in ipairs(candidates) do
    if name and is_database_url(config[name]) then return config[name], name end
  end
  fail.usage("no config var holds a postgres:// URL for %s", argument)
end

return resolve
