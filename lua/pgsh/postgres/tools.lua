-- PostgreSQL's own programs: where they are, and how they are told where the server is.
local address = require "pgsh.postgres.address"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local tools = {}

-- The newest: a pg_dump must not be older than its server, and a psql not older than the pg_dump that wrote what it reads. Debian's
-- /usr/bin/psql picks a version by clusters of this machine, which is not what is wanted.
local SCRIPT = [[
for dir in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
  [ -x "$dir/$1" ] && { printf '%s' "$dir/$1"; exit; }
done
command -v -- "$1" || printf '%s' "$1"
]]

---The program's path.
---@param name string                # "pg_dump"
---@param bin? string
function tools.path(name, bin)
  if bin then return (bin:gsub("(.)/+$", "%1")) .. "/" .. name end
  return (sh.read({ "/bin/sh", "-c", SCRIPT, "tools", name }, { what = "where is " .. name }).out:gsub("\n$", ""))
end

---The words "-d CONNINFO" (none for ""), and the environment with the password. An address that is only known after a run is passed on.
---@param fields table
---@param changes? table
function tools.connection(fields, changes)
  local conninfo, env = address.for_tool(fields, changes)
  env.PGAPPNAME = "pgsh"
  -- pg_dumpall leaves out what is empty when it puts its connection strings together, and then the environment would be asked.
  if not unknown.is(fields) and fields.hostaddr == "" then env.PGHOSTADDR, env.PGSERVICE = false, false end
  if not unknown.is(conninfo) and conninfo == "" then return {}, env end
  return { "-d", conninfo }, env
end

---One list of all words.
function tools.command(...)
  local all = {}
  for _, part in ipairs { ... } do
    if type(part) == "table" and not unknown.is(part) then
      table.move(part, 1, #part, #all + 1, all)
    else
      all[#all + 1] = part
    end
  end
  return all
end

return tools
