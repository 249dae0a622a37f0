-- Heroku's maintenance of the follower database. No announcement and no read-only mode: the primary takes the follower's load
-- meanwhile, which is why it is not done at peak traffic.
procedure {
  name = "heroku-follower",
  summary = "Heroku maintenance of the follower database; the primary takes its load meanwhile",
}

local app_name = param.string { "app", "Heroku app", required = true, placeholder = "<app>" }
local follower_name = param.string { "follower", "attachment or config var of the follower", default = "READ_ONLY_REPLICA" }
local database = param.string { "database", "attachment or config var of the primary", default = "DATABASE" }
local offline_var = param.string { "offline-var", "config var that takes the follower out", default = "DB_OFFLINE" }
local at_peak = param.boolean { "at-peak", "go ahead at peak traffic, without asking", default = false }
local peak_hours = param.string {
  "peak-hours", "when traffic is at its peak, in UTC; without it the operator is asked", pattern = "%d%d:%d%d%-%d%d:%d%d",
  looks_like = "14:00-22:00",
}
local any_state = param.boolean { "any-state", "go ahead also when Heroku does not say that a maintenance is ready", default = false }
local redeploy_limit = param.duration { "redeploy-timeout", "longest wait for a redeploy", default = "10m" }
local crashed_limit = param.duration { "crashed-after", "how long a dyno may stay crashed in a redeploy", default = "30s" }
local maintenance_limit = param.duration { "maintenance-timeout", "longest wait for the maintenance", default = "30m" }
local settle = param.duration { "settle", "when the answer to a change is lost: how long the service is asked for it", default = "20s" }
local unseen_limit = param.duration { "unseen-after", "how long a maintenance that Heroku accepted may stay invisible", default = "2m" }
local database_limit = param.duration { "database-timeout", "longest wait for a database to answer", default = "5m" }

local app = heroku.app(app_name, { settle = settle })
local db = app:database(database)
local follower = app:database(follower_name)
local redeploy = { timeout = redeploy_limit, crashed = crashed_limit }

local function is_peak(now)
  local from, to = peak_hours:match "^(.-)%-(.*)$"
  if from <= to then return now >= from and now < to end
  return now >= from or now < to
end

local function answers()
  wait.upto(database_limit, follower_name .. " answers", function() return follower:answers() end)
end

preflight "The app and its config vars" (function()
  app:check_credential()
  if app:config()[offline_var] then
    problem("%s is set already: is somebody at a maintenance? heroku config:unset -a %s %s", offline_var, app_name, offline_var)
  end
end)

preflight "The follower" (function()
  for _, text in ipairs(follower:maintenance_problems { any_state = any_state }) do problem("%s", text) end
  local found = follower:lookup()
  if not found.found then return end
  local leader = follower:follower_of()
  if not leader then problem("%s is no follower; its maintenance is heroku-primary's", follower_name) end
  if found.copied then
    log.warn("%s is a copy of the URL of %s, set by hand: renew it when the maintenance changes credentials", found.copied, found.addon)
  end
  local answer, seen = follower:answers()
  if not answer then problem("%s does not answer: %s", follower_name, seen) end
end)

preflight "The primary can take the load" (function()
  local found = db:lookup()
  if not found.found then return problem("%s", found.why) end
  local takes_writes, seen = db:accepts_writes()
  if not takes_writes then problem("%s takes no writes: %s", database, seen) end
  if at_peak then return end
  local now = os.date "!%H:%M"
  if peak_hours then
    if is_peak(now) then problem("it is %s UTC, peak traffic is %s: wait, or give --at-peak", now, peak_hours) end
    return
  end
  local busy = db:value "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
  local text = "The primary takes the whole load meanwhile (%d queries run on it now, it is %s UTC). Is traffic away from its peak?"
  if not ask(text:format(busy, now)) then problem "it is peak traffic: wait, or give --at-peak" end
end)

at "start"
step "Do without the follower" {
  id = "disconnect-follower",
  run = function() return app:config { [offline_var] = "follower" } end,
  verify = { offline_var .. " is set", function() return app:config_is { [offline_var] = "follower" } end },
  note = function(_, result) return ("%s=follower · v%s"):format(offline_var, tostring(result.release)) end,
  undo = { "unset " .. offline_var .. " once the follower answers, and wait for the redeploy", function()
    answers()
    app:config { [offline_var] = unset }
    app:wait_for_release(redeploy)
  end },
}

step "Wait for the redeploy" {
  id = "wait-disconnected",
  run = function() app:wait_for_release(redeploy) end,
}

local maintenance = step "Run the maintenance" {
  id = "run-maintenance",
  keep = function() return follower:maintenance_before() end,
  run = function(kept) return follower:run_maintenance { force = true, before = kept } end,
  doc = "It is started once. When its answer is lost, Heroku's own record of the maintenance decides whether it began.",
  undo = { "it cannot be taken back: wait until it is over", function(kept)
    follower:wait_maintenance { before = kept, however = true, timeout = maintenance_limit, settle = settle }
  end },
}

step "Wait for the maintenance" {
  run = function() return follower:wait_maintenance { before = maintenance.kept, timeout = maintenance_limit, settle = unseen_limit } end,
}

step "The follower is ready" (function()
  wait.upto(database_limit, "every database is available", function() return app:databases_available() end)
end)

step "The follower responds to queries" (answers)

step "Connect the follower" {
  id = "connect-follower",
  run = function() return app:config { [offline_var] = unset } end,
  undo = { "nothing: it leads back to where the run began", function() end },
  verify = { offline_var .. " is not set", function() return app:config_is { [offline_var] = unset } end },
  note = function(_, result) return ("%s unset · v%s"):format(offline_var, tostring(result.release)) end,
}

step "Wait for the redeploy" {
  id = "wait-connected",
  run = function() app:wait_for_release(redeploy) end,
}
