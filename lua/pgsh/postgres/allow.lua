-- Which errors of a restore are expected: by SQLSTATE, and by what the message names.
local errors = require "pgsh.errors"
local options = require "pgsh.options"

local allow = {}

local ENTRY = { sqlstate = "string", object = "string", pattern = "string", name = "string" }

-- Around a name in a message, as the server's language has it.
local QUOTES = { { '"', '"' }, { "»", "«" }, { "«", "»" }, { "« ", " »" }, { "„", "“" }, { "“", "”" }, { "'", "'" }, { "「", "」" } }

---Checked entries. Each needs an SQLSTATE and one of: object, a text of the message ('role "app"'); name, a name that it has in quotes;
---pattern, a Lua pattern.
function allow.check(list)
  local entries = {}
  if list ~= nil and type(list) ~= "table" then errors.usage("postgres.restore: allow is a list of { sqlstate =, object = }") end
  for i, entry in ipairs(list or {}) do
    options.check(("postgres.restore: allow[%d]"):format(i), entry, ENTRY)
    if type(entry.sqlstate) ~= "string" or not entry.sqlstate:find "^[%u%d][%u%d][%u%d][%u%d][%u%d]$" then
      errors.usage("postgres.restore: allow[%d]: sqlstate is five digits and capitals, such as 42710", i)
    end
    if not (entry.object or entry.pattern or entry.name) then
      errors.usage("postgres.restore: allow[%d]: which object? one of object, name, pattern", i)
    end
    entries[i] = entry
  end
  return entries
end

local function names(message, name)
  for _, pair in ipairs(QUOTES) do
    if message:find(pair[1] .. name .. pair[2], 1, true) then return true end
  end
  return false
end

---The entry that allows it.
function allow.find(entries, sqlstate, message)
  for _, entry in ipairs(entries) do
    if entry.sqlstate == sqlstate and (not entry.object or message:find(entry.object, 1, true))
      and (not entry.name or names(message, entry.name)) and (not entry.pattern or message:find(entry.pattern)) then
      return entry
    end
  end
end

---Entries for roles and databases that are there already: { roles = { … }, databases = { … } }.
function allow.exists_already(given)
  given = options.check("postgres.exists_already", given, { roles = "table", databases = "table" })
  local list = {}
  for _, name in ipairs(given.roles or {}) do list[#list + 1] = { sqlstate = "42710", name = name } end
  for _, name in ipairs(given.databases or {}) do list[#list + 1] = { sqlstate = "42P04", name = name } end
  return list
end

return allow
