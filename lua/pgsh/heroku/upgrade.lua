-- Upgrade of a database to another major version: prepared (a leader), run, waited for. A follower that is upgraded stops following and
-- becomes writable.
--
-- As with a maintenance, a run has no identity of its own, and the service says in prose only whether one was finished or never began.
-- So what was there before it (kept by the step) is compared with what is there afterwards: the version, whom it follows, what waits.
local check = require("pgsh.options").check
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"
local settle = require "pgsh.settle"
local wait = require "pgsh.wait"

local upgrade = {}

local function is_gone(failure)
  return type(failure) == "table" and failure.kind == "http" and (failure.status == 404 or failure.status == 410)
end

local function status_of(reply)
  return {
    waiting = reply["waiting?"] == true, failed = reply["error?"] == true, message = reply.message, step = reply.step,
  }
end

-- What pg:wait looks at: any operation on the database.
function upgrade.wait_status(db)
  return status_of(db.app.requests:get_data(client.path("/client/v11/databases/%s/wait_status", db:addon().id)))
end

-- What pg:upgrade:wait looks at; where that interface is not there, any operation.
local function read_status(db)
  if not db.older_upgrade then
    local path = client.path("/client/v11/databases/%s/upgrade/wait_status", db:addon().id)
    local ok, reply = pcall(db.app.requests.get_data, db.app.requests, path)
    if ok then return status_of(reply), "current" end
    if not is_gone(reply) then error(reply, 0) end
  end
  local status = upgrade.wait_status(db)
  db.older_upgrade = true
  return status, "older"
end

-- The state: interface, waiting, failed, message, step, version, following.
function upgrade.state(db)
  local state, interface = read_status(db)
  local info = db:info()
  state.interface, state.version = interface, info.version
  state.following = info.following and (info.leader or info.following) or nil
  return state
end

local function major(version)
  return version and version:match("^%d+") or nil
end

-- Has an upgrade begun since `before`?
local function has_begun(before, now)
  if now.waiting or now.version ~= before.version then return true end
  if before.following and not now.following then return true end
  return now.failed and not (before.failed and before.message == now.message)
end

-- Is it where the upgrade leads? Only the version says so; where Heroku names none, that it follows nobody any more.
local function has_arrived(before, now, wanted)
  if now.waiting or before.following and now.following then return false end
  if wanted and now.version then return major(now.version) == wanted end
  if now.version or before.version then return now.version ~= before.version end
  return before.following ~= nil
end

local function version_of(options)
  local version = options.version
  if version == nil then return nil end
  version = tostring(version)
  if not version:match("^%d+$") then fail.usage("version: %s is no major version (17)", version) end
  return version
end

local function is_small(plan) return plan:find("^essential") ~= nil end

local function no_upgrade(plan)
  if plan:find("^dev") or plan:find("^basic") or plan:find("^mini") then return ("plan %s cannot be upgraded"):format(plan) end
end

-- What speaks against running an upgrade now: sentences, none when nothing does. options: version; leader (a leader may be upgraded in
-- place, and its followers with it).
function upgrade.problems(db, options)
  options = check("upgrade_problems", options, { version = true, leader = "boolean" })
  local found, wanted = {}, version_of(options)
  local function add(format, ...) found[#found + 1] = ("%s: %s"):format(db.name, format:format(...)) end
  local ok, addon = pcall(db.addon, db)
  if not ok then
    if addon.kind ~= "usage" then error(addon, 0) end
    return { addon.message }
  end
  local plan = no_upgrade(addon.plan)
  if plan then
    add("%s", plan)
    return found
  end
  local state, status = upgrade.state(db), upgrade.wait_status(db)
  if state.waiting or status.waiting then
    add("an upgrade or another operation runs already (%s)", (state.waiting and state.message or status.message) or "running")
  end
  local is_leader = not state.following and not is_small(addon.plan)
  if is_leader and not options.leader then add("it follows nobody: it is a leader, not a follower") end
  if wanted and state.version and tonumber(wanted) <= tonumber(major(state.version)) then
    add("it runs version %s already, asked for is %s", state.version, wanted)
  end
  return found
end

-- A change of the upgrade interface; an empty body is {}.
local function change(db, verb, options, resolve)
  local addon, wanted = db:addon(), version_of(options)
  local path = client.path("/client/v11/databases/%s/upgrade", addon.id) .. verb
  local words = ("POST %s (%s, %s%s)"):format(path, db.name, addon.name, wanted and ", to version " .. wanted or "")
  return db.app.requests:change("post", path, { data = true, json = { version = wanted }, what = words, resolve = resolve })
end

local function check_leader(db, before, options)
  if before.following or options.leader or is_small(db:addon().plan) then return end
  fail.app(db.app.name, db.name .. " follows nobody: it is a leader, and would be upgraded in place with its followers",
    { code = "refused", hint = "run_upgrade { leader = true } does it, after prepare_upgrade" })
end

local function begun_by_now(db, before)
  return (settle.look(db.app.settle, function() return has_begun(before, upgrade.state(db)) end))
end

-- A refused second start of what runs already is no failure: it runs, and once. When the first answer was lost, the upgrade may take a
-- while to show.
local function unless_begun(db, before, lost, f)
  local result = table.pack(pcall(f))
  if result[1] then return table.unpack(result, 2, result.n) end
  local failure = result[2]
  local refused = type(failure) == "table" and failure.kind == "http" and failure.status and failure.status >= 400 and failure.status < 500
  if not refused then error(failure, 0) end
  local begun
  if lost.answer then begun = begun_by_now(db, before) else begun = has_begun(before, upgrade.state(db)) end
  if not begun then error(failure, 0) end
  host.emit("log", { level = "info", text = ("an upgrade of %s has begun already: %s"):format(db.name, tostring(failure.message)) })
  return { status = failure.status }
end

-- Start it. options: version; before (what upgrade.state gave, kept by the step: a resume needs it); leader.
function upgrade.run(db, options)
  options = check("run_upgrade", options, { version = true, before = "table", leader = "boolean" })
  local before, lost = options.before or upgrade.state(db), {}
  check_leader(db, before, options)
  return unless_begun(db, before, lost, function()
    return change(db, before.interface == "older" and "" or "/run", options, function()
      lost.answer = true
      return begun_by_now(db, before)
    end)
  end)
end

local function only_current(before, what)
  if before.interface == "older" then fail.usage("%s: Heroku's interface has no such call here", what) end
end

-- Schedule the upgrade of a leader for its next window. options: version, before.
function upgrade.prepare(db, options)
  options = check("prepare_upgrade", options, { version = true, before = "table" })
  local before = options.before or upgrade.state(db)
  only_current(before, "prepare_upgrade")
  return change(db, "/prepare", options, function()
    return (settle.look(db.app.settle, function()
      local now = upgrade.state(db)
      return now.waiting or now.message ~= before.message
    end))
  end)
end

-- Take a scheduled upgrade back.
function upgrade.cancel(db, options)
  local before = check("cancel_upgrade", options, { before = "table" }).before or upgrade.state(db)
  only_current(before, "cancel_upgrade")
  return change(db, "/cancel", {}, function()
    return (settle.look(db.app.settle, function()
      local now = upgrade.state(db)
      return not now.waiting and now.message ~= before.message
    end))
  end)
end

local function status_text(status)
  return (status.step and "(" .. status.step .. ") " or "") .. (status.message or (status.waiting and "running" or "no state"))
end

-- A follower that catches up may take most of a day: how far it is is worth a request of its own.
local function running_text(db, before, status)
  local text = status_text(status)
  if not before.following then return text end
  local commits, behind = db:behind()
  return commits ~= 0 and behind and text .. ", behind by " .. behind or text
end

-- One look at a run: "running", "over" or "idle", and what to show.
local function watch(db, watched)
  local status = read_status(db)
  if status.waiting then return "running", running_text(db, watched.before, status) end
  local before = watched.before
  if status.failed and (watched.begun or not before.failed or before.message ~= status.message) then
    if watched.however then return "over", status_text(status) end
    fail.app(db.app.name, ("the upgrade of %s failed: %s"):format(db.name, status_text(status)))
  end
  local now = upgrade.state(db)
  if watched.prepared then return now.message ~= before.message and "over" or "idle", status_text(now) end
  if not has_arrived(before, now, watched.wanted) then return "idle", status_text(now) end
  local other = upgrade.wait_status(db)
  if other.waiting then return "running", status_text(other) end
  return "over", ("%s → %s"):format(before.version or "?", now.version or "?")
end

local function never_seen(db, watched, text)
  local what = watched.begun and "ended without being upgraded" or "was accepted, but nothing of it shows"
  fail.app(db.app.name, ("the upgrade of %s %s: %s"):format(db.name, what, text),
    { hint = ("heroku pg:upgrade:wait %s -a %s"):format(db.name, db.app.name) })
end

local WAIT = {
  before = "table", version = true, timeout = true, settle = true, prepared = "boolean", however = "boolean",
}

-- Wait until the upgrade that began after `before` is over and the database available; returns "14.20 → 15.15". options: before
-- (needed); version; timeout ("24h"); settle ("2m": how long nothing of it may show); prepared (until it is scheduled only); however
-- (also when it failed or never began: nothing runs any more).
function upgrade.wait(db, options)
  options = check("wait_upgrade", options, WAIT)
  if not options.before then fail.usage("wait_upgrade: before is needed: what upgrade_before() gave") end
  local settle_ms = fail.unless_duration(options.settle or "2m", "settle")
  local watched = {
    before = options.before, wanted = version_of(options), however = options.however, prepared = options.prepared,
  }
  local idle_since
  local function look()
    local state, text = watch(db, watched)
    if state == "over" then return text end
    if state == "running" then
      watched.begun, idle_since = true, nil
      return false, text
    end
    idle_since = idle_since or host.mono()
    if host.mono() - idle_since > settle_ms then
      if options.however then return text end
      never_seen(db, watched, text)
    end
    return false, text
  end
  local what = ("%s is %s"):format(db.name, options.prepared and "prepared for its upgrade" or "upgraded and available")
  local how = wait.upto(options.timeout or "24h", what, function()
    local done, text = client.survive(look)
    return done or false, text
  end)
  -- It is another cluster now, as PostgreSQL counts them, and may have another address.
  db.app:forget_databases()
  return how
end

-- What pg:wait does: until no operation runs on the database. options: timeout ("30m").
function upgrade.wait_available(db, options)
  local timeout = check("wait_available", options, { timeout = true }).timeout
  return wait.upto(timeout or "30m", db.name .. " is available", function()
    local status, problem = client.survive(upgrade.wait_status, db)
    if not status then return false, problem end
    if status.failed then fail.app(db.app.name, ("%s: %s"):format(db.name, status_text(status))) end
    if status.waiting then return false, status_text(status) end
    return status.message or "available"
  end)
end

-- It stops following and becomes writable. options: before ({ following }, kept by the step).
function upgrade.unfollow(db)
  local addon = db:addon()
  local path = client.path("/client/v11/databases/%s/unfollow", addon.id)
  return db.app.requests:change("put", path, {
    data = true, what = ("PUT %s (%s, %s)"):format(path, db.name, addon.name), idempotent = false,
    resolve = function()
      return (settle.look(db.app.settle, function() return upgrade.wait_status(db).waiting or not db:follower_of() end))
    end,
  })
end

return upgrade
