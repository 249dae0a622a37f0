-- What the specs of partman-rollout have in common: two labs (Heroku with its servers; AWS), how it is called, and what must hold
-- afterwards.
--
--   local rollout = require("tests.spec.support.partman").new()   starts the labs; .lab, .aws, .box; rollout:stop()
--   rollout:reset { upgrade_error = "…" }                         the first day of both, no runs; options as tests/lab/world.lua lists them
--   rollout:go({ "--restore", "web=1" }, { env = … })             pgsh procedures/partman-rollout.lua, all answers given
--   rollout:again("resume")                                       pgsh resume last
--   rollout:is_whole(result, "where")                             exit 0, and all that must hold at the end
--   rollout:is_untouched(result, exit, text, …)                   that exit status, the texts were said, nothing has changed
local assert = require "luassert"
local aws = require "tests.spec.support.aws"
local json = require "cjson"
local labs = require "tests.spec.support.lab"
local procedure = require "tests.spec.support.procedure"
local run = require "tests.spec.support.run"

local partman = {}
local Rollout = procedure.derive { limit_s = 120 }

local FILE = "procedures/partman-rollout.lua"
partman.OLD, partman.NEW = "postgresql-deep-40411", "postgresql-wide-52018"
partman.ONE, partman.OTHER = "production-2-workers-org", "precise-production-2-workers-org"

local FORMATION = {
  aggregate = "2:Standard-2X", aggregate_sweeper = "1:Standard-1X", archive = "1:Standard-1X", drain = "3:Standard-2X",
  logs = "15:Standard-2X", purge = "1:Standard-1X", web = "2:Standard-1X",
}

local ANSWERS = { "-y", "--confirm", "announced", "--confirm", "job", "--confirm", partman.NEW, "--no-input", "--on-failure", "stop" }

function partman.new()
  local self = setmetatable({ lab = labs.start(), aws = aws.start() }, Rollout)
  local env = {}
  for _, from in ipairs { self.lab.env, self.aws.env } do
    for name, value in pairs(from) do env[name] = value end
  end
  self.box = run.box(env)
  return self
end

function Rollout:stop()
  self.box:remove()
  self.lab:stop()
  self.aws:stop()
end

function Rollout:reset(options)
  local all = { fixture = "partman", dyno_restart_ms = 1, dyno_stop_ms = 1 }
  for name, value in pairs(options or {}) do all[name] = value end
  self.lab:reset(all)
  self.aws:reset()
  self:forget()
  self.project = self.box.dir .. "/project"
  os.execute(("rm -rf %s && cp -r tests/lab/partman/sqitch %s"):format(self.project, self.project))
end

-- Every parameter, those of `more` in place of ours.
function Rollout:parameters(more)
  local given, out = {}, {}
  for _, word in ipairs(more or {}) do given[word] = true end
  local function add(flag, value)
    if not given[flag] then table.move({ flag, value }, 1, 2, #out + 1, out) end
  end
  add("--scheduler-app", "scheduler-app")
  add("--logs-app", "logs-app")
  add("--api-app", "api-app")
  add("--groups", partman.ONE .. "," .. partman.OTHER)
  add("--sqitch", self.project)
  add("--jobs-timeout", "10ms")
  add("--settle", "2s")
  return procedure.joined(out, more or {})
end

function Rollout.answers() return ANSWERS end
function Rollout:words(more) return procedure.joined({ FILE }, self:parameters(more), ANSWERS) end

function Rollout:sql(text) return self.lab:sql("follower", text)[1][1] end

-- "aggregate=2:Standard-2X …" of an app.
function Rollout:formation(app)
  local out = {}
  for name, process in pairs(self.lab:state().apps[app].formation) do out[name] = ("%d:%s"):format(process.quantity, process.size) end
  return out
end

local function attached(app)
  local out = {}
  for _, item in ipairs(app.attachments) do out[item.name] = item.addon end
  return out
end

function Rollout:apps_are_whole(where, formation)
  local state = self.lab:state()
  assert.same(formation or FORMATION, self:formation "logs-app", where)
  assert.same({ scheduler = "2:Standard-2X" }, self:formation "scheduler-app", where)
  local logs = attached(state.apps["logs-app"])
  assert.equal(partman.NEW, logs.LOGS_DATABASE, where)
  assert.equal(partman.NEW, logs.LOGS_READONLY_DATABASE, where)
  assert.equal(partman.NEW, attached(state.apps["api-app"]).LOGS_DATABASE, where)
  local schedulers, old = 0, 0
  for _, addon in ipairs(state.apps["logs-app"].addons) do
    if addon.plan == "scheduler:standard" then schedulers = schedulers + 1 end
  end
  for _, addon in pairs(logs) do
    if addon == partman.OLD then old = old + 1 end
  end
  assert.equal(1, schedulers, where)
  assert.equal(1, old, where .. ": the old primary is kept attached, once")
  local upgrade = state.databases[partman.NEW]
  assert.equal(1, upgrade.starts, where .. ": upgrades started")
  assert.equal("completed", upgrade.upgrade, where)
  assert.is_nil(upgrade.leader, where)
end

-- Partitioned, empty but for what is written now, and each change deployed once.
function Rollout:table_is_whole(where)
  assert.equal("f", self:sql "select pg_is_in_recovery()", where)
  assert.equal("p", self:sql "select relkind from pg_class where oid = 'public.log_parts'::regclass", where)
  assert.is_true(tonumber(self:sql "select count(*) from pg_inherits where inhparent = 'public.log_parts'::regclass") >= 8, where)
  assert.equal("1", self:sql "select count(*) from partman.part_config where parent_table = 'public.log_parts'", where)
  self:sql "insert into log_parts (log_id, content) values (2, 'after') returning id"
  assert.equal("1", self:sql "select count(*) from log_parts", where)
  local today = self:sql "select 'log_parts_p' || to_char(now(), 'YYYY_MM_DD')"
  assert.equal(today, self:sql "select tableoid::regclass::text from log_parts", where)
  assert.equal("deploy structure,deploy vacuum_settings,deploy log_parts_created_at_not_null,deploy partman",
    self:sql "select string_agg(event || ' ' || change, ',' order by committed_at) from sqitch.events where event <> 'fail'", where)
  assert.equal("200", self.lab:sql("primary", "select count(*) from log_parts")[1][1], where .. ": the old primary has its rows")
end

function Rollout:groups_are_whole(where, others)
  for _, name in ipairs { partman.ONE, partman.OTHER } do assert.equal(others and others[name] or "", self.aws:suspended(name), where) end
end

-- A change that may be made twice without harm; the others exactly once.
local function once(changes, like, where)
  local count = 0
  for _, change in ipairs(changes) do
    if change:find(like) then count = count + 1 end
  end
  assert.equal(1, count, ("%s: %s in\n%s"):format(where, like, table.concat(changes, "\n")))
end

function Rollout:nothing_twice(where)
  local changes = self.lab:changes()
  for _, like in ipairs {
    "^upgrade", "^attach logs%-app " .. partman.OLD:gsub("%-", "%%-"), "^attach logs%-app " .. partman.NEW:gsub("%-", "%%-"),
    "^attach api%-app", "^create scheduler",
  } do once(changes, like, where) end
end

function Rollout:is_whole(result, where, options)
  where, options = where or "the run", options or {}
  assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  self:apps_are_whole(where, options.formation)
  self:table_is_whole(where)
  self:groups_are_whole(where, options.suspended)
  if not options.twice then self:nothing_twice(where) end
  assert.equal("", self.lab:errors(), where)
  assert.equal("", self.aws:errors(), where)
end

-- Nothing was changed anywhere.
function Rollout:is_untouched(result, exit, ...)
  self:says(result, ...)
  assert.equal(exit, result.exit, result.stdout .. result.stderr)
  assert.same({}, self.lab:changes(true))
  assert.same({}, self.aws:changes(true))
  assert.equal("f", self.lab:sql("primary", "select to_regclass('sqitch.changes') is not null")[1][1])
end

partman.FORMATION, partman.null = FORMATION, json.null

return partman
