-- The fixture partman, upgrades with the real servers behind them, and a token that is replaced.
local harness = require "selftest.harness"
local json = require "core.json"

local check, equal, psql = harness.check, harness.equal, harness.psql

local OLD, NEW = "postgresql-deep-40411", "postgresql-wide-52018"

local function path(client, name, rest)
  return ("/client/v11/databases/%s%s"):format(client.state().databases[name].id, rest)
end

local function refused(client, wanted, method, where, body, what)
  local status, reply = client.heroku(method, where, body)
  equal(status, wanted, what)
  check(type(reply) == "table" and reply.id and reply.message, what .. ": says why", json.encode(reply))
  return reply
end

local function apps(client)
  client.reset { fixture = "partman" }
  local state = client.state()
  local total = 0
  for _, process in pairs(state.formation) do total = total + process.quantity end
  equal(total, 25, "the main app is logs-app")
  equal(state.apps["scheduler-app"].formation.scheduler.size, "Standard-2X", "scheduler-app")
  equal(#state.apps["api-app"].attachments, 0, "api-app has nothing attached")
  equal(psql(state.config.LOGS_READONLY_DATABASE_URL, "select count(*) from log_parts"), "200", "log_parts is on the follower")
  client.reset { fixture = "partman", api_attached = true, log_parts = 0, log_parts_left = 3, scheduler = true }
  state = client.state()
  equal(psql(state.apps["api-app"].config.LOGS_DATABASE_URL, "select count(*) from log_parts"), "3", "rows that are left")
  equal(#state.addons, 3, "with a scheduler")
end

local function upgrade(client)
  client.reset { fixture = "partman", behind_commits = 5, upgrade_ms = 1500 }
  refused(client, 400, "POST", path(client, OLD, "/upgrade/run"), {}, "a leader that is not prepared")
  refused(client, 400, "POST", path(client, OLD, "/upgrade"), {}, "a leader by the older interface")
  refused(client, 400, "POST", path(client, NEW, "/upgrade/prepare"), {}, "a follower is not prepared")
  refused(client, 400, "POST", path(client, NEW, "/upgrade/run"), { version = "14" }, "a version that is not newer")
  refused(client, 422, "POST", path(client, NEW, "/upgrade/run"), { version = 15 }, "a version that is no string")
  refused(client, 422, "POST", path(client, NEW, "/upgrade/run"), { verzion = "15" }, "an unknown key")
  refused(client, 400, "POST", path(client, NEW, "/upgrade/run"), nil, "no body")
  refused(client, 400, "POST", path(client, OLD, "/upgrade/cancel"), {}, "nothing to cancel")
  equal(client.heroku("POST", path(client, NEW, "/upgrade/run"), {}), 200, "started")
  refused(client, 400, "POST", path(client, NEW, "/upgrade/run"), {}, "started already")
  local _, seen = client.heroku("GET", path(client, NEW, "/upgrade/wait_status"))
  equal(seen["waiting?"], true, "it waits")
  equal(seen.step, "1/3", "for the follower to catch up")
  local url = client.state().config.LOGS_READONLY_DATABASE_URL
  equal(psql(url, "select pg_is_in_recovery()"), "t", "which is read meanwhile")
  client.control("POST", "options", { behind_commits = 0 })
  check(harness.wait(5, function() return not psql(url, "select 1") end), "then it is down")
  check(harness.wait(5, function() return client.state().databases[NEW].upgrade == "completed" end), "then upgraded")
  equal(psql(url, "select pg_is_in_recovery()"), "f", "and writable")
  equal(psql(url, "delete from log_parts") and psql(url, "select count(*) from log_parts"), "0", "for the app too")
  equal(psql(client.state().config.LOGS_DATABASE_URL, "select count(*) from log_parts"), "200", "the old one is by itself")
  client.reset()
  equal(client.control("POST", "sql", { server = "follower", sql = "select pg_is_in_recovery()" }).rows[1][1], "t", "it follows again")
end

local function attachments(client)
  client.reset { fixture = "partman" }
  local function attach(addon, name) return { addon = { name = addon }, app = { name = "logs-app" }, name = name, confirm = "logs-app" } end
  local reply = refused(client, 422, "POST", "/addon-attachments", attach(NEW, "LOGS_DATABASE"), "the last name of the old one")
  check(reply.message:match "last attachment to billing app", "is kept", reply.message)
  equal(client.heroku("POST", "/addon-attachments", attach(OLD, "OLD_LOGS")), 201, "another name for it")
  equal(client.heroku("POST", "/addon-attachments", attach(NEW, "LOGS_DATABASE")), 201, "then the name can go")
  local unconfirmed = attach(OLD, "LOGS_DATABASE")
  unconfirmed.confirm = nil
  reply = refused(client, 400, "POST", "/addon-attachments", unconfirmed, "a name in use")
  equal(reply.id, "confirmation_required", "wants a confirmation")
end

local function token(client, ready)
  client.reset()
  client.fault { action = "expire_token", path = "/formation$" }
  equal(client.heroku("GET", "/apps/crates-io"), 200, "the token is taken")
  equal(client.heroku("GET", "/apps/crates-io/formation"), 401, "until the fault")
  equal(client.heroku("GET", "/apps/crates-io"), 401, "and no longer")
  local fresh = { authorization = "Bearer " .. ready.spare_token }
  equal(client.heroku("GET", "/apps/crates-io", nil, fresh), 200, "the other one is")
  client.reset()
  equal(client.heroku("GET", "/apps/crates-io"), 200, "until the reset")
end

return function(client, ready)
  apps(client)
  upgrade(client)
  attachments(client)
  token(client, ready)
end
