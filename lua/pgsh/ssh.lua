-- ssh: commands on other hosts. The handle is C (pgsh.ssh.core: sessions, commands, streams); here is what is put together from
-- them: follow, upload, download, and each over many hosts.
local core = require "pgsh.ssh.core"
local errors = require "pgsh.errors"
local host = require "pgsh.host"

local ssh = {}
local Handle = core.methods

local AT_ONCE = 50

-- One word for a far shell.
local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function check_options(name, options, known)
  for key in pairs(options or {}) do
    if not known[key] then errors.usage("%s: unknown option '%s'", name, tostring(key)) end
  end
  return options or {}
end

-- ---- following ----------------------------------------------------------------------------------------------------------

function Handle:follow(command, f, options)
  if type(f) ~= "function" then errors.usage("follow: a function expected, got %s", type(f)) end
  local lines <close> = core.lines(self, command, options)
  for line in lines do
    if f(line) == false then return end
  end
end

-- ---- files --------------------------------------------------------------------------------------------------------------

local FILE_OPTIONS = { mode = true, become = true, timeout = true, what = true }

-- Takes standard input into a temporary name beside the file, compares, and renames: a part, which is all that comes when the line is
-- lost, never gets there. $1: the file, $2: its mode, $3: the digest, $4: its size.
local UPLOAD = [[
t=$1.pgsh-$$
trap 'rm -f -- "$t"' EXIT
trap 'exit 143' HUP INT TERM
umask 077
cat >"$t" || exit 1
n=$(wc -c <"$t") || exit 1
[ "$n" -eq "$4" ] || { echo "$((n)) bytes arrived, not $4" >&2; exit 1; }
if command -v sha256sum >/dev/null 2>&1; then
  d=$(sha256sum <"$t") || exit 1
  [ "${d%% *}" = "$3" ] || { echo "what arrived has the SHA-256 ${d%% *}, not $3" >&2; exit 1; }
fi
chmod "$2" "$t" && { sync -- "$t" 2>/dev/null || sync; } && mv -f -- "$t" "$1" || exit 1
trap - EXIT
]]

local function mode_text(mode)
  if math.type(mode) ~= "integer" or mode < 0 or mode > 4095 then
    errors.usage "mode: a file mode expected, such as tonumber(\"640\", 8)"
  end
  return ("%04o"):format(mode)
end

local function check_path(name, path)
  if type(path) ~= "string" or path == "" then errors.usage("%s: a path expected, got %s", name, type(path)) end
end

local DIGEST = "if [ -r \"$1\" ] && command -v sha256sum >/dev/null 2>&1; then exec sha256sum <\"$1\"; fi"

-- How long a far file is looked for whose arrival nobody told.
local LOOK = "5s"

-- The answer was lost behind the last byte: does the far side have it? What cannot be seen (yet) is not known.
local function arrived(self, path, digest, options)
  return require("pgsh.settle").look(LOOK, function()
    return self:read({ "/bin/sh", "-c", DIGEST, "digest", path }, { become = options.become, what = "sha256sum " .. path }).out
      :match "^%x+" == digest
  end) or nil
end

local function size_of(path)
  local handle <close> = assert(io.open(path, "rb"))
  return handle:seek "end"
end

function Handle:upload(here, there, options)
  options = check_options("upload", options, FILE_OPTIONS)
  check_path("upload", here)
  check_path("upload", there)
  local mode = mode_text(options.mode or 420) -- 0644
  local file, hash, pipe = require "pgsh.file", require "pgsh.hash", require "pgsh.pipe"
  local digest, size, began = hash.file(here), size_of(here), host.mono()
  -- A name that begins with a dash is no option of anybody's.
  local path = there:find "^%-" and "./" .. there or there
  local sink = core.sink(self, { "/bin/sh", "-c", UPLOAD, "upload", path, mode, tostring(digest), tostring(size) },
    { become = options.become, what = there })
  local result = pipe { file.reader(here), sink, timeout = options.timeout,
    what = options.what or ("%s > %s"):format(here, there),
    resolve = function() return arrived(self, path, digest, options), { bytes = size, ms = host.mono() - began } end }
  return { path = there, bytes = result.bytes, sha256 = digest, ms = result.ms }
end

function Handle:download(there, here, options)
  options = check_options("download", options, FILE_OPTIONS)
  check_path("download", there)
  check_path("download", here)
  local file, hash, pipe = require "pgsh.file", require "pgsh.hash", require "pgsh.pipe"
  local path = there:find "^%-" and "./" .. there or there
  local sum = self:read({ "/bin/sh", "-c", "[ -r \"$1\" ] || exec cat -- \"$1\"\n"
    .. "command -v sha256sum >/dev/null 2>&1 || exit 0\nexec sha256sum <\"$1\"", "download", path },
    { become = options.become, timeout = options.timeout, what = "sha256sum " .. there })
  local expect = type(sum) == "table" and type(sum.out) == "string" and sum.out:match "^%x+" or nil
  local result = pipe { self:output({ "cat", "--", path }, { become = options.become, what = there }),
    hash("sha256", { expect = expect }), file.writer(here, { mode = options.mode or 420 }), timeout = options.timeout,
    what = options.what or ("%s > %s"):format(there, here) }
  return { path = here, bytes = result.bytes, sha256 = expect, ms = result.ms }
end

-- ---- many hosts -----------------------------------------------------------------------------------------------------------

-- A handle for a name, else the handle itself.
local function open(target, options)
  if type(target) == "string" then return core.open(target, options), true end
  return target, false
end

local function one(target, f, options)
  local handle, own = open(target, options)
  if not own then return f(handle, target) end
  local closing <close> = handle -- luacheck: ignore 211
  return f(handle, target)
end

local EACH_OPTIONS = { at_once = true, config = true, transport = true, connect_timeout = true, become = true, timeout = true }

function ssh.each(targets, f, options)
  options = check_options("ssh.each", options, EACH_OPTIONS)
  if type(targets) ~= "table" then errors.usage("ssh.each: a list of hosts expected, got %s", type(targets)) end
  if type(f) ~= "function" then errors.usage("ssh.each: a function expected, got %s", type(f)) end
  local how = {}
  for key, value in pairs(options) do
    if key ~= "at_once" then how[key] = value end
  end
  local results, failures, next_one, call = {}, {}, 0, host.ordinal()
  local function worker()
    while next_one < #targets do
      next_one = next_one + 1
      local target = targets[next_one]
      local ok, value = pcall(host.branch, ("each %d/%d %s"):format(call, next_one, tostring(target)), one, target, f, how)
      if ok then results[target] = value == nil and true or value else failures[target] = value end
    end
  end
  local workers = {}
  for i = 1, math.min(options.at_once or AT_ONCE, #targets) do workers[i] = host.spawn("ssh.each", worker) end
  for _, task in ipairs(workers) do task:join() end
  return results, failures
end

ssh.quote = quote

return setmetatable(ssh, { __call = function(_, ...) return core.open(...) end })
