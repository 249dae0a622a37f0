-- doctor: what this shell is made of, where it keeps and finds things, and what it is connected to: a line each, for whoever wonders.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local doctor = {}

-- The directory of the operator's start-up file.
---@return string
function doctor.config()
  local config = host.getenv "XDG_CONFIG_HOME"
  if not config or config:sub(1, 1) ~= "/" then config = (host.getenv "HOME" or "") .. "/.config" end
  return config .. "/pgsh"
end

local function existing(paths)
  local found = {}
  for _, path in ipairs(paths) do
    if path and host.read_file(path) then found[#found + 1] = path end
  end
  return #found > 0 and table.concat(found, "  ") or "none"
end

local function services()
  local system = host.getenv "PGSYSCONFDIR" or "/etc/postgresql-common"
  local home = host.getenv "HOME" or ""
  return existing { host.getenv "PGSERVICEFILE" or home .. "/.pg_service.conf", system .. "/pg_service.conf" }
end

-- Who answers, if anybody does: asked now, for a few seconds at most.
local function connection(shell, add)
  local db = shell.vars.db
  if type(db) ~= "userdata" then return add("connection", "none: db = psql \"service=…\" makes one") end
  add("connection", tostring(db))
  local ok, who = errors.try(db.row, db, [[select current_user as role, current_setting('server_version') as version,
    pg_is_in_recovery() as standby, (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as ssl]],
    require("pgsh.psql").options { timeout = "5s" })
  if not ok and (who.kind == "interrupted" or who.kind == "cancelled") then error(who, 0) end
  if not ok then return add("server", errors.line(who)) end
  add("server", ("PostgreSQL %s, %s, %s"):format(who.version, who.standby and "standby" or "primary", who.ssl and "TLS" or "no TLS"))
  add("role", who.role)
end

local function history_of(shell)
  local history = shell.history
  if not history then return "not kept: there is no terminal" end
  return history.mode == "keep" and history.path or "not kept: history_mode is " .. tostring(history.mode)
end

---@param shell pgsh.Shell
---@return string
function doctor.text(shell)
  local size, lines = host.terminal(), {}
  local function add(what, value) lines[#lines + 1] = ("%-12s %s"):format(what, require("pgsh.shell.show").valid(tostring(value))) end
  add("run", shell.current.run or "none yet")
  add("init file", shell.init or "none")
  add("config", doctor.config())
  add("state", host.state())
  add("history", history_of(shell))
  add("modules", host.getenv "PGSH_PATH" or "embedded")
  add("terminal", size.terminal and ("%s, %d x %d, %s"):format(host.getenv "TERM" or "?", size.columns, size.rows,
    size.colour and "colour" or "no colour") or "none")
  add("pager", host.getenv "PGSH_PAGER" or host.getenv "PAGER" or "less -SRFX")
  add("ssh agent", host.getenv "SSH_AUTH_SOCK" or "none")
  add("services", services())
  add("production", table.concat({ "prod  prd  live", table.unpack(shell.gate.patterns) }, "  "))
  for _, window in ipairs(shell.gate:targets()) do add("writable", window) end
  connection(shell, add)
  return host.versions() .. table.concat(lines, "\n") .. "\n"
end

return doctor
