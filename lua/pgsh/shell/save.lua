-- save: what was done in a session as something that can be done again: its changes as the skeleton of a procedure, or all of it as a
-- script. Both name the databases: what went to one must not go to another. What looks as if it held a secret is left out, visibly.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local history = require "pgsh.shell.history"
local inspect = require "pgsh.inspect"

local save = {}

local function write(path, text)
  if type(path) ~= "string" or path == "" then errors.usage("a file name, in quotes, is expected") end
  local ok, problem = host.keep(path, text, "new")
  if not ok then errors.raise("io", "%s", problem) end
  host.emit("log", { level = "info", text = "written: " .. path })
end

-- A text as Lua has it.
local function long(text)
  local level = ""
  while (text .. "]"):find("]" .. level .. "]", 1, true) do level = level .. "=" end
  return ("[%s[%s%s]%s]"):format(level, text:sub(1, 1) == "\n" and "\n" or "", text, level)
end

local function head(shell)
  return ("the shell session %s of %s."):format(shell.current.run or "?", host.iso(host.now()):sub(1, 10))
end

local function left_out(entry)
  return ("-- Line %d is left out: it seems to hold a secret."):format(entry.line)
end

-- A procedure: what it needs --------------------------------------------------------------------------------------------------

---@class pgsh.Saving
---@field shell pgsh.Shell
---@field names table<string, string>  # of variables, by place: target and user
---@field taken table<string, boolean>
---@field targets table<string, boolean>
---@field places {name: string, handle: pgsh.ShellHandle}[]  # in the order of their variables
---@field top string[]              # what stands above the steps
---@field declared table<string, boolean>  # names that stand there
local Saving = {}
Saving.__index = Saving

-- The entry before number `index` that gave a name its value last.
local function definition(shell, name, index)
  for i = index - 1, 1, -1 do
    local entry = shell.log[i]
    local text = entry.text
    if entry.ok and not entry.sql and (text:find("%f[%w_]" .. name .. "%s*=[^=]") or text:find("function%s+" .. name .. "%s*%(")) then
      return text, i
    end
  end
end

local function is_function(text, name)
  text = text:gsub("^%s*local%s+", "")
  return text:find("^%s*function%s+" .. name .. "%f[^%w_]") or text:find("^%s*" .. name .. "%s*=%s*function%f[^%w_]")
end

-- Words of a text that are names of the session.
local function words(text, names)
  local list, seen = {}, {}
  for name in text:gmatch("%f[%w_][%a_][%w_]*") do
    if names[name] and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

-- A variable's name for a place. Another user of the same database is another place: what one may, the other may not, and what he makes
-- is his.
local function variable(self, handle, wanted)
  local target = handle.target
  local place = target .. "\n" .. (handle.user or "")
  if self.names[place] then return self.names[place] end
  local base = "db_" .. (self.targets[target] and handle.user or target:match "/([^/]*)$" or ""):gsub("[^%w]+", "_")
  local name, number = wanted, 1
  while self.taken[name] do
    name = number == 1 and base or base .. number
    number = number + 1
  end
  self.names[place], self.taken[name], self.targets[target] = name, true, true
  self.places[#self.places + 1] = { name = name, handle = handle }
  return name
end

-- What an entry needs: `handles`, and their names; and the names it uses, with those that their definitions use, these first.
local function needs(shell, entry, index)
  local found = { list = {}, handles = {}, seen = {} }
  local function add(text, at)
    for _, name in ipairs(words(text, entry.before)) do
      local known = entry.before[name]
      if not found.seen[name] then
        found.seen[name] = true
        local need = { name = name, plain = known.plain }
        if known.handle then
          found.handles[#found.handles + 1] = { name = name, handle = known.handle }
        elseif known.plain ~= nil or not name:find "^_" then
          if known.plain == nil then
            local defined, where = definition(shell, name, at)
            need.text = defined and history.keeps(defined) and defined or nil
            if need.text then add(defined, where) end
          end
          found.list[#found.list + 1] = need
        end
      end
    end
  end
  add(entry.text, index)
  return found
end

local function declaration(need)
  local name = need.name
  if need.plain ~= nil then
    local text = inspect.inner(need.plain)
    if history.keeps(name) and history.keeps(text) then return ("local %s = %s"):format(name, text) end
  elseif need.text then
    return "local " .. need.text:gsub("^%s*local%s+", ""):gsub("^%s+", "")
  end
  return ("local %s -- give it its value"):format(name)
end

local function handle_lines(self)
  local lines = {}
  for _, place in ipairs(self.places) do
    local name, handle = place.name, place.handle
    local was = handle.target:gsub("^psql ", "") .. (handle.user and " as " .. handle.user or "")
    lines[#lines + 1] = ("local %s = psql(param.string { %q, %s, required = true })"):format(name, name:gsub("_", "-"),
      inspect.quoted(("connection string (it was %s)"):format(was)))
  end
  return lines
end

-- A name that two entries use with different values, or that is not the same everywhere, belongs into the steps.
local function put(self, need, inner, lines)
  local text = declaration(need)
  local above = not inner and (need.plain ~= nil or need.text and is_function(need.text, need.name) or need.text == nil)
  if above and self.declared[need.name] == nil then
    self.declared[need.name] = text
    self.top[#self.top + 1] = text
  elseif not above or self.declared[need.name] ~= text then
    lines[#lines + 1] = text
  end
end

-- Names that the entry gives itself.
local function own_names(shell, entry)
  local list = {}
  for _, name in ipairs(words(entry.text, shell.vars)) do
    if not entry.before[name] and not entry.assigned[name] and not name:find "^_" then
      list[#list + 1] = name
    end
  end
  return list
end

-- A handle that is made where it is used becomes a parameter too.
local function without_handles(self, entry, text, lines)
  for name, handle in pairs(entry.assigned) do
    local of = variable(self, handle, name)
    text = text:gsub("l?o?c?a?l?%s*%f[%w_]" .. name .. "%s*=%s*psql%s*(%b())%s*;?", ""):gsub(
      "l?o?c?a?l?%s*%f[%w_]" .. name .. "%s*=%s*psql%s*([\"'])[^\"']*%1%s*;?", "")
    if of ~= name then lines[#lines + 1] = ("local %s = %s"):format(name, of) end
  end
  return (text:gsub("^%s+", ""))
end

-- The lines of a step's function.
local function body(self, entry, index)
  local lines = {}
  if entry.sql then
    local options = entry.alone and ", psql.options { transaction = false }" or ""
    return { ("%s:execute(%s%s)"):format(variable(self, entry.db, "db"), long((entry.text:gsub("%s*;%s*$", ""))), options) }
  end
  local found, inner = needs(self.shell, entry, index), false
  for _, handle in ipairs(found.handles) do
    local of = variable(self, handle.handle, handle.name)
    if of ~= handle.name then
      inner = true -- functions that use it must see this one
      lines[#lines + 1] = ("local %s = %s"):format(handle.name, of)
    end
  end
  for _, need in ipairs(found.list) do put(self, need, inner, lines) end
  local own = own_names(self.shell, entry)
  if #own > 0 then lines[#lines + 1] = "local " .. table.concat(own, ", ") end
  local text = self.shell.places:complete(self.shell, without_handles(self, entry, entry.text, lines))
  lines[#lines + 1] = entry.expression and "return " .. text:gsub("%s*;%s*$", "") or text
  return lines
end

local function title_of(text)
  local line = text:gsub("%s+", " "):gsub("^%s+", "")
  if utf8.len(line) and utf8.len(line) > 60 then line = line:sub(1, utf8.offset(line, 58) - 1) .. "…" end
  return line
end

local function step_lines(self, entry, index, ids)
  local title = title_of(entry.text)
  local id = require("pgsh.steps").slug(title)
  local lines = { ("step %s {"):format(inspect.quoted(title)) }
  if id == "" or ids[id] then lines[2] = ("  id = \"line-%d\","):format(entry.line) end
  ids[id] = true
  lines[#lines + 1] = "  run = function()"
  for _, line in ipairs(body(self, entry, index)) do
    -- A text of several lines may hold a string of several: nothing is put in front of those.
    lines[#lines + 1] = line:find("\n", 1, true) and line or "    " .. line
  end
  lines[#lines + 1] = "  end,"
  lines[#lines + 1] = "  -- verify = function() return … end,"
  lines[#lines + 1] = "  -- undo = function() … end,"
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n")
end

---`save("procedure.lua")`
---@param shell pgsh.Shell
---@param path string
function save.procedure(shell, path)
  local self = setmetatable({ shell = shell, names = {}, taken = {}, targets = {}, places = {}, top = {}, declared = {} }, Saving)
  local steps, ids = {}, {}
  for i, entry in ipairs(shell.log) do
    if entry.changed and entry.ok then
      steps[#steps + 1] = history.keeps(entry.text) and step_lines(self, entry, i, ids) or left_out(entry)
    end
  end
  if #steps == 0 then errors.raise("usage", "nothing was changed in this session: there is nothing to save") end
  local name = tostring(path):match("([^/]+)%.lua$") or "procedure"
  local lines = {
    "-- From " .. head(shell) .. " A skeleton: say what each step is for, how it is verified, and how it is undone.",
    ("procedure { name = %q, summary = %q }"):format(name, "what it is for"), "",
  }
  table.move(handle_lines(self), 1, #self.places, #lines + 1, lines)
  table.move(self.top, 1, #self.top, #lines + 1, lines)
  for _, step in ipairs(steps) do lines[#lines + 1] = "\n" .. step end
  write(path, table.concat(lines, "\n") .. "\n")
end

-- A script --------------------------------------------------------------------------------------------------------------------

-- How a handle is made anew.
local function assignment(shell, name, handle)
  local conninfo, hidden = shell.places:reaches(handle)
  if not conninfo then
    return ("error %s"):format(inspect.quoted(("%s was %s: write here how it is made"):format(name, handle.target)))
  end
  return ("%s = psql %s%s"):format(name, inspect.quoted(conninfo), hidden and " -- what it logged in with is left out" or "")
end

local function same(a, b) return a and a.target == b.target and a.source == b.source end

local function script_text(shell, entry)
  if not entry.sql then return shell.places:complete(shell, entry.text) end
  if require("pgsh.shell.parse").sql_end(entry.text) then return entry.text end
  return entry.text .. "\n;" -- an empty line ended it
end

---`transcript("script.lua")`: every entry that did not fail, to be read by `pgsh < script.lua`. Handles that the entries themselves do not
---make are made where they are used first.
---@param shell pgsh.Shell
---@param path string
function save.transcript(shell, path)
  local lines = { "-- " .. head(shell):gsub("^t", "T") .. " To be made again with: pgsh < FILE" }
  if shell.init then lines[#lines + 1] = "-- Names that " .. shell.init .. " gave are not in it." end
  local now = {}
  local function reach(name, handle)
    if not handle or same(now[name], handle) then return end
    lines[#lines + 1] = assignment(shell, name, handle)
    now[name] = handle
  end
  for _, entry in ipairs(shell.log) do
    local own = entry.text:find("^%s*save%f[%W]") or entry.text:find("^%s*transcript%f[%W]")
      or entry.text:find("^%s*edit%f[%W]")
    if entry.ok and not own and history.keeps(entry.text) then
      reach("db", entry.db)
      if not entry.sql then
        for _, name in ipairs(words(entry.text, entry.before)) do reach(name, entry.before[name].handle) end
      end
      lines[#lines + 1] = script_text(shell, entry)
      for name, handle in pairs(entry.assigned) do now[name] = handle end
    elseif entry.ok and not own then
      lines[#lines + 1] = left_out(entry)
    end
  end
  write(path, table.concat(lines, "\n") .. "\n")
end

return save
