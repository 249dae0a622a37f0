-- strict: what a script's _ENV is made of. An allow-list of Lua, read-only; reading or writing an unknown global is an error
-- that names file and line and suggests the nearest name. The purpose is to stop accidents, not hostile code.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local strict = {}

-- What a script writes from habit, and what it should write here.
local INSTEAD = {
  io = "use file.read, file.write and print",
  dofile = "use require or extend",
  loadfile = "use require or extend",
  package = "use require; modules are found on PGSH_PATH and beside the script",
  collectgarbage = "it is not available in a script",
  _G = "globals are read-only here; use a local table",
  ["os.execute"] = "use sh.run or sh.read",
  ["os.exit"] = "raise an error with fail \"why\", or let the script end",
  ["os.remove"] = "use sh.run { \"rm\", … }",
  ["os.rename"] = "use sh.run { \"mv\", … }",
  ["os.tmpname"] = "use file",
  ["debug.sethook"] = "it is not available in a script",
}

local function keys_of(...)
  local names = {}
  for i = 1, select("#", ...) do
    for name in next, (select(i, ...)) do
      if type(name) == "string" then names[#names + 1] = name end
    end
  end
  return names
end

local function missing(name, what, candidates)
  if INSTEAD[name] then errors.usage("there is no %s here: %s", name, INSTEAD[name]) end
  local hint = require("pgsh.nearest").hint(name:match("[^.]*$"), candidates)
  errors.usage("unknown %s %s%s", what, name, hint)
end

---A read-only view of a table of functions; an unknown field is an error.
---@param name string
---@param functions table
---@param call? function           # makes it callable
---@return table
function strict.module(name, functions, call)
  return setmetatable({}, {
    __name = "pgsh." .. name,
    __metatable = false,
    __index = function(_, key)
      local value = functions[key]
      if value == nil then missing(name .. "." .. tostring(key), "name", keys_of(functions)) end
      return value
    end,
    __newindex = function(_, key) errors.usage("%s.%s cannot be changed", name, tostring(key)) end,
    __pairs = function() return next, functions, nil end,
    __call = call and function(_, ...) return call(...) end,
  })
end

local function pick(library, names)
  local picked = {}
  for name in names:gmatch("%S+") do picked[name] = library[name] end
  return picked
end

local function script_print(...)
  local texts = table.pack(...)
  for i = 1, texts.n do texts[i] = tostring(texts[i]) end
  host.emit("output", { text = table.concat(texts, "\t", 1, texts.n) .. "\n" })
end

local function base_library()
  local base = pick(_G, "assert error getmetatable ipairs next pairs pcall rawequal rawget rawlen rawset select setmetatable "
    .. "tonumber tostring type warn xpcall _VERSION")
  base.print = script_print
  base.string = strict.module("string", string)
  base.table = strict.module("table", table)
  base.math = strict.module("math", math)
  base.utf8 = strict.module("utf8", utf8)
  base.coroutine = strict.module("coroutine", coroutine)
  local os_part = pick(os, "clock date difftime time")
  os_part.getenv = host.getenv
  base.os = strict.module("os", os_part)
  base.debug = strict.module("debug", { traceback = debug.traceback })
  return base
end

-- `load` of a script: text only, in the script's own environment unless it gives another.
local function loader(env)
  return function(chunk, name, _, other)
    if type(chunk) == "function" then
      local parts = {}
      for part in chunk do
        if part == "" then break end
        parts[#parts + 1] = part
      end
      chunk = table.concat(parts)
    end
    local f, problem = host.compile(chunk, name or "=(load)", other or env)
    if not f then return nil, tostring(problem) end
    return f
  end
end

---Make an environment for scripts.
---@param find fun(name: string): any       # looks up what is loaded on first use; nil when there is no such name
---@param names fun(): string[]             # all such names, for suggestions
---@param require_module function           # the script's `require`
---@return table env
function strict.environment(find, names, require_module)
  local base = base_library()
  base.require = require_module
  local env = {}
  base.load = loader(env)
  setmetatable(base, {
    __index = function(_, name)
      local value = type(name) == "string" and find(name) or nil
      if value == nil then
        local candidates = names()
        table.move(keys_of(base), 1, #keys_of(base), #candidates + 1, candidates)
        missing(tostring(name), "global", candidates)
      end
      rawset(base, name, value)
      return value
    end,
  })
  return setmetatable(env, {
    __name = "pgsh.Environment",
    __metatable = false,
    __index = base,
    __newindex = function(_, name)
      if rawget(base, name) ~= nil or find(name) ~= nil then errors.usage("%s is pgsh's own name: choose another, with local", name) end
      errors.usage("%s would be a new global: write local %s = …", tostring(name), tostring(name))
    end,
  })
end

return strict
