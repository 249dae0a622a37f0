-- Heroku's maintenance of the primary database. Heroku prepares a hidden follower and switches over to it; the application is
-- read-only meanwhile, so that the follower can catch up, and does without its own follower, whose connections may fail.
procedure {
  name = "heroku-primary",
  summary = "Heroku maintenance of the primary database, read-only for less than five minutes",
}

local app_name = param.string { "app", "Heroku app", required = true, placeholder = "<app>" }
local worker_type = param.string { "worker", "process type that writes in the background", default = "background_worker" }
local worker_restore = param.string {
  "worker-restore", "scale the worker up to this instead of what it was", pattern = "%d+:?[%w%-]*", looks_like = "2 or 2:Standard-2X",
}
local page_id = param.string { "page", "id of the Statuspage page; without it nothing is announced", pattern = "%w+", looks_like = "an id" }
local page_components = param.list { "page-components", "ids of the page's components to show as under maintenance" }
local notify = param.boolean { "notify", "let the status page notify its subscribers", default = true }
local database = param.string { "database", "attachment or config var of the primary", default = "DATABASE" }
local follower_given = param.string { "follower", "attachment or config var of the follower (READ_ONLY_REPLICA, when there is one)" }
local read_only_var = param.string { "read-only-var", "config var that makes the app read-only", default = "READ_ONLY_MODE" }
local offline_var = param.string { "offline-var", "config var that takes the follower out", default = "DB_OFFLINE" }
local budget = param.duration { "budget", "how long users may be read-only", default = "5m" }
local any_state = param.boolean { "any-state", "go ahead also when Heroku does not say that a maintenance is ready", default = false }

local announce_from = param.time { "announce-from", "announce the maintenance ahead of time: from" }
local announce_to = param.time { "announce-to", "announce the maintenance ahead of time: to" }
local site = param.string { "site", "how the messages call the service", default = "crates.io" }
local title = param.string { "title", "name of the maintenance on the status page", default = "Database maintenance" }
local effect = param.text {
  "effect", "what users notice, in the messages; {site} and {budget} are filled in",
  default = "We expect this to take less than {budget} to complete. During maintenance {site} will only be available in read-only mode: "
    .. "downloading crates and visiting the website will still work, but logging in, publishing crates, yanking crates or changing "
    .. "owners will not work.",
}
local announce_text = param.text {
  "announce-message", "announcement ahead of time; {date}, {from}, {to} (UTC), {site}, {effect} are filled in",
  default = "The {site} team will perform a database maintenance on {date} from {from} to {to} UTC.\n\n{effect}",
}
local start_text = param.text {
  "start-message", "message when it begins", default = "Scheduled maintenance on our database is starting.\n\n{effect}",
}
local end_text = param.text {
  "end-message", "message when users are no longer affected", default = "Scheduled maintenance finished successfully.",
}
local abort_text = param.text {
  "abort-message", "message when the maintenance is taken back",
  default = "Scheduled maintenance on our database was called off. {site} works as usual.",
}

local redeploy_limit = param.duration { "redeploy-timeout", "longest wait for a redeploy", default = "10m" }
local crashed_limit = param.duration { "crashed-after", "how long a dyno may stay crashed in a redeploy", default = "30s" }
local dyno_limit = param.duration { "dyno-timeout", "longest wait for the worker to stop or start", default = "5m" }
local maintenance_limit = param.duration { "maintenance-timeout", "longest wait for the maintenance", default = "30m" }
local settle = param.duration { "settle", "when the answer to a change is lost: how long the service is asked for it", default = "20s" }
local unseen_limit = param.duration { "unseen-after", "how long a maintenance that Heroku accepted may stay invisible", default = "2m" }
local database_limit = param.duration { "database-timeout", "longest wait for a database to answer", default = "5m" }

-- What is worked on -----------------------------------------------------------------------------------------------------------

local app = heroku.app(app_name, { settle = settle })
local db = app:database(database)
local follower = app:database(follower_given or "READ_ONLY_REPLICA")
local page = page_id and statuspage.page(page_id, { settle = settle })
local read_only = clock { "read-only", budget = budget }

local replica = fact "follower" (function() return follower:lookup() end)
local scheduler = fact "scheduler" (function() return app:lookup_service "scheduler" end)

local with_page = { page ~= nil, "no status page is given (--page)" }
local with_follower = { replica.found, ("no follower: %s"):format(tostring(replica.why)) }
local with_scheduler = { scheduler.found, tostring(scheduler.why) }
local redeploy = { timeout = redeploy_limit, crashed = crashed_limit }

local function minutes(seconds)
  if seconds % 60 ~= 0 then return ("%g seconds"):format(seconds) end
  return seconds == 60 and "a minute" or ("%d minutes"):format(seconds // 60)
end

-- A message with its {words} filled in.
local function filled(text)
  local words = { site = site, budget = minutes(budget), date = "YYYY-MM-DD", from = "hh:mm", to = "hh:mm" }
  if announce_from and announce_to then
    words.date, words.from, words.to = announce_from:sub(1, 10), announce_from:sub(12, 16), announce_to:sub(12, 16)
  end
  return (text:gsub("{effect}", (effect:gsub("%%", "%%%%"))):gsub("{(%l+)}", words))
end

announce_text, start_text, end_text, abort_text = filled(announce_text), filled(start_text), filled(end_text), filled(abort_text)

-- Steps that lead back to where the run began have nothing to take back.
local leads_back = { "nothing: it leads back to where the run began", function() end }

local function restored(kept)
  if not worker_restore then return kept and kept.was end
  local quantity, size = worker_restore:match "^(%d+):?(.*)$"
  return { quantity = math.tointeger(tonumber(quantity)), size = size ~= "" and size or nil }
end

local function shown(process)
  return ("%d:%s"):format(process.quantity, process.size or "same size")
end

-- Before anything changes -----------------------------------------------------------------------------------------------------

preflight "The app, its processes and config vars" (function()
  app:check_credential()
  local processes, vars = app:formation(), app:config()
  if not processes[worker_type] then problem("%s has no process type %s (--worker)", app_name, worker_type) end
  for _, name in ipairs { read_only_var, offline_var } do
    if vars[name] then problem("%s is set already: is somebody at a maintenance? heroku config:unset -a %s %s", name, app_name, name) end
  end
end)

preflight "The primary" (function()
  for _, text in ipairs(db:maintenance_problems { any_state = any_state }) do problem("%s", text) end
  if not db:lookup().found then return end
  local leader = db:follower_of()
  if leader then problem("%s is no primary: it follows %s", database, leader) end
  local takes_writes, seen = db:accepts_writes()
  if not takes_writes then problem("%s takes no writes: %s", database, seen) end
end)

preflight "The follower" (function()
  if not replica.found then
    if follower_given or not replica.absent then problem("--follower: %s", replica.why) end
    return log.info("%s has no follower: nothing is taken out and put back", app_name)
  end
  local leader = follower:follower_of()
  if leader ~= db:addon().name then problem("%s does not follow %s but %s", follower.name, database, leader or "nobody") end
  if replica.copied then
    log.warn("%s is a copy of the URL of %s, set by hand: renew it when the maintenance changes credentials", replica.copied, replica.addon)
  end
  local answers, seen = follower:answers()
  if not answers then problem("%s does not answer: %s", follower.name, seen) end
end)

preflight "All databases are available" (function()
  local available, seen = app:databases_available()
  if not available then problem("%s", seen) end
end)

preflight "The status page" {
  when = with_page,
  run = function()
    if (announce_from == nil) ~= (announce_to == nil) then problem "--announce-from and --announce-to go together" end
    if announce_from and announce_to and announce_to <= announce_from then problem "--announce-to must be later than --announce-from" end
    for _, incident in ipairs(page:find(title)) do
      if incident.status ~= "scheduled" then problem("\"%s\" is %s on the status page already: %s", title, incident.status, incident.id) end
    end
  end,
}

-- Ahead of time ---------------------------------------------------------------------------------------------------------------

step "Announce ahead of time" {
  id = "announce-ahead",
  when = { page ~= nil and announce_from ~= nil, page and "no --announce-from and --announce-to" or with_page[2] },
  keep = function() return page:before(title) end,
  run = function(kept)
    return page:schedule {
      name = title, body = announce_text, from = announce_from, ["until"] = announce_to, components = page_components,
      notify = notify, known = kept.known,
    }
  end,
  note = function(_, result) return "maintenance " .. tostring(result.json.id) end,
  undo = { "say on the status page that it is called off", function(kept)
    local id = page:made(title, kept.known)
    if id then page:complete(id, abort_text, { components = page_components, notify = notify }) end
  end },
}

at "start - 1h"
manual "Disable the downloads-count job" {
  id = "disable-job",
  when = with_scheduler,
  text = "In the Heroku Scheduler, change the schedule of the job that enqueues the downloads count updater so that it does not run "
    .. "during the maintenance: it uses a lot of database resources.",
  url = ("https://dashboard.heroku.com/apps/%s/scheduler"):format(app_name),
}

at "start - 5m"
local stopped = step "Stop the background worker" {
  id = "stop-worker",
  keep = function() return { was = app:formation(worker_type) } end,
  run = function()
    app:scale { [worker_type] = 0 }
    app:wait_for_dynos(worker_type, { timeout = dyno_limit })
  end,
  verify = { "no dyno of " .. worker_type .. " is up", function()
    local up = app:dynos_up(worker_type)
    return up == 0, tostring(up)
  end },
  note = function(kept) return shown(kept.was) .. " → 0" end,
  undo = { "scale it up to what it was", function(kept) app:scale { [worker_type] = kept.was } end },
}

-- The maintenance -------------------------------------------------------------------------------------------------------------

at "start"
local begun = step "Announce the start" {
  id = "announce-start",
  when = with_page,
  keep = function() return page:before(title) end,
  run = function(kept)
    if kept.scheduled then
      return page:update(kept.scheduled, {
        status = "in_progress", body = start_text, components = page_components, component_status = "under_maintenance", notify = notify,
      })
    end
    return page:start {
      name = title, body = start_text, lasts = budget, components = page_components, notify = notify, known = kept.known,
    }
  end,
  note = function(_, result) return "incident " .. tostring(result.json.id) end,
  undo = { "say on the status page that it is called off", function(kept)
    local id = kept.scheduled or page:made(title, kept.known)
    if id then page:complete(id, abort_text, { components = page_components, notify = notify }) end
  end },
}

local on = replica.found and { [read_only_var] = "1", [offline_var] = "follower" } or { [read_only_var] = "1" }
local off = replica.found and { [read_only_var] = unset, [offline_var] = unset } or { [read_only_var] = unset }

step "Read-only, without the follower" {
  id = "read-only",
  opens = read_only,
  run = function() return app:config(on) end,
  verify = { "the config vars are set", function() return app:config_is(on) end },
  note = function(_, result) return ("%s · v%s"):format(app:config_text(on), tostring(result.release)) end,
  undo = { "unset the config vars and wait for the redeploy", function()
    app:config(off)
    app:wait_for_release(redeploy)
  end },
}

step "Wait for the redeploy" {
  id = "wait-read-only",
  run = function() app:wait_for_release(redeploy) end,
}

local maintenance = step "Run the maintenance" {
  id = "run-maintenance",
  keep = function() return db:maintenance_before() end,
  run = function(kept) return db:run_maintenance { force = true, before = kept } end,
  doc = "It is started once. When its answer is lost, Heroku's own record of the maintenance decides whether it began.",
  undo = { "it cannot be taken back: wait until it is over", function(kept)
    db:wait_maintenance { before = kept, however = true, timeout = maintenance_limit, settle = settle }
  end },
}

step "Wait for the maintenance" {
  run = function() return db:wait_maintenance { before = maintenance.kept, timeout = maintenance_limit, settle = unseen_limit } end,
}

step "All databases are online" (function()
  wait.upto(database_limit, "every database is available", function() return app:databases_available() end)
end)

step "The primary has recovered" (function()
  wait.upto(database_limit, database .. " is out of recovery and takes writes", function() return db:accepts_writes() end)
end)

step "Leave read-only mode" {
  id = "leave-read-only",
  run = function() return app:config { [read_only_var] = unset } end,
  verify = { read_only_var .. " is not set", function() return app:config_is { [read_only_var] = unset } end },
  note = function(_, result) return ("%s unset · v%s"):format(read_only_var, tostring(result.release)) end,
  undo = leads_back,
  doc = "In the dashboard a red badge with \"-\" means that the variable was removed; a failure would be a red badge with \"x\".",
}

step "Wait for the redeploy" {
  id = "wait-writable",
  closes = read_only,
  run = function() app:wait_for_release(redeploy) end,
}

-- Users are no longer affected ------------------------------------------------------------------------------------------------

step "Announce the end" {
  id = "announce-end",
  when = with_page,
  run = function()
    return page:complete(begun.result.json.id, end_text, { components = page_components, notify = notify })
  end,
  undo = leads_back,
  doc = "Here and not at the end: from now on users are no longer affected.",
}

step "Start the background worker" {
  id = "start-worker",
  keep = function() return { was = restored(stopped.kept) } end,
  when = { function() return restored(stopped.kept) ~= nil end, "it was not stopped by this run" },
  run = function(kept)
    app:scale { [worker_type] = kept.was }
    app:wait_for_dynos(worker_type, { timeout = dyno_limit })
  end,
  undo = leads_back,
  verify = { worker_type .. " is scaled as it was", function(kept) return app:is_scaled { [worker_type] = kept.was } end },
  note = function(kept) return "0 → " .. shown(kept.was) end,
}

step "The follower is available" {
  id = "follower-available",
  when = with_follower,
  run = function()
    wait.upto(database_limit, follower.name .. " answers", function() return follower:answers() end)
  end,
}

step "Connect the follower" {
  id = "connect-follower",
  when = with_follower,
  run = function() return app:config { [offline_var] = unset } end,
  undo = leads_back,
  verify = { offline_var .. " is not set", function() return app:config_is { [offline_var] = unset } end },
  note = function(_, result) return ("%s unset · v%s"):format(offline_var, tostring(result.release)) end,
}

step "Wait for the redeploy" {
  id = "wait-follower",
  when = with_follower,
  run = function() app:wait_for_release(redeploy) end,
}

manual "Enable the downloads-count job again" {
  id = "enable-job",
  when = with_scheduler,
  text = "In the Heroku Scheduler, give the job that was disabled in the beginning its former schedule again.",
  url = ("https://dashboard.heroku.com/apps/%s/scheduler"):format(app_name),
}
