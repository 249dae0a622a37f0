-- The Platform API: strictness, formation, config vars, releases, dynos, add-ons.
local harness = require "selftest.harness"
local json = require "core.json"
local luasocket = require "socket"

local check, equal = harness.check, harness.equal

local function strictness(client)
  local heroku = client.heroku
  local function refused(wanted, id, what, ...)
    local status, body = heroku(...)
    equal(status, wanted, what)
    check(type(body) == "table" and body.id == id and type(body.message) == "string", what .. ": body", body)
  end
  client.reset()
  refused(400, "bad_request", "no Accept", "GET", "/apps", nil, { accept = "" })
  refused(406, "not_acceptable", "wrong Accept", "GET", "/apps", nil, { accept = "application/json" })
  refused(401, "unauthorized", "wrong token", "GET", "/apps", nil, { authorization = "Bearer x" })
  refused(401, "unauthorized", "wrong scheme", "GET", "/apps", nil, { authorization = "OAuth x" })
  refused(404, "not_found", "unknown path", "GET", "/nothing")
  refused(404, "not_found", "unknown app", "GET", "/apps/other")
  refused(405, "method_not_allowed", "wrong method", "DELETE", "/apps/crates-io/config-vars")
  local path = "/apps/crates-io/formation"
  refused(400, "bad_request", "no body", "PATCH", path)
  refused(400, "bad_request", "not JSON", "PATCH", path, "{", { ["content-type"] = "application/json" })
  refused(415, "bad_request", "not typed as JSON", "PATCH", path, "{}", { ["content-type"] = "text/plain" })
  refused(422, "invalid_params", "unknown key", "PATCH", path, { updates = json.array(), x = 1 })
  refused(422, "invalid_params", "array wanted", "PATCH", path, { updates = {} })
  refused(422, "invalid_params", "bad quantity", "PATCH", path, { updates = { { type = "web", quantity = "1x" } } })
  refused(422, "invalid_params", "negative", "PATCH", path, { updates = { { type = "web", quantity = "-9" } } })
  refused(422, "invalid_params", "bad size", "PATCH", path, { updates = { { type = "web", size = "Huge" } } })
  refused(404, "not_found", "all or nothing", "PATCH", path,
    { updates = { { type = "web", quantity = 7 }, { type = "nothing", quantity = 1 } } })
  refused(422, "invalid_params", "config must be strings", "PATCH", "/apps/crates-io/config-vars", { A = 1 })
  path = "/apps/crates-io/config-vars"
  refused(422, "invalid_params", "owned var unset", "PATCH", path, { DATABASE_URL = json.null })
  refused(422, "invalid_params", "owned var set", "PATCH", path, { DATABASE_URL = "x" })
  local state = client.state()
  equal(state.formation.web.quantity, 2, "nothing has been scaled")
  equal(#state.releases, 40, "no release was made")
  equal(#client.control("GET", "log?effect=1"), 13, "every changing request is in the log")
end

local function formation(client)
  local heroku = client.heroku
  client.reset { dyno_stop_ms = 150 }
  local status, body = heroku("PATCH", "/apps/crates-io/formation", { updates = {
    { type = "background_worker", quantity = "0" }, { type = "web", quantity = "+1", size = "performance-m" } } })
  equal(status, 200, "batch scaling")
  equal(#body, 2, "answers the formation")
  local state = client.state()
  equal(state.formation.background_worker.quantity, 0, "absolute string")
  equal(state.formation.background_worker.size, "Standard-1X", "the size stays")
  equal(state.formation.web.quantity, 3, "relative string")
  equal(state.formation.web.size, "Performance-M", "size in its own spelling")
  equal(#state.dynos, 4, "a stopped dyno is listed for a while")
  check(harness.wait(2, function() return #client.state().dynos == 3 end), "and gone after that")
  equal(heroku("PATCH", "/apps/crates-io/formation/background_worker", { quantity = 2 }), 200, "single scaling")
  local dynos = select(2, heroku("GET", "/apps/crates-io/dynos"))
  equal(dynos[1].state, "starting", "a new dyno starts")
  check(harness.wait(2, function() return client.state().dynos[1].state == "up" end), "and comes up")
end

local function restarts(client)
  client.reset { dyno_restart_ms = 200, dyno_delay_ms = 100 }
  local wanted = { READ_ONLY_MODE = "1", DB_OFFLINE = "follower" }
  local status, config = client.heroku("PATCH", "/apps/crates-io/config-vars", wanted)
  equal(status, 200, "config set")
  equal(config.READ_ONLY_MODE, "1", "answers the vars")
  check(config.DATABASE_URL:match("^postgres://"), "with those of the attachments")
  local dyno = client.state().dynos[1]
  equal(dyno.version .. dyno.state, "40up", "before the delay the old dynos run")
  local function is(state)
    return function()
      local seen = client.state().dynos[1]
      return seen.version == 41 and seen.state == state
    end
  end
  check(harness.wait(2, is "starting"), "then they start on the new release")
  check(harness.wait(2, is "up"), "then they are up")
  client.heroku("PATCH", "/apps/crates-io/config-vars", { READ_ONLY_MODE = json.null, NEVER_SET = json.null })
  equal(client.state().config.READ_ONLY_MODE, nil, "unset by null")
  equal(#client.state().releases, 42, "one release for a PATCH")
  client.control("POST", "options", { dyno_crash = "web", dyno_delay_ms = 0 })
  client.heroku("PATCH", "/apps/crates-io/config-vars", { A = "1" })
  check(harness.wait(2, function() return client.state().dynos[2].state == "crashed" end), "a type that crashes")
  client.control("POST", "options", { dyno_crash = "", redeploy_never_ends = true })
  client.heroku("PATCH", "/apps/crates-io/config-vars", { A = "2" })
  luasocket.sleep(0.4)
  equal(client.state().dynos[1].state, "starting", "a redeploy that never ends")
  client.reset { equal_config_releases = false }
  client.heroku("PATCH", "/apps/crates-io/config-vars", { RUST_LOG = "info" })
  equal(#client.state().releases, 40, "no release when nothing changes, if so asked")
end

local function paging(client)
  client.reset()
  local function releases(range)
    return client.heroku("GET", "/apps/crates-io/releases", nil, { range = range })
  end
  local status, list = releases("version ..; order=desc,max=1")
  equal(status, 206, "a part of the list")
  equal(#list == 1 and list[1].version, 40, "the newest release")
  equal(releases("nonsense"), 416, "a malformed range")
  equal(releases("colour ..; max=1"), 416, "an unknown field")
  local seen, range = 0, "version ..; max=15"
  repeat
    local part, headers
    status, part, headers = releases(range)
    seen, range = seen + #part, headers["next-range"]
  until not range
  equal(seen, 40, "all pages hold every release once")
  equal(status, 200, "the last page is a 200")
  local one = select(2, client.heroku("GET", "/apps/crates-io/releases/" .. list[1].id))
  equal(one.version, 40, "a release by id")
end

local function limits(client)
  client.reset { rate_limit = 3, rate_refill_per_min = 0 }
  local _, _, headers = client.heroku("GET", "/apps")
  equal(headers["ratelimit-remaining"], "2", "a request costs a token")
  check(headers["request-id"], "every answer has a Request-Id")
  local _, body = client.heroku("GET", "/account/rate-limits")
  equal(body.remaining, 2, "asking for the rest costs nothing")
  client.heroku("GET", "/apps")
  client.heroku("GET", "/apps")
  local status, refused = client.heroku("GET", "/apps")
  equal(status, 429, "an empty pool")
  equal(refused.id, "rate_limit", "says so")
end

local function addons(client)
  client.reset { scheduler = false }
  local heroku = client.heroku
  local sdk = { accept = "application/vnd.heroku+json; version=3.sdk", ["accept-inclusion"] = "addon:plan,config_vars" }
  local _, plain = heroku("GET", "/apps/crates-io/addon-attachments")
  equal(plain[1].config_vars, nil, "plain attachments have no config vars")
  local _, full = heroku("GET", "/apps/crates-io/addon-attachments", nil, sdk)
  equal(full[1].config_vars[1], "DATABASE_URL", "asked for, they have")
  equal(full[1].addon.plan.name, "heroku-postgresql:standard-0", "and the plan")
  for _, key in ipairs { "DATABASE", "DATABASE_URL" } do
    local question = { addon_attachment = key, app = "crates-io" }
    local _, found = heroku("POST", "/actions/addon-attachments/resolve", question, sdk)
    equal(#found == 1 and found[1].addon.name, "postgresql-concave-10231", "resolves " .. key)
  end
  local question = { addon_attachment = "X", app = "crates-io" }
  local status, body = heroku("POST", "/actions/addon-attachments/resolve", question)
  equal(status .. body.resource, "404add_on attachment", "an unknown attachment")
  local _, found = heroku("POST", "/actions/addons/resolve", { addon = "READ_ONLY_REPLICA", app = "crates-io" })
  equal(found[1].name, "postgresql-shaped-20477", "the add-on resolver")
  equal(#client.control("GET", "log?effect=1"), 0, "resolving changes nothing")
  status, body = heroku("POST", "/addon-attachments",
    { addon = { name = "postgresql-shaped-20477" }, app = { name = "crates-io" }, name = "DATABASE" })
  equal(status .. body.id, "400confirmation_required", "a name in use wants a confirmation")
  status, body = heroku("POST", "/addon-attachments",
    { addon = "postgresql-shaped-20477", app = "crates-io", name = "LOGS_DATABASE" })
  equal(status, 201, "attached")
  check(client.state().config.LOGS_DATABASE_URL, "its config var appears")
  equal(heroku("DELETE", "/addon-attachments/" .. body.id), 200, "detached")
  equal(client.state().config.LOGS_DATABASE_URL, nil, "its config var is gone")
  status, body = heroku("POST", "/apps/crates-io/addons", { plan = "scheduler:standard" })
  equal(status, 201, "a scheduler is created")
  check(body.web_url:match("^https://"), "it has a dashboard")
  equal(heroku("POST", "/apps/crates-io/addons", { plan = "scheduler:standard" }), 422, "but not twice")
  client.reset { followers = 2, hand_copied_replica_url = true }
  local state = client.state()
  equal(#state.addons, 4, "two followers")
  equal(state.config.READ_ONLY_REPLICA_URL, state.config.HEROKU_POSTGRESQL_IVORY_URL, "a url copied by hand")
  check(state.config.HEROKU_POSTGRESQL_ROSE_URL ~= state.config.HEROKU_POSTGRESQL_IVORY_URL, "distinct followers")
  client.reset { followers = 0 }
  equal(client.state().config.READ_ONLY_REPLICA_URL, nil, "no follower")
  local worker = { quantity = 3, size = "Standard-2X" }
  client.reset { config = { READ_ONLY_MODE = "1" }, formation = { background_worker = worker } }
  state = client.state()
  equal(state.config.READ_ONLY_MODE .. #state.releases, "140", "preset config makes no release")
  equal(state.formation.background_worker.quantity, 3, "preset formation")
end

return function(client)
  strictness(client)
  formation(client)
  restarts(client)
  paging(client)
  limits(client)
  addons(client)
end
