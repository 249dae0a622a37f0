-- Files into a pod and out of it. A stream through kubectl may be cut anywhere, and a long one will be: so a file goes in pieces, each
-- of which is proved; what is there of it already is compared by its digest, and only the rest is sent.
local client = require "pgsh.kubectl.client"
local errors = require "pgsh.errors"
local exec = require "pgsh.kubectl.exec"
local host = require "pgsh.host"
local pipe = require "pgsh.pipe"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local copy = {}

local PIECE = 256 << 20
local OPTIONS = { container = true, timeout = true, stall = true, piece = true, mode = true }

local function size_of(value)
  if value == nil then return PIECE end
  if math.type(value) == "integer" and value > 0 then return value end
  local number, unit = tostring(value):match "^(%d+)([KMG]?)$"
  local bytes = number and tonumber(number) * ({ [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30 })[unit]
  if not bytes or bytes < 1 then errors.usage("piece: %s is not a size", tostring(value)) end
  return bytes
end

local function check(what, here, there, options)
  options = client.check_options(what, options, OPTIONS)
  if type(here) ~= "string" or here == "" or here:find "^%-" then
    errors.usage("%s: the path of a file here expected, got %s", what, tostring(here))
  end
  if type(there) ~= "string" or not there:find "^/." or there:find "%c" then
    errors.usage("%s: an absolute path in the pod expected, got %s", what, tostring(there))
  end
  return options, size_of(options.piece)
end

-- The digest of the first bytes, and how many there are in all; nil when there is no such file. $1: the file, $2: how many, "" for all.
local FAR = [[f=$1
[ -f "$f" ] || { [ ! -e "$f" ] && echo none && exit 0; echo "$f is no file" >&2; exit 1; }
n=$(wc -c <"$f") && echo $n && if [ -n "$2" ]; then head -c "$2" "$f"; else cat "$f"; fi | sha512sum]]

local function far(self, pod, path, bytes, options)
  local result = self:read(pod, { "/bin/sh", "-c", FAR, "pgsh", path, bytes and tostring(bytes) or "" }, {
    container = options.container, what = ("sha512sum %s in %s"):format(path, tostring(pod)) })
  if unknown.is(result) then return nil, nil, true end
  if result.out:find "^none" then return nil end
  local size, digest = result.out:match "^%s*(%d+)%s+(%x+)"
  if not digest then
    error(host.error("kubectl", { message = ("sha512sum %s in the pod says nothing of use"):format(path), detail = result.out .. result.err,
      target = tostring(self) }), 0)
  end
  return tonumber(size), digest
end

-- The same here.
local function near(path, bytes)
  local result = sh.read({ "/bin/sh", "-c", FAR, "pgsh", path, bytes and tostring(bytes) or "" }, { what = "sha512sum " .. path })
  if result.out:find "^none" then return nil end
  local size, digest = result.out:match "^%s*(%d+)%s+(%x+)"
  return tonumber(size), digest
end

local function part_of(path, offset, bytes)
  return sh.output({ "/bin/sh", "-c", 'tail -c "+$(($2 + 1))" "$1" | head -c "$3"', "pgsh", path, tostring(offset), tostring(bytes) },
    { what = ("%s from byte %d"):format(path, offset) })
end

local function differs(self, what, path, got, wanted)
  return host.error("kubectl", {
    message = ("%s: %s has the SHA-512 %s… and not %s…"):format(what, path, got:sub(1, 16), wanted:sub(1, 16)), target = tostring(self),
    hint = "one of the two was changed meanwhile, or a disk is bad: look at both before it is tried again",
  })
end

-- ---- into a pod ----

-- Takes the input as the file's bytes from $2 on, which is where it has to end now. $3: its mode.
local APPEND = [[umask 077
n=0; [ ! -e "$1" ] || n=$(wc -c <"$1") || exit 1
if [ "$2" = 0 ]; then : >"$1" || exit 1; elif [ "$n" -lt "$2" ]; then echo "it has $n bytes, not $2" >&2; exit 1
elif [ "$n" -gt "$2" ]; then truncate -s "$2" "$1" || exit 1; fi
cat >>"$1" || exit 1
n=$(wc -c <"$1"); [ "$n" = "$(($2 + $3))" ] || { echo "it has $n bytes, not $(($2 + $3))" >&2; exit 1; }]]

local FINISH = [[chmod "$3" "$1" && { sync "$1" 2>/dev/null || sync; } && mv -f "$1" "$2"]]

-- How much of it is there: a beginning of ours, in whole pieces or not, or nothing.
local function beginning(self, pod, part, here, total, options)
  local size, digest = far(self, pod, part, nil, options)
  if not size or size == 0 or size > total then return 0 end
  local _, ours = near(here, size)
  return ours == digest and size or 0
end

local function send(self, pod, here, part, from, bytes, options)
  return pipe {
    part_of(here, from, bytes), pipe.meter(("%s to %s"):format(here, tostring(pod)), { size = bytes }),
    exec.input(self, pod, { "/bin/sh", "-c", APPEND, "pgsh", part, tostring(from), tostring(bytes) },
      { container = options.container, what = ("%s in %s"):format(part, tostring(pod)) }),
    timeout = options.timeout, stall = options.stall or "5m", what = ("%s > %s:%s from byte %d"):format(here, tostring(pod), part, from),
    -- Each piece says where it begins: what was taken of one that was cut off is cut away when it is sent again.
    resolve = function()
      local size, digest = far(self, pod, part, from + bytes, options)
      if size ~= from + bytes then return false end
      local _, ours = near(here, from + bytes)
      return ours == digest, { bytes = bytes }
    end,
  }
end

local function upload(self, here, pod, there, options)
  local piece
  options, piece = check("k:upload", here, there, options)
  local mode = options.mode or 384 -- 0600
  local planned = host.mode() == "plan"
  local total, digest = near(here)
  -- A dump that an earlier step of the plan would have made.
  if not total and planned and require("pgsh.postgres.planned").has(here) then total, digest = 0, unknown.new("sha512 of " .. here) end
  if not total then errors.usage("k:upload: there is no file %s", here) end
  local result = { path = there, bytes = total, sha512 = digest, sent = 0 }
  if not planned then
    local _, theirs = far(self, pod, there, nil, options)
    if theirs == digest and host.replayed() == 0 then return result end
  end
  local part = there .. ".pgsh-part"
  local at = planned and 0 or beginning(self, pod, part, here, total, options)
  repeat
    local bytes = math.min(piece, total - at)
    local done = send(self, pod, here, part, at, bytes, options)
    if unknown.is(done) then break end
    at, result.sent = at + bytes, result.sent + bytes
  until at >= total
  if not planned then
    local _, theirs = far(self, pod, part, nil, options)
    if theirs and theirs ~= digest then
      error(differs(self, "upload", part, theirs, digest), 0)
    end
  end
  local done = exec.exec(self, pod, { "/bin/sh", "-c", FINISH, "pgsh", part, there, ("%04o"):format(mode) }, {
    container = options.container, what = ("mv %s %s in %s"):format(part, there, tostring(pod)),
    resolve = function()
      local _, theirs = far(self, pod, there, nil, options)
      return theirs == digest, { exit = 0, out = "", err = "" }
    end })
  return unknown.is(done) and done or result
end

-- Where it goes on is decided by what is there, also in a resumed run: the journal has no say in it.
function copy.upload(...) return require("pgsh.postgres.anew").call("upload", upload, ...) end

-- ---- out of a pod ----

local function fetch(self, pod, there, here, from, bytes, options)
  local source = exec.output(self, pod, { "/bin/sh", "-c", 'tail -c "+$(($2 + 1))" "$1" | head -c "$3"', "pgsh", there, tostring(from),
    tostring(bytes) }, { container = options.container, what = ("%s in %s from byte %d"):format(there, tostring(pod), from) })
  return pipe {
    source, pipe.meter(("%s from %s"):format(there, tostring(pod)), { size = bytes }),
    sh.input({ "/bin/sh", "-c", 'umask 077; if [ "$2" = 0 ]; then : >"$1"; else truncate -s "$2" "$1"; fi && cat >>"$1"', "pgsh", here,
      tostring(from) }, { what = here }),
    timeout = options.timeout, stall = options.stall or "5m", what = ("%s:%s > %s from byte %d"):format(tostring(pod), there, here, from),
    resolve = function() return false end,
  }
end

function copy.download(self, pod, there, here, options)
  local piece
  options, piece = check("k:download", here, there, options)
  local mode = options.mode or 384
  local total, digest, planned = far(self, pod, there, nil, options)
  if not total and not planned then
    if host.mode() ~= "plan" then
      error(host.error("kubectl", { message = ("there is no file %s in %s"):format(there, tostring(pod)), target = tostring(self) }), 0)
    end
    planned = true
  end
  local result = { path = here, bytes = total, sha512 = digest, sent = 0 }
  local _, ours = near(here)
  if ours and ours == digest and host.replayed() == 0 then return result end
  local part, at = here .. ".pgsh-part", 0
  local have = near(part)
  if have and not planned and have > 0 and have <= total then
    local _, mine = near(part, have)
    local _, theirs = far(self, pod, there, have, options)
    if mine == theirs then at = have end
  end
  total = total or 0
  repeat
    local bytes = math.min(piece, total - at)
    local done = fetch(self, pod, there, part, at, bytes, options)
    if unknown.is(done) then break end
    at, result.sent = at + bytes, result.sent + bytes
  until at >= total
  if not planned and host.mode() ~= "plan" then
    local _, got = near(part)
    if got and got ~= digest then error(differs(self, "download", part, got, digest), 0) end
  end
  local done = sh.run({ "/bin/sh", "-c", FINISH, "pgsh", part, here, ("%04o"):format(mode) }, {
    what = ("mv %s %s"):format(part, here),
    resolve = function()
      local _, mine = near(here)
      return mine == digest, { exit = 0, out = "", err = "" }
    end })
  return unknown.is(done) and done or result
end

return copy
