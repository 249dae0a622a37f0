-- load: finding, compiling and executing scripts in their environment. The top level of a procedure only registers.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local globals = require "pgsh.globals"
local strict = require "pgsh.strict"

local load = {}

local function directories()
  local list = {}
  for directory in (host.getenv "PGSH_PATH" or ""):gmatch("[^:]+") do list[#list + 1] = directory end
  return list
end

-- `require` of a script: public modules of pgsh, then files on PGSH_PATH and beside the script, in the same kind of environment.
local function requirer(environment, beside)
  local loaded, loading = {}, {}
  local function from_file(name)
    local relative = name:gsub("%.", "/") .. ".lua"
    local places = directories()
    places[#places + 1] = beside
    for _, directory in ipairs(places) do
      local path = directory .. "/" .. relative
      local text = host.read_file(path)
      if text then
        local f, problem = host.compile(text, "@" .. path, environment())
        if not f then error(problem, 0) end
        return f, path
      end
    end
    errors.usage("require \"%s\": no such module on PGSH_PATH (%s) or beside the script (%s)", name,
      table.concat(directories(), ":"), beside)
  end
  return function(name)
    if type(name) ~= "string" then errors.usage("require \"name\"") end
    local own = name:match("^pgsh%.(.+)$")
    if own then
      if not globals.is_public(own) then errors.usage("require \"%s\": not for scripts", name) end
      return require(name)
    end
    if loaded[name] ~= nil then return loaded[name] end
    if loading[name] then errors.usage("require \"%s\": it requires itself", name) end
    loading[name] = true
    local f, path = from_file(name)
    local value = f(name, path)
    loading[name] = nil
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

---A fresh environment for a script.
---@param beside string            # directory in which its modules are looked for
---@return table env
function load.environment(beside)
  local env
  env = strict.environment(globals.find, globals.names, requirer(function() return env end, beside))
  return env
end

---The text of a procedure, by path or by name: beside `beside`, on PGSH_PATH, in ./procedures, embedded.
---@param name string
---@param beside? string
---@return string? text
---@return string? path
function load.find(name, beside)
  local file = name:find("%.lua$") and name or name .. ".lua"
  local candidates = { beside and file:sub(1, 1) ~= "/" and beside .. "/" .. file or file }
  if not file:find("/", 1, true) then
    for _, directory in ipairs(directories()) do candidates[#candidates + 1] = directory .. "/" .. file end
    for _, directory in ipairs(directories()) do candidates[#candidates + 1] = directory .. "/procedures/" .. file end
    candidates[#candidates + 1] = "procedures/" .. file
  end
  for _, path in ipairs(candidates) do
    local text = host.read_file(path)
    if text then return text, path end
  end
  local embedded = "procedures/" .. file:match("[^/]*$")
  if not file:find("/", 1, true) or file:find("^pgsh:/") then
    local text = host.embedded(embedded)
    if text then return text, "pgsh:/" .. embedded end
  end
end

-- The file that was named on the command line. An error of reading is told as it is, unless a procedure has that name.
local function main_file(name)
  if not name then errors.raise("usage", "which procedure? pgsh FILE.lua, or pgsh help for the commands") end
  local text, problem = host.read_file(name)
  if text then return text, name end
  local path
  if not name:find("/", 1, true) or name:find("^pgsh:/") then text, path = load.find(name) end
  if text then return text, path end
  require("pgsh.errors").raise("usage", "%s", problem.message) -- nothing has begun: the call is what is wrong
end

---Execute one script's top level in the session.
---@param current pgsh.Session
---@param text string
---@param path string
function load.chunk(current, text, path)
  local env = load.environment(path:match("^(.*)/[^/]*$") or ".")
  local f, problem = host.compile(text, "@" .. path, env)
  if not f then error(problem, 0) end
  current.depth = (current.depth or 0) + 1
  current.loading[path], current.sources[path] = true, text
  f()
  current.loading[path] = nil
  current.depth = current.depth - 1
end

---Load the procedure into the session. Raises what is wrong with the script; what is wrong with parameters is collected in
---session.params. `tolerant`: an error of the top level is returned, not raised.
---@param current pgsh.Session
---@param file? string
---@param tolerant? boolean
---@return table? problem
function load.procedure(current, file, tolerant)
  local text, path = main_file(file)
  current.file, current.sha256 = path, host.sha256(text)
  current.params = require("pgsh.params").new(current.invocation, current.resumed and current.state.params)
  current.pending, current.loading, current.sources, current.registering = {}, {}, {}, true
  local _, ok, problem = current:within("load", nil, "load", "refuse", load.chunk, current, text, path)
  current.registering = false
  current.procedure.name = current.procedure.name or path:match("([^/]+)%.lua$") or path
  current.procedure.summary = current.procedure.summary or ""
  if ok then ok, problem = errors.try(require("pgsh.steps").finish, current) end
  if ok then return nil end
  -- Placeholders of missing parameters may well break a script: then the parameters are what to tell.
  if tolerant then return problem end
  if current.params:in_doubt() and problem.kind ~= "interrupted" then current.params:check(current.procedure.name) end
  error(problem, 0)
end

---Load, and check the parameters and that there is something to do.
---@param current pgsh.Session
---@param file? string
function load.checked(current, file)
  load.procedure(current, file)
  current.params:check(current.procedure.name)
  if #current.steps == 0 then
    errors.raise("usage", "%s: no step is declared; to run a plain script: pgsh - < %s", current.file, current.file)
  end
end

return load
