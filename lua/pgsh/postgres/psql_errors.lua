-- What psql says on its standard error while it reads a dump (-f -, VERBOSITY verbose, LC_ALL C), message by message:
--
--   psql:<stdin>:16: ERROR:  42710: role "postgres" already exists
--   LOCATION:  CreateRole, user.c:308
--
-- The severity is in the server's language, the SQLSTATE is not. A message ends with its LOCATION, or where the next one begins. What
-- has no SQLSTATE is psql's own: a lost connection, a \connect that failed, a command it does not know; from there on nothing can
-- be trusted.
local allow = require "pgsh.postgres.allow"
local host = require "pgsh.host"

local psql_errors = {}

local Reader = {}
Reader.__index = Reader

local KEEP = 100          -- allowed ones and notices that are kept
local DETAIL_BYTES = 4000

local HARMLESS_CLASS = { ["00"] = true, ["01"] = true, ["02"] = true }
local HARMLESS_SEVERITY = { NOTICE = true, WARNING = true, INFO = true, LOG = true, DEBUG = true, HINWEIS = true, WARNUNG = true }

local function clean(text)
  if utf8.len(text) then return text end
  return (text:gsub("[\128-\255]", "?"))
end

function psql_errors.new(entries)
  return setmetatable({ entries = entries, allowed = {}, notices = {}, seen = 0 }, Reader)
end

local function keep(list, value)
  if #list < KEEP then list[#list + 1] = value end
end

local function failure(message)
  local detail = table.concat(message.more, "\n"):sub(1, DETAIL_BYTES)
  local text = clean(message.text)
  error(host.error("psql", {
    message = message.sqlstate and ("line %d of the dump: %s"):format(message.line, text) or text,
    sqlstate = message.sqlstate, detail = detail ~= "" and clean(detail) or nil,
    hint = message.sqlstate and ("not among the allowed errors: { sqlstate = %q, object = … } would allow it"):format(message.sqlstate)
      or nil,
  }), 0)
end

-- The message is complete: is it one that is expected?
function Reader:decide()
  local message = self.open
  self.open = nil
  if not message then return end
  if HARMLESS_CLASS[message.sqlstate:sub(1, 2)] or HARMLESS_SEVERITY[message.severity] then
    keep(self.notices, ("%s: %s"):format(message.severity, clean(message.text)))
    return
  end
  if not allow.find(self.entries, message.sqlstate, message.text) then failure(message) end
  self.count = (self.count or 0) + 1
  keep(self.allowed, { sqlstate = message.sqlstate, message = clean(message.text), line = message.line })
end

-- A line of psql's own, or the beginning of the server's message.
function Reader:head(line)
  self:decide()
  local number, severity, sqlstate, text = line:match "^psql:.-:(%d+): ([^:]+):%s+([%u%d][%u%d][%u%d][%u%d][%u%d]): (.*)$"
  if sqlstate then
    self.open = { line = math.tointeger(tonumber(number)), severity = severity, sqlstate = sqlstate, text = text, more = {} }
    return
  end
  local own = line:match "^psql:[^ ]*:%d+: (.*)$" or line:match "^psql: (.*)$"
  if own:find "^warning:" then
    keep(self.notices, clean(own))
    return
  end
  failure { text = "psql: " .. own:gsub("^error: ", ""), more = { line } }
end

local FIELDS = { DETAIL = true, HINT = true, QUERY = true, CONTEXT = true, LINE = true, SCHEMA = true, TABLE = true, COLUMN = true }

---One line. Raises what is not allowed.
function Reader:line(line)
  self.seen = self.seen + 1
  if line:find "^psql:" then return self:head(line) end
  local message = self.open
  if not message then return keep(self.notices, clean(line)) end
  if line:find "^LOCATION:  " then return self:decide() end
  local field = line:match "^(%u+)[ %d]*:"
  if #message.more == 0 and not FIELDS[field] then
    message.text = message.text .. "\n" .. line -- a name with a line break in it
  else
    message.more[#message.more + 1] = line
  end
end

---At the end of the output.
function Reader:finish()
  self:decide()
end

---From text that was kept: in a resumed run psql is not started again.
function psql_errors.read(entries, text)
  local reader = psql_errors.new(entries)
  for line in text:gmatch "[^\n]+" do pcall(reader.line, reader, line) end
  pcall(reader.finish, reader)
  return reader
end

return psql_errors
