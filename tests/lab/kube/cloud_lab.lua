-- The simulators of Cloudflare and Linode by themselves. Prints one line of JSON when they are ready, serves until stdin ends or a signal
-- comes, leaves nothing.
--   lua5.4 cloud_lab.lua [--of DIR]
-- --of: the volumes are those of a cluster, DIR/volumes (kube/disks.lua); without, a directory of its own.
-- For specs: GET /_lab/state, /_lab/log; POST /_lab/reset {…options}, /_lab/options {…}, /_lab/faults (core/faults.lua),
-- /_lab/volume {label, size}, /_lab/status {id, status} (of a volume); DELETE /_lab/volume {id}
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = ("%s/../?.lua;%s"):format(here, package.path)

local control_of = require "core.control"
local clouds = require "kube.clouds"
local faults = require "core.faults"
local guardian = require "core.guardian"
local http = require "core.http"
local json = require "core.json"
local disks = require "kube.disks"
local main = require "core.main"
local proc = require "core.proc"
local refusal = require "core.refusal"

local function body_of(request)
  if request.body == "" then return {} end
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  return decoded
end

local function options(world, request)
  for name, value in pairs(body_of(request)) do
    if clouds.DEFAULTS[name] == nil then refusal.raise(422, "invalid_params", "no option " .. name) end
    world.options[name] = value
  end
  return 200, { ok = true }
end

local function reset(world, request)
  if world.own then proc.must("rm -rf " .. proc.quote(world.dir .. "/volumes")) end
  clouds.build(world)
  return options(world, request)
end

local function status(world, request)
  local given = body_of(request)
  local volume = disks.read(world.dir, given.id) or refusal.raise(404, "not_found", "no such volume")
  volume.status, volume.ends_at, volume.ends = given.status, nil, nil
  disks.write(world.dir, volume)
  return 200, { ok = true }
end

local function routes(world)
  local function with(handler) return function(request) return handler(world, request) end end
  return {
    { "GET", "/_lab/state", function() return 200, clouds.state(world) end },
    { "GET", "/_lab/log", function() return 200, json.array(world.log) end },
    { "POST", "/_lab/reset", with(reset) },
    { "POST", "/_lab/options", with(options) },
    { "POST", "/_lab/status", with(status) },
    { "POST", "/_lab/faults", function(request)
      faults.add(world, body_of(request))
      return 200, json.array(world.faults)
    end },
    { "POST", "/_lab/volume", function(request)
      local given = body_of(request)
      local made = disks.create(world.dir, given.label, given.size or 10)
      return 200, { id = made.id, dir = disks.path(world.dir, made.id) .. "/data" }
    end },
    { "DELETE", "/_lab/volume", function(request) disks.remove(world.dir, body_of(request).id) return 200, { ok = true } end },
  }
end

local function control(world)
  return control_of(routes(world))
end

local function start(queue, dir, of)
  local world = clouds.build { queue = queue, dir = of or dir, own = not of }
  local env = clouds.listen(queue, world)
  local port = http.listen(queue, control(world))
  io.stdout:write(json.encode { dir = dir, control = "http://127.0.0.1:" .. port, env = env }, "\n")
  io.stdout:flush()
end

local of = arg[1] == "--of" and arg[2] or nil
main { watch = guardian.watch, start = function(queue, dir) start(queue, dir, of) end }
