-- compare: two inventories, as a list of differences and as a table to read.
--
-- An inventory is first spread out to facts: what it is about, which object, which property. An object that is missing on one side is
-- one difference, not one for each of its properties.
local errors = require "pgsh.errors"
local options = require "pgsh.options"
local quote = require "pgsh.postgres.quote"
local unknown = require "pgsh.unknown"
local width = require "pgsh.postgres.width"

local compare = {}

local OPTIONS = { ignore = true, also = "table", limit = "number" }

-- Properties that a restore cannot keep, or that belong to the machine; `also` takes one back.
local IGNORED = { size = true, collation_version = true, location = true, estimate = true, snapshots = true }

local show = quote.show

local function joined(...)
  local parts = { ... }
  for i, part in ipairs(parts) do parts[i] = show(part) end
  return table.concat(parts, ".")
end

-- List in the inventory → what one is called, and which object it is.
local GLOBAL = {
  roles = { "role", function(one) return show(one.name) end },
  memberships = { "membership", function(one) return show(one.member) .. " in " .. show(one.role) end },
  tablespaces = { "tablespace", function(one) return show(one.name) end },
  settings = { "setting", function(one)
    local where = one.database ~= "" and "database " .. show(one.database) or ""
    if one.role ~= "" then where = where .. (where ~= "" and ", " or "") .. "role " .. show(one.role) end
    return where .. ": " .. one.setting:match "^[^=]*"
  end },
}
local LOCAL = {
  extensions = { "extension", function(one) return show(one.name) end },
  schemas = { "schema", function(one) return show(one.name) end },
  tables = { "table", function(one) return joined(one.schema, one.name) end },
  sequences = { "sequence", function(one) return joined(one.schema, one.name) end },
  collations = { "collation", function(one) return joined(one.schema, one.name) end },
  column_collations = { "collation of column", function(one) return joined(one.schema, one.table, one.column) end },
  publications = { "publication", function(one) return show(one.name) end },
  subscriptions = { "subscription", function(one) return show(one.name) end },
}

-- facts: { order = { key, … }, [key] = { what, object, properties, database } }; database: the one it is a part of.
local function add(facts, what, object, properties, database)
  local key = what .. "\0" .. object
  if facts[key] then return end
  facts.order[#facts.order + 1] = key
  facts[key] = { what = what, object = object, properties = properties, database = database }
end

local KEYS = { name = true, schema = true, table = true, column = true, role = true, member = true, database = true }

local function properties_of(one, kind)
  local out = {}
  for name, value in pairs(one) do
    if not KEYS[name] and type(value) ~= "table" then out[name] = value end
  end
  if kind == "settings" then out.setting = one.setting:match "=(.*)$" end
  return out
end

local function add_lists(facts, from, kinds, database)
  local prefix = database and database .. ": " or ""
  local names = {}
  for name in pairs(kinds) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _, one in ipairs(from[name] or {}) do
      local kind = kinds[name]
      add(facts, kind[1], prefix .. kind[2](one), properties_of(one, name), database)
    end
  end
end

local function add_content(facts, database)
  local found, name = database.content, show(database.name)
  if not found then return end
  add_lists(facts, found, LOCAL, name)
  add(facts, "number of", name, found.counts, name)
  add(facts, "large objects", name, found.large_objects, name)
  for _, index in ipairs(found.invalid_indexes) do add(facts, "invalid index", name .. ": " .. index, {}, name) end
end

local function spread(inventory)
  local facts = { order = {} }
  add_lists(facts, inventory, GLOBAL)
  for _, database in ipairs(inventory.databases) do
    if not database.is_template then
      add(facts, "database", show(database.name), properties_of(database, "databases"))
      add_content(facts, database)
    end
  end
  return facts
end

-- Version 17 has one more right on tables, which "all" includes.
local function without_maintain(rights)
  return (rights:gsub("=([%a*]*)/", function(letters) return "=" .. letters:gsub("m%*?", "") .. "/" end))
end

local function major(inventory)
  return (inventory.server.version_num or 0) // 10000
end

-- ---- what is left out ----

local function ignorer(given, before, after)
  local names, patterns = {}, {}
  for name in pairs(IGNORED) do names[name] = true end
  for _, name in ipairs(given.also or {}) do names[name] = nil end
  local ignore = given.ignore
  if type(ignore) == "function" then return names, ignore end
  if ignore ~= nil and type(ignore) ~= "table" then errors.usage("postgres.compare: ignore is a list or a function") end
  for _, item in ipairs(ignore or {}) do patterns[#patterns + 1] = item end
  if not before.exact or not after.exact then names.rows = true end
  return names, function(difference)
    for _, item in ipairs(patterns) do
      local text = difference.what .. " " .. difference.object
      if type(item) == "table" then
        if (not item.what or difference.what == item.what) and (not item.object or difference.object == item.object) then return true end
      elseif difference.what == item or text == item then
        return true
      end
    end
    return false
  end
end

-- ---- comparing ----

local function sorted_names(a, b)
  local seen, names = {}, {}
  for _, from in ipairs { a, b } do
    for name in pairs(from) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

local function compare_properties(out, a, b, ignored, normal)
  for _, name in ipairs(sorted_names(a.properties, b.properties)) do
    local before, after = a.properties[name], b.properties[name]
    if not ignored[name] and normal(name, before) ~= normal(name, after) then
      out[#out + 1] = { what = a.what .. " " .. name, object = a.object, before = before, after = after }
    end
  end
end

local function differences(before, after, given)
  local a, b, out, missing = spread(before), spread(after), {}, {}
  local ignored, ignore = ignorer(given, before, after)
  local across = (major(before) < 17) ~= (major(after) < 17)
  local function normal(name, value)
    if name == "privileges" and across and value then return without_maintain(value) end
    return value
  end
  local function lone(fact, side)
    if fact.what == "database" then missing[fact.object] = true end
    if fact.database and missing[fact.database] then return end
    out[#out + 1] = { what = fact.what, object = fact.object, before = side == "before" and "there" or nil,
      after = side == "after" and "there" or nil }
  end
  for _, key in ipairs(a.order) do
    if b[key] then compare_properties(out, a[key], b[key], ignored, normal) else lone(a[key], "before") end
  end
  for _, key in ipairs(b.order) do
    if not a[key] then lone(b[key], "after") end
  end
  local kept = {}
  for _, one in ipairs(out) do
    if not ignore(one) then kept[#kept + 1] = one end
  end
  return kept
end

local function value_text(value)
  if value == nil then return "–" end
  return width.cell(value)
end

local function text_of(list, limit)
  if #list == 0 then return "no difference" end
  local rows = { { "what", "object", "before", "after" } }
  for i = 1, math.min(#list, limit) do
    local one = list[i]
    rows[#rows + 1] = { width.cell(one.what), width.cell(one.object), value_text(one.before), value_text(one.after) }
  end
  local text = width.table(rows)
  if #list > limit then text = ("%s\nand %d more"):format(text, #list - limit) end
  return text
end

local function check(inventory, which)
  if type(inventory) ~= "table" or not inventory.databases or not inventory.server then
    errors.usage("postgres.compare: %s is not what postgres.inventory returned", which)
  end
end

---@param before table
---@param after table
---@param given? {ignore: (string|table)[]|function?, also: string[]?, limit: integer?}
---@return {same: boolean, differences: table[], text: string}
function compare.compare(before, after, given)
  given = options.check("postgres.compare", given, OPTIONS)
  if unknown.is(before) or unknown.is(after) then return unknown.new "comparison" end
  check(before, "the first")
  check(after, "the second")
  local list = differences(before, after, given)
  return { same = #list == 0, differences = list, text = text_of(list, given.limit or 200) }
end

return compare
