-- parse: what an entry at the shell's prompt is: Lua, SQL, a command that begins with a backslash, a question for help; and
-- whether it is complete.

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

-- Where text[i], the beginning of a quote or a comment, ends; nil when it does not.
local function skip_quoted(text, i)
  local c, two = text:sub(i, i), text:sub(i, i + 1)
  if two == "--" then return (text:find("\n", i, true) or #text + 1) end
  if two == "/*" then
    local _, finish = text:find("*/", i + 2, true)
    return finish
  end
  if c == "$" then
    local tag = text:match("^%$[%a_]?[%w_]*%$", i)
    if not tag then return i end
    local _, finish = text:find(tag, i + #tag, true)
    return finish
  end
  local escapes = c == "'" and text:sub(i - 1, i - 1):find("[eE]")
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

---Is it a whole statement: does a semicolon end it, outside of quotes and comments?
---@param text string
---@return boolean
function parse.sql_ends(text)
  local ended, i = false, 1
  while true do
    local hit = text:find("[^%s]", i)
    if not hit then return ended end
    local c, two = text:sub(hit, hit), text:sub(hit, hit + 1)
    if c == "'" or c == '"' or c == "$" or two == "--" or two == "/*" then
      if two ~= "--" and two ~= "/*" then ended = false end
      local finish = skip_quoted(text, hit)
      if not finish then return false end
      i = finish + 1
    else
      ended = c == ";"
      i = hit + 1
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

---What is it?
---@param text string
---@param name string               # chunk name
---@param env table
---@return {kind: "empty"|"lua"|"sql"|"command"|"help"|"incomplete"|"error", f: function?, expression: boolean?, was_local: boolean?,
---       text: string?, word: string?, rest: string?, problem: table?}
function parse.entry(text, name, env)
  local trimmed = text:match("^%s*(.-)%s*$")
  if trimmed == "" then return { kind = "empty" } end
  local word, rest = trimmed:match("^\\(%S+)%s*(.*)$")
  if word then return { kind = "command", word = word, rest = rest:gsub(";$", "") } end
  local subject = trimmed:match("^%?%s*([%w_.:]*)$") or trimmed:match("^([%a_][%w_.:]*)%?$")
  if subject or trimmed == "help" then return { kind = "help", text = subject or "" } end
  if trimmed:match("^help%s+[%a_][%w_.:]*$") then return { kind = "help", text = trimmed:match("%S+$") } end
  local leave = trimmed:match("^(%a+)$")
  if leave == "exit" or leave == "quit" then return { kind = "command", word = "q", rest = "" } end
  if parse.is_sql(text) then
    -- As in psql a semicolon ends it; so does an empty line.
    if parse.sql_ends(text) or text:find("\n%s*\n?$") then return { kind = "sql", text = trimmed } end
    return { kind = "incomplete", sql = true }
  end
  return lua(text, name, env)
end

return parse
