-- params: the declared parameters of a procedure. Values come from flags, --params files, PGSH_NAME, defaults; a resumed run
-- has them from its journal. What is wrong is collected and reported at once, after the whole script has registered.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local types = require "pgsh.types"

local params = {}
local Params = {}
Params.__index = Params

local ALLOWED = {}
for name in ("required default pattern looks_like env secret min max choices of empty must_exist limit changeable "
  .. "placeholder"):gmatch("%S+") do
  ALLOWED[name] = true
end

-- The environment variable a parameter is read from.
local function variable_of(name)
  return "PGSH_" .. name:upper():gsub("[^%w]", "_")
end

local function read_file_of_params(path)
  local text, problem = host.read_file(path)
  if not text then errors.raise("usage", "--params: %s", errors.line(problem)) end
  local ok, value = errors.try(require("pgsh.json").decode, text)
  if not ok then errors.raise("syntax", "%s: %s", path, errors.line(value)) end
  if type(value) ~= "table" or #value > 0 then errors.raise("syntax", "%s: an object of parameters is expected", path) end
  return value
end

---Parameters for this invocation. `recorded`: the values of the run that is resumed.
---@param invocation table
---@param recorded? table<string, any>
---@return table
function params.new(invocation, recorded)
  local self = setmetatable({
    list = {}, by_name = {}, problems = {}, missing = {},
    rest = invocation.rest or {},
    words = invocation.words or {},
    known = invocation.known or {}, -- pgsh's own options
    used = {},
    from_file = {}, file_of = {},
    recorded = recorded,
  }, Params)
  for _, path in ipairs(invocation.options and invocation.options.params or {}) do
    for name, value in pairs(read_file_of_params(path)) do
      name = tostring(name):gsub("_", "-")
      self.from_file[name], self.file_of[name] = value, path
    end
  end
  return self
end

function Params:problem(format, ...)
  self.problems[#self.problems + 1] = format:format(...)
end

-- The value behind a flag at `index` of the rest, given that it has one.
function Params:value_behind(index, flag)
  local following = self.rest[index + 1]
  if following == nil or following:sub(1, 2) == "--" then
    self:problem("%s needs a value", flag)
    return nil
  end
  self.used[index + 1] = true
  return following
end

-- All texts given by flag, in order; nil when the flag is not there.
function Params:from_flags(spec)
  local flag, texts = "--" .. spec.name, nil
  for index, word in ipairs(self.rest) do
    local text
    if self.used[index] then
      text = nil
    elseif word == flag then
      self.used[index] = true
      if spec.type == "boolean" then text = "true" else text = self:value_behind(index, flag) end
    elseif spec.type == "boolean" and word == "--no-" .. spec.name then
      self.used[index] = true
      text = "false"
    elseif word:sub(1, #flag + 1) == flag .. "=" then
      self.used[index] = true
      text = word:sub(#flag + 2)
    end
    if text then
      texts = texts or {}
      texts[#texts + 1] = text
    end
  end
  return texts
end

-- The text and where it comes from; nil when nobody gave one.
function Params:given(spec)
  local texts = self:from_flags(spec)
  if texts then
    if spec.type == "list" then return texts, "--" .. spec.name end
    for i = 2, #texts do
      if texts[i] ~= texts[1] then self:problem("--%s is given twice", spec.name) break end
    end
    return texts[#texts], "--" .. spec.name
  end
  if self.from_file[spec.name] ~= nil then
    return self.from_file[spec.name], self.file_of[spec.name] .. ": " .. spec.name
  end
  if self.recorded and self.recorded[spec.name] ~= nil and not spec.secret then return nil end
  for _, name in ipairs { variable_of(spec.name), spec.env } do
    local text = host.getenv(name)
    if text and text ~= "" then return text, name end
  end
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function shown(value)
  return type(value) == "table" and table.concat(value, ",") or tostring(value)
end

-- A resumed run keeps its parameters; a flag may repeat them.
function Params:keep_recorded(spec, value)
  local recorded = self.recorded and self.recorded[spec.name]
  if recorded == nil or spec.secret then return value end
  if value == nil or spec.changeable and same(value, recorded) then return recorded end
  if not spec.changeable and not same(value, recorded) then
    self:problem("--%s was %s when the run began; a resumed run keeps it", spec.name, shown(recorded))
    return recorded
  end
  return value
end

function Params:convert(spec)
  local text, source = self:given(spec)
  local value, problem
  if text ~= nil then
    spec.source = source
    value, problem = types[spec.type](text, spec)
    if value == nil then
      self:problem(problem:sub(1, 1) == ":" and "%s%s" or "%s %s", source, problem)
      return types.placeholder(spec), false
    end
  end
  value = self:keep_recorded(spec, value)
  if value ~= nil then return value, true end
  local default = spec.default
  if default == nil then
    if not spec.required then return nil, true end
    spec.missing = true
    self.missing[#self.missing + 1] = ("--%s is required%s"):format(spec.name, spec.help ~= "" and " (" .. spec.help .. ")" or "")
    return spec.placeholder or types.placeholder(spec), false
  end
  if spec.type == "file" then return default, true end
  value, problem = types[spec.type](default, spec)
  if value == nil then errors.usage("default of --%s: %s", spec.name, problem) end
  return value, true
end

-- What is pgsh's own never reaches a parameter of that name.
local function check_name(self, kind, name)
  for _, flag in ipairs { "--" .. name, kind == "boolean" and "--no-" .. name or nil } do
    for _, own in ipairs(self.known) do
      if flag == own then errors.usage("parameter %s: %s is an option of pgsh itself: give the parameter another name", name, flag) end
    end
  end
  for _, own in ipairs(require "pgsh.variables") do
    if variable_of(name) == own.name then
      errors.usage("parameter %s: %s in the environment is pgsh's own (%s): give the parameter another name", name, own.name, own.text)
    end
  end
end

local function check_declaration(self, kind, spec)
  local name, help = spec[1], spec[2]
  if type(name) ~= "string" or not name:find("^%a[%w-]*$") then
    errors.usage("param.%s { \"name\", \"help\" }: the name consists of letters, digits and -", kind)
  end
  check_name(self, kind, name)
  if self.by_name[name] then errors.usage("parameter %s is declared twice", name) end
  if help ~= nil and type(help) ~= "string" then errors.usage("parameter %s: the second value is its help, a text", name) end
  for key in pairs(spec) do
    if type(key) == "string" and not ALLOWED[key] then
      local names = {}
      for allowed in pairs(ALLOWED) do names[#names + 1] = allowed end
      errors.usage("parameter %s: unknown option %s%s", name, key, require("pgsh.nearest").hint(key, names))
    end
  end
  if kind == "choice" and (type(spec.choices) ~= "table" or #spec.choices == 0) then
    errors.usage("parameter %s: choices = { \"…\", … } is needed", name)
  end
end

---Declare a parameter; returns its value.
---@param kind string               # a name of pgsh.types
---@param declaration table         # as the script wrote it
---@param defaults table            # set by `defaults { … }` of an extending file
---@return any
function Params:declare(kind, declaration, defaults)
  if type(declaration) ~= "table" then errors.usage("param.%s { \"name\", \"help\", … } takes one table", kind) end
  check_declaration(self, kind, declaration)
  local spec = { type = kind, name = declaration[1], help = declaration[2] or "" }
  for key in pairs(ALLOWED) do spec[key] = declaration[key] end
  local other = defaults[spec.name]
  if other ~= nil then spec.default, spec.required = other, false end
  self.list[#self.list + 1] = spec
  self.by_name[spec.name] = spec
  local value, known = self:convert(spec)
  spec.value, spec.known = value, known
  if spec.secret and type(value) == "string" then
    spec.value = known and require("pgsh.secret")(value) or value
  end
  return spec.value
end

function Params:names()
  local names = {}
  for i, spec in ipairs(self.list) do names[i] = "--" .. spec.name end
  return names
end

-- Flags and words that nobody declared.
function Params:check_unused()
  local names = self:names()
  table.move(self.known, 1, #self.known, #names + 1, names)
  for index, word in ipairs(self.rest) do
    if not self.used[index] then
      local flag = word:match("^%-%-?[^=]+")
      if flag then
        self:problem("unknown option %s%s", flag, require("pgsh.nearest").hint(flag, names))
        local following = self.rest[index + 1]
        if following and not word:find("=", 1, true) and following:sub(1, 1) ~= "-" then self.used[index + 1] = true end
      else
        self:problem("unexpected argument \"%s\"", word)
      end
    end
  end
  for _, word in ipairs(self.words) do self:problem("unexpected argument \"%s\"", word) end
  for name, path in pairs(self.file_of) do
    if not self.by_name[name] then
      self:problem("%s: unknown parameter %s%s", path, name, require("pgsh.nearest").hint("--" .. name, names))
    end
  end
end

---Is anything wrong so far? Then reads with placeholders must not be made.
---@return boolean
function Params:in_doubt()
  return #self.problems + #self.missing > 0
end

---Raise one error of kind usage when anything is wrong.
---@param title string              # the procedure's name
---@param tolerant? boolean         # nothing is wrong with parameters that are missing
function Params:check(title, tolerant)
  self:check_unused()
  local list = tolerant and #self.problems == 0 and {} or table.move(self.missing, 1, #self.missing, 1, {})
  table.move(self.problems, 1, #self.problems, #list + 1, list)
  if #list > 0 then errors.raise("usage", "%s: %s (see --help)", title, table.concat(list, "; ")) end
end

---A value as the operator would write it, secrets hidden.
---@param spec table
---@return string?
function params.shown(spec)
  local value = spec.missing and "<" .. spec.name .. ">" or spec.value
  if value == nil then return nil end
  if spec.secret and not spec.missing then return "•••" end
  if type(value) == "table" then return table.concat(value, ", ") end
  if spec.type == "duration" and not spec.missing then return params.duration(value) end
  return tostring(value)
end

---Seconds as "1h30m".
---@param seconds number
---@return string
function params.duration(seconds)
  local text = ""
  for _, unit in ipairs { { "h", 3600 }, { "m", 60 } } do
    if seconds >= unit[2] then
      text = text .. ("%d%s"):format(seconds // unit[2], unit[1])
      seconds = seconds % unit[2]
    end
  end
  if seconds > 0 or text == "" then text = text .. ("%g"):format(seconds) .. "s" end
  return text
end

---Values for the journal and the views: name → value; secrets are not among them.
---@return table<string, any>
function Params:values()
  local values = {}
  for _, spec in ipairs(self.list) do
    if spec.value ~= nil then values[spec.name] = spec.secret and "•••" or spec.value end
  end
  return values
end

return params
