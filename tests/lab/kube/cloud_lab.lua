-- The simulators of Cloudflare and Linode by themselves. Prints one line of JSON when they are ready, serves until stdin ends or a signal
-- comes, leaves nothing.
--   lua5.4 cloud_lab.lua [--dir PARENT]
-- For specs: GET /_lab/state, /_lab/log; POST /_lab/reset {…options}, /_lab/faults (core/faults.lua), /_lab/volume {label, size, attached},
-- DELETE /_lab/volume {id}
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = ("%s/../?.lua;%s"):format(here, package.path)

local cqueues = require "cqueues"
local signal = require "cqueues.signal"
local socket = require "cqueues.socket"
local clouds = require "kube.clouds"
local faults = require "core.faults"
local guardian = require "core.guardian"
local http = require "core.http"
local json = require "core.json"
local linode = require "kube.linode"
local proc = require "core.proc"
local refusal = require "core.refusal"
local router = require "core.router"

local function body_of(request)
  if request.body == "" then return {} end
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  return decoded
end

local function reset(world, request)
  proc.must(("rm -rf %s && mkdir -p %s"):format(proc.quote(world.volumes_dir), proc.quote(world.volumes_dir)))
  clouds.build(world)
  for name, value in pairs(body_of(request)) do
    if clouds.DEFAULTS[name] == nil then refusal.raise(422, "invalid_params", "no option " .. name) end
    world.options[name] = value
  end
  return 200, { ok = true }
end

local function routes(world)
  local function with(handler) return function(request) return handler(world, request) end end
  return {
    { "GET", "/_lab/state", function() return 200, clouds.state(world) end },
    { "GET", "/_lab/log", function() return 200, json.array(world.log) end },
    { "POST", "/_lab/reset", with(reset) },
    { "POST", "/_lab/faults", function(request)
      faults.add(world, body_of(request))
      return 200, json.array(world.faults)
    end },
    { "POST", "/_lab/volume", function(request)
      local made = linode.add(world, body_of(request))
      return 200, { id = made.id, dir = linode.directory(world, made.id) }
    end },
    { "DELETE", "/_lab/volume", function(request) linode.remove(world, body_of(request).id) return 200, { ok = true } end },
  }
end

local function control(world)
  local compiled = router.new(routes(world))
  return function(request)
    local route, captures = router.find(compiled, request.method, request.path)
    local ok, status, body = pcall(function()
      if not route then refusal.raise(404, "not_found", "no such control call") end
      return route.handler(request, captures)
    end)
    if not ok then
      local failure = refusal.is(status) and status or { status = 500, id = "internal", message = tostring(status) }
      status, body = failure.status, { id = failure.id, message = failure.message }
    end
    return { status = status, headers = { ["Content-Type"] = "application/json" }, body = json.encode(body) }
  end
end

local function start(queue, dir)
  local world = clouds.build { queue = queue, volumes_dir = dir .. "/volumes" }
  proc.must("mkdir -p " .. proc.quote(world.volumes_dir))
  local env = clouds.listen(queue, world)
  local port = http.listen(queue, control(world))
  io.stdout:write(json.encode { dir = dir, control = "http://127.0.0.1:" .. port, env = env }, "\n")
  io.stdout:flush()
end

-- Raises an event when stdin ends: whoever started the lab has gone.
local function watch_stdin(finish)
  local input = socket.fdopen(0)
  if input then
    input:setmode("b", "b")
    input:onerror(function(_, _, code) return code end)
    repeat
      cqueues.sleep(0.01)
      local data = input:read(-4096)
    until not data
  end
  finish(0)
end

local function main()
  local parent = arg[1] == "--dir" and arg[2] or nil
  signal.ignore(signal.SIGPIPE)
  signal.block(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  math.randomseed()
  local dir = guardian.make_directory(parent)
  local guard, queue, status = guardian.watch(dir), cqueues.new(), nil
  local function finish(code) status = status or code end
  queue:wrap(watch_stdin, finish)
  queue:wrap(function() finish(128 + signal.listen(signal.SIGTERM, signal.SIGINT, signal.SIGHUP):wait()) end)
  queue:wrap(function()
    local ok, why = xpcall(start, debug.traceback, queue, dir)
    if not ok then
      io.stderr:write("lab: ", tostring(why), "\n")
      finish(1)
    end
  end)
  while not status do
    local ok, why = queue:step()
    if not ok then io.stderr:write("lab: ", tostring(why), "\n") end
  end
  guard.finish()
  os.exit(status)
end

main()
