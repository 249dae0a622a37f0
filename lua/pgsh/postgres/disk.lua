-- Is there room? Asked before anything is written.
local errors = require "pgsh.errors"
local sh = require "pgsh.sh"

local disk = {}

---"1.5 GiB"
function disk.text(bytes)
  local units, i, value = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" }, 1, bytes
  while value >= 1024 and i < #units do value, i = value / 1024, i + 1 end
  return (i == 1 and "%d %s" or "%.1f %s"):format(i == 1 and math.tointeger(value) or value, units[i])
end

---Bytes that can be written below a directory (a read).
---@param directory string
---@return integer
function disk.free(directory)
  local said = sh.read({ "df", "-Pk", "--", directory }, { what = "space below " .. directory, env = { LC_ALL = "C" }, ok = { 0, 1 } })
  local kib = said.out:match "\n[^\n]-%s%d+%s+%d+%s+(%-?%d+)%s+%d+%%"
    or errors.raise("io", "the space below %s is not known: %s", directory, (said.err .. said.out):match "[^\n]*")
  return math.max(0, math.tointeger(tonumber(kib))) * 1024
end

---Raises "refused" when there is less room than that.
---@param directory string
---@param wanted integer
---@param what string                # "the dump"
function disk.must_have(directory, wanted, what)
  local free = disk.free(directory)
  if free >= wanted then return free end
  errors.raise("refused", "%s needs about %s, and %s has %s", what, disk.text(wanted), directory, disk.text(free))
end

return disk
