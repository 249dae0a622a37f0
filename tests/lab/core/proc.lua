-- Child processes without blocking the loop. Debian 12 has no lua-posix for Lua 5.4, so a child is an
-- io.popen whose pipe is handed to cqueues; the exit status travels as the last line of that pipe.
local socket = require "cqueues.socket"

local proc = {}

function proc.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

-- A shell command from an argument vector.
function proc.command(argv)
  local out = {}
  for i, word in ipairs(argv) do out[i] = proc.quote(word) end
  return table.concat(out, " ")
end

-- Runs a shell command; returns its exit status and everything it printed (stdout and stderr together).
-- Inside a cqueues coroutine only that coroutine waits.
function proc.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1 </dev/null; printf '\\n%d' $?", "r"))
  local reader = assert(socket.dup(pipe))
  reader:setmode("b", "b")
  local output = reader:read("*a") or ""
  reader:close()
  pipe:close()
  local text, status = output:match("^(.*)\n(%d+)$")
  return tonumber(status) or -1, text or output
end

-- The same, but a failure is an error that carries what the child said.
function proc.must(command, what)
  local status, output = proc.run(command)
  if status ~= 0 then
    error(("%s failed with status %d: %s"):format(what or command, status, output), 0)
  end
  return output
end

return proc
