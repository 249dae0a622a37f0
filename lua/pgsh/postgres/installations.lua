-- Which PostgreSQL servers can be started on this machine.
local errors = require "pgsh.errors"
local sh = require "pgsh.sh"

local installations = {}

-- Each directory that has both programs, once, with what `postgres --version` says.
local SCRIPT = [[
seen=:
for dir in "$@" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin \
  "$(pg_config --bindir 2>/dev/null)" $(IFS=:; for d in $PATH; do [ -x "$d/initdb" ] && printf '%s\n' "$d"; done); do
  [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] || continue
  real=$(cd "$dir" 2>/dev/null && pwd -P) || continue
  case $seen in *":$real:"*) continue ;; esac
  seen=$seen$real:
  version=$("$dir/postgres" --version 2>/dev/null) || continue
  printf '%s\t%s\n' "$dir" "$version"
done
]]

---"postgres (PostgreSQL) 15.20 (Debian …)" → "15.20", 15.
function installations.version_of(text)
  local version = text:match "%(PostgreSQL%) (%S+)" or text:match "PostgreSQL (%S+)"
  return version, version and math.tointeger(tonumber(version:match "^%d+"))
end

local function find(directories)
  local command = { "/bin/sh", "-c", SCRIPT, "installations" }
  for _, directory in ipairs(directories or {}) do command[#command + 1] = directory end
  local list = {}
  for dir, text in sh.read(command, { what = "find PostgreSQL installations" }).out:gmatch "([^\n\t]*)\t([^\n]*)\n" do
    local version, major = installations.version_of(text)
    if major then list[#list + 1] = { bin = dir, version = version, major = major } end
  end
  return list
end

local function minor(one)
  return tonumber(one.version:match "^%d+%.(%d+)") or -1
end

---All of them, newest first: { bin, version, major }. A read.
---@return {bin: string, version: string, major: integer}[]
function installations.list()
  local list = find()
  table.sort(list, function(a, b)
    if a.major ~= b.major then return a.major > b.major end
    if minor(a) ~= minor(b) then return minor(a) > minor(b) end
    return a.bin < b.bin
  end)
  return list
end

local function said(list)
  local words = {}
  for i, one in ipairs(list) do words[i] = ("%s (%s)"):format(one.bin, one.version) end
  return #words > 0 and "here: " .. table.concat(words, ", ") or "none is installed here; Debian has them in postgresql-15 and the like"
end

---The one in that directory; else the newest of that major version, or of all. Raises when there is none.
---@param bin? string
---@param version? string|integer    # 15, "15", "15.4"
function installations.choose(bin, version)
  local major = version and math.tointeger(tonumber(tostring(version):match "^%d+"))
  if version and not major then errors.usage("postgres: %s is no version of PostgreSQL", tostring(version)) end
  if bin then
    local directory = bin:gsub("(.)/+$", "%1")
    for _, one in ipairs(find { directory }) do
      if one.bin == directory then
        if major and one.major ~= major then errors.usage("postgres: %s is version %s, not %s", bin, one.version, tostring(version)) end
        return one
      end
    end
    errors.usage("postgres: %s has no initdb and postgres that can be run; %s", bin, said(installations.list()))
  end
  local list = installations.list()
  for _, one in ipairs(list) do
    if not major or one.major == major then return one end
  end
  errors.usage("postgres: no server%s to start: %s", major and " of version " .. major or "", said(list))
end

return installations
