-- Upgrades of a database to another major version: prepared (a leader), run, waited for. What is upgraded stops following and is really
-- promoted; the version is what Heroku says of it, the server behind it stays what it is.
local cqueues = require "cqueues"
local refusal = require "core.refusal"
local world_of = require "world"

local upgrade = {}

local VERSIONS = { ["13"] = "13.23", ["14"] = "14.20", ["15"] = "15.15", ["16"] = "16.11", ["17"] = "17.7" }
local BUSY = { preparing = true, running = true }

-- What a reader sees: what has just begun may not be visible yet.
function upgrade.visible(addon)
  local record = addon.upgrade
  if record.visible_at and world_of.now() < record.visible_at then return record.shown_before end
  return record.status
end

function upgrade.is_running(addon)
  return BUSY[upgrade.visible(addon)] or false
end

local function refuse(addon, message)
  addon.upgrade.refused = addon.upgrade.refused + 1
  refusal.raise(400, "bad_request", message)
end

local function is_small(addon) return addon.plan:find("^essential") ~= nil end

local function check_plan(addon)
  if addon.plan:find("^dev") or addon.plan:find("^basic") or addon.plan:find("^mini") then
    refuse(addon, "You can only use `pg:upgrade:*` commands on Essential-* and higher plans.")
  end
end

local function check_leader(addon)
  if is_small(addon) or addon.leader then
    refuse(addon, "You can only use this command on Standard-tier and higher leader databases.")
  end
end

-- The full version asked for, or the newest; it must be newer than what there is.
local function target_version(world, addon, asked)
  local major = tostring(asked or world.options.upgrade_to)
  local version = VERSIONS[major]
  if not version then refuse(addon, ("Postgres version %s isn't available."):format(major)) end
  if tonumber(major) <= tonumber(addon.version:match("^%d+")) then
    refuse(addon, ("%s is already on Postgres version %s."):format(addon.name, addon.version:match("^%d+")))
  end
  return version
end

local function refuse_busy(addon)
  if BUSY[addon.upgrade.status] then refuse(addon, "An upgrade of this database is already in progress.") end
  if addon.maintenance.status == "running" then refuse(addon, "A maintenance of this database is in progress.") end
end

local function begin(world, addon, status, message)
  local record = addon.upgrade
  record.shown_before, record.status, record.message, record.step = record.status, status, message, "1/3"
  record.visible_at = world_of.now() + world.options.visible_delay / 1000
  return record
end

-- Pauses; false when the world was put back meanwhile.
local function pause(world, generation, ms)
  cqueues.sleep(ms / 1000)
  return generation == world.generation
end

-- A follower takes over everything first, however long that is.
local function catch_up(world, addon, generation)
  if not pause(world, generation, world.options.visible_delay + world.options.upgrade_catchup_ms) then return false end
  while addon.leader and world.options.behind_commits > 0 do
    if not pause(world, generation, 10) then return false end
  end
  return true
end

local function stop_following(world, addon)
  local server = world.pg[addon.server_name]
  if addon.server_name == "follower" then server:exclusive(server.promote) end
  addon.leader = nil
end

local function replace_binaries(world, addon, generation)
  local server, failure = world.pg[addon.server_name], world.options.upgrade_error
  addon.upgrade.message, addon.upgrade.step = "Upgrading Postgres", "2/3"
  server:exclusive(server.stop)
  if not pause(world, generation, world.options.upgrade_ms) then return end
  server:exclusive(server.start)
  if failure ~= "" then return failure end
  if addon.leader then stop_following(world, addon) end
end

local function finish(world, addon, failure)
  local record = addon.upgrade
  if failure then
    record.status, record.message, record.step = "failed", failure, nil
    return
  end
  addon.version = record.target
  for _, other in ipairs(world.heroku.addons) do
    if other.leader == addon then other.version = record.target end
  end
  record.status, record.message, record.step = "completed", "Upgraded to Postgres " .. record.target, nil
end

local function run(world, addon)
  local generation = world.generation
  if not catch_up(world, addon, generation) then return end
  local ok, failure = pcall(replace_binaries, world, addon, generation)
  if not ok then io.stderr:write("lab: upgrade of ", addon.name, ": ", tostring(failure), "\n") end
  if generation == world.generation then finish(world, addon, failure) end
end

local function start(world, addon, version)
  local record = begin(world, addon, "running", "Waiting for the replica to catch up")
  record.target, record.starts = version, record.starts + 1
  world.queue:wrap(run, world, addon)
  return { message = "Your upgrade has started. Use `heroku pg:upgrade:wait` to track its progress." }
end

-- POST upgrade/run.
function upgrade.run(world, addon, body)
  check_plan(addon)
  refuse_busy(addon)
  if is_small(addon) or addon.leader then return start(world, addon, target_version(world, addon, body.version)) end
  if addon.upgrade.status ~= "prepared" then
    refuse(addon, "You haven't scheduled an upgrade of this database. Run `heroku pg:upgrade:prepare` first.")
  end
  return start(world, addon, addon.upgrade.target)
end

-- POST upgrade: what there was before prepare and run.
function upgrade.run_older(world, addon, body)
  check_plan(addon)
  refuse_busy(addon)
  if not is_small(addon) and not addon.leader then refuse(addon, "You can only upgrade follower databases.") end
  return start(world, addon, target_version(world, addon, body.version))
end

local function prepared(world, addon)
  local generation = world.generation
  if not catch_up(world, addon, generation) or addon.upgrade.status ~= "preparing" then return end
  addon.upgrade.status, addon.upgrade.step = "prepared", nil
  addon.upgrade.message = ("Upgrade to Postgres %s is scheduled for the next maintenance window"):format(addon.upgrade.target)
end

-- POST upgrade/prepare.
function upgrade.prepare(world, addon, body)
  check_plan(addon)
  check_leader(addon)
  refuse_busy(addon)
  if addon.upgrade.status == "prepared" then refuse(addon, "An upgrade of this database is scheduled already.") end
  addon.upgrade.target = target_version(world, addon, body.version)
  begin(world, addon, "preparing", "Preparing the upgrade")
  world.queue:wrap(prepared, world, addon)
  return { message = "Your upgrade is being prepared. Use `heroku pg:upgrade:wait` to track its progress." }
end

-- POST upgrade/dry_run.
function upgrade.dry_run(world, addon, body)
  check_plan(addon)
  check_leader(addon)
  refuse_busy(addon)
  target_version(world, addon, body.version)
  return { message = "The dry run has started." }
end

-- POST upgrade/cancel.
function upgrade.cancel(_, addon)
  check_plan(addon)
  check_leader(addon)
  local record = addon.upgrade
  if record.status ~= "prepared" and record.status ~= "preparing" then refuse(addon, "There is no scheduled upgrade to cancel.") end
  record.status, record.message, record.step = "none", nil, nil
  return { message = "Your upgrade has been canceled." }
end

local IDLE = { message = "No upgrade is in progress", ["waiting?"] = false }

-- GET upgrade/wait_status.
function upgrade.wait_status(addon)
  local record, seen = addon.upgrade, upgrade.visible(addon)
  if seen == "none" or seen ~= record.status then return IDLE end
  return {
    message = record.message, step = record.step, ["waiting?"] = BUSY[seen] or false, ["error?"] = seen == "failed" or nil,
  }
end

-- PUT unfollow: the server becomes writable, a moment later.
function upgrade.unfollow(world, addon)
  addon.unfollowing = true
  local generation = world.generation
  world.queue:wrap(function()
    local ok, why = pcall(stop_following, world, addon)
    if not ok and generation == world.generation then io.stderr:write("lab: unfollow of ", addon.name, ": ", tostring(why), "\n") end
    addon.unfollowing = false
  end)
end

return upgrade
