-- meta: the entries of lua/meta/*.lua, which editors read as type annotations and `help` as text: one source for both.

local host = require "pgsh.host"

local meta = {}

local HIDDEN = { ["meta/host.lua"] = true } -- not for scripts

-- "---Text" above "function name(…) end"; "---@…" lines tell parameters.
local function read(text, entries)
  local comment = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    local said = line:match("^%-%-%-(.*)$")
    local name, arguments = line:match("^function%s+([%w_.:]+)%s*(%b())")
    if not name then name = line:match("^([%a_][%w_.]*)%s*=") or line:match("^%-%-%-@class%s+([%w_.]+)") end
    if said and not line:find("^%-%-%-@class") then
      comment[#comment + 1] = said
    elseif name then
      entries[#entries + 1] = { name = name, arguments = arguments or "", comment = comment, class = line:find("^%-%-%-@class") ~= nil }
      if not line:find("^%-%-%-@class") then comment = {} end
    elseif not line:find("^local ") then
      comment = {}
    end
  end
end

---All entries, in the order of the files.
---@return {name: string, arguments: string, comment: string[]}[]
function meta.entries()
  local entries = {}
  for _, name in ipairs(host.embedded_names()) do
    if name:find("^meta/") and not HIDDEN[name] then read(host.embedded(name), entries) end
  end
  return entries
end

local function is_below(name, topic)
  return name == topic or name:sub(1, #topic + 1) == topic .. "." or name:sub(1, #topic + 1) == topic .. ":"
end

local function entry_text(entry)
  local lines = { entry.name .. entry.arguments }
  for _, said in ipairs(entry.comment) do
    local parameter, rest = said:match("^@param%s+(%S+)%s*(.*)$")
    local field, field_rest = said:match("^@field%s+(%S+)%s*(.*)$")
    local returns = said:match("^@return%s+(.*)$")
    if parameter then
      lines[#lines + 1] = ("      %-12s %s"):format(parameter, rest)
    elseif field then
      lines[#lines + 1] = ("      %-12s %s"):format(field, field_rest)
    elseif returns then
      lines[#lines + 1] = "      returns      " .. returns
    elseif said:sub(1, 1) ~= "@" then
      lines[#lines + 1] = "    " .. said:gsub("^ ", "")
    end
  end
  return table.concat(lines, "\n")
end

---The text about a name: "wait", "wait.upto", "param.string"; nil when nothing is written about it.
---@param topic string
---@return string?
function meta.text(topic)
  local texts = {}
  for _, entry in ipairs(meta.entries()) do
    if is_below(entry.name, topic) and #entry.comment > 0 and not entry.class then texts[#texts + 1] = entry_text(entry) end
  end
  return #texts > 0 and table.concat(texts, "\n\n") .. "\n" or nil
end

---Names that have a text, without those of fields and methods.
---@return string[]
function meta.topics()
  local seen, names = {}, {}
  for _, entry in ipairs(meta.entries()) do
    local name = entry.name:match("^[%w_]+")
    if not seen[name] and not entry.class and not name:find("^[%u_]") then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

return meta
