-- save: what was done in a session as something that can be done again: its changes as the skeleton of a procedure, or all of it as a
-- script. What looks as if it held a secret is left out, visibly.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local history = require "pgsh.shell.history"

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
  while text:find("]" .. level .. "]", 1, true) do level = level .. "=" end
  return ("[%s[%s]%s]"):format(level, text, level)
end

local function is_handle(value)
  return type(value) == "userdata" and tostring(value):match "^(%a[%w_]*) "
end

-- Names of the session that a text uses.
local function used(shell, text, names)
  for name in text:gmatch("[%a_][%w_]*") do
    if rawget(shell.vars, name) ~= nil and not name:find("^_%d?$") and name ~= "_err" and name ~= "_rs" then names[name] = true end
  end
end

-- The entry that gave a name its value last.
local function definition(shell, name)
  for i = #shell.log, 1, -1 do
    local text = shell.log[i].text
    if shell.log[i].ok and (text:find("%f[%w_]" .. name .. "%s*=[^=]") or text:find("function%s+" .. name .. "%s*%(")) then return text end
  end
end

local function plain(value)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return require("pgsh.shell.show").text(value) end
end

-- One declaration for each name: a handle becomes a parameter, so that the next run names its target itself.
local function declare(shell, name, lines)
  local value = rawget(shell.vars, name)
  local kind = is_handle(value)
  if kind == "psql" then
    lines[#lines + 1] = ("local %s = psql(param.string { \"%s\", \"connection string (it was %s)\", required = true })"):format(name,
      name:gsub("_", "-"), (tostring(value):gsub("^psql%s+", ""):gsub('["\\]', "\\%0")))
  elseif plain(value) and history.keeps(name) and history.keeps(plain(value)) then
    lines[#lines + 1] = ("local %s = %s"):format(name, plain(value))
  else
    local text = definition(shell, name)
    if text and history.keeps(text) then
      lines[#lines + 1] = "local " .. text:gsub("^%s*local%s+", "")
    else
      lines[#lines + 1] = ("local %s -- give it its value"):format(name)
    end
  end
end

local function title_of(text)
  local line = text:gsub("%s+", " "):gsub("^%s+", "")
  if utf8.len(line) and utf8.len(line) > 60 then line = line:sub(1, utf8.offset(line, 58) - 1) .. "…" end
  return '"' .. line:gsub('[\\"]', "\\%0") .. '"'
end

local function indented(text, by)
  return (by .. text:gsub("\n", "\n" .. by))
end

local function body_of(entry)
  if entry.sql then return "db:execute(" .. long(entry.text:gsub("%s*;%s*$", "")) .. ")" end
  return entry.expression and "return " .. entry.text or entry.text
end

---`save("procedure.lua")`
---@param shell pgsh.Shell
---@param path string
function save.procedure(shell, path)
  local changes, names = {}, {}
  for _, entry in ipairs(shell.log) do
    if entry.changed and entry.ok then
      changes[#changes + 1] = entry
      used(shell, entry.sql and "db" or entry.text, names)
    end
  end
  if #changes == 0 then errors.raise("usage", "nothing was changed in this session: there is nothing to save") end
  local sorted = {}
  for name in pairs(names) do sorted[#sorted + 1] = name end
  table.sort(sorted)
  local name = tostring(path):match("([^/]+)%.lua$") or "procedure"
  local lines = {
    ("-- From the shell session %s of %s. A skeleton: say what each step is for, how it is verified, and how it is undone."):format(
      shell.current.run or "?", host.iso(host.now()):sub(1, 10)),
    ("procedure { name = %q, summary = %q }"):format(name, "what it is for"), "",
  }
  for _, known in ipairs(sorted) do declare(shell, known, lines) end
  for _, entry in ipairs(changes) do
    lines[#lines + 1] = ""
    if history.keeps(entry.text) then
      lines[#lines + 1] = ("step %s {"):format(title_of(entry.text))
      lines[#lines + 1] = "  run = function()"
      lines[#lines + 1] = indented(body_of(entry), "    ")
      lines[#lines + 1] = "  end,"
      lines[#lines + 1] = "  -- verify = function() return … end,"
      lines[#lines + 1] = "  -- undo = function() … end,"
      lines[#lines + 1] = "}"
    else
      lines[#lines + 1] = ("-- Line %d is left out: it seems to hold a secret."):format(entry.line)
    end
  end
  write(path, table.concat(lines, "\n") .. "\n")
end

---`transcript("script.lua")`: every entry that did not fail, to be read by `pgsh < script.lua`.
---@param shell pgsh.Shell
---@param path string
function save.transcript(shell, path)
  local lines = { ("-- The shell session %s of %s. To be made again with: pgsh < FILE"):format(shell.current.run or "?",
    host.iso(host.now()):sub(1, 10)) }
  for _, entry in ipairs(shell.log) do
    local own = entry.text:find("^%s*save%f[%W]") or entry.text:find("^%s*transcript%f[%W]")
    if entry.ok and not own and history.keeps(entry.text) then
      lines[#lines + 1] = entry.text
    elseif entry.ok and not own then
      lines[#lines + 1] = ("-- Line %d is left out: it seems to hold a secret."):format(entry.line)
    end
  end
  write(path, table.concat(lines, "\n") .. "\n")
end

return save
