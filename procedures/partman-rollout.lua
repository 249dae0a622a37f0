-- Partitioning of a table that is written all the time: a gap is made in it, its database is upgraded (a follower is, and takes the
-- primary's place), the table is emptied and partitioned with pg_partman by the changes of a sqitch project, and everything is started
-- again. Hours, most of which is the upgrade.
procedure {
  name = "partman-rollout",
  summary = "Upgrade of the logs' database, and partitioning of log_parts with pg_partman",
}

-- Parameters ---------------------------------------------------------------------------------------------------------------------

local scheduler_name = param.string { "scheduler-app", "app that schedules the jobs", required = true, placeholder = "<scheduler-app>" }
local logs_name = param.string { "logs-app", "app of the logs, which owns the database", required = true, placeholder = "<logs-app>" }
local api_name = param.string { "api-app", "app that gets the new database attached, too; without it nothing is attached" }
local group_names = param.list { "groups", "Auto Scaling groups in which nothing is terminated meanwhile; without it none is touched" }
local upgrade_name = param.string { "upgrade-database", "attachment of the follower to upgrade", default = "LOGS_READONLY_DATABASE" }
local promote_as = param.string {
  "promote-as", "attachment that the upgraded database takes over", default = "LOGS_DATABASE", pattern = "%u[%u%d_]*",
  looks_like = "the name of an attachment",
}
local table_given = param.string {
  "table", "table to empty and partition", default = "public.log_parts", pattern = "[%l_][%l%d_]*%.?[%l%d_]*",
  looks_like = "table or schema.table, in small letters",
}
local project_dir = param.string { "sqitch", "directory of the sqitch project", required = true, placeholder = "<sqitch-dir>" }
local logged_change = param.string { "change", "change of the project that the database has already", default = "structure" }

local scheduler_type = param.string { "scheduler-type", "process type that schedules", default = "scheduler" }
local gap_types = param.list { "gap-types", "process types that write to the table", default = { "drain", "logs" } }
local logs_types = param.list {
  "logs-types", "every process type of the logs",
  default = { "aggregate", "aggregate_sweeper", "archive", "drain", "logs", "purge", "web" },
}
local restore = param.list {
  "restore", "scale up to this instead of what it was: TYPE=QUANTITY or TYPE=QUANTITY:SIZE, of the logs' types and the scheduler's",
  pattern = "[%w_]+=%d+:?[%w%-]*", looks_like = "TYPE=QUANTITY or TYPE=QUANTITY:SIZE",
}
local processes = param.list { "suspend", "processes of the groups to suspend", default = { "Terminate" } }
local region = param.string { "region", "AWS region, when neither the environment nor the profile has one" }
local version = param.string {
  "to-version", "major version to upgrade to; without it Heroku chooses", pattern = "%d+", looks_like = "a number",
}

local page_id = param.string {
  "page", "id of the Statuspage page on which the maintenance was announced", pattern = "%w+", looks_like = "an id",
}
local page_title = param.string { "title", "name of the announced maintenance on the status page", default = "Log database maintenance" }
local notice = param.duration { "notice", "how long ahead it must have been announced", default = "48h" }
local timing = param.string { "measured", "how long the upgrade took on a fork: shown" }

local left_query = param.text {
  "left-query", "SQL: how many rows of the table are not aggregated yet; {table} is filled in",
  default = "select count(*) from {table} parts left join logs on logs.id = parts.log_id where logs.aggregated_at is null",
}
local jobs_query = param.text { "jobs-query", "SQL: how many jobs run now" }
local jobs_database = param.string { "jobs-database", "attachment of the scheduler's app to ask that", default = "DATABASE" }
local jobs_url = param.string {
  "jobs-url", "address that answers how many jobs run: a number, or JSON with --jobs-field", pattern = "https?://.+",
  looks_like = "an address",
}
local jobs_field = param.string { "jobs-field", "field of that JSON", default = "count" }
local verify_changes = param.boolean { "verify-changes", "sqitch runs the test of each change", default = false }
local partman_schema = param.string { "partman-schema", "schema of pg_partman", default = "partman", pattern = "[%l_][%l%d_]*" }
local ahead = param.duration { "ahead", "for how long there must be partitions ahead", default = "48h" }

local jobs_limit = param.duration { "jobs-timeout", "longest wait for the jobs that run", default = "50m" }
local aggregation_limit = param.duration { "aggregation-timeout", "longest wait for the aggregation", default = "2h" }
local upgrade_limit = param.duration { "upgrade-timeout", "longest wait for the upgrade", default = "24h" }
local migration_limit = param.duration { "migration-timeout", "longest run of a change", default = "1h" }
local dyno_limit = param.duration { "dyno-timeout", "longest wait for dynos to stop or start", default = "10m" }
local redeploy_limit = param.duration { "redeploy-timeout", "longest wait for a redeploy", default = "10m" }
local database_limit = param.duration { "database-timeout", "longest wait for a database to answer", default = "5m" }
local lock_limit = param.duration { "lock-timeout", "longest wait for the table's lock", default = "10s" }
local unseen_limit = param.duration { "unseen-after", "how long an upgrade that Heroku accepted may stay invisible", default = "2m" }
local budget = param.duration { "budget", "how long the logs may be down", default = "12h" }
local settle = param.duration { "settle", "how long to look for a change whose answer was lost", default = "20s" }

-- What is worked on --------------------------------------------------------------------------------------------------------------

local tab = table_given:find("%.") and table_given or "public." .. table_given
left_query = left_query:gsub("{table}", tab)

local scheduler = heroku.app(scheduler_name, { settle = settle })
local logs = heroku.app(logs_name, { settle = settle })
local api = api_name and heroku.app(api_name, { settle = settle })
local primary, follower = logs:database(promote_as), logs:database(upgrade_name)
local page = page_id and statuspage.page(page_id, { settle = settle })
local project = sqitch { dir = project_dir, database = primary, name = ("%s %s"):format(logs_name, promote_as), settle = settle }
local jobs_db = jobs_query and scheduler:database(jobs_database)
local jobs_base, jobs_path = (jobs_url or ""):match "^(https?://[^/?]+)(.*)$"
local jobs_api = jobs_base and http(jobs_base)

local groups = {}
for i, name in ipairs(group_names or {}) do groups[i] = aws.group(name, { region = region, settle = settle }) end

local logs_down = clock { "logs down", budget = budget }

-- Which add-on is upgraded, and which one it replaces: names change hands on the way.
local upgraded = fact "upgraded database" (function() return follower:lookup() end)
local replaced = fact "old primary" (function() return primary:lookup() end)

local with_groups = { #groups > 0, "no Auto Scaling groups are given (--groups)" }
local with_api = { api ~= nil, "no app to attach the database to is given (--api-app)" }
local with_page = { page ~= nil, "no status page is given (--page)" }

-- Steps that lead back to where the run began have nothing to take back.
local leads_back = { "nothing: it leads back to where the run began", function() end }

local function joined(list, format)
  local out = {}
  for i, item in ipairs(list) do out[i] = format and format:format(item) or item end
  return table.concat(out, " ")
end

-- "drain=3:Standard-2X logs=15:Standard-2X"
local function scale_text(wanted)
  local names = {}
  for name in pairs(wanted) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local process = wanted[name]
    names[i] = ("%s=%d%s"):format(name, process.quantity, process.size and ":" .. process.size or "")
  end
  return table.concat(names, " ")
end

local function zero(types)
  local out = {}
  for _, name in ipairs(types) do out[name] = 0 end
  return out
end

-- What --restore says of a process type; nil when nothing.
local given_restore = {}
for _, text in ipairs(restore or {}) do
  local name, quantity, size = text:match "^([%w_]+)=(%d+):?([%w%-]*)$"
  given_restore[name] = { quantity = math.tointeger(tonumber(quantity)), size = size ~= "" and size or nil }
end

-- What was kept, unless --restore says otherwise.
local function restored(was)
  local out = {}
  for name, process in pairs(was) do out[name] = given_restore[name] or process end
  return out
end

-- What is typed where there is no pgsh, for the checklist.
local function commands(...)
  return "By hand:\n```\n" .. table.concat({ ... }, "\n") .. "\n```"
end

local function for_groups(command)
  local lines = {}
  for i, name in ipairs(group_names or {}) do
    lines[i] = ("aws autoscaling %s --auto-scaling-group-name '%s' --scaling-processes %s"):format(command, name, joined(processes))
  end
  return commands(table.unpack(lines))
end

local function rows_left() return primary:value(left_query) end

-- How many jobs run; nil when there is nobody to ask.
local function running_jobs()
  if jobs_db then return jobs_db:value(jobs_query) end
  if not jobs_api then return nil end
  local reply = jobs_api:get(jobs_path)
  local value = reply.json
  if type(value) == "table" then value = value[jobs_field] end
  local count = tonumber(value or reply.body)
  if not count then fail("%s does not answer with a number of jobs", jobs_url) end
  return count
end

local PARTITIONS = [[
select count(*) as number, max(((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']*)''\)'))[1])::timestamp)
    >= (now() + $2::int * interval '1 second')::timestamp as ahead,
  max(((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']*)''\)'))[1])::timestamp)::text as reach
from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = to_regclass($1)]]

-- Has the table partitions, and do they reach far enough? run_maintenance says nothing when it does not know the table.
local function partitions()
  local seen = primary:row(PARTITIONS, tab, math.tointeger(ahead // 1))
  if seen.number == 0 then return false, tab .. " has no partitions" end
  if not seen.ahead then return false, ("the partitions of %s end at %s"):format(tab, tostring(seen.reach)) end
  return true, ("%d partitions, up to %s"):format(seen.number, seen.reach)
end

local function is_managed()
  local known = primary:value("select to_regclass($1) is not null", partman_schema .. ".part_config")
  if not known then return false, "pg_partman is not installed in schema " .. partman_schema end
  if not primary:value(("select exists (select from %s.part_config where parent_table = $1)"):format(partman_schema), tab) then
    return false, ("pg_partman does not manage %s"):format(tab)
  end
  return partitions()
end

-- Before anything changes --------------------------------------------------------------------------------------------------------

preflight "The apps and their processes" (function()
  scheduler:check_credential()
  local function check(app, types)
    local found = app:formation()
    for _, name in ipairs(types) do
      local process = found[name]
      if not process then
        problem("%s has no process type %s", app.name, name)
      elseif process.quantity == 0 and not given_restore[name] then
        problem("%s of %s is scaled to 0 already: is somebody at it? --restore %s=… says what to scale it up to", name, app.name, name)
      end
    end
  end
  local all = {}
  for _, name in ipairs(logs_types) do all[name] = true end
  for _, name in ipairs(gap_types) do
    if not all[name] then problem("--gap-types: %s is none of --logs-types", name) end
  end
  for name in pairs(given_restore) do
    if not all[name] and name ~= scheduler_type then
      problem("--restore: %s is neither one of --logs-types nor %s", name, scheduler_type)
    end
  end
  check(scheduler, { scheduler_type })
  check(logs, logs_types)
  if api then api:info() end
  if timing then log("the upgrade took %s on a fork", timing) end
end)

preflight "The databases" (function()
  for _, text in ipairs(follower:upgrade_problems { version = version }) do problem("%s", text) end
  if not replaced.found then return problem("%s", tostring(replaced.why)) end
  if not upgraded.found then return end
  if upgraded.addon == replaced.addon then return problem("%s and %s are the same database", upgrade_name, promote_as) end
  local leader = follower:follower_of()
  if leader ~= replaced.addon then problem("%s does not follow %s but %s", upgrade_name, promote_as, leader or "nobody") end
  local takes_writes, seen = primary:accepts_writes()
  if not takes_writes then return problem("%s takes no writes: %s", promote_as, seen) end
  if not primary:value("select to_regclass($1) is not null", tab) then return problem("there is no table %s", tab) end
  if primary:value("select relkind = 'p' from pg_class where oid = to_regclass($1)", tab) then
    problem("%s is partitioned already", tab)
  end
  if not primary:value "select exists (select from pg_available_extensions where name = 'pg_partman')" then
    problem("pg_partman is not available on %s", promote_as)
  end
  if math.type(rows_left()) ~= "integer" then problem("--left-query gives no whole number: %s", left_query) end
end)

preflight "The jobs that run can be counted" {
  when = { jobs_db ~= nil or jobs_api ~= nil, "neither --jobs-query nor --jobs-url is given" },
  run = function()
    if jobs_db and jobs_api then problem "--jobs-query and --jobs-url exclude each other" end
    log("%s jobs run now", tostring(running_jobs()))
  end,
}

preflight "The Auto Scaling groups" {
  when = with_groups,
  run = function()
    groups[1]:check_credential()
    for _, group in ipairs(groups) do
      local found = group:find()
      if not found then
        problem("there is no Auto Scaling group %s", group.name)
      elseif #found.suspended > 0 then
        log.warn("%s: suspended already, and will stay so: %s", group.name, joined(found.suspended))
      end
    end
  end,
}

preflight "The sqitch project" (function()
  sh.read { "psql", "--version" }
  local names = {}
  for _, change in ipairs(project:plan()) do names[change.name] = true end
  if not names[logged_change] then return problem("--change: %s/sqitch.plan has no change %s", project_dir, logged_change) end
  if replaced.found and #project:undeployed() == 0 then problem("%s has every change of %s already", promote_as, project_dir) end
end)

preflight "The maintenance was announced" {
  when = with_page,
  run = function()
    local seen
    for _, incident in ipairs(page:find(page_title)) do
      if incident.ahead and incident.ahead >= notice then return end
      seen = incident
    end
    if seen then
      problem("\"%s\" (%s) was not announced %d hours ahead", page_title, seen.id, notice // 3600)
    else
      problem("nothing of the name \"%s\" is announced on the status page (--title)", page_title)
    end
  end,
}

manual "The maintenance was announced" {
  id = "announced",
  when = { page == nil, "the status page was asked" },
  text = ("Make sure that the maintenance was announced at least %d hours ahead%s."):format(notice // 3600,
    timing and ("; the upgrade took %s on a fork"):format(timing) or ""),
}

-- A gap in the table -------------------------------------------------------------------------------------------------------------

local paused = step "Scale down the scheduler" {
  id = "stop-scheduler",
  keep = function() return { was = scheduler:formation { scheduler_type } } end,
  run = function()
    scheduler:scale { [scheduler_type] = 0 }
    scheduler:wait_for_dynos(scheduler_type, { timeout = dyno_limit })
  end,
  verify = { "no dyno of " .. scheduler_type .. " is up", function()
    local up = scheduler:dynos_up(scheduler_type)
    return up == 0, tostring(up)
  end },
  note = function(kept) return scale_text(kept.was) .. " → 0" end,
  undo = { "scale it up to what it was", function(kept) scheduler:scale(kept.was) end },
  doc = commands(("heroku ps:scale %s=0 -a %s"):format(scheduler_type, scheduler_name)),
}

local held = step "Suspend terminations" {
  id = "suspend",
  when = with_groups,
  keep = function()
    local active = {}
    for _, group in ipairs(groups) do active[group.name] = group:active(processes) end
    return { active = active }
  end,
  run = function(kept)
    for _, group in ipairs(groups) do group:suspend(kept.active[group.name]) end
  end,
  verify = { "the processes are suspended", function()
    for _, group in ipairs(groups) do
      local suspended, why = group:is_suspended(processes)
      if not suspended then return false, group.name .. ": " .. why end
    end
    return true
  end },
  undo = { "resume what this run suspended", function(kept)
    for _, group in ipairs(groups) do group:resume(kept.active[group.name]) end
  end },
  doc = for_groups "suspend-processes",
}

step "Wait for the jobs that run" {
  id = "wait-jobs",
  run = function()
    if not jobs_db and not jobs_api then return wait(jobs_limit) end
    local ok, why = pcall(wait.upto, jobs_limit, "no job runs any more", function()
      local count = running_jobs()
      return count == 0, ("%s jobs run"):format(tostring(count))
    end)
    if ok then return end
    if why.kind ~= "timeout" then error(why, 0) end
    log.warn("%s; going on all the same", tostring(why.message))
  end,
  doc = "It goes on after that time, whatever still runs.",
}

local gap = step "Scale down what writes to the table" {
  id = "stop-writers",
  keep = function() return { was = logs:formation(logs_types) } end,
  run = function()
    logs:scale(zero(gap_types))
    logs:wait_for_dynos(gap_types, { timeout = dyno_limit })
  end,
  verify = { "no dyno of " .. joined(gap_types) .. " is up", function()
    local up = logs:dynos_up(gap_types)
    return up == 0, tostring(up)
  end },
  undo = { "scale it up to what it was", function(kept)
    local was = {}
    for _, name in ipairs(gap_types) do was[name] = kept.was[name] end
    logs:scale(was)
  end },
  doc = commands(("heroku ps:scale %s -a %s"):format(joined(gap_types, "%s=0"), logs_name)),
}

step "Scale up the scheduler" {
  id = "start-scheduler",
  when = { function() return paused.kept ~= nil end, "it was not stopped by this run" },
  keep = function() return { was = restored(paused.kept.was) } end,
  run = function(kept)
    scheduler:scale(kept.was)
    scheduler:wait_for_dynos(scheduler_type, { timeout = dyno_limit })
  end,
  verify = { "it is scaled as it was", function(kept) return scheduler:is_scaled(kept.was) end },
  note = function(kept) return "0 → " .. scale_text(kept.was) end,
  undo = leads_back,
  doc = ("`heroku ps:scale … -a %s`, with the quantity and size that it had."):format(scheduler_name),
}

step "Wait for the aggregation" {
  id = "wait-aggregation",
  run = function()
    wait.upto(aggregation_limit, "every row of " .. tab .. " is aggregated", function()
      local count = rows_left()
      return count == 0, ("%s rows are left"):format(tostring(count))
    end)
  end,
}

-- Upgrade and partitions ---------------------------------------------------------------------------------------------------------

step "Scale down the logs" {
  id = "stop-logs",
  opens = logs_down,
  keep = function() return { was = logs:formation(logs_types) } end,
  run = function()
    logs:scale(zero(logs_types))
    logs:wait_for_dynos(logs_types, { timeout = dyno_limit })
  end,
  verify = { "no dyno of the logs is up", function()
    local up = logs:dynos_up(logs_types)
    return up == 0, tostring(up)
  end },
  note = function(kept) return scale_text(kept.was) .. " → 0" end,
  undo = { "scale it up to what it was", function(kept) logs:scale(kept.was) end },
  doc = commands(("heroku ps:scale %s -a %s"):format(joined(logs_types, "%s=0"), logs_name)),
}

local upgrade = step "Upgrade the follower" {
  id = "upgrade",
  keep = function() return follower:upgrade_before() end,
  run = function(kept) return follower:run_upgrade { version = version, before = kept } end,
  undo = { "it cannot be taken back: wait until it is over; the old primary stays as it is, and has no follower any more", function(kept)
    follower:wait_upgrade { before = kept, version = version, timeout = upgrade_limit, settle = settle, however = true }
  end },
  doc = commands(("heroku pg:upgrade %s -a %s"):format(upgrade_name, logs_name))
    .. "\nIt is started once. When its answer is lost, Heroku's own record of the database decides whether it began.",
}

step "Wait for the upgrade" {
  id = "wait-upgrade",
  run = function()
    return follower:wait_upgrade { before = upgrade.kept, version = version, timeout = upgrade_limit, settle = unseen_limit }
  end,
  note = function(_, result) return tostring(result) end,
  doc = "Hours. It goes on without us: a resumed run asks where it stands.",
}

step "Promote the upgraded database" {
  id = "promote",
  keep = function() return logs:promote_before(promote_as) end,
  run = function(kept)
    local done = logs:promote(follower, { as = promote_as, before = kept })
    logs:wait_for_release { timeout = redeploy_limit }
    return { release = done.release }
  end,
  verify = { promote_as .. " is the upgraded database, and takes writes", function()
    local now = logs:attachment(promote_as)
    if not now or now.addon ~= upgraded.addon then return false, ("it is %s"):format(now and now.addon or "not attached") end
    return primary:accepts_writes()
  end },
  verify_within = database_limit,
  note = function(kept) return ("%s: %s → %s"):format(promote_as, tostring(kept.addon), tostring(upgraded.addon)) end,
  undo = { "give the name back to the old primary", function(kept)
    if kept.addon then logs:attach(kept.addon, { as = promote_as, replace = true }) end
  end },
  doc = commands(("heroku pg:promote %s --as %s -a %s"):format(upgrade_name, promote_as, logs_name)),
}

local AT_ONCE = "1s"

-- In one statement: what is counted cannot be joined by another row before the table is emptied.
local TRUNCATE = [[do $truncate$
declare
  remaining bigint;
begin
  lock table %s in access exclusive mode;
  execute $count$%s$count$ into remaining;
  if remaining > 0 then
    raise exception '%% rows are not aggregated yet', remaining;
  end if;
  truncate table %s;
end
$truncate$]]

step "Empty the table" {
  id = "truncate",
  keep = function()
    -- Both hold at once, or never. In a plan neither can hold yet.
    wait.upto(AT_ONCE, promote_as .. " is the upgraded database", function()
      local addon = primary:addon().name
      return addon == upgraded.addon, addon
    end)
    wait.upto(AT_ONCE, "every row of " .. tab .. " is aggregated", function()
      local count = rows_left()
      return count == 0, ("%s rows are left"):format(tostring(count))
    end)
    return {
      addon = primary:addon().name, database = primary:value "select current_database()",
      rows = primary:value("select count(*) from " .. tab),
    }
  end,
  confirm = function(kept)
    return kept.addon, ("%d rows of %s in %s (database %s) are removed, and cannot be had back"):format(kept.rows, tab, kept.addon,
      kept.database)
  end,
  run = function()
    primary:execute(TRUNCATE:format(tab, left_query, tab), psql.options { lock_timeout = lock_limit, what = "truncate table " .. tab })
  end,
  verify = { "it is empty", function() return primary:value(("select not exists (select from %s)"):format(tab)) end },
  note = function(kept) return ("%d rows"):format(kept.rows) end,
  undo = { "it cannot be taken back; the old primary still has the rows", function() end },
  doc = commands(("echo 'TRUNCATE TABLE %s' | heroku pg:psql %s -a %s"):format(tab, promote_as, logs_name)),
}

step "Log the structure migration" {
  id = "log-structure",
  run = function()
    return project:deploy { to = logged_change, log_only = true, timeout = migration_limit }
  end,
  verify = { logged_change .. " counts as deployed", function() return project:is_deployed(logged_change) end },
  undo = { "nothing: sqitch's tables stay", function() end },
  doc = commands(("sqitch deploy --to-change %s --log-only"):format(logged_change))
    .. "\nWith the address in PGHOST, PGPASSWORD, …, and `db:pg:` as the target: in an argument every user of the machine could read it.",
}

step "Deploy the remaining changes" {
  id = "migrate",
  keep = function() return { status = project:status(), undeployed = project:undeployed() } end,
  run = function() return project:deploy { verify = verify_changes, timeout = migration_limit } end,
  verify = { "every change is deployed, and pg_partman manages " .. tab, function()
    local deployed, why = project:is_deployed()
    if not deployed then return false, why end
    return is_managed()
  end },
  note = function(kept) return joined(kept.undeployed) end,
  undo = { "by hand, when at all: sqitch revert", function() end },
  doc = commands "sqitch deploy",
}

step "Attach the database to the API app" {
  id = "attach",
  when = with_api,
  keep = function() return { was = api:attachment(promote_as) } end,
  run = function()
    api:attach(primary, { as = promote_as, replace = true })
    api:wait_for_release { timeout = redeploy_limit }
  end,
  verify = { "it is attached", function()
    local now = api:attachment(promote_as)
    return now ~= nil and now.addon == upgraded.addon, now and now.addon
  end },
  undo = { "attach what was attached before, or detach it", function(kept)
    if kept.was then
      api:attach(kept.was.addon, { as = promote_as, replace = true })
    else
      api:detach(promote_as)
    end
  end },
  doc = commands(("heroku addons:attach ADDON --as %s -a %s"):format(promote_as, api_name or "")),
}

-- The maintenance of the partitions ----------------------------------------------------------------------------------------------

step "Create the scheduler add-on" {
  id = "create-scheduler",
  run = function() return logs:create_addon("scheduler:standard").name end,
  verify = { "there is one", function() return logs:lookup_service("scheduler").found end },
  note = function(_, result) return tostring(result) end,
  undo = { "it stays; heroku addons:destroy removes it", function() end },
  doc = commands(("heroku addons:create scheduler:standard -a %s"):format(logs_name)),
}

local maintenance_sql = ("SELECT %s.run_maintenance('%s');"):format(partman_schema, tab)

manual "Configure the daily job" {
  id = "job",
  text = ("In the Heroku Scheduler of %s, add a job that runs daily:\n\n    psql -d \"${%s_URL}\" -c \"%s\""):format(logs_name, promote_as,
    maintenance_sql),
  url = ("https://dashboard.heroku.com/apps/%s/scheduler"):format(logs_name),
}

step "Run the maintenance once" {
  id = "run-maintenance",
  run = function()
    primary:execute(("select %s.run_maintenance($1)"):format(partman_schema), tab, psql.options { lock_timeout = lock_limit })
  end,
  verify = { "there are partitions for the time to come", partitions },
  undo = { "nothing: it only makes partitions", function() end },
  doc = "pg_partman says nothing when it does not know the table: the partitions themselves are looked at.",
}

-- Everything again ---------------------------------------------------------------------------------------------------------------

step "Scale up the logs" {
  id = "start-logs",
  closes = logs_down,
  when = { function() return gap.kept ~= nil end, "they were not stopped by this run" },
  keep = function() return { was = restored(gap.kept.was) } end,
  run = function(kept)
    logs:scale(kept.was)
    logs:wait_for_dynos(logs_types, { timeout = dyno_limit })
  end,
  verify = { "they are scaled as they were", function(kept) return logs:is_scaled(kept.was) end },
  note = function(kept) return scale_text(kept.was) end,
  undo = leads_back,
  doc = ("`heroku ps:scale … -a %s`, with the quantities and sizes that they had."):format(logs_name),
}

step "Resume terminations" {
  id = "resume",
  when = { function() return held.kept ~= nil end, with_groups[1] and "nothing was suspended by this run" or with_groups[2] },
  run = function()
    for _, group in ipairs(groups) do group:resume(held.kept.active[group.name]) end
  end,
  verify = { "what this run suspended is active", function()
    for _, group in ipairs(groups) do
      local active, why = group:is_active(held.kept.active[group.name])
      if not active then return false, group.name .. ": " .. why end
    end
    return true
  end },
  undo = leads_back,
  doc = for_groups "resume-processes" .. "\nOnly what this run suspended.",
}
