-- show: what an entry's value looks like: rows as a grid, a row as a list of its fields, other values as Lua that can be read back.

local host = require "pgsh.host"

local show = {}

local CHUNK = 5000 -- rows made into text at a time: Ctrl-C gets its turn in between

---@class pgsh.ShellFormat
---@field format "auto"|"grid"|"expanded"|"csv"|"tsv"|"json"|"jsonl"|"lua"|"markdown"
---@field expanded "off"|"on"|"auto"
---@field max_rows integer          # 0: all
---@field max_width integer         # of a column; 0: as wide as it is
---@field null string

---@return pgsh.ShellFormat
function show.defaults()
  return { format = "auto", expanded = "auto", max_rows = 1000, max_width = 60, null = "<null>" }
end

-- What it is -----------------------------------------------------------------------------------------------------------------

---The names of the columns when it is what :rows returns.
---@param value any
---@return string[]?
function show.columns(value)
  if type(value) ~= "table" then return nil end
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__index")
  local columns = type(index) == "table" and rawget(index, "columns")
  return type(columns) == "table" and columns or nil
end

-- The fields of what :row returns, in order.
local function fields(value)
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__name") == nil and rawget(meta, "__index")
  if type(index) ~= "function" then return nil end
  local _, names = debug.getupvalue(index, 1)
  if type(names) ~= "table" then return nil end
  local list = {}
  for i, name in ipairs(names) do list[i] = name or i end
  return list
end

-- What :execute and :transaction return.
local function is_change(value)
  return type(value) == "table" and debug.getmetatable(value) == nil
    and (type(value.command) == "string" and math.type(value.rows) == "integer" or type(value.settled_by) == "string")
end

local function names_of(list)
  local seen, names = {}, {}
  for _, row in ipairs(list) do
    local of_row = {}
    for key in pairs(row) do
      if not seen[key] then
        seen[key] = true
        of_row[#of_row + 1] = key
      end
    end
    table.sort(of_row)
    table.move(of_row, 1, #of_row, #names + 1, names)
  end
  return names
end

-- Cells ----------------------------------------------------------------------------------------------------------------------

local function number_text(value)
  if math.type(value) == "integer" then return tostring(value) end
  if value ~= value then return "0/0" end
  if value == math.huge or value == -math.huge then return value > 0 and "math.huge" or "-math.huge" end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text:find("[.en]") and text or text .. ".0" end
  end
end
show.number = number_text

local function plain(value, null)
  if value == nil then return null end
  if type(value) == "number" then return number_text(value) end
  if type(value) == "table" and not (debug.getmetatable(value) or {}).__tostring then return require("pgsh.json").encode(value) end
  return tostring(value)
end

local function cell(row, columns, i)
  local value = rawget(row, i)
  if value == nil then value = rawget(row, columns[i]) end
  return value
end

-- Rows -----------------------------------------------------------------------------------------------------------------------

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

local function footer(rows, shown, took)
  local text = plural(#rows, "row")
  if shown < #rows then text = ("%s of %s, the others: full()"):format(shown, text) end
  return ("(%s%s)"):format(text, took and (" · %d ms"):format(took) or "")
end

local function grid(rows, columns, settings, took, out)
  local shown = settings.max_rows > 0 and math.min(#rows, settings.max_rows) or #rows
  local cells = host.grid(rows, columns, { to = shown, max_width = settings.max_width, null = settings.null })
  local widths = cells:widths()
  local head, rule = {}, {}
  for i, name in ipairs(columns) do
    local gap = math.max(0, widths[i] - host.width(name))
    head[i] = (" "):rep(gap // 2) .. name .. (" "):rep(gap - gap // 2)
    rule[i] = ("-"):rep(widths[i])
  end
  out(((" " .. table.concat(head, " | ")):gsub("%s+$", "")) .. "\n")
  out("-" .. table.concat(rule, "-+-") .. "-\n")
  for from = 1, shown, CHUNK do
    out(cells:lines(from, math.min(shown, from + CHUNK - 1)))
  end
  out(footer(rows, shown, took) .. "\n")
end

-- How wide the grid would be.
local function grid_width(rows, columns, settings)
  local shown = math.min(#rows, settings.max_rows > 0 and settings.max_rows or #rows, 200)
  local widths = host.grid(rows, columns, { to = shown, max_width = settings.max_width, null = settings.null }):widths()
  local sum = 1
  for _, width in ipairs(widths) do sum = sum + width + 3 end
  return sum
end

local function record(row, columns, settings, out)
  local widest = 0
  for _, name in ipairs(columns) do widest = math.max(widest, host.width(tostring(name))) end
  for i, name in ipairs(columns) do
    local value = plain(cell(row, columns, i), settings.null):gsub("\n", "\n" .. (" "):rep(widest + 3))
    out(("%s%s | %s\n"):format(name, (" "):rep(widest - host.width(tostring(name))), value))
  end
end

local function expanded(rows, columns, settings, took, out)
  local shown = settings.max_rows > 0 and math.min(#rows, settings.max_rows) or #rows
  for r = 1, shown do
    out(("-[ %d ]%s\n"):format(r, ("-"):rep(30)))
    record(rows[r], columns, settings, out)
  end
  out(footer(rows, shown, took) .. "\n")
end

local function csv_field(value)
  local text = plain(value, "")
  if value ~= nil and (text == "" or text:find('[",\r\n]')) then return '"' .. text:gsub('"', '""') .. '"' end
  return text
end

local TSV = { ["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }
local function tsv_field(value)
  if value == nil then return "\\N" end
  return (plain(value, ""):gsub("[\\\t\n\r]", TSV))
end

local function separated(rows, columns, out, field, separator)
  local head = {}
  for i, name in ipairs(columns) do head[i] = field(name) end
  out(table.concat(head, separator) .. "\n")
  local lines = {}
  for r, row in ipairs(rows) do
    local cells = {}
    for i = 1, #columns do cells[i] = field(cell(row, columns, i)) end
    lines[#lines + 1] = table.concat(cells, separator)
    if #lines == CHUNK or r == #rows then
      out(table.concat(lines, "\n") .. "\n")
      lines = {}
    end
  end
end

local function markdown(rows, columns, out)
  local rule = {}
  for i in ipairs(columns) do rule[i] = "---" end
  local lines = { "| " .. table.concat(columns, " | ") .. " |", "| " .. table.concat(rule, " | ") .. " |" }
  for _, row in ipairs(rows) do
    local cells = {}
    for i = 1, #columns do cells[i] = plain(cell(row, columns, i), ""):gsub("[|\n]", { ["|"] = "\\|", ["\n"] = " " }) end
    lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  out(table.concat(lines, "\n") .. "\n")
end

local function json(rows, columns, out, lines)
  local encode = require("pgsh.json").encode
  local list, keys = {}, {}
  for i, name in ipairs(columns) do keys[i] = encode(name) .. ":" end
  for r, row in ipairs(rows) do
    local parts = {}
    for i in ipairs(columns) do
      local value = cell(row, columns, i)
      if value ~= nil then parts[#parts + 1] = keys[i] .. encode(value) end
    end
    list[r] = "{" .. table.concat(parts, ",") .. "}"
  end
  if lines then return out(#list > 0 and table.concat(list, "\n") .. "\n" or "") end
  out("[" .. table.concat(list, ",\n ") .. "]\n")
end

local function rows_out(rows, columns, settings, took, out)
  local format = settings.format
  if format == "csv" then return separated(rows, columns, out, csv_field, ",") end
  if format == "tsv" then return separated(rows, columns, out, tsv_field, "\t") end
  if format == "json" or format == "jsonl" then return json(rows, columns, out, format == "jsonl") end
  if format == "markdown" then return markdown(rows, columns, out) end
  if format == "lua" then return out(show.text(rows) .. "\n") end
  if #columns == 0 then return out(footer(rows, #rows, took) .. "\n") end
  local wide = settings.expanded == "auto" and #rows > 0 and host.terminal().terminal
    and grid_width(rows, columns, settings) > host.terminal().columns
  if format == "expanded" or settings.expanded == "on" or format == "auto" and wide then
    return expanded(rows, columns, settings, took, out)
  end
  grid(rows, columns, settings, took, out)
end

-- Values ---------------------------------------------------------------------------------------------------------------------

-- "a text" as Lua reads it back; one of several lines in long brackets, where nothing in it forbids that.
local function string_text(value)
  if value:find("\n.") and not value:find("[\0-\8\11-\31\127]") and utf8.len(value) and not value:find("]]", 1, true) then
    return "[[\n" .. value .. "]]"
  end
  return '"' .. value:gsub('[%c"\\\127]', function(c)
    if c == "\n" then return "\\n" end
    if c == "\t" then return "\\t" end
    if c == '"' or c == "\\" then return "\\" .. c end
    return ("\\%03d"):format(c:byte())
  end):gsub("[\128-\255]+", function(bytes)
    if utf8.len(bytes) then return bytes end
    return (bytes:gsub(".", function(c) return ("\\%03d"):format(c:byte()) end))
  end) .. '"'
end

---Any value as text.
---@param value any
---@return string
function show.text(value)
  if type(value) == "string" then return string_text(value) end
  if type(value) == "number" then return number_text(value) end
  if type(value) == "function" then
    local name = require("pgsh.help").name_of(value)
    return name and ("function %s    (help %s)"):format(name, name) or tostring(value)
  end
  local meta = type(value) == "table" and debug.getmetatable(value)
  local name = type(meta) == "table" and type(rawget(meta, "__name")) == "string" and rawget(meta, "__name"):match("^pgsh%.(%l[%w_]*)$")
  if name and type(rawget(meta, "__pairs")) == "function" then
    local names = {}
    for key in pairs(value) do names[#names + 1] = tostring(key) end
    table.sort(names)
    return ("module %s: %s    (help %q)"):format(name, table.concat(names, ", "), name)
  end
  return require("pgsh.inspect").text(value)
end

local function change_out(value, settings, took, out)
  local text = value.command or "done"
  if value.settled_by then text = text .. "   settled by " .. value.settled_by end
  out(text .. (took and (" · %d ms"):format(took) or "") .. "\n")
  if value.returned and #value.returned > 0 then rows_out(value.returned, names_of(value.returned), settings, nil, out) end
end

---Put a value out, piece by piece.
---@param value any
---@param settings pgsh.ShellFormat
---@param took? integer             # ms, shown with rows
---@param out fun(text: string)
function show.value(value, settings, took, out)
  local columns = show.columns(value)
  if columns then return rows_out(value, columns, settings, took, out) end
  if is_change(value) then return change_out(value, settings, took, out) end
  local names = type(value) == "table" and fields(value)
  if names and settings.format ~= "lua" then return record(value, names, settings, out) end
  if settings.format == "json" or settings.format == "jsonl" then
    return out(require("pgsh.json").encode(value) .. "\n")
  end
  out(show.text(value) .. "\n")
end

-- Errors ---------------------------------------------------------------------------------------------------------------------

-- The line of the statement in which character `position` is, and a caret below it.
local function caret(sql, position)
  local before = utf8.offset(sql, position)
  if not before then return nil end
  local start = 1
  while true do
    local newline = sql:find("\n", start, true)
    if not newline or newline >= before then break end
    start = newline + 1
  end
  local line = sql:sub(start, (sql:find("\n", start, true) or #sql + 1) - 1)
  return line .. "\n" .. (" "):rep(host.width(sql:sub(start, before - 1))) .. "^"
end

---An error as lines: what went wrong, where, and what to do.
---@param problem table
---@param sql? string               # the statement it is about
---@return string
function show.error(problem, sql)
  local lines = { require("pgsh.errors").line(problem) }
  local function add(text) lines[#lines + 1] = text end
  if sql and problem.position then add(caret(sql, problem.position)) end
  if problem.detail then add(problem.detail) end
  if problem.hint then add("hint: " .. problem.hint) end
  if problem.code == "script" or problem.kind == "usage" then
    for i, line in ipairs(require("pgsh.place").script_lines(problem.traceback)) do
      if i > 5 then break end
      if not lines[1]:find(line:match("^(.-:%d+)"), 1, true) then add("at " .. line) end
    end
  end
  return table.concat(lines, "\n")
end

return show
