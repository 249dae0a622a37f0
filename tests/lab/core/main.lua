-- A lab's life: it is started, serves until stdin ends (whoever started it has gone) or a signal comes, and leaves nothing.
--
--   main { start = function(queue, dir) … end, parent = options.parent, watch = guardian.watch }
-- start prints the line that says it is ready. watch(dir) guarantees that what runs below the lab's directory ends with the lab;
-- without it there is no directory.
local cqueues = require "cqueues"
local guardian = require "core.guardian"
local signal = require "cqueues.signal"
local socket = require "cqueues.socket"

local function watch_stdin(finish)
  local input = socket.fdopen(0)
  if input then
    input:setmode("b", "b")
    input:onerror(function(_, _, code) return code end)
    -- The pause lets others run even when somebody pours data in without end.
    repeat
      cqueues.sleep(0.01)
      local data = input:read(-4096)
    until not data
  end
  finish(0)
end

local function watch_signals(finish)
  local listener = signal.listen(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  finish(128 + listener:wait())
end

local function directory(options)
  local made, dir = pcall(guardian.make_directory, options.parent)
  if made then return dir end
  io.stderr:write("lab: ", dir, "\n")
  os.exit(1)
end

return function(options)
  signal.ignore(signal.SIGPIPE)
  signal.block(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  math.randomseed()
  local dir = options.watch and directory(options)
  local guard, queue, status = options.watch and options.watch(dir), cqueues.new(), nil
  local function finish(code) status = status or code end
  queue:wrap(watch_stdin, finish)
  queue:wrap(watch_signals, finish)
  queue:wrap(function()
    local ok, why = xpcall(options.start, debug.traceback, queue, dir)
    if not ok then
      io.stderr:write("lab: ", tostring(why), "\n")
      finish(1)
    end
  end)
  while not status do
    local ok, why = queue:step()
    if not ok then io.stderr:write("lab: ", tostring(why), "\n") end
  end
  if guard then guard.finish() end
  os.exit(status)
end
