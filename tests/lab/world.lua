-- The whole state of the lab in one table: options, request log, faults, and what each simulator holds.
local luasocket = require "socket"
local check = require "core.check"
local json = require "core.json"
local fixtures = require "heroku.fixtures"
local refusal = require "core.refusal"

local world = {}

-- Every option with its default. Durations are milliseconds.
local DEFAULTS = {
  service_time = 0,               -- latency of every request
  dyno_delay_ms = 0,              -- before a release or scaling shows on the dynos
  dyno_restart_ms = 150,          -- from starting to up
  dyno_stop_ms = 50,              -- a dyno scaled away is still listed this long
  dynos_held = false,             -- restarted dynos stay starting as long as this is set
  dyno_crash = "",                -- process type whose dynos end crashed instead of up
  redeploy_never_ends = false,    -- dynos stay starting
  equal_config_releases = true,   -- a PATCH of config vars that changes nothing makes a release all the same
  visible_delay = 0,              -- before a started maintenance shows in any reading
  maintenance_ms = 400,           -- the server is down
  maintenance_held = false,       -- and longer, as long as this is set
  recovery_ms = 0,                -- then up but in recovery
  rotate_credentials = false,     -- the maintenance gives the application a new password
  maintenance_interface = "both", -- both, current, older: which endpoints exist
  missing_status = 404,           -- what the others answer: 404 or 410
  maintenance_status = "ready",   -- before a run: none, pending, preparing, ready
  maintenance_error = "",         -- wait_status ends with error? true and this message
  plan = "standard-0",            -- of every heroku-postgresql add-on
  followers = 1,                  -- 0, 1, 2
  hand_copied_replica_url = false,-- READ_ONLY_REPLICA_URL is set by hand, not by an attachment
  fixture = "crates-io",          -- or partman (partman/README.md): which apps and add-ons there are
  api_attached = false,           -- partman: api-app has the old primary as LOGS_DATABASE
  log_parts = 200,                -- partman: rows of log_parts whose log is aggregated
  log_parts_left = 0,             -- partman: rows whose log is not
  pg_version = "15.15",           -- that Heroku says of every database
  upgrade_to = "17",              -- major version of an upgrade that names none
  upgrade_interface = "both",     -- both, current, older: which endpoints exist
  upgrade_catchup_ms = 20,        -- a follower that is upgraded catches up, a leader is prepared
  upgrade_ms = 20,                -- then the server is down
  upgrade_error = "",             -- the upgrade fails with this message, and the server is as it was
  behind_commits = 0,             -- a follower is so far behind; its upgrade waits until that is 0
  addon_provision_ms = 0,         -- a created add-on is in the making
  addon_fails = false,            -- and then deprovisioned
  scheduler = true,               -- a scheduler:standard add-on exists
  rate_limit = 4500,              -- Heroku's pool of tokens
  rate_refill_per_min = 75,
  page_size = 200,                -- of Heroku's lists
  statuspage_limit = 60,          -- requests in the window
  statuspage_window_s = 60,
  statuspage_components_limit = 1,-- unpaginated lists of components in the window
}

local PROCESS = check.record({ quantity = check.natural, size = check.filled }, { "quantity" })
local QUANTITY = check.either(check.natural, PROCESS)

local KINDS = {
  dyno_crash = check.string, maintenance_error = check.string, plan = check.filled,
  maintenance_interface = check.one_of { "both", "current", "older" },
  upgrade_interface = check.one_of { "both", "current", "older" }, fixture = check.one_of { "crates-io", "partman" },
  pg_version = check.pattern("^%d+%.%d+$", "a version"), upgrade_to = check.pattern("^%d+$", "a major version"),
  upgrade_error = check.string,
  maintenance_status = check.one_of { "none", "pending", "preparing", "ready" },
  -- Not kept as options: they shape the application once.
  config = check.map(check.filled, check.nullable(check.string)),
  formation = check.map(check.filled, QUANTITY),
}

for name, default in pairs(DEFAULTS) do
  if not KINDS[name] then KINDS[name] = type(default) == "boolean" and check.boolean or check.natural end
end

local OPTIONS = check.record(KINDS)

function world.new(details)
  local self = {
    -- The second token takes the first one's place when a fault says so.
    tokens = { details.api_key, details.spare_key }, statuspage_key = details.statuspage_key, pg = details.pg, queue = details.queue,
    generation = 0,
  }
  world.clear(self)
  return self
end

-- Options and logs as on the first day. The simulators' own parts are rebuilt by the caller.
function world.clear(self)
  self.generation = self.generation + 1
  self.api_key = self.tokens[1]
  self.options, self.log, self.log_count, self.faults = {}, {}, 0, {}
  for name, value in pairs(DEFAULTS) do self.options[name] = value end
end

-- Checks and stores options; returns what is not an option proper (config, formation).
function world.set_options(self, given)
  local why = OPTIONS(given, "options")
  if not why and given.followers and given.followers > 2 then why = "options.followers must be 0, 1 or 2" end
  if why then refusal.raise(422, "invalid_params", why) end
  local shape = {}
  for name, value in pairs(given.fixture and fixtures[given.fixture].options or {}) do self.options[name] = value end
  for name, value in pairs(given) do
    if DEFAULTS[name] == nil then shape[name] = value else self.options[name] = value end
  end
  return shape
end

function world.now()
  return luasocket.gettime()
end

-- 2018-09-17T19:29:21Z; null when there is no time.
function world.timestamp(seconds)
  if not seconds then return json.null end
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds))
end

function world.uuid()
  local text = ("xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"):gsub("[xy]", function(kind)
    return ("%x"):format(kind == "x" and math.random(0, 15) or math.random(8, 11))
  end)
  return text
end

return world
