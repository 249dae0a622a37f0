-- show: what an entry's value looks like: rows as a grid, a row as a list of its fields, other values as Lua that can be read back.

local host = require "pgsh.host"
local inspect = require "pgsh.inspect"

local show = {}

local CHUNK = 5000 -- rows made into text at a time: Ctrl-C gets its turn in between

---@class pgsh.ShellFormat
---@field format "auto"|"grid"|"expanded"|"csv"|"tsv"|"json"|"jsonl"|"lua"|"markdown"
---@field expanded "off"|"on"|"auto"
---@field max_rows integer          # 0: all
---@field max_width integer         # no column is narrowed below it to fit the screen; 0: none is narrowed
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

-- What the values of each column cannot tell by themselves: "bytea", "array", or false.
local function kinds_of(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "kinds") or {}
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

-- What :transaction returns.
local function is_changes(value)
  return type(value) == "table" and debug.getmetatable(value) == nil and type(value.results) == "table"
    and math.type(value.rows) == "integer" and value.command == nil
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

show.number = inspect.number

---A text that is not UTF-8 cannot be put out: what is wrong in it as \xHH.
---@param text string
---@return string
function show.valid(text)
  if utf8.len(text) then return text end
  return (text:gsub("[\128-\255]+", function(bytes)
    local pieces, at = {}, 1
    while at <= #bytes do
      local _, bad = utf8.len(bytes, at)
      pieces[#pieces + 1] = bytes:sub(at, (bad or #bytes + 1) - 1)
      if not bad then break end
      pieces[#pieces + 1] = ("\\x%02x"):format(bytes:byte(bad))
      at = bad + 1
    end
    return table.concat(pieces)
  end))
end

-- As the server writes it.
local function sql_number(value)
  if math.type(value) == "integer" then return tostring(value) end
  if value ~= value then return "NaN" end
  if value == math.huge or value == -math.huge then return value > 0 and "Infinity" or "-Infinity" end
  return (inspect.number(value):gsub("%.0$", ""))
end

local function bytea_text(value)
  return "\\x" .. value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

local array_text

local function element_text(value)
  if value == require("pgsh.json").null then return "NULL" end
  if type(value) == "boolean" then return value and "t" or "f" end
  if type(value) == "number" then return sql_number(value) end
  if type(value) == "table" and value[1] == nil and next(value) ~= nil then value = require("pgsh.json").encode(value) end
  if type(value) == "table" then return array_text(value) end
  if value ~= "" and not value:find('[{},"\\%s]') and value:lower() ~= "null" then return value end
  return '"' .. value:gsub('["\\]', "\\%0") .. '"'
end

-- {1,NULL,"a b"}
function array_text(value)
  if type(value) ~= "table" then return value end
  local parts = {}
  for i, element in ipairs(value) do parts[i] = element_text(element) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local TEXTS = { bytea = bytea_text, array = array_text }

-- How a column's values become text, where they are not simply what they are.
local function texts_of(kinds)
  local texts = {}
  for i, kind in ipairs(kinds) do texts[i] = TEXTS[kind] or false end
  return texts
end

local function plain(value, null)
  if value == nil then return null end
  if type(value) == "number" then return sql_number(value) end
  if type(value) == "table" and not (debug.getmetatable(value) or {}).__tostring then return require("pgsh.json").encode(value) end
  return show.valid(tostring(value))
end

local function json_value(value, kind)
  local json = require "pgsh.json"
  if value == nil then return "null" end
  if kind == "bytea" then value = bytea_text(value) end
  if type(value) == "number" then
    local text = sql_number(value)
    return text:find("^%-?%d") and text or '"' .. text .. '"'
  end
  if kind == "array" and type(value) == "table" then
    local parts = {}
    for i, element in ipairs(value) do parts[i] = json_value(element, type(element) == "table" and element[1] ~= nil and kind) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  return json.encode(type(value) == "string" and show.valid(value) or value)
end

---Rows to be shown: each with its cells in order.
---@class pgsh.ShownRows
---@field rows table[]
---@field columns any[]
---@field names string[]            # of the columns, for the screen
---@field keys any[]                # under which a row has them: of columns with the same name all but the last under their numbers
---@field kinds table<integer, string|false>
---@field texts table<integer, function|false>

---@param rows table[]
---@param columns any[]
---@param kinds table
---@return pgsh.ShownRows
local function shown_rows(rows, columns, kinds)
  local keys, last, names = {}, {}, {}
  for i, name in ipairs(columns) do last[name] = i end
  for i, name in ipairs(columns) do
    keys[i], names[i] = last[name] == i and name or i, show.valid(tostring(name))
  end
  return { rows = rows, columns = columns, names = names, keys = keys, kinds = kinds, texts = texts_of(kinds) }
end

-- The text of a cell.
local function cell(shown, row, i, null)
  local value = rawget(row, shown.keys[i])
  local text = shown.texts[i]
  if text and value ~= nil then value = text(value) end
  return plain(value, null)
end

-- Rows -----------------------------------------------------------------------------------------------------------------------

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

local function footer(rows, shown, took)
  local text = plural(#rows, "row")
  if shown < #rows then text = ("%s of %s, the others: full()"):format(shown, text) end
  return ("(%s%s)"):format(text, took and (" · %d ms"):format(took) or "")
end

local function shown_count(shown, settings)
  return settings.max_rows > 0 and math.min(#shown.rows, settings.max_rows) or #shown.rows
end

local function aligned(shown, settings)
  local size = host.terminal()
  local room = size.terminal and settings.max_width > 0 and size.columns or 0
  return host.grid(shown.rows, shown.columns, {
    to = shown_count(shown, settings), room = room, least = settings.max_width, null = settings.null, texts = shown.texts,
  })
end

-- Is it wider than the screen, however narrow its columns are made? One that is alone is not: what it holds is read as a text.
local function too_wide(cells)
  local widths, size = cells:widths(), host.terminal()
  local sum = 2 + 3 * (#widths - 1)
  for _, width in ipairs(widths) do sum = sum + width end
  return size.terminal and #widths > 1 and sum > size.columns
end

local function grid(shown, cells, settings, took, out)
  local widths, count = cells:widths(), shown_count(shown, settings)
  local head, rule = {}, {}
  for i, name in ipairs(shown.names) do
    local gap = math.max(0, widths[i] - host.width(name))
    head[i] = (" "):rep(gap // 2) .. name .. (" "):rep(gap - gap // 2)
    rule[i] = ("-"):rep(widths[i])
  end
  out(((" " .. table.concat(head, " | ")):gsub("%s+$", "")) .. "\n")
  out("-" .. table.concat(rule, "-+-") .. "-\n")
  for from = 1, count, CHUNK do
    out(cells:lines(from, math.min(count, from + CHUNK - 1)))
  end
  out(footer(shown.rows, count, took) .. "\n")
end

local function record(shown, row, settings, out)
  local widest = 0
  for _, name in ipairs(shown.names) do widest = math.max(widest, host.width(name)) end
  for i, name in ipairs(shown.names) do
    local value = cell(shown, row, i, settings.null):gsub("\n", "\n" .. (" "):rep(widest + 3))
    out(("%s%s | %s\n"):format(name, (" "):rep(widest - host.width(name)), value))
  end
end

local function expanded(shown, settings, took, out)
  local count = shown_count(shown, settings)
  for r = 1, count do
    out(("-[ %d ]%s\n"):format(r, ("-"):rep(30)))
    record(shown, shown.rows[r], settings, out)
  end
  out(footer(shown.rows, count, took) .. "\n")
end

local NOTHING = {}

local function csv_field(text)
  if text == NOTHING then return "" end
  if text == "" or text:find('[",\r\n]') then return '"' .. text:gsub('"', '""') .. '"' end
  return text
end

local TSV = { ["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }
local function tsv_field(text)
  if text == NOTHING then return "\\N" end
  return (text:gsub("[\\\t\n\r]", TSV))
end

local function in_chunks(shown, out, line_of)
  local lines, count = {}, #shown.rows
  for r, row in ipairs(shown.rows) do
    lines[#lines + 1] = line_of(row, r)
    if #lines == CHUNK or r == count then
      out(table.concat(lines, "\n") .. "\n")
      lines = {}
    end
  end
end

local function separated(shown, out, field, separator)
  local head = {}
  for i, name in ipairs(shown.names) do head[i] = field(name) end
  out(table.concat(head, separator) .. "\n")
  in_chunks(shown, out, function(row)
    local cells = {}
    for i = 1, #shown.columns do cells[i] = field(cell(shown, row, i, NOTHING)) end
    return table.concat(cells, separator)
  end)
end

local function markdown(shown, out)
  local function line(cells) return "| " .. table.concat(cells, " | ") .. " |" end
  local function field(text) return (text:gsub("[|\r\n]", { ["|"] = "\\|", ["\n"] = " ", ["\r"] = "" })) end
  local head, rule = {}, {}
  for i, name in ipairs(shown.names) do head[i], rule[i] = field(name), "---" end
  out(line(head) .. "\n" .. line(rule) .. "\n")
  in_chunks(shown, out, function(row)
    local cells = {}
    for i = 1, #shown.columns do cells[i] = field(cell(shown, row, i, "")) end
    return line(cells)
  end)
end

local function json_row(shown, row, keys)
  local parts = {}
  for i, key in ipairs(keys) do parts[i] = key .. json_value(rawget(row, shown.keys[i]), shown.kinds[i]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Names that each stand for one value: x, x_2, …
local function told_apart(names)
  local taken, list, renamed = {}, {}, {}
  for _, name in ipairs(names) do taken[name] = true end
  local seen = {}
  for i, name in ipairs(names) do
    list[i] = name
    if seen[name] then
      local number = 2
      while taken[("%s_%d"):format(name, number)] do number = number + 1 end
      list[i] = ("%s_%d"):format(name, number)
      taken[list[i]] = true
      renamed[#renamed + 1] = list[i]
    end
    seen[name] = true
  end
  return list, renamed
end

local told = {}

local function json_keys(shown)
  local keys, names, renamed = {}, told_apart(shown.names)
  local which = table.concat(renamed, ", ")
  if which ~= "" and not told[which] then
    told[which] = true
    host.emit("log", { level = "info", text = "columns of the same name are numbered in JSON: " .. which })
  end
  for i, name in ipairs(names) do keys[i] = require("pgsh.json").encode(name) .. ":" end
  return keys
end

local function json(shown, out, lines)
  local keys, count = json_keys(shown), #shown.rows
  if lines then return in_chunks(shown, out, function(row) return json_row(shown, row, keys) end) end
  if count == 0 then return out("[]\n") end
  in_chunks(shown, out, function(row, r)
    return (r == 1 and "[" or " ") .. json_row(shown, row, keys) .. (r == count and "]" or ",")
  end)
end

local function lua_row(shown, row)
  local parts = {}
  for _, key in ipairs(shown.keys) do
    local value = rawget(row, key)
    if value ~= nil then parts[#parts + 1] = inspect.key(key) .. " = " .. inspect.inner(value) end
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

local function lua(shown, out)
  if #shown.rows == 0 then return out("{}\n") end
  out "{\n"
  in_chunks(shown, out, function(row) return "  " .. lua_row(shown, row) .. "," end)
  out "}\n"
end

local FORMATS = {
  csv = function(shown, out) separated(shown, out, csv_field, ",") end,
  tsv = function(shown, out) separated(shown, out, tsv_field, "\t") end,
  json = json,
  jsonl = function(shown, out) json(shown, out, true) end,
  markdown = markdown,
  lua = lua,
}

local NAMES = { "auto", "grid", "expanded", "csv", "tsv", "json", "jsonl", "lua", "markdown" }
local KNOWN = { md = "markdown" }
show.NAMED = {}
for _, name in ipairs(NAMES) do KNOWN[name], show.NAMED[name] = name, true end

---The name of a format; nil: there is none.
---@param name any
---@return string?
function show.format(name) return KNOWN[name] end

---Their names, for people.
show.FORMATS = table.concat(NAMES, ", ", 1, #NAMES - 1) .. " or " .. NAMES[#NAMES]

local function rows_out(rows, columns, kinds, settings, took, out)
  local shown, format = shown_rows(rows, columns, kinds), settings.format
  if FORMATS[format] then return FORMATS[format](shown, out) end
  if #columns == 0 then return out(footer(rows, #rows, took) .. "\n") end
  if format == "expanded" or settings.expanded == "on" and columns[1] ~= "QUERY PLAN" then return expanded(shown, settings, took, out) end
  local cells = aligned(shown, settings)
  if format == "auto" and settings.expanded == "auto" and #rows > 0 and too_wide(cells) then
    return expanded(shown, settings, took, out)
  end
  grid(shown, cells, settings, took, out)
  return #columns > 1
end

-- Values ---------------------------------------------------------------------------------------------------------------------

-- "a text" as Lua reads it back; one of several lines in long brackets, where nothing in it forbids that.
local function string_text(value)
  if value:find("\n.") and not value:find("[\0-\8\11-\31\127]") and utf8.len(value) and not value:find("]]", 1, true) then
    return "[[\n" .. value .. "]]"
  end
  return inspect.quoted(value)
end

---Any value as text.
---@param value any
---@return string
function show.text(value)
  if type(value) == "string" then return string_text(value) end
  if type(value) == "number" then return inspect.number(value) end
  if type(value) == "function" then
    local name = require("pgsh.help").name_of(value)
    return name and ("function %s    (help %s)"):format(name, name) or tostring(value)
  end
  local meta = (type(value) == "table" or type(value) == "userdata") and debug.getmetatable(value)
  if meta and rawget(meta, "__name") == "pgsh.PsqlRows" then
    return "rows that come one by one: for row in db:each \"…\" do … end; db:rows has all of them at once"
  end
  if type(value) == "userdata" then meta = nil end
  local name = type(meta) == "table" and type(rawget(meta, "__name")) == "string" and rawget(meta, "__name"):match("^pgsh%.(%l[%w_]*)$")
  if name and type(rawget(meta, "__pairs")) == "function" then
    local names = {}
    for key in pairs(value) do names[#names + 1] = tostring(key) end
    table.sort(names)
    return ("module %s: %s    (help %q)"):format(name, table.concat(names, ", "), name)
  end
  return inspect.text(value)
end

local function change_out(value, settings, took, out)
  local text = value.command or "done"
  if value.settled_by then text = text .. "   settled by " .. value.settled_by end
  out(text .. (took and (" · %d ms"):format(took) or "") .. "\n")
  local returned = value.returned
  if returned and #returned > 0 then
    rows_out(returned, show.columns(returned) or names_of(returned), kinds_of(returned), settings, nil, out)
  end
end

-- Of a transaction: a line for each statement.
local function changes_out(value, settings, took, out)
  for i, result in ipairs(value.results) do change_out(result, settings, i == #value.results and took or nil, out) end
  if value.settled_by then out("settled by " .. value.settled_by .. "\n") end
end

---Put a value out, piece by piece.
---@param value any
---@param settings pgsh.ShellFormat
---@param took? integer             # ms, shown with rows
---@param out fun(text: string)
---@return boolean? grid            # it is one: to be scrolled, not wrapped, where it is too wide
function show.value(value, settings, took, out)
  local columns = show.columns(value)
  if columns then return rows_out(value, columns, kinds_of(value), settings, took, out) end
  if is_changes(value) then return changes_out(value, settings, took, out) end
  if is_change(value) then return change_out(value, settings, took, out) end
  local names = type(value) == "table" and fields(value)
  if names and FORMATS[settings.format] == json or names and settings.format == "jsonl" then
    local shown = shown_rows({ value }, names, kinds_of(value))
    return out(json_row(shown, value, json_keys(shown)) .. "\n")
  end
  if names and settings.format ~= "lua" then return record(shown_rows({ value }, names, kinds_of(value)), value, settings, out) end
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
      local entry = line:match "^(%(%d+%):%d+): in upvalue 'f'$" -- the entry itself, however it is called
      if not lines[1]:find(line:match("^(.-:%d+)"), 1, true) then add("at " .. (entry or line)) end
    end
  end
  return table.concat(lines, "\n")
end

return show
