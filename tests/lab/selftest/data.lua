-- The Data API, with the real servers behind it.
local harness = require "selftest.harness"
local json = require "core.json"
local luasocket = require "socket"

local check, equal, psql = harness.check, harness.equal, harness.psql

local PRIMARY, FOLLOWER = "postgresql-concave-10231", "postgresql-shaped-20477"

local function id_of(client, name)
  return client.state().maintenance[name].id
end

local function wait_for(client, name, status)
  return harness.wait(10, function() return client.state().maintenance[name].status == status end)
end

local function replication(client)
  client.reset()
  local config = client.state().config
  equal(psql(config.DATABASE_URL, "select pg_is_in_recovery()"), "f", "the primary is writable")
  equal(psql(config.READ_ONLY_REPLICA_URL, "select pg_is_in_recovery()"), "t", "the follower is in recovery")
  equal(psql(config.DATABASE_URL, "select usesuper from pg_user where usename = current_user"), "f", "no superuser")
  equal(psql((config.DATABASE_URL:gsub(":p%x+@", ":wrong@")), "select 1"), nil, "passwords are checked")
  psql(config.DATABASE_URL, "create table seen (n int); insert into seen values (42)")
  check(harness.wait(3, function() return psql(config.READ_ONLY_REPLICA_URL, "select n from seen") == "42" end),
    "what is written arrives at the follower")
  client.control("POST", "sql", { server = "primary", sql = "drop table seen" })
  local answer = client.control("POST", "sql", { server = "follower", sql = "select 1, 'b'" })
  equal(answer.rows[1][1] .. answer.rows[1][2], "1b", "SQL through the control interface")
end

local function information(client)
  client.reset()
  local _, body = client.heroku("GET", "/client/v11/databases/" .. id_of(client, FOLLOWER))
  check(body.following:match("^postgres://127"), "following has no credentials", body.following)
  equal(body.leader, PRIMARY, "leader")
  equal(body.info[2].values[1], "Available", "status")
  _, body = client.heroku("GET", "/client/v11/databases/" .. id_of(client, PRIMARY))
  equal(body.following, json.null, "the primary follows nobody")
  equal(body.resource_url, client.state().config.DATABASE_URL, "resource_url")
  equal(client.heroku("GET", "/client/v11/databases/" .. PRIMARY), 404, "a database is named by its id")
end

-- Runs one maintenance by the given path and checks what every run shows.
local function run(client, name, path)
  local id = id_of(client, name)
  local _, before = client.heroku("GET", "/client/v11/databases/" .. id .. "/wait_status")
  equal(before["waiting?"], false, name .. ": not waiting before")
  equal(client.heroku("POST", path:format(id)), 200, name .. ": started")
  local _, during = client.heroku("GET", "/client/v11/databases/" .. id .. "/wait_status")
  equal(during["waiting?"], true, name .. ": waiting")
  equal(client.heroku("POST", path:format(id)), 422, name .. ": not startable while it runs")
  local variable = name == PRIMARY and "DATABASE_URL" or "READ_ONLY_REPLICA_URL"
  local url = client.state().config[variable]
  check(harness.wait(2, function() return not psql(url, "select 1") end), name .. ": really unavailable")
  check(wait_for(client, name, "completed"), name .. ": completes")
  url = client.state().config[variable]
  equal(psql(url, "select 1"), "1", name .. ": available again")
  local record = client.state().maintenance[name]
  equal(record.starts .. "/" .. record.refused, "1/1", name .. ": counted")
  local status, body = client.heroku("POST", path:format(id))
  equal(status, 422, name .. ": nothing pending any more")
  check(body.id and body.message, name .. ": says so")
end

local function interfaces(client)
  local older, current = "/client/v11/databases/%s/maintenance", "/data/maintenances/v1/%s"
  client.reset()
  local id = id_of(client, PRIMARY)
  local _, body = client.heroku("GET", current:format(id))
  equal(body.status, "ready", "state by the current interface")
  _, body = client.heroku("GET", older:format(id))
  check(body.message:match("required by"), "prose by the older one", body.message)
  client.control("POST", "options", { maintenance_interface = "older" })
  equal(client.heroku("GET", current:format(id)), 404, "without the current interface")
  equal(client.heroku("GET", older:format(id)), 200, "the older one stays")
  client.control("POST", "options", { maintenance_interface = "current", missing_status = 410 })
  equal(client.heroku("POST", older:format(id)), 410, "without the older interface")
  client.reset { plan = "essential-0" }
  local status
  status, body = client.heroku("POST", current:format(id_of(client, PRIMARY)) .. "/run")
  equal(status, 422, "an essential plan")
  check(body.message:match("Essential"), "says why", body.message)
  client.reset { maintenance_status = "none" }
  equal(client.heroku("POST", current:format(id_of(client, PRIMARY)) .. "/run"), 422, "none pending")
end

local function listing(client)
  client.reset()
  local _, app = client.heroku("GET", "/apps/crates-io")
  local _, body = client.heroku("GET", "/data/maintenances/v1/apps/" .. app.id)
  equal(#body.maintenances, 2, "maintenances of the app")
  local base = "/data/maintenances/v1/" .. id_of(client, PRIMARY)
  _, body = client.heroku("GET", base .. "/history/?limit=3")
  equal(#body.maintenances, 0, "no history yet")
  equal(client.heroku("POST", base .. "/window", { day_of_week = "Friday", time_of_day = "06:30" }), 200, "window set")
  _, body = client.heroku("GET", base .. "/window")
  equal(body.window, "Fridays 06:30 to 10:30 UTC", "window read")
  equal(client.heroku("POST", base .. "/schedule", { delay_weeks = "2" }), 200, "schedule")
end

local function delays(client)
  client.reset { visible_delay = 300, maintenance_ms = 100 }
  local id = id_of(client, PRIMARY)
  client.heroku("POST", "/data/maintenances/v1/" .. id .. "/run")
  local _, body = client.heroku("GET", "/client/v11/databases/" .. id .. "/wait_status")
  equal(body["waiting?"], false, "not visible yet")
  _, body = client.heroku("GET", "/data/maintenances/v1/" .. id)
  equal(body.status, "ready", "in neither interface")
  luasocket.sleep(0.32)
  _, body = client.heroku("GET", "/client/v11/databases/" .. id .. "/wait_status")
  equal(body["waiting?"], true, "visible after the delay")
  check(wait_for(client, PRIMARY, "completed"), "it completes")
  client.reset { maintenance_error = "replacement failed", maintenance_ms = 50 }
  id = id_of(client, PRIMARY)
  client.heroku("POST", "/data/maintenances/v1/" .. id .. "/run")
  wait_for(client, PRIMARY, "completed")
  _, body = client.heroku("GET", "/client/v11/databases/" .. id .. "/wait_status")
  equal(body["error?"], true, "a maintenance that fails")
end

local function recovery(client)
  client.reset { maintenance_ms = 100, recovery_ms = 600, rotate_credentials = true }
  local before = client.state().config.DATABASE_URL
  client.heroku("POST", "/data/maintenances/v1/" .. id_of(client, PRIMARY) .. "/run")
  check(harness.wait(3, function() return psql(before, "select pg_is_in_recovery()") == "t" end), "up, but in recovery")
  check(wait_for(client, PRIMARY, "completed"), "it completes")
  local after = client.state()
  check(after.config.DATABASE_URL ~= before, "the url has changed")
  equal(psql(before, "select 1"), nil, "the old password is refused")
  equal(psql(after.config.DATABASE_URL, "select pg_is_in_recovery()"), "f", "the new one works on a writable primary")
  check(harness.wait(5, function() return psql(after.config.READ_ONLY_REPLICA_URL, "select 1") == "1" end),
    "and on the follower")
  equal(#after.releases, 41, "a release tells the app")
end

local function healing(client)
  client.reset()
  client.control("POST", "postgres", { server = "primary", action = "stop" })
  client.control("POST", "postgres", { server = "follower", action = "immediate" })
  equal(client.state().servers.primary .. client.state().servers.follower, "downdown", "both are down")
  client.reset()
  client.control("POST", "postgres", { server = "primary", action = "recovery" })
  local answer = client.control("POST", "sql", { server = "primary", sql = "select pg_is_in_recovery()" })
  equal(answer.rows[1][1], "t", "in recovery")
  client.reset()
  local config = client.state().config
  equal(psql(config.DATABASE_URL, "create table healed ()"), "", "reset makes the primary writable")
  check(harness.wait(3, function() return psql(config.READ_ONLY_REPLICA_URL, "select 1 from healed") == "" end),
    "and the follower streams")
  client.control("POST", "postgres", { server = "follower", action = "promote" })
  client.reset()
  config = client.state().config
  equal(psql(config.READ_ONLY_REPLICA_URL, "select pg_is_in_recovery()"), "t", "a lost follower is rebuilt")
  client.heroku("POST", "/data/maintenances/v1/" .. id_of(client, PRIMARY) .. "/run")
  client.reset()
  equal(psql(client.state().config.DATABASE_URL, "select 1"), "1", "reset in the middle of a maintenance")
  equal(client.state().maintenance[PRIMARY].status, "ready", "which is forgotten")
end

return function(client)
  replication(client)
  information(client)
  client.reset { maintenance_ms = 700 }
  run(client, PRIMARY, "/data/maintenances/v1/%s/run")
  run(client, FOLLOWER, "/client/v11/databases/%s/maintenance")
  interfaces(client)
  listing(client)
  delays(client)
  recovery(client)
  healing(client)
end
