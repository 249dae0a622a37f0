-- What a node's attributes say about PostgreSQL: settings.lua ATTRIBUTES RESTART RELOAD ENV writes the two files that
-- postgresql.conf includes (what needs a restart, what needs a reload), and for the shell whether reconfigure starts the server.
package.path = arg[0]:match("^(.*)/[^/]*/[^/]*$") .. "/../?.lua;" .. package.path
local json = require "core.json"

local NEEDS_RESTART = { max_connections = true, shared_buffers = true, max_wal_senders = true, max_worker_processes = true }

local function read(path)
  local file = io.open(path)
  local text = file and file:read "a" or "{}"
  if file then file:close() end
  return text
end

local function write(path, lines)
  table.sort(lines)
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  assert(file:close())
end

local attributes = assert(json.decode(read(arg[1])))
local gitlab_rb = attributes["omnibus-gitlab"] and attributes["omnibus-gitlab"].gitlab_rb or {}
local restart, reload = {}, {}
for name, value in pairs(gitlab_rb.postgresql or {}) do
  if type(value) ~= "table" then
    local line = ("%s = '%s'"):format(name, tostring(value):gsub("'", "''"))
    local list = NEEDS_RESTART[name] and restart or reload
    list[#list + 1] = line
  end
end
write(arg[2], restart)
write(arg[3], reload)
write(arg[4], { "bootstrap=" .. tostring(not gitlab_rb.bootstrap or gitlab_rb.bootstrap.enable ~= false) })
