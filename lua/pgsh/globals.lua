-- globals: the names a script sees besides Lua's own, each loaded on first use.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local strict = require "pgsh.strict"

local globals = {}

-- Modules of the same name.
local MODULES = {}
for name in ("alertmanager ask aws checksum chef cloudflare file git gitlab gzip hash heroku http json kubectl linode log pg pipe postgres "
  .. "psql secret sh slack sqitch ssh statuspage wait yaml"):gmatch("%S+") do
  MODULES[name] = true
end

-- Words of a procedure: which module has them.
local WORDS = {
  procedure = "steps", step = "steps", manual = "steps", preflight = "steps", fact = "steps", at = "steps", tripwire = "steps",
  extend = "extend", before = "extend", after = "extend", replace = "extend", skip = "extend", defaults = "extend",
}

local TYPES = { "string", "text", "integer", "number", "boolean", "duration", "time", "choice", "list", "file" }

local made = {}

function made.clock() return require("pgsh.clocks").declare end

-- Stands for "no value" where a service takes one: app:config { READ_ONLY_MODE = unset }.
function made.unset() return require("pgsh.json").null end

-- The word people look for; as a filter it belongs to pipe, as gzip's does.
function made.gunzip() return require("pgsh.pipe").gunzip end

function made.spawn()
  return function(name, f, ...)
    if type(name) == "function" then return made.spawn()("task", name, f, ...) end
    return host.spawn(name, host.branch, ("task %d"):format(host.ordinal()), f, ...)
  end
end

function made.fail()
  return function(text, ...)
    if select("#", ...) > 0 then text = text:format(...) end
    error(host.error("script", { message = tostring(text) }), 0)
  end
end

function made.problem()
  return function(text, ...)
    local current = require("pgsh.session").current
    if not current.problems then errors.usage("problem \"…\" belongs in a preflight") end
    if select("#", ...) > 0 then text = text:format(...) end
    table.insert(current.problems, tostring(text))
  end
end

function made.param()
  local declare = {}
  for _, kind in ipairs(TYPES) do
    declare[kind] = function(declaration)
      local current = require("pgsh.session").declaring("param." .. kind)
      return current.params:declare(kind, declaration, current.defaults)
    end
  end
  return strict.module("param", declare)
end

function made.help()
  return function(subject) return require("pgsh.help").of(subject) end
end

local function exists(name)
  for _, searcher in ipairs(package.searchers) do
    if type((searcher(name))) == "function" then return true end
  end
  return package.loaded[name] ~= nil
end

---What a script's global name means; nil when it means nothing.
---@param name string
---@return any
function globals.find(name)
  if made[name] then return made[name]() end
  if WORDS[name] then return require("pgsh." .. WORDS[name])[name] end
  if MODULES[name] and exists("pgsh." .. name) then return require("pgsh." .. name) end
end

---All names, for suggestions and completion.
---@return string[]
function globals.names()
  local names = {}
  for name in pairs(made) do names[#names + 1] = name end
  for name in pairs(WORDS) do names[#names + 1] = name end
  for name in pairs(MODULES) do
    if exists("pgsh." .. name) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---Modules that a script may require by name.
---@param name string
---@return boolean
function globals.is_public(name)
  return MODULES[name] or false
end

return globals
