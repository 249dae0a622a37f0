-- parse: what an entry at the shell's prompt is: Lua, SQL, a command that begins with a backslash, a question for help, or several of
-- them one after the other (a block that was pasted, a file); and whether it is complete.

local host = require "pgsh.host"

local parse = {}

-- First words of SQL. Each is a name in Lua too: one that is called, indexed or assigned to is Lua.
local SQL = {}
for word in ("abort alter analyze begin call checkpoint cluster comment commit copy create deallocate declare delete discard do drop end "
  .. "execute explain fetch grant import insert listen lock merge notify prepare reassign refresh reindex release reset revoke "
  .. "rollback savepoint security select set show start table truncate unlisten update vacuum values with"):gmatch("%S+") do
  SQL[word] = true
end
-- A line of its own that is surely the beginning of a statement.
local BEGINS = { select = true, with = true, insert = true, update = true, delete = true, create = true, alter = true, explain = true }
-- Lua's own keywords among them: "do return 1 end" is Lua, "do $$ … $$" is not.
local LUA_TOO = { ["do"] = true, ["end"] = true }

---@return string[]
function parse.sql_words()
  local words = {}
  for word in pairs(SQL) do words[#words + 1] = word end
  table.sort(words)
  return words
end

---Does it begin as SQL does?
---@param text string
---@return boolean
function parse.is_sql(text)
  local word, rest = text:match("^%s*(%a+)(.*)$")
  if not word or not SQL[word:lower()] then return false end
  local next_char = rest:match("^%s+(.)")
  if rest:match("^%s*$") then return BEGINS[word:lower()] or false end
  if not next_char then return rest:sub(1, 1) == ";" end
  if LUA_TOO[word] then return next_char == "$" or next_char == "'" end
  return not next_char:find("[=,.:]")
end

-- Where a comment of SQL ends, which may hold others; nil when it does not.
local function comment_end(text, i)
  local depth, at = 0, i
  repeat
    local hit = text:find("[/*]", at)
    local two = hit and text:sub(hit, hit + 1)
    if not hit then return nil end
    if two == "/*" then depth = depth + 1 elseif two == "*/" then depth = depth - 1 end
    at = hit + ((two == "/*" or two == "*/") and 2 or 1)
  until depth == 0
  return at - 1
end

-- Where text[i], the beginning of a quote or a comment, ends; nil when it does not.
local function skip_quoted(text, i)
  local c, two = text:sub(i, i), text:sub(i, i + 1)
  if two == "--" then return (text:find("\n", i, true) or #text + 1) end
  if two == "/*" then return comment_end(text, i) end
  if c == "$" then
    local tag = text:match("^%$[%a_]?[%w_]*%$", i)
    if not tag then return i end
    local _, finish = text:find(tag, i + #tag, true)
    return finish
  end
  local escapes = c == "'" and text:sub(math.max(1, i - 2), i - 1):find("^[^%w_$\128-\255]?[eE]$")
  local at = i + 1
  while true do
    local hit = text:find(escapes and "['\\]" or c, at)
    if not hit then return nil end
    if text:sub(hit, hit) == "\\" or text:sub(hit + 1, hit + 1) == c then
      at = hit + 2
    else
      return hit
    end
  end
end

-- Blanks and comments from i on: where they end, or nil when a comment does not. "--" is one in Lua too, so either language may follow.
local function skip_blank(text, i)
  while true do
    i = text:find("%S", i) or #text + 1
    local two = text:sub(i, i + 1)
    if two ~= "--" and two ~= "/*" or text:find("^%-%-%[=*%[", i) then return i end
    local finish = skip_quoted(text, i)
    if not finish then return nil end
    i = finish + 1
  end
end

-- BEGIN ATOMIC … END and parentheses hold semicolons that end nothing.
local function nest(state, word)
  if word == "create" and state.words == 0 then state.creates = true end
  state.words = state.words + 1
  if not state.creates then return end
  if word == "begin" or word == "case" and state.depth > 0 then
    state.depth = state.depth + 1
  elseif word == "end" and state.depth > 0 then
    state.depth = state.depth - 1
  end
end

---Where the statement that begins at i ends: at its semicolon, or in front of a backslash (psql's \g, \gx, \watch), outside of quotes and
---comments.
---@param text string
---@param i? integer
---@return integer?                 # nil: it goes on
---@return boolean? open            # in the middle of a quote or a comment
function parse.sql_end(text, i)
  local state, parentheses = { words = 0, depth = 0 }, 0
  i = i or 1
  while true do
    i = text:find("%S", i)
    if not i then return nil end
    local c, two = text:sub(i, i), text:sub(i, i + 1)
    local word = text:match("^[%a_\128-\255][%w_$\128-\255]*", i)
    if word and not (#word == 1 and word:find("[eE]") and text:sub(i + 1, i + 1) == "'") then
      nest(state, word:lower())
      i = i + #word
    elseif c == "'" or c == '"' or c == "$" or two == "--" or two == "/*" then
      local finish = skip_quoted(text, i)
      if not finish then return nil, true end
      i = finish + 1
    else
      if c == ";" and parentheses <= 0 and state.depth == 0 then return i end
      if c == "\\" then return i - 1 end
      parentheses = parentheses + (c == "(" and 1 or c == ")" and -1 or 0)
      i = i + 1
    end
  end
end

---The statement in an entry of Lua, when there is exactly one: db:rows "select …".
---@param text string
---@return string?
function parse.sql_within(text)
  local found
  for _, pattern in ipairs { '"([^"\\]*)"', "'([^'\\]*)'", "%[%[(.-)%]%]" } do
    for literal in text:gmatch(pattern) do
      if parse.is_sql(literal) then
        if found then return nil end
        found = literal
      end
    end
  end
  return found
end

-- "local x = 1" at the prompt would be gone with its line: it becomes a name of the session.
local function without_local(text)
  text = text:gsub("^(%s*local%s+[%a_][%w_]*)%s*<const>", "%1")
  local rest = text:match("^%s*local%s+(function%s.*)$")
  if rest then return rest, true end
  local names, behind = text:match("^%s*local%s+([%a_][%w_%s,]*)(.*)$")
  if not names or behind:sub(1, 1) == "<" then return text, false end
  names = names:gsub("%s+$", "")
  for name in names:gmatch("[^,]+") do
    if not name:match("^%s*[%a_][%w_]*%s*$") then return text, false end
  end
  if behind:match("^%s*=[^=]") then return names .. " " .. behind, true end
  if behind:match("^%s*;?%s*$") then return names .. " = nil", true end
  return text, false
end

local function incomplete(problem)
  -- A quoted string does not go on in the next line.
  return problem.message:find("near <eof>$") ~= nil and not problem.message:find("unfinished string near <eof>", 1, true)
end

local function lua(text, name, env)
  local rewritten, was_local = without_local(text)
  local f, problem = host.compile("return " .. rewritten, name, env)
  if f then return { kind = "lua", f = f, expression = true } end
  local as_expression = problem
  if incomplete(problem) and not was_local then
    local statement = host.compile(rewritten, name, env)
    if not statement then return { kind = "incomplete" } end
  end
  f, problem = host.compile(rewritten, name, env)
  if f then return { kind = "lua", f = f, was_local = was_local } end
  if incomplete(problem) then return { kind = "incomplete" } end
  -- "syntax error" is all that is said of an expression where a statement should be: what is wrong inside of it helps more.
  return { kind = "error", problem = problem.message:find(": syntax error near") and as_expression or problem }
end

-- A Lua error of something that was meant as SQL.
local function with_hint(entry, text)
  local word = text:match("^%s*(%a+)%s")
  if entry.kind ~= "error" or not word or not text:find(";%s*$") then return entry end
  local nearest = not SQL[word:lower()] and require("pgsh.nearest").to(word:lower(), parse.sql_words())
  if nearest and not entry.problem.hint then entry.problem.hint = ("did you mean %s?"):format(nearest) end
  return entry
end

-- Lua has no end of its own: it goes as far as it compiles, or up to where SQL or a command begins, in a line of its own or behind a
-- semicolon.
local function lua_part(text, i, name, env)
  local rest = text:sub(i)
  local whole = lua(rest, name, env)
  if whole.kind == "lua" then return whole, #text + 1 end
  for at in rest:gmatch("[\n;]()") do
    local from = skip_blank(rest, at)
    local behind = from and rest:sub(from) or ""
    if behind:find("^\\") or parse.is_sql(behind) then
      local part = lua(rest:sub(1, at - 1), name, env)
      if part.kind == "lua" then
        part.text = rest:sub(1, at - 1):match("^(.-)%s*$")
        return part, i + at - 1
      end
    end
  end
  return with_hint(whole, rest), #text + 1
end

-- What stands behind a statement instead of a semicolon: \g and \gx belong to it, \watch comes next, nothing else makes sense.
local function behind_sql(text, part, at)
  local word, rest, behind = text:match("^\\(%a*)[ \t]*([^\n]*)()", at)
  if not word or word == "watch" then return part, at end
  rest = rest:gsub("[%s;]+$", "")
  if word ~= "g" and word ~= "gx" or rest ~= "" then
    local what = (word == "g" or word == "gx") and "\\" .. word .. " FILE" or "\\" .. word
    return { kind = "error", problem = host.error("usage", {
      message = ("%s behind a statement is psql's; nothing was run"):format(what),
      hint = "end it with a semicolon; to \"FILE\" writes the last rows, row = db:row \"…\" keeps them in a name",
    }) }, #text + 1
  end
  part.expanded = word == "gx" or nil
  return part, behind
end

local function sql_part(text, i)
  local finish, open = parse.sql_end(text, i)
  if finish then
    local part = { kind = "sql", text = text:sub(i, finish):match("^(.-)%s*$") }
    return behind_sql(text, part, finish + 1)
  end
  -- As in psql a semicolon ends it; so does an empty line.
  if not open and text:find("\n%s*\n?$") then return { kind = "sql", text = text:sub(i):match("^(.-)%s*$") }, #text + 1 end
  return { kind = "incomplete", sql = true }, #text + 1
end

local function command_part(text, i)
  local line = text:sub(i):match("^[^\n]*")
  local word, rest = line:match("^\\(%S+)%s*(.-)%s*$")
  if not word then return { kind = "command", word = "?", rest = "" }, i + #line end
  return { kind = "command", word = word, rest = (rest:gsub(";$", "")), text = line }, i + #line
end

-- "(select 1);" is SQL when it is no Lua.
local function is_parenthesised(text, i, name, env)
  local inner = text:match("^%([%s(]*()", i)
  return inner and parse.is_sql(text:sub(inner)) and lua(text:sub(i):gsub(";%s*$", ""), name, env).kind ~= "lua"
end

local function part_at(text, i, name, env)
  if text:sub(i, i) == "\\" then return command_part(text, i) end
  if parse.is_sql(text:sub(i)) or is_parenthesised(text, i, name, env) then return sql_part(text, i) end
  return lua_part(text, i, name, env)
end

-- What only makes sense alone: a question for help, leaving.
local function alone(trimmed)
  local subject = trimmed:match("^%?%s*([%w_.:]*)$") or trimmed:match("^%?%s*(\\%S+)$") or trimmed:match("^([%a_][%w_.:]*)%?$")
  if subject or trimmed == "help" then return { kind = "help", text = subject or "" } end
  if trimmed:match("^help%s+[%a_][%w_.:]*$") then return { kind = "help", text = trimmed:match("%S+$") } end
  if trimmed == "exit" or trimmed == "quit" then return { kind = "command", word = "q", rest = "" } end
end

---What is it? Several parts are `many`, when each of them is whole.
---@param text string
---@param name string               # chunk name
---@param env table
---@return {kind: "empty"|"lua"|"sql"|"command"|"help"|"incomplete"|"error"|"many", f: function?, expression: boolean?, was_local: boolean?,
---       text: string?, expanded: boolean?, word: string?, rest: string?, problem: table?, parts: table[]?}
function parse.entry(text, name, env)
  local single = alone(text:match("^%s*(.-)%s*$"))
  if single then return single end
  local parts, i = {}, 1
  while true do
    i = skip_blank(text, i)
    if not i then return { kind = "incomplete", sql = true } end
    if i > #text then break end
    if text:sub(i, i) == ";" and #parts > 0 then
      i = i + 1
    else
      local part
      part, i = part_at(text, i, name, env)
      if part.kind == "incomplete" or part.kind == "error" then return part end
      parts[#parts + 1] = part
    end
  end
  if #parts == 0 then return { kind = "empty" } end
  return #parts == 1 and parts[1] or { kind = "many", parts = parts }
end

return parse
