-- entries: what was done in a session, entry by entry, with what it was done upon: for save and transcript.

local entries = {}

---@class pgsh.ShellEntry
---@field line integer
---@field text string
---@field ok boolean
---@field changed boolean
---@field sql boolean
---@field expression? boolean
---@field alone? boolean            # SQL that was sent without a transaction
---@field db? pgsh.ShellHandle     # the database in hand: of SQL the one it was sent to
---@field before table<string, {plain: any, handle: pgsh.ShellHandle?}> # names of the session when it began
---@field assigned table<string, pgsh.ShellHandle> # handles that it gave a name

---A handle as it is written down; the handle itself may go.
---@class pgsh.ShellHandle
---@field target string             # "psql host:port/name"
---@field source? string            # the connection string it was made with, as far as that is known
---@field user? string              # whom it logs in as; also that may become known later

local PLAIN = { string = true, number = true, boolean = true }

local function is_database(value) return type(value) == "userdata" and tostring(value):find "^psql " ~= nil end

---@param shell pgsh.Shell
---@param value any
---@return pgsh.ShellHandle?
function entries.handle(shell, value)
  if not is_database(value) then return nil end
  local target, source = tostring(value):gsub(" %(closed%)$", ""), shell.places:known(value)
  local record = shell.places.records[value]
  if not record or record.target ~= target or record.source ~= source then
    record = { target = target, source = source, user = record and record.user }
    shell.places.records[value] = record
  end
  record.user = shell.places:user(value) or record.user
  return record
end

---The names of a session and what they hold: values that do not change by themselves, and handles.
---@param shell pgsh.Shell
---@return table<string, {plain: any, handle: pgsh.ShellHandle?}>
function entries.names(shell)
  local names = {}
  for name, value in pairs(shell.vars) do
    names[name] = { plain = PLAIN[type(value)] and value or nil, handle = entries.handle(shell, value) }
  end
  return names
end

---The handles of a session, by name.
---@param vars table<string, any>
---@return table<string, any>
function entries.handles(vars)
  local handles = {}
  for name, value in pairs(vars) do handles[name] = is_database(value) and value or nil end
  return handles
end

---The connection string that a text gives to psql for a name, when it stands there as it is.
---@param text string
---@param name string
---@return string?
function entries.literal(text, name)
  local _, conninfo = text:match("%f[%w_]" .. name .. "%s*=%s*psql%s*%(?%s*([\"'])([^\"'\\]*)%1")
  return conninfo
end

return entries
