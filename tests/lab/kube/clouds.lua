-- Cloudflare and Linode together: their options, their part of a lab's world, their addresses.
--
--   local world = { queue = …, dir = … }   clouds.build(world)      tokens, options, state, as on the first day
--   local env = clouds.listen(queue, world)        what a client needs in its environment
local cloudflare = require "kube.cloudflare"
local http = require "core.http"
local linode = require "kube.linode"
local luasocket = require "socket"
local service = require "core.service"

local clouds = {}

-- Durations in ms where the name says so, windows in seconds.
clouds.DEFAULTS = {
  service_time = 0,            -- latency of every request
  cloudflare_limit = 1200,     -- requests within cloudflare_window_s
  cloudflare_window_s = 300,
  cloudflare_read_only = false,-- the token may not change routes
  linode_limit = 1600,         -- requests within linode_window_s, lists apart
  linode_list_limit = 200,
  linode_window_s = 60,
  linode_read_only = false,    -- the token's scope is volumes:read_only
  linode_unique_labels = true, -- no two volumes of a label
  linode_clone_ms = 100,       -- from creating to what it ends as
  linode_clone_ends = "active",-- or contact_support
}

local function word(length)
  local out = {}
  for i = 1, length do out[i] = ("%x"):format(math.random(0, 15)) end
  return table.concat(out)
end

---Tokens (once), logs, options and state of both, as on the first day.
function clouds.build(world)
  world.now = world.now or luasocket.gettime
  world.cloudflare_token = world.cloudflare_token or word(40)
  world.linode_token = world.linode_token or word(64)
  world.log, world.log_count, world.faults = {}, 0, {}
  world.options = world.options or {}
  for name, value in pairs(clouds.DEFAULTS) do world.options[name] = value end
  world.cloudflare, world.linode = cloudflare.new(world), linode.new(world)
  return world
end

---Serve both; the environment of a client.
function clouds.listen(queue, world)
  local function url(definition, path)
    return ("http://127.0.0.1:%d%s"):format(http.listen(queue, service.handler(definition)), path)
  end
  return {
    PGSH_CLOUDFLARE_URL = url(cloudflare.definition(world), "/client/v4"), CLOUDFLARE_API_TOKEN = world.cloudflare_token,
    PGSH_LINODE_URL = url(linode.definition(world), "/v4"), LINODE_TOKEN = world.linode_token,
  }
end

---For specs.
function clouds.state(world)
  return { zones = cloudflare.state(world), volumes = linode.state(world) }
end

return clouds
