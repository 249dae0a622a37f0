-- restore into a remote server (remote.lua): the psql beside it reads a copy of the dump that lies there, so that no connection can cut
-- the stream. What psql says is judged over there as well, line by line: the first error that is not allowed ends it, whether or not
-- anybody still listens.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local unknown = require "pgsh.unknown"

local elsewhere = {}

local APPLICATION = "pgsh restore"
local EXIT = "pgsh: psql ended with "
local WHOLE = "pgsh: that was all"

-- $1 the file, $2 what reads it, $3 how many allowed errors follow (SQLSTATE and a text each), then psql and its words.
--
-- The end of the file is announced by \echo, which psql carries out behind everything else. psql's outputs come as one stream, in which
-- the first line says which process to end. Messages are in English: lc_messages and LC_ALL see to it.
local SCRIPT = ([[
file=$1 packed=$2 count=$3
shift 3
allowed=
while [ "$count" -gt 0 ]; do
  allowed="$allowed$1	$2
"
  count=$((count - 1))
  shift 2
done
judge() { # a message of psql's, without its place: may the import go on behind it?
  severity=${1%%:*} text=${1#*:  }
  state=${text%%:*}
  case $severity in NOTICE|WARNING|INFO|LOG|DEBUG|warning) return 0 ;; esac
  case $state in
    0[012][0-9A-Z][0-9A-Z][0-9A-Z]) return 0 ;;
    [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]) ;;
    *) return 1 ;;
  esac
  while IFS='	' read -r want object; do
    [ "$want" = "$state" ] || continue
    case $text in *"$object"*) return 0 ;; esac
  done <<END
$allowed
END
  return 1
}
feed() { # the file, and that this was all of it
  if [ "$packed" = gzip ]; then gzip -dc <"$file"; else cat <"$file"; fi && printf '\n\\echo %s\n' "'WHOLE'"
}
start() { # psql, which is in the background so that its number is known
  exec 3<&0
  "$@" <&3 2>&1 3<&- &
  exec 3<&-
  echo "pgsh: $!"
  wait "$!"
  echo "EXIT$?"
}
feed | start "$@" | {
  IFS= read -r first
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in psql:*": "*) judge "${line#psql:*: }" || { kill "${first#pgsh: }" 2>/dev/null; echo "pgsh: stopped"; cat; exit; } ;; esac
    case $line in "psql: "*) judge "${line#psql: }" || { kill "${first#pgsh: }" 2>/dev/null; echo "pgsh: stopped"; cat; exit; } ;; esac
  done
}
]]):gsub("WHOLE", WHOLE):gsub("EXIT", EXIT)

---Raises when the file there is not the one that was validated (a read).
---@param server table
---@param path string
---@param sha512 string
function elsewhere.check_copy(server, path, sha512)
  local done = server.where:read({ "sha512sum", "--", path }, { what = ("the sha512 of %s on %s"):format(path, server.name) })
  if unknown.is(done) then return end
  local digest = done.out:match "^\\?(%x+)" or "nothing"
  if digest == sha512 then return end
  error(host.error("io", {
    message = ("%s on %s is not the dump: its sha512 is %.16s… instead of %.16s…"):format(path, server.name, digest, sha512),
    hint = "copy it again",
  }), 0)
end

-- What the shell over there can compare: a state, and a text in the message.
local function allowed_words(entries)
  local words = { tostring(#entries) }
  for _, entry in ipairs(entries) do
    local object = entry.object or entry.name and '"' .. entry.name .. '"'
    if entry.pattern or object:find "[\n\t]" then
      errors.usage("postgres.restore: into a remote server goes only what has object or name, without line breaks, in allow")
    end
    words[#words + 1] = entry.sqlstate
    words[#words + 1] = object
  end
  return words
end

---The command that imports, there.
---@param server table
---@param path string
---@param packed boolean
---@param entries table[]            # of allow
---@param flags string[]             # of psql
---@return string[]
function elsewhere.command(server, path, packed, entries, flags)
  local command = { "sh", "-c", SCRIPT, "restore", path, packed and "gzip" or "plain" }
  local words = allowed_words(entries)
  table.move(words, 1, #words, #command + 1, command)
  local psql = server:command("psql", flags, {
    PGAPPNAME = APPLICATION, PGOPTIONS = "-c client_min_messages=warning -c lc_messages=C", LANGUAGE = "",
  })
  return table.move(psql, 1, #psql, #command + 1, command)
end

---What the command printed: given to a reader of psql's messages; raises what is not allowed, and when psql did not come to the end.
---@param server table
---@param path string
---@param out string
---@param reader table
function elsewhere.judge(server, path, out, reader)
  local whole, exit = false, nil
  for line in out:gmatch "[^\n]+" do
    if line == WHOLE then
      whole = true
    elseif line:sub(1, #EXIT) == EXIT then
      exit = tonumber(line:sub(#EXIT + 1))
    elseif line ~= "pgsh: stopped" then
      reader:line(line)
    end
  end
  reader:finish()
  if not whole or exit ~= 0 then
    errors.raise("io", "the import on %s ended before the end of %s%s", server.name, path,
      exit and exit ~= 0 and (" (psql: status %d)"):format(exit) or "")
  end
end

local LEFT = ([[select count(*) as n from pg_stat_activity where application_name = '%s']]):format(APPLICATION)
local END = ([[select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '%s']]):format(APPLICATION)
local GONE_S = 30

---End what an import has left running there (a change, when there is something), and wait until it is gone.
---@param server table
function elsewhere.stop(server)
  local left = server:value(LEFT)
  if unknown.is(left) or left == 0 then return end
  server:execute(END, { what = ("end the import on %s"):format(server.name), resolve = function() return server:value(LEFT) == 0 end })
  for _ = 1, GONE_S * 5 do
    if server:value(LEFT) == 0 then return end
    host.sleep(0.2)
  end
  errors.raise("timeout", "the import on %s does not end", server.name)
end

return elsewhere
