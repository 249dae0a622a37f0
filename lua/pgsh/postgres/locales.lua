-- Locales: which there are here, whether two names mean the same one, and which are near to one that is missing.
local errors = require "pgsh.errors"
local nearest = require "pgsh.nearest"
local sh = require "pgsh.sh"

local locales = {}

-- The C library takes "UTF-8", "utf8" and "utf-8" for the same codeset.
local function plain(name)
  local base, codeset, rest = name:match "^([^.@]*)%.([^@]*)(.*)$"
  if not base then return name end
  return base .. "." .. codeset:lower():gsub("[^%w]", "") .. rest
end
locales.plain = plain

---Are these two names of the same locale?
function locales.same(a, b)
  return plain(a) == plain(b)
end

---Is the name in the list, in some spelling?
function locales.has(list, name)
  if name == "C" or name == "POSIX" or name == "" then return true end
  for _, one in ipairs(list) do
    if locales.same(one, name) then return true end
  end
  return false
end

---The names this machine knows (a read).
---@return string[]
function locales.here()
  local list = {}
  for line in sh.read({ "locale", "-a" }, { what = "list the locales" }).out:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

---" (near: en_GB.utf8, en_US.utf8)", or all when they are few.
function locales.near(list, name)
  local best = nearest.to(name, list)
  local language, found = name:match "^%a+", {}
  for _, one in ipairs(list) do
    if one ~= best and language and one:match "^%a+" == language then found[#found + 1] = one end
  end
  if best then table.insert(found, 1, best) end
  if #found > 0 then return ("near: %s"):format(table.concat(found, ", ", 1, math.min(#found, 8))) end
  return ("there are: %s%s"):format(table.concat(list, ", ", 1, math.min(#list, 12)), #list > 12 and ", …" or "")
end

---Raises when this machine lacks one of them.
---@param wanted string[]
function locales.must_have(wanted)
  local list = locales.here()
  for _, name in ipairs(wanted) do
    if not locales.has(list, name) then
      errors.raise("refused", "the locale %s does not exist on this machine; %s", name, locales.near(list, name))
    end
  end
end

return locales
