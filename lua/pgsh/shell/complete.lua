-- complete: what can stand at the cursor. It looks at values without running any of their code (raw access, no metamethods), and at
-- what is known already: nothing here waits.

local host = require "pgsh.host"

local complete = {}

local MOST = 5000 -- matches; more are of no use to anybody

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while"):gmatch "%S+" do
  KEYWORDS[#KEYWORDS + 1] = word
end
local LUA = { "assert", "coroutine", "debug", "error", "getmetatable", "ipairs", "load", "math", "next", "os", "pairs", "pcall", "print",
  "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "string", "table", "tonumber", "tostring", "type",
  "utf8", "warn", "xpcall" }

-- Values, looked at from outside ---------------------------------------------------------------------------------------------

local function is_ours(meta)
  return type(meta) == "table" and type(rawget(meta, "__name")) == "string" and rawget(meta, "__name"):find("^pgsh%.")
end

local function add_keys(names, from)
  for key in next, from do
    if type(key) == "string" and key:find("^[%a_][%w_]*$") then names[key] = true end
  end
end

-- The fields or methods of a value, without running any code but pgsh's own listing of its modules.
local function fields_of(value)
  local names, meta = {}, debug.getmetatable(value)
  if type(value) == "table" then add_keys(names, value) end
  if is_ours(meta) and type(rawget(meta, "__pairs")) == "function" then
    local ok, _, functions = pcall(rawget(meta, "__pairs"), value)
    if ok and type(functions) == "table" then add_keys(names, functions) end
  end
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) == "table" then add_keys(names, index) end
  return names
end

local function field_of(value, key)
  if type(value) == "table" then
    local found = rawget(value, key)
    if found ~= nil then return found end
  end
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) == "table" then return rawget(index, key) end
  if is_ours(meta) and type(rawget(meta, "__pairs")) == "function" then
    local ok, _, functions = pcall(rawget(meta, "__pairs"), value)
    return ok and type(functions) == "table" and rawget(functions, key) or nil
  end
end

local function global_of(shell, name)
  local value = rawget(shell.vars, name)
  if value ~= nil then return value end
  value = rawget(shell.words, name)
  if value ~= nil then return value end
  local ok, found = pcall(require("pgsh.globals").find, name) -- loads a module of pgsh's own, which reads nothing
  if ok and found ~= nil then return found end
  return ({ string = string, table = table, math = math, utf8 = utf8, coroutine = coroutine })[name]
end

-- "a.b:c" → the value of a.b, or nil.
local function resolve(shell, path)
  local value
  for name in path:gmatch("[%a_][%w_]*") do
    if value == nil then
      value = global_of(shell, name)
    else
      value = field_of(value, name)
    end
    if value == nil then return nil end
  end
  return value
end

-- Lists ----------------------------------------------------------------------------------------------------------------------

local function matching(names, prefix)
  local list = {}
  for name in next, names do
    if name:sub(1, #prefix) == prefix then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- Those of a sorted list that begin so.
local function beginning(list, prefix, into)
  local low, high = 1, #list + 1
  while low < high do
    local middle = (low + high) // 2
    if list[middle] < prefix then low = middle + 1 else high = middle end
  end
  while list[low] and list[low]:sub(1, #prefix) == prefix and #into < MOST do
    into[#into + 1] = list[low]
    low = low + 1
  end
  return into
end

local function found(start, matches, append)
  if #matches == 0 or start < 0 then return nil end -- begun in a line before this one
  return { start = start, matches = matches, append = append }
end

-- Signatures -----------------------------------------------------------------------------------------------------------------

local entries_by_name

local function entry_of(name)
  if not entries_by_name then
    entries_by_name = {}
    for _, entry in ipairs(require("pgsh.meta").entries()) do
      if not entry.class then entries_by_name[entry.name] = entries_by_name[entry.name] or entry end
    end
  end
  return entries_by_name[name]
end

-- How a call is written: "db:rows(sql, ...)  All rows (a read)."
local function signature(shell, path)
  local entry = entry_of(path)
  if not entry then
    local owner, method = path:match("^(.*)[.:]([%w_]+)$")
    local value = owner and resolve(shell, owner)
    if value ~= nil then
      local kind = type(value) == "userdata" and (tostring(value):match("^psql ") and "db") or nil
      entry = kind and entry_of(kind .. ":" .. method)
    end
  end
  if not entry then return nil end
  local said = table.concat(entry.comment, " "):gsub("%s*@.*$", ""):gsub("^%s+", "")
  return ("%s%s   %s"):format(entry.name, entry.arguments, said:match("^(.-[.:])%s") or said:sub(1, 100))
end

-- SQL ------------------------------------------------------------------------------------------------------------------------

local SQL = {}
for word in ("all alter analyze and any as asc begin between by cascade case cast check column concurrently constraint copy create cross "
  .. "current_date current_timestamp database default delete desc distinct drop else end except exists explain extension false fetch "
  .. "filter first following for foreign from full function grant group having ilike in index inner insert intersect interval into "
  .. "is join key last lateral left like limit lock materialized natural not null nulls offset on only or order outer over partition "
  .. "preceding primary references refresh reindex rename restrict returning revoke right row rows schema select sequence set show "
  .. "similar table tablesample then to trigger true truncate union unique unlogged update user using vacuum values verbose view when "
  .. "where window with"):gmatch "%S+" do
  SQL[#SQL + 1] = word
end
table.sort(SQL)

-- After these a relation stands.
local RELATION_AFTER = { from = true, join = true, into = true, update = true, table = true, only = true, truncate = true, vacuum = true,
  analyze = true, lock = true, view = true, references = true, reindex = true, cluster = true, copy = true }

-- With these a part of a statement begins: what a comma goes on with.
local CLAUSE = { select = true, where = true, group = true, order = true, having = true, set = true, returning = true, values = true,
  on = true, using = true, limit = true }

-- Where what begins at i and ends with `mark` (twice is once, in quotes) ends.
local function end_of(sql, i, mark, doubles)
  while true do
    local from, to = sql:find(mark, i, true)
    if not from then return nil end
    if not doubles or sql:sub(to + 1, to + 1) ~= mark then return to end
    i = to + 2
  end
end

-- The words and signs of a statement: { text, from, name = "word" | "quoted", or nil }; a word in small letters, unless in quotes.
-- `open`: it ends in an identifier whose quotes are open; `inside`: it ends in a string or comment.
local function tokens_of(sql)
  local list, i, count = {}, 1, #sql
  while i <= count do
    local c, two = sql:sub(i, i), sql:sub(i, i + 1)
    local to -- where it ends; nil: it does not
    local tag = c == "$" and sql:match("^%$[%a_]?[%w_]*%$", i)
    local word = sql:match("^[%a_\128-\255][%w_$\128-\255]*", i)
    if c:find "%s" then
      to = (sql:find("%S", i) or count + 1) - 1
    elseif two == "--" or two == "/*" or c == "'" or tag then
      to = end_of(sql, i + #(tag or two == "/*" and two or c), tag or two == "--" and "\n" or two == "/*" and "*/" or c, c == "'")
      list.inside = not to
      list[#list + 1] = c == "'" and { text = c, from = i } or nil
    elseif c == '"' then
      to = end_of(sql, i + 1, '"', true)
      list.open = not to
      list[#list + 1] = { text = sql:sub(i + 1, to and to - 1):gsub('""', '"'), from = i, name = "quoted" }
    elseif word then
      to = i + #word - 1
      list[#list + 1] = { text = word:lower(), from = i, name = "word" }
    else
      to = i + #sql:match("^%d*%.?%d*", i) - 1
      if to < i then to = i end
      list[#list + 1] = { text = sql:sub(i, to), from = i }
    end
    if not to then return list end
    i = to + 1
  end
  return list
end

-- Tables that the statement names, by name and by alias.
local function tables_of(tokens)
  local aliases = {}
  for i, token in ipairs(tokens) do
    local first = tokens[i + 1]
    if first and first.name and (token.text == "," or token.name == "word" and (token.text == "from" or token.text == "join"
      or token.text == "update" or token.text == "into")) then
      local name, at = first.text, i + 2
      if tokens[at] and tokens[at].text == "." and tokens[at + 1] and tokens[at + 1].name then
        name, at = name .. "." .. tokens[at + 1].text, at + 2
      end
      aliases[name] = name
      aliases[tokens[at - 1].text] = name
      if tokens[at] and tokens[at].name == "word" and tokens[at].text == "as" then at = at + 1 end
      if tokens[at] and tokens[at].name then aliases[tokens[at].text] = name end
    end
  end
  return aliases
end

-- Does a relation stand behind these tokens?
local function wants_relation(tokens, count)
  local last, depth = tokens[count], 0
  if not last then return false end
  if last.text ~= "," then return last.name == "word" and RELATION_AFTER[last.text] or false end
  for i = count - 1, 1, -1 do
    local token = tokens[i]
    depth = depth + (token.text == ")" and 1 or token.text == "(" and -1 or 0)
    if depth < 0 then return false end
    if depth == 0 and token.name == "word" then
      if RELATION_AFTER[token.text] then return true end
      if CLAUSE[token.text] then return false end
    end
  end
  return false
end

local function columns_of(catalog, name)
  return catalog.columns[name] or catalog.columns["public." .. name] or {}
end

local function add_unique(into, seen, list, prefix)
  for _, key in ipairs(list) do
    if not seen[key] and key:sub(1, #prefix) == prefix then
      seen[key] = true
      into[#into + 1] = key
    end
  end
end

local function sql_keywords(prefix, upper, into)
  for _, keyword in ipairs(beginning(SQL, prefix, {})) do into[#into + 1] = upper and keyword:upper() or keyword end
  return into
end

-- Keys as they are written, in their place. `open`: what is typed begins with this quote and all that follows: then all in quotes, and
-- only those that begin exactly so, if any does.
local function written(catalog, keys, open)
  local quoted, exact = catalog.quoted, {}
  for i = 1, #keys do
    local text = quoted[keys[i]] or open and '"' .. keys[i] .. '"'
    if text then keys[i] = text end
    if open and text:sub(1, #open) == open then exact[#exact + 1] = text end
  end
  return exact[1] and exact or keys
end

-- The database whose method the string is for: that of `db:rows "…"`; else the session's.
local function database_of(shell, caller)
  local value = caller and caller:find ":" and resolve(shell, caller:match "^(.*):")
  local function is_handle(it) return type(it) == "userdata" and tostring(it):find "^psql " end
  if is_handle(value) then return value end
  return is_handle(shell.vars.db) and shell.vars.db or nil
end

-- `all` is the statement as far as it is typed, its end the cursor. What stands there instead of its last word, how long that is, and what
-- goes behind it.
local function sql_matches(shell, all, behind, caller)
  local tokens = tokens_of(all)
  if tokens.inside then return {}, 0 end
  local count, word, length = #tokens, "", 0
  local last = tokens[count]
  if tokens.open or last and last.name == "word" and last.from + #last.text - 1 == #all then
    word, length, count = last.text:lower(), #all - last.from + 1, count - 1
  elseif last and last.name == "quoted" and all:find '"$' then
    return {}, 0
  end
  local open = tokens.open and all:sub(-length)
  local upper = length > 0 and not open and not all:sub(-length):find "%l"
  local database = database_of(shell, caller)
  local catalog = database and require("pgsh.shell.catalog").of(shell, database)
  local qualifier = tokens[count] and tokens[count].text == "." and tokens[count - 1] and tokens[count - 1].name and tokens[count - 1].text
  if not catalog then return (qualifier or open) and {} or sql_keywords(word, upper, {}), length, " " end
  local list, seen, append = {}, {}, " "
  local _, quotes = behind:gsub('"', "")
  local closing = tokens.open and quotes % 2 == 0 and '"' or ""
  local tables = tables_of(behind == "" and tokens or tokens_of(all .. closing .. behind))
  if qualifier then
    add_unique(list, seen, catalog.schemas[qualifier] or {}, word)
    add_unique(list, seen, columns_of(catalog, tables[qualifier] or qualifier), word)
    return written(catalog, list, open), length, append
  end
  if wants_relation(tokens, count) then
    beginning(catalog.names, word, list)
    if #list == 0 then append = "." end
    beginning(catalog.schema_names, word, list)
    return written(catalog, list, open), length, #list == 1 and append or " "
  end
  for _, name in pairs(tables) do add_unique(list, seen, columns_of(catalog, name), word) end
  table.sort(list)
  if not next(tables) and word ~= "" then beginning(catalog.column_names, word, list) end
  list = written(catalog, list, open)
  if not open and (word ~= "" or #list == 0) then sql_keywords(word, upper, list) end
  if word == "" then return list, length, append end
  for _, name in ipairs(written(catalog, beginning(catalog.functions, word, {}), open)) do
    list[#list + 1] = upper and not name:find '"' and name:upper() or name
  end
  if #list == 0 then list = written(catalog, beginning(catalog.names, word, {}), open) end
  return list, length, append
end

local function sql_choices(shell, all, behind, point, caller)
  local matches, length, append = sql_matches(shell, all, behind, caller)
  return found(point - length, matches, append)
end

-- Strings --------------------------------------------------------------------------------------------------------------------

-- The Lua string that the cursor stands in: its text so far, and what is in front of it; nil when it stands in none.
local function open_string(text)
  local i, quote, start = 1, nil, nil
  while i <= #text do
    local c = text:sub(i, i)
    if quote then
      if quote ~= "]]" and c == "\\" then
        i = i + 1
      elseif quote == "]]" and text:sub(i, i + 1) == "]]" then
        quote = nil
        i = i + 1
      elseif c == quote then
        quote = nil
      end
    elseif c == '"' or c == "'" then
      quote, start = c, i + 1
    elseif text:sub(i, i + 1) == "[[" then
      quote, start = "]]", i + 2
      i = i + 1
    elseif text:sub(i, i + 1) == "--" then
      i = (text:find("\n", i, true) or #text + 1)
    end
    i = i + 1
  end
  if quote then return text:sub(start), text:sub(1, start - 1 - (quote == "]]" and 2 or 1)), quote end
end

local function lines_of(path)
  return (host.tail(path, 256 << 10) or ""):gmatch("[^\n]+")
end

-- Hosts that ssh knows by name, without patterns.
local function ssh_hosts()
  local home, names = host.getenv "HOME" or "", {}
  for line in lines_of(home .. "/.ssh/config") do
    local list = line:match("^%s*[Hh]ost%s+(.*)$")
    for name in (list or ""):gmatch("%S+") do
      if not name:find("[*?!]") then names[name] = true end
    end
  end
  for line in lines_of(home .. "/.ssh/known_hosts") do
    local name = line:match("^([%w][%w._-]*)")
    if name then names[name] = true end
  end
  return names
end

local function psql_services()
  local names = {}
  local path = host.getenv "PGSERVICEFILE" or (host.getenv "HOME" or "") .. "/.pg_service.conf"
  for line in lines_of(path) do
    local name = line:match("^%s*%[([^%]]+)%]")
    if name then names["service=" .. name] = true end
  end
  for _, entry in ipairs { "host=", "port=", "dbname=", "user=", "service=" } do names[entry] = true end
  return names
end

local function file_choices(part, point)
  local directory, name = part:match("^(.*/)([^/]*)$")
  directory, name = directory or "", name or part
  local expanded = directory:gsub("^~/", (host.getenv "HOME" or "~") .. "/")
  local names = {}
  for _, entry in ipairs(host.files(expanded == "" and "." or expanded)) do
    if entry:sub(1, 1) ~= "." or name:sub(1, 1) == "." then names[entry] = true end
  end
  return found(point - #name, matching(names, name))
end

local FILES = { ["file"] = true, ["to"] = true, ["save"] = true, ["transcript"] = true, ["dofile"] = true }

-- Words whose argument is one of a few.
local WORDS = {
  ["history.mode"] = function() return require("pgsh.shell.history").MODES end,
  format = function() return require("pgsh.shell.show").NAMED end,
  as = function() return require("pgsh.shell.show").NAMED end,
}

-- SQL in a Lua string: in double quotes those of an identifier have backslashes.
local function quoted_sql_choices(shell, part, behind, point, caller)
  local all = part:gsub('\\"', '"')
  local matches, length, append = sql_matches(shell, all, behind, caller)
  local _, quotes = all:sub(#all - length + 1):gsub('"', "")
  for i, match in ipairs(matches) do matches[i] = match:gsub('"', '\\"') end
  return found(point - length - quotes, matches, append)
end

local function string_choices(shell, part, before, behind, point, quote)
  local caller = before:match("([%w_.:]+)%s*%(?%s*$") or ""
  if require("pgsh.shell.parse").is_sql(part) then
    return (quote == '"' and quoted_sql_choices or sql_choices)(shell, part, behind, point, caller)
  end
  local owner = caller:match("^[%w_]+")
  if caller == "ssh" or caller == "ssh.each" then return found(point - #part, matching(ssh_hosts(), part)) end
  if caller == "psql" then
    local word = part:match("%S*$")
    return found(point - #word, matching(psql_services(), word))
  end
  if caller == "help" or caller == "apropos" then
    local names = {}
    for _, name in ipairs(require("pgsh.meta").topics()) do names[name] = true end
    return found(point - #part, matching(names, part))
  end
  local words = WORDS[caller]
  if words then return found(point - #part, matching(words(), part)) end
  local indexed = before:match("([%a_][%w_.]*)%[$")
  if indexed then
    local value = resolve(shell, indexed)
    local names = {}
    if type(value) == "table" then
      for key in next, value do
        if type(key) == "string" then names[key] = true end
      end
    end
    return found(point - #part, matching(names, part))
  end
  if FILES[owner] or part:find("[/~]") then return file_choices(part, point) end
end

-- Lua ------------------------------------------------------------------------------------------------------------------------

local function name_choices(shell, left, point)
  local called = left:match("([%a_][%w_.:]*)%(%s*$") or left:match("([%a_][%w_.:]*)%s+$")
  local hint = called and signature(shell, called)
  if hint then return { start = point, matches = {}, hint = hint } end
  local path = left:match("[%a_][%w_.:]*$")
  if not path then return nil end
  local owner, _, name = path:match("^(.*)([.:])([%w_]*)$")
  if owner then
    local value = resolve(shell, owner)
    if value == nil then return nil end
    local matches = matching(fields_of(value), name)
    local choices = found(point - #name, matches)
    if choices and #matches == 1 and matches[1] == name then choices.hint = signature(shell, path) end
    return choices
  end
  local names = {}
  add_keys(names, shell.vars)
  add_keys(names, shell.words)
  for _, list in ipairs { KEYWORDS, LUA, require("pgsh.globals").names() } do
    for _, known in ipairs(list) do names[known] = true end
  end
  local matches = matching(names, path)
  local choices = found(point - #path, matches)
  if choices and #matches == 1 and matches[1] == path then choices.hint = signature(shell, path) end
  return choices
end

-- \c: handles of the session, databases of the server, services.
local function place_choices(shell, rest, point)
  local quoted, names = rest:sub(1, 1) == '"', {}
  local word = quoted and rest:sub(2):lower() or rest:lower()
  local database = database_of(shell)
  local catalog = database and require("pgsh.shell.catalog").of(shell, database)
  for _, name in ipairs(catalog and catalog.databases or {}) do
    local text = (quoted or name:find "[%s=]") and '"' .. name .. '"' or name
    if name:sub(1, #word):lower() == word then names[text] = true end
  end
  for name, value in next, quoted and {} or shell.vars do
    if type(value) == "userdata" and tostring(value):find "^psql " and name:sub(1, #word):lower() == word then names[name] = true end
  end
  if quoted or next(names) and rest ~= "" then return found(point - #rest, matching(names, ""), " ") end
  local last = rest:match "%S*$"
  for _, name in ipairs(matching(psql_services(), last)) do names[name] = true end
  return found(point - #last, matching(names, ""))
end

local function function_choices(shell, rest, point)
  local database, quoted = database_of(shell), rest:sub(1, 1) == '"'
  local catalog = database and require("pgsh.shell.catalog").of(shell, database)
  if not catalog then return nil end
  local keys = beginning(catalog.functions, (quoted and rest:sub(2) or rest):lower(), {})
  return found(point - #rest, written(catalog, keys, quoted and rest), " ")
end

-- \d and its family. An index or a sequence is no relation that a statement names.
local function relation_choices(shell, letters, rest, point)
  local choices = not letters:find "^[is]+$" and sql_choices(shell, "from " .. rest, "", point) or nil
  local database, quoted = database_of(shell), rest:sub(1, 1) == '"'
  local catalog = database and require("pgsh.shell.catalog").of(shell, database)
  if not catalog then return choices end
  local word, keys = (quoted and rest:sub(2) or rest):lower(), {}
  for letter, list in pairs { i = catalog.indexes, s = catalog.sequences } do
    if letters == "" or letters:find(letter, 1, true) then beginning(list, word, keys) end
  end
  if #keys == 0 then return choices end
  local matches = choices and choices.matches or {}
  for _, text in ipairs(written(catalog, keys, quoted and rest)) do matches[#matches + 1] = text end
  table.sort(matches)
  return found(point - #rest, matches, " ")
end

local function command_choices(shell, left, point)
  local word = left:match("^%s*\\(%S*)$")
  if word then
    local names = {}
    for _, name in ipairs(require("pgsh.shell.commands").names()) do names[name] = true end
    return found(point - #word, matching(names, word), " ")
  end
  local command, rest = left:match("^%s*\\(%S+)%s+(.*)$")
  if command == "i" then return file_choices(rest, point) end
  if command == "c" then return place_choices(shell, rest, point) end
  if command == "x" or command == "timing" then
    return found(point - #rest, matching({ on = true, off = true, auto = command == "x" or nil }, rest), " ")
  end
  if command == "df" or command == "sf" then return function_choices(shell, rest, point) end
  local letters = command and (command:match "^d([tivmsEp]*)[S+]*$" or (command == "z" or command == "sv") and "v")
  if letters then return relation_choices(shell, letters, rest, point) end
end

---What can stand at byte `point` of the line.
---@param shell pgsh.Shell
---@param line string
---@param point integer
---@return {start: integer, matches: string[], append: string?, hint: string?}?
function complete.choices(shell, line, point)
  local left, behind = line:sub(1, point), line:sub(point + 1)
  local before = shell.pending and shell.pending .. "\n" or ""
  if before == "" and left:find("^%s*\\") then return command_choices(shell, left, point) end
  local all = before .. left
  if require("pgsh.shell.parse").is_sql(all) then return sql_choices(shell, all, behind, point) end
  local part, front, quote = open_string(all)
  if part then return string_choices(shell, part, front, behind, point, quote) end
  return name_choices(shell, left, point)
end

return complete
