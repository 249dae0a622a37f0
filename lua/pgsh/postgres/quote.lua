-- Quoting for PostgreSQL: connection strings (libpq's rules), identifiers, literals, and names as a person should see them.
local errors = require "pgsh.errors"
local secret = require "pgsh.secret"

local quote = {}

local function text_of(value, what)
  if secret.is(value) then value = secret.reveal(value) end
  if type(value) == "number" then value = tostring(value) end
  if type(value) ~= "string" then errors.usage("%s: a text expected, got %s", what, type(value)) end
  if value:find("\0", 1, true) then errors.usage("%s: holds a zero byte", what) end
  return value
end

---An identifier for SQL, always in quotes.
function quote.identifier(name)
  return '"' .. text_of(name, "identifier"):gsub('"', '""') .. '"'
end

---A literal for SQL, right with standard_conforming_strings on or off.
function quote.literal(text)
  local body, count = text_of(text, "literal"):gsub("'", "''"):gsub("\\", "\\\\")
  return (count > 0 and " E'" or "'") .. body .. "'"
end

---A name for the operator's eyes: as SQL would need it, on one line.
function quote.show(name)
  name = tostring(name)
  if name:find "^[%l_\128-\255][%l%d_$\128-\255]*$" and utf8.len(name) then return name end
  if not utf8.len(name) then name = name:gsub("[\128-\255]", "?") end
  name = name:gsub('"', '""'):gsub("\\", "\\\\"):gsub("\n", "\\n"):gsub("\r", "\\r"):gsub("\t", "\\t")
  return '"' .. name:gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end) .. '"'
end

-- libpq's order does not matter; ours is for people: where first, then the rest by name.
local FIRST = { host = 1, hostaddr = 2, port = 3, dbname = 4, user = 5 }

---Fields → "host='…' dbname='…'". A Secret among them makes the whole a Secret.
---@param fields table<string, string|number|pgsh.Secret>
---@return string|pgsh.Secret
function quote.conninfo(fields)
  local names, words, hidden = {}, {}, false
  for name, value in pairs(fields) do
    names[#names + 1] = name
    hidden = hidden or secret.is(value)
  end
  table.sort(names, function(a, b)
    local x, y = FIRST[a] or 9, FIRST[b] or 9
    if x ~= y then return x < y end
    return a < b
  end)
  for i, name in ipairs(names) do
    words[i] = ("%s='%s'"):format(name, (text_of(fields[name], name):gsub("[\\']", "\\%0")))
  end
  local text = table.concat(words, " ")
  return hidden and secret(text) or text
end

local function bad(why)
  errors.usage("not a connection string: %s", why)
end

-- key = value pairs, values perhaps in single quotes, backslash takes the next character as it is.
local function parse_words(text)
  local fields, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then return fields end
    local name, after = text:match("^([%w_]+)%s*=%s*()", at)
    if not name then bad('a "=" is missing') end
    local value = {}
    at = after
    local quoted = text:sub(at, at) == "'"
    if quoted then at = at + 1 end
    while true do
      local c = text:sub(at, at)
      if quoted and c == "" then bad("a quote is not closed") end
      if (quoted and c == "'") or (not quoted and (c == "" or c:find "%s")) then break end
      if c == "\\" then
        at = at + 1
        c = text:sub(at, at)
      end
      value[#value + 1] = c
      at = at + 1
    end
    if quoted then at = at + 1 end
    fields[name] = table.concat(value)
  end
end

local function decode(text)
  local plain = text:gsub("%%(.?.?)", function(digits)
    if not digits:find "^%x%x$" or digits == "00" then bad("a % that is not followed by two digits") end
    return string.char(tonumber(digits, 16))
  end)
  return plain
end

local function set(fields, name, value)
  if value and value ~= "" then fields[name] = decode(value) end
end

-- "[::1]:5433,db2" → hosts and ports, each joined by commas.
local function parse_hosts(authority, fields)
  local hosts, ports, any = {}, {}, false
  for one in (authority .. ","):gmatch "([^,]*)," do
    local name, port = one:match "^%[([^%]]*)%]:?(.*)$"
    if not name then name, port = one:match "^([^:]*):?(.*)$" end
    hosts[#hosts + 1], ports[#ports + 1] = decode(name), decode(port)
    any = any or port ~= ""
  end
  if table.concat(hosts) ~= "" then fields.host = table.concat(hosts, ",") end
  if any then fields.port = table.concat(ports, ",") end
end

-- postgresql://user:password@host:port/dbname?name=value
local function parse_uri(text)
  local fields = {}
  local rest = text:match "^%a+://(.*)$"
  local main, query = rest:match "^([^?]*)%??(.*)$"
  local authority, dbname = main:match "^([^/]*)/?(.*)$"
  -- libpq takes what stands before the first @ for user and password.
  local login, hosts = authority:match "^([^@]*)@(.*)$"
  if login then
    local user, password = login:match "^([^:]*):?(.*)$"
    set(fields, "user", user)
    set(fields, "password", password)
  end
  parse_hosts(hosts or authority, fields)
  set(fields, "dbname", dbname)
  for pair in query:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=(.*)$"
    if not name then bad("a parameter without =") end
    name = decode(name)
    if name == "ssl" and value == "true" then name, value = "sslmode", "require" end
    fields[name] = decode(value)
  end
  return fields
end

---What a connection string or URI says, field by field. A lone word is a database's name, as for psql.
---@param conninfo string|pgsh.Secret
---@return table<string, string>
function quote.parse(conninfo)
  local text = text_of(conninfo, "connection string")
  secret.credentials(text)
  local fields
  if text:find "^postgres://" or text:find "^postgresql://" then
    fields = parse_uri(text)
  elseif text:find("=", 1, true) then
    fields = parse_words(text)
  else
    fields = text:find "%S" and { dbname = text } or {}
  end
  if fields.password and fields.password ~= "" then secret(fields.password) end
  return fields
end

---The same address with some fields changed (false takes one away).
---@param conninfo string|pgsh.Secret|table
---@param changes table<string, string|number|false>
---@return string|pgsh.Secret
function quote.with(conninfo, changes)
  local fields, hidden = {}, secret.is(conninfo)
  for name, value in pairs(type(conninfo) == "table" and conninfo or quote.parse(conninfo)) do fields[name] = value end
  for name, value in pairs(changes) do fields[name] = value or nil end
  if fields.password and not secret.is(fields.password) then fields.password = secret(fields.password) end
  local text = quote.conninfo(fields)
  return hidden and not secret.is(text) and secret(text) or text
end

return quote
