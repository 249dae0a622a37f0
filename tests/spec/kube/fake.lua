-- A kubectl that is a shell script: `exec` runs the command here, with what goes wrong with such a line on demand. For what the cluster
-- stand-in need not be there for: how commands are wrapped, proved, found again.
local host = require "pgsh.host"
local kubectl = require "pgsh.kubectl"
local sh = require "pgsh.sh"

local fake = {}

-- $D/fault: one word a call, the first line is used up: ok, lost-before (never started), lost-after (done, its end not seen), cut N (so
-- many bytes of the output come through), refused.
local SCRIPT = [[#!/bin/bash
D=%s
printf '%%s ' "$@" >>"$D/calls"; echo >>"$D/calls"
while [ "${1#--}" != "$1" ]; do shift; done
case $1 in
exec)
  input=
  while [ "$1" != -- ]; do [ "$1" = -i ] && input=1; shift; done
  shift
  fault=ok
  if [ -s "$D/fault" ]; then read -r fault n <"$D/fault"; sed -i 1d "$D/fault"; fi
  [ -n "$input" ] || exec </dev/null
  case $fault in
    ok) "$@"; exit $? ;;
    lost-before) exit 0 ;;
    lost-after) "$@" >/dev/null; exit 0 ;;
    cut) "$@" | head -c "$n"; exit 0 ;;
    eof) "$@" >/dev/null; echo 'error: unexpected EOF' >&2; exit 1 ;;
    refused) echo 'Error from server (NotFound): pods "x" not found' >&2; exit 1 ;;
    kill) "$@" >/dev/null & sleep 0.2; kill -9 $$ ;;
  esac ;;
*) if [ -e "$D/$1.sh" ]; then . "$D/$1.sh"; else echo "error: unknown command $1" >&2; exit 1; fi ;;
esac
]]

local Fake = {}
Fake.__index = Fake

function fake.new(dir)
  local own = dir == nil
  dir = dir or sh.run({ "mktemp", "-d", "/tmp/pgsh-spec-XXXXXX" }).out:match "%S+"
  local self = setmetatable({ dir = dir, own = own }, Fake)
  self:write("kubectl", SCRIPT:format(dir))
  sh.run { "chmod", "755", dir .. "/kubectl" }
  self.k = kubectl { context = "fake", namespace = dir:match "[^/]*$", binary = dir .. "/kubectl", settle = "0.3s" }
  return self
end

function Fake:write(name, text)
  local file = assert(io.open(self.dir .. "/" .. name, "w"))
  file:write(text)
  file:close()
  return self.dir .. "/" .. name
end

function Fake:read(name)
  local file = io.open(self.dir .. "/" .. name)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

-- What the next calls of exec meet.
function Fake:faults(...) self:write("fault", table.concat({ ... }, "\n") .. "\n") end

function Fake:close()
  if self.own then sh.run { "rm", "-rf", self.dir } end
end

fake.pid = host.pid

return fake
