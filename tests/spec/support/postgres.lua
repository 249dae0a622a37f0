-- A throw-away PostgreSQL for a spec file. Works as root (the server then runs as postgres or nobody) and as anybody.
--
--   local server = require("tests.spec.support.postgres").start()
--   server:conninfo { user = "app", password = "…" }   → "host=127.0.0.1 port=… dbname=postgres …"
--   server:psql("select 1")                            → output of the psql program, as the superuser
--   server:psql("select 1", "db")                      → in another database
--   server:stop "immediate"; server:start(); server:remove()
--
-- It ends when this process does: a guardian shell holds the other end of a pipe.
local segments = require "tests.lab.core.segments"
local socket = require "socket"

local postgres = {}
local Server = {}
Server.__index = Server

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1 </dev/null; printf '\\n%d' $?"))
  local output = pipe:read "a"
  pipe:close()
  local text, status = output:match "^(.*)\n(%d+)$"
  return tonumber(status) or -1, text or output
end

local function must(command)
  local status, output = run(command)
  if status ~= 0 then error(("status %d of %s: %s"):format(status, command, output), 0) end
  return output
end

postgres.run, postgres.must, postgres.quote = run, must, quote

-- Below the range from which the kernel takes the ports of outgoing connections.
function postgres.free_port()
  for _ = 1, 200 do
    local port = math.random(10240, 32000)
    local probe = socket.bind("127.0.0.1", port)
    if probe then
      probe:close()
      return port
    end
  end
  error "no free port between 10240 and 32000"
end

local SETTINGS = [[
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_connections = 40
wal_level = logical
max_prepared_transactions = 5
password_encryption = scram-sha-256
log_statement = all
deadlock_timeout = 200ms
]]

-- The role app must give a password; everybody else is trusted.
local ACCESS = [[
local all all trust
host all app 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
]]

local function write_file(path, mode, text)
  local file = assert(io.open(path, mode))
  file:write(text)
  assert(file:close())
end

-- SIGQUIT is the immediate stop. A server that is just being started is found in a later round.
local GUARDIAN = segments .. [[
trap '' HUP INT TERM
cat >/dev/null
cd /
dir=$1 seen= round=0
while [ "$round" -lt 200 ]; do
  round=$((round + 1)) found=
  seen="$seen
$(segments_below "$dir")"
  for file in $(grep -lFs -- "$dir/data" /proc/[0-9]*/cmdline); do
    pid=${file#/proc/} pid=${pid%/cmdline}
    kill -STOP "$pid" 2>/dev/null # it takes no more while it is looked up
    seen="$seen
$(segments_of "$pid")"
    kill -QUIT "$pid" 2>/dev/null && found=1
    kill -CONT "$pid" 2>/dev/null
  done
  if [ -z "$found" ]; then
    rm -rf "$dir"
    [ -e "$dir" ] || break
  fi
  sleep 0.05
done
forget_segments "$seen"
]]

local function unprivileged()
  if must("id -u"):match "%d+" ~= "0" then return "", nil end
  for _, name in ipairs { "postgres", "nobody" } do
    local status, group = run("id -g " .. name)
    if status == 0 then return ("setpriv --reuid=%s --regid=%s --clear-groups -- "):format(name, group:match "%d+"), name end
  end
  error("running as root, and there is neither a user postgres nor nobody", 0)
end

local function binaries()
  return must("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1"):match "%S+"
end

function Server:ctl(words)
  return must(("cd / && %s%s/pg_ctl -D %s/data -s %s"):format(self.as, self.bin, self.dir, words))
end

function Server:start()
  local ok, why = pcall(self.ctl, self, ("-w -t 60 -l %s/log start"):format(self.dir))
  if not ok then error(("%s\n%s"):format(why, must(("tail -n 20 %s/log"):format(self.dir))), 0) end
end

function Server:stop(mode)
  self:ctl("-w -m " .. (mode or "fast") .. " stop")
end

function Server:conninfo(fields)
  local all = { host = "127.0.0.1", port = self.port, dbname = "postgres", user = "postgres" }
  for key, value in pairs(fields or {}) do all[key] = value end
  local words = {}
  for key, value in pairs(all) do words[#words + 1] = ("%s='%s'"):format(key, tostring(value):gsub("[\\']", "\\%0")) end
  table.sort(words)
  return table.concat(words, " ")
end

function Server:psql(sql, database)
  return (must(("%s/psql -XAtq -v ON_ERROR_STOP=1 -d %s -c %s"):format(self.bin, quote(self:conninfo { dbname = database }), quote(sql)))
    :gsub("%s+$", ""))
end

-- What the server wrote: every statement is in it.
function Server:log()
  return must("cat " .. quote(self.dir .. "/log"))
end

function Server:remove()
  if not self.guardian then return end
  self.guardian:close() -- waits until the guardian has cleaned up
  self.guardian = nil
end

-- options: port; settings: more lines for postgresql.conf.
function postgres.start(options)
  local as, owner = unprivileged()
  local dir = os.tmpname()
  os.remove(dir)
  dir = dir .. ".pg"
  local self = setmetatable({ as = as, bin = binaries(), dir = dir, port = options and options.port or postgres.free_port() }, Server)
  must(("mkdir -p %s && chmod 755 %s"):format(dir, dir))
  if owner then must(("chown %s %s"):format(owner, dir)) end
  self.guardian = assert(io.popen("exec setsid -w sh -c " .. quote(GUARDIAN) .. " guardian " .. dir .. " >/dev/null 2>&1", "w"))
  must(("cd / && %s%s/initdb -D %s/data -U postgres -A trust -N -E UTF8 --locale=C --no-instructions"):format(as, self.bin, dir))
  write_file(dir .. "/data/postgresql.conf", "a",
    SETTINGS .. ("port = %d\nunix_socket_directories = '%s'\n"):format(self.port, dir) .. (options and options.settings or ""))
  write_file(dir .. "/data/pg_hba.conf", "w", ACCESS)
  self:start()
  return self
end

return postgres
