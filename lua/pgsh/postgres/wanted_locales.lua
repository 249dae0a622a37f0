-- Which locales a dump asks for. CREATE DATABASE stands before each database's data, so the whole dump has to be looked through.
local locales = require "pgsh.postgres.locales"
local marker = require "pgsh.postgres.marker"
local options = require "pgsh.options"
local planned = require "pgsh.postgres.planned"
local sh = require "pgsh.sh"
local tools = require "pgsh.postgres.tools"
local unknown = require "pgsh.unknown"

local wanted = {}

-- A line of data could look like this only by intent; then a locale too many is asked for, and the restore refused.
local LINES = "WITH TEMPLATE = template0 |^CREATE COLLATION "

local SCRIPT = [[
{
  case $2 in
    gzip) gzip -dc -- "$1" ;;
    custom) "$3" -f - --schema-only "$1" ;;
    *) cat -- "$1" ;;
  esac || printf '\nWITH TEMPLATE = template0 FAILED\n'
} | LC_ALL=C grep -aE "$4" || [ $? = 1 ]
]]

local NAMES = {
  libc = { "LC_COLLATE", "LC_CTYPE", "lc_collate", "lc_ctype" }, icu = { "ICU_LOCALE" }, builtin = { "BUILTIN_LOCALE" },
}

local function value_of(line, name)
  local text = line:match("[ (]" .. name .. " = '([^']*)'")
  return text ~= "" and text or nil
end

local function take(sets, line)
  local provider = line:match "LOCALE_PROVIDER = (%w+)" or line:match "provider = (%w+)" or "libc"
  local function add(kind, name)
    if name and sets[kind] then sets[kind][name] = true end
  end
  for kind, names in pairs(NAMES) do
    for _, name in ipairs(names) do add(kind, value_of(line, name)) end
  end
  -- Of a database LOCALE sets the C library's categories whatever the provider is; of a collation it is the provider's own.
  if line:find "^CREATE COLLATION" then
    add(provider, value_of(line, "locale"))
  else
    add("libc", value_of(line, "LOCALE"))
  end
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return options.list(list)
end

-- As the stream will be.
local function replaced(text, replace)
  for _, pair in ipairs(replace or {}) do
    local at = 1
    while true do
      local from, to = text:find(pair[1], at, true)
      if not from then break end
      text = text:sub(1, from - 1) .. pair[2] .. text:sub(to + 1)
      at = from + #pair[2]
    end
  end
  return text
end

---The locales that the databases and collations of a dump need (a read): { libc = { … }, icu = { … }, builtin = { … } }.
---@param path string
---@param given? {bin: string?, replace: string[][]?}
function wanted.of(path, given)
  given = options.check("postgres.locales", given, { bin = "string", replace = "table" })
  if unknown.is(path) or planned.has(path) then return unknown.new("locales of " .. tostring(path)) end
  local head = sh.read({ "head", "-c", "5", "--", path }, { what = "the first bytes of " .. path }).out
  local kind = head:sub(1, 2) == marker.GZIP and "gzip" or head == marker.CUSTOM and "custom" or "plain"
  local tool = kind == "custom" and tools.path("pg_restore", given.bin) or ""
  local out = sh.read({ "/bin/sh", "-c", SCRIPT, "locales", path, kind, tool, LINES }, { what = "which locales " .. path .. " needs" }).out
  if out:find "WITH TEMPLATE = template0 FAILED\n$" then require("pgsh.errors").raise("io", "%s cannot be read to its end", path) end
  local sets = { libc = {}, icu = {}, builtin = {} }
  for line in out:gmatch "[^\n]+" do take(sets, replaced(line, given.replace)) end
  return { libc = sorted(sets.libc), icu = sorted(sets.icu), builtin = sorted(sets.builtin) }
end

---Those of the C library that a server does not have: { name, near } each.
---@param db pgsh.Psql
---@param list string[]
function wanted.missing(db, list)
  local there = {}
  for _, row in ipairs(db:rows [[select distinct collcollate as name from pg_collation where collprovider = 'c' order by 1]]) do
    there[#there + 1] = row.name
  end
  local out = {}
  for _, name in ipairs(list) do
    if not locales.has(there, name) then out[#out + 1] = { name = name, near = locales.near(there, name) } end
  end
  return out
end

return wanted
