-- sources: how the databases of a session can be reached again: connection strings for what save and transcript write, without what
-- one logs in with, and without anything that only this session's environment says.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local sources = {}

---@class pgsh.Sources
---@field of_handle table<any, string>  # the connection strings that handles were made with, without what one logs in with
---@field hidden table<string, boolean>  # those from which something is missing
---@field records table<any, pgsh.ShellHandle>  # handles as they are written down
local Sources = {}
Sources.__index = Sources

---@return pgsh.Sources
function sources.new()
  local function weak() return setmetatable({}, { __mode = "k" }) end
  return setmetatable({ of_handle = weak(), records = weak(), hidden = {} }, Sources)
end

-- Of "key = value" pairs, values perhaps in quotes.
local function pairs_of(conninfo)
  local list, at = {}, 1
  while true do
    local key, from = conninfo:match("^%s*([%w_]+)%s*=%s*()", at)
    if not key then return list end
    local value, finish
    if conninfo:sub(from, from) == "'" then
      local i = from + 1
      while i <= #conninfo and conninfo:sub(i, i) ~= "'" do i = i + (conninfo:sub(i, i) == "\\" and 2 or 1) end
      value, finish = conninfo:sub(from, i), i + 1
    else
      value, finish = conninfo:match("^(%S*)()", from)
    end
    list[#list + 1] = { key = key, value = value }
    at = finish
  end
end

local function is_secret(key) return key:lower():find "password" ~= nil end

-- Without what one logs in with.
local function without_secrets(conninfo)
  if conninfo:find("^postgres%a*://") then
    return (conninfo:gsub("^(%a+://[^:/@?]*):[^/]*@", "%1@"):gsub("([?&])[%w_]*[pP]assword=[^&]*&?", "%1"):gsub("[?&]$", ""))
  end
  local parts = {}
  for _, pair in ipairs(pairs_of(conninfo)) do
    if not is_secret(pair.key) then parts[#parts + 1] = pair.key .. "=" .. pair.value end
  end
  return table.concat(parts, " ")
end

local function quoted(value)
  return value:find "^[%w_./:,-]+$" and value or "'" .. value:gsub("['\\]", "\\%0") .. "'"
end

-- What the handle's name says of it; nil when its maker chose that.
local function of_name(target)
  local service, database = target:match "^psql service ([^/]+)/?(.*)$"
  if service then return { { key = "service", value = service }, { key = "dbname", value = database } } end
  local address, port, name = target:match "^psql (.+):([%d,]+)/(.*)$"
  if not address then return nil end
  if address == "local" then address = "" end
  return { { key = "host", value = address }, { key = "port", value = port }, { key = "dbname", value = name } }
end

-- What the environment said besides; a service says its user itself.
local function around(target, there)
  local more = not there.service and of_name(target) or {}
  local service = there.service or more[1] and more[1].key == "service"
  if not service then more[#more + 1] = { key = "user", value = host.getenv "PGUSER" or "" } end
  local list = {}
  for _, pair in ipairs(more) do
    if pair.value ~= "" and not there[pair.key] and not (pair.key == "host" and there.hostaddr) then list[#list + 1] = pair end
  end
  return list
end

-- postgresql://[user[:password]@][host[:port]][/dbname][?key=value&…]
local function filled_url(url, target)
  local authority, path, query = url:match "^postgres%a*://([^/?]*)/?([^?]*)%??(.*)$"
  local who, where = authority:match "^(.*)@(.*)$"
  where = where or authority
  local there = { user = who and who:find "^[^:]", host = where:find "^[^:]", port = where:find ":%d+$", dbname = path ~= "" }
  for key in ("&" .. query):gmatch "&([%w_]+)=" do there[key] = true end
  local parts = {}
  for _, pair in ipairs(around(target, there)) do
    parts[#parts + 1] = pair.key .. "=" .. pair.value:gsub("[^%w_./,-]", function(c) return ("%%%02X"):format(c:byte()) end)
  end
  if #parts == 0 then return url end
  return url .. (query ~= "" and "&" or url:find "%?$" and "" or "?") .. table.concat(parts, "&")
end

-- A connection string with what the environment said besides.
local function filled(conninfo, target)
  if conninfo:find("^postgres%a*://") then return filled_url(conninfo, target) end
  local there, parts = {}, {}
  if not conninfo:find("=", 1, true) then
    conninfo = conninfo:find "%S" and "dbname=" .. quoted(conninfo:match "^%s*(.-)%s*$") or ""
  end
  for _, pair in ipairs(pairs_of(conninfo)) do there[pair.key] = true end
  parts[1] = conninfo:find "%S" and conninfo or nil
  for _, pair in ipairs(around(target, there)) do parts[#parts + 1] = pair.key .. "=" .. quoted(pair.value) end
  return table.concat(parts, " ")
end

---A handle was made, with this.
---@param handle any
---@param conninfo? string
function Sources:made(handle, conninfo)
  local whole = filled(conninfo or "", tostring(handle))
  local text = without_secrets(whole)
  if not require("pgsh.shell.history").keeps(text) then text = without_secrets(filled("", tostring(handle))) end
  self.of_handle[handle] = text
  if text ~= whole then self.hidden[text] = true end
end

---A text may have made it: it counts only when it says the same target.
---@param shell pgsh.Shell
---@param handle any
---@param conninfo string
function Sources:perhaps(shell, handle, conninfo)
  local ok, other = errors.try(shell.env.psql, conninfo)
  if ok and tostring(other) == tostring(handle) then self:made(handle, conninfo) end
end

---It leads to the server of another one, whose name for it counts: only database and user are its own.
---@param handle any
---@param former any
function Sources:beside(handle, former)
  local base, parts = self.of_handle[former] or "", {}
  for _, pair in ipairs(base:find("^postgres%a*://") and {} or pairs_of(base)) do
    if pair.key ~= "dbname" and pair.key ~= "user" then parts[#parts + 1] = pair.key .. "=" .. pair.value end
  end
  local ok, who = errors.try(host.psql_known, handle)
  who = ok and who or {}
  if who.database then parts[#parts + 1] = "dbname=" .. quoted(who.database) end
  if who.user then parts[#parts + 1] = "user=" .. quoted(who.user) end
  self:made(handle, table.concat(parts, " "))
  if self.hidden[base] then self.hidden[self.of_handle[handle]] = true end
end

---@param handle any
---@return string?
function Sources:known(handle) return self.of_handle[handle] end

---Whom a handle logs in as, as far as that is known: the server said so, or its connection string does.
---@param handle any
---@return string?
function Sources:user(handle)
  local ok, who = errors.try(host.psql_known, handle)
  if ok and who.user then return who.user end
  local source = self.of_handle[handle] or ""
  if source:find "^postgres%a*://" then return source:match "^%a+://([^:/@?]+)[^/@?]*@" or source:match "[?&]user=([^&]+)" end
  for _, pair in ipairs(pairs_of(source)) do
    if pair.key == "user" then return pair.value:gsub("^'(.*)'$", "%1"):gsub("\\(.)", "%1") .. "" end
  end
end

-- A literal as it is typed, with what was in effect besides; nil when nobody can tell.
local function completed(shell, conninfo)
  local ok, handle = errors.try(shell.env.psql, conninfo)
  return ok and filled(conninfo or "", tostring(handle)) or nil
end

-- Lua of the same length without what stands in its strings and comments.
local function bare(text)
  local pieces, i = {}, 1
  local function blank(from, to) pieces[#pieces + 1] = (" "):rep(to - from + 1) end
  while i <= #text do
    local c, level = text:sub(i, i), text:match("^%-?%-?%[(=*)%[", i)
    local comment = text:sub(i, i + 1) == "--"
    local to = i
    if level and (c == "[" or comment) then
      to = select(2, text:find("]" .. level .. "]", i, true)) or #text
      blank(i, to)
    elseif comment then
      to = (text:find("\n", i, true) or #text + 1) - 1
      blank(i, to)
    elseif c == '"' or c == "'" then
      to = i + 1
      while to <= #text and text:sub(to, to) ~= c do to = to + (text:sub(to, to) == "\\" and 2 or 1) end
      pieces[#pieces + 1] = c
      blank(i + 1, to - 1)
      pieces[#pieces + 1] = c
    else
      pieces[#pieces + 1] = c
    end
    i = to + 1
  end
  return table.concat(pieces)
end

-- Where a connection string stands, or could: psql "…", psql("…"), conninfo = "…", psql().
local LITERALS = { "%f[%w_]psql%s*%(?%s*()[\"']%s*[\"']()", "%f[%w_]conninfo%s*=%s*()[\"']%s*[\"']()", "%f[%w_]psql%s*()%(%s*%)()" }

---A text of Lua in which every connection string that stands there as it is says all of it: host, port, database and user as they were in
---effect, so that it leads to the same place wherever it is run.
---@param shell pgsh.Shell
---@param text string
---@return string
function Sources.complete(_, shell, text)
  local code, pieces, at = bare(text), {}, 1
  while true do
    local from, to = #text + 1, nil
    for _, pattern in ipairs(LITERALS) do
      local first, behind = code:match(pattern, at)
      if first and first < from then from, to = first, behind end
    end
    if not to then break end
    local written = text:sub(from, to - 1)
    local literal = written:match "^[\"'](.*)[\"']$"
    local whole = (not literal or not literal:find "[\\\n]") and completed(shell, literal)
    pieces[#pieces + 1] = text:sub(at, from - 1)
    pieces[#pieces + 1] = whole and whole ~= literal and (literal and "" or " ") .. require("pgsh.inspect").quoted(whole) or written
    at = to
  end
  return table.concat(pieces) .. text:sub(at)
end

---A connection string that reaches it from anywhere; nil: nobody knows one.
---@param handle pgsh.ShellHandle
---@return string?
---@return boolean? hidden          # what one logs in with is missing from it
function Sources:reaches(handle)
  if handle.source then return handle.source, self.hidden[handle.source] end
  return of_name(handle.target) and filled("", handle.target) or nil
end

return sources
