-- partman-rollout when things go wrong: what fails stops it with everything known, and it goes on, or leads back.
local support = require "tests.spec.support.partman"
local run = require "tests.spec.support.run"

local ONE = support.ONE

describe("partman-rollout", function()
  local rollout

  setup(function() rollout = support.new() end)
  teardown(function() rollout:stop() end)
  before_each(function() rollout:reset() end)

  -- As before the run, but for what cannot be taken back.
  local function is_back(where)
    assert.same(support.FORMATION, rollout:formation "logs-app", where)
    assert.same({ scheduler = "2:Standard-2X" }, rollout:formation "scheduler-app", where)
    rollout:groups_are_whole(where)
    local names = {}
    for _, item in ipairs(rollout.lab:state().apps["logs-app"].attachments) do names[item.name] = item.addon end
    assert.equal(support.OLD, names.LOGS_DATABASE, where)
    assert.equal("200", rollout.lab:sql("primary", "select count(*) from log_parts")[1][1], where)
  end

  it("stops when the upgrade fails, and leads back", function()
    rollout.lab:options { upgrade_error = "the extension foo is not available" }
    local result = rollout:go()
    assert.equal(5, result.exit, result.stderr)
    rollout:says(result, "the upgrade of LOGS_READONLY_DATABASE failed: the extension foo is not available", "LOGS DOWN")
    result = rollout:again "undo"
    assert.equal(0, result.exit, result.stderr)
    is_back "after the upgrade failed"
  end)

  it("waits for jobs, for the aggregation and for a follower that lags; lost answers and expired sessions do not stop it", function()
    rollout.lab:options { log_parts_left = 7, behind_commits = 3 }
    rollout.lab:sql("primary", "create table running_jobs as select 1 as id; grant all on running_jobs to public")
    rollout.lab:faults {
      { service = "heroku", method = "POST", path = "^/addon%-attachments", action = "reset_after" },
      { service = "heroku", method = "POST", path = "^/addon%-attachments", action = "reset_after", skip = 1 },
      { service = "heroku", method = "POST", path = "/upgrade/run", action = "reset_after" },
      { service = "heroku", method = "POST", path = "/addons$", action = "reset_after" },
    }
    rollout.aws:faults { { path = "/SuspendProcesses", action = "reset_after" }, { path = "/ResumeProcesses", action = "reset_before" } }
    local home = rollout.box.dir .. "/home"
    local function keys(session)
      os.execute("mkdir -p " .. home .. "/.aws")
      run.write_file(home .. "/.aws/credentials", ("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\naws_session_token=%s\n")
        :format(session.key, session.secret, session.token))
    end
    local env = rollout.aws.env
    keys { key = env.AWS_ACCESS_KEY_ID, secret = env.AWS_SECRET_ACCESS_KEY, token = env.AWS_SESSION_TOKEN }
    local process = rollout:start({ "--jobs-query", "select count(*) from running_jobs", "--jobs-database", "logs-app::LOGS_DATABASE",
      "--jobs-timeout", "60s", "--settle", "500ms" },
      { env = { AWS_ACCESS_KEY_ID = false, AWS_SECRET_ACCESS_KEY = false, AWS_SESSION_TOKEN = false } })
    process:expect "now: 1 jobs run"
    assert.equal(3, rollout.lab:state().apps["logs-app"].formation.drain.quantity)
    rollout.lab:sql("primary", "delete from running_jobs")
    process:expect "now: 7 rows are left"
    assert.equal(0, rollout.lab:state().apps["logs-app"].formation.drain.quantity)
    assert.equal(2, rollout.lab:state().apps["logs-app"].formation.web.quantity)
    rollout.lab:sql("primary", "delete from log_parts where log_id = 2")
    process:expect "%(1/3%) Waiting for the replica to catch up"
    rollout.aws:expire(env.AWS_ACCESS_KEY_ID)
    keys(rollout.aws.second)
    rollout.lab:options { behind_commits = 0 }
    local result = process:wait(120)
    rollout:is_whole(result)
    rollout:says(result, "the AWS session has expired; going on")
  end)

  it("empties nothing that is not aggregated, also when it was looked at before", function()
    local result = rollout:go { "--left-query", "select case current_setting('transaction_read_only') when 'on' then 0 else 3 end" }
    assert.equal(5, result.exit, result.stderr)
    rollout:says(result, "3 rows are not aggregated yet")
    assert.equal("200", rollout:sql "select count(*) from log_parts")
    result = rollout:again "undo"
    assert.equal(0, result.exit, result.stderr)
    is_back "after the table was not emptied"
  end)

  it("stops at a change that fails, names it, and goes on when it is mended", function()
    local path = rollout.project .. "/deploy/partman.sql"
    os.execute(("sed -i 's/^COMMIT;/SELECT 1 \\/ 0; COMMIT;/' %s"):format(path))
    local result = rollout:go()
    assert.equal(5, result.exit, result.stderr)
    rollout:says(result, "the change partman failed: division by zero", "deployed before it, and kept: vacuum_settings", "LOGS DOWN")
    os.execute(("cp tests/lab/partman/sqitch/deploy/partman.sql %s"):format(path))
    -- The group goes away meanwhile.
    rollout.aws:group(ONE, "remove")
    result = rollout:again "resume"
    assert.equal(5, result.exit, result.stderr)
    rollout:says(result, "Resume terminations", "AutoScalingGroup name not found")
    assert.same(support.FORMATION, rollout:formation "logs-app")
    rollout.aws:group(ONE, "add")
    rollout:is_whole(rollout:again "resume")
  end)

  it("asks for the name of the database before it is emptied", function()
    local words = rollout:words()
    for i, word in ipairs(words) do
      if word == support.NEW then words[i] = "something-else" end
    end
    local result = rollout.box:pgsh(words)
    rollout:says(result, "200 rows of public.log_parts in " .. support.NEW)
    assert.equal(4, result.exit, result.stderr)
    assert.equal("200", rollout:sql "select count(*) from log_parts")
  end)
end)
