-- partman-rollout as a whole, against the labs of Heroku and AWS, real servers, the real sqitch and pg_partman: the run, the plan, the
-- checklist, and what is refused.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.partman"

local ONE, OTHER = support.ONE, support.OTHER

describe("partman-rollout", function()
  local rollout

  setup(function() rollout = support.new() end)
  teardown(function() rollout:stop() end)
  before_each(function() rollout:reset() end)

  local function suspend(group, process)
    local result = rollout.box:pgsh { "-e", ("aws.group(%q):suspend(%q)"):format(group, process) }
    assert.equal(0, result.exit, result.stderr)
    rollout.aws:call("DELETE", "/log")
  end

  it("leaves a partitioned, writable table on the upgraded database, and everything else as it was", function()
    suspend(OTHER, "Terminate")
    suspend(ONE, "Launch")
    rollout.lab:options { api_attached = true }
    local result = rollout:go { "--restore", "web=4:Standard-2X", "--measured", "9h41m50s", "--verify-changes" }
    local formation = setmetatable({ web = "4:Standard-2X" }, { __index = support.FORMATION })
    local expected = {}
    for name in pairs(support.FORMATION) do expected[name] = formation[name] end
    rollout:is_whole(result, nil, { formation = expected, suspended = { [ONE] = "Launch", [OTHER] = "Terminate" } })
    assert.same({ "SuspendProcesses " .. ONE .. " Terminate", "ResumeProcesses " .. ONE .. " Terminate" }, rollout.aws:changes())
    rollout:says(result, "the upgrade took 9h41m50s on a fork", "14.20 → 15.15", "200 rows", "LOGS DOWN from now on",
      OTHER .. ": suspended already, and will stay so: Terminate")
    local _, journal = rollout.box:journal()
    local said = result.stdout .. result.stderr .. run.read_file(journal)
    for _, value in pairs(rollout.lab:state().config) do
      local password = tostring(value):match "://[^:/@]+:([^@]+)@"
      if password then assert.is_nil(said:find(password, 1, true), "a password is to be seen") end
    end
    assert.is_nil(said:find(rollout.aws.env.AWS_SECRET_ACCESS_KEY, 1, true))
    assert.is_nil(said:find(rollout.aws.env.AWS_SESSION_TOKEN, 1, true))
  end)

  it("is planned to its end without a change", function()
    rollout.lab:reset { fixture = "partman", log_parts_left = 5 }
    local words = rollout:words()
    table.insert(words, 1, "plan")
    local result = rollout.box:pgsh(words)
    rollout:is_untouched(result, 0, "SuspendProcesses Terminate", "/upgrade/run", "truncate table public.log_parts", "now: 5 rows are left",
      "deploy --to-change structure --log-only", "deploy --to-change partman", "POST /addons scheduler:standard",
      "PATCH /formation aggregate=2:Standard-2X", "ResumeProcesses Terminate", "opens LOGS DOWN")
  end)

  it("is a Markdown issue to be copied, with its parameters, and needs nobody for it", function()
    local words = rollout:parameters()
    local all = { "checklist", "procedures/partman-rollout.lua" }
    table.move(words, 1, #words, 3, all)
    local nobody = { HEROKU_API_KEY = false, AWS_ACCESS_KEY_ID = false, AWS_SECRET_ACCESS_KEY = false }
    local result = rollout.box:pgsh(all, { env = nobody })
    rollout:is_untouched(result, 0, "- [ ] 3. **Scale down the scheduler**", "heroku ps:scale scheduler=0 -a scheduler-app",
      "aws autoscaling suspend-processes --auto-scaling-group-name '" .. ONE .. "' --scaling-processes Terminate",
      "heroku ps:scale drain=0 logs=0 -a logs-app", "heroku pg:promote LOGS_READONLY_DATABASE --as LOGS_DATABASE -a logs-app",
      "SELECT partman.run_maintenance('public.log_parts');", "- groups: `" .. ONE .. ", " .. OTHER .. "`")
    result = rollout.box:pgsh { "checklist", "procedures/partman-rollout.lua" }
    rollout:is_untouched(result, 0, "heroku ps:scale scheduler=0 -a <scheduler-app>", "no Auto Scaling groups are given")
  end)

  it("is refused with everything that is wrong, before anything changes", function()
    rollout.lab:options { formation = { archive = { quantity = 0 } } }
    local result = rollout:go { "--groups", "nobody", "--change", "nosuch", "--table", "other", "--page", rollout.lab.page,
      "--restore", "nothing=1" }
    rollout:is_untouched(result, 3, "there is no Auto Scaling group nobody", "sqitch.plan has no change nosuch",
      "there is no table public.other", "archive of logs-app is scaled to 0 already", "nothing of the name",
      "--restore: nothing is neither")
  end)

  it("is refused when the databases are not what they should be", function()
    rollout:is_untouched(rollout:go { "--upgrade-database", "LOGS_DATABASE" }, 3, "it is a leader, not a follower",
      "are the same database")
    rollout:is_untouched(rollout:go { "--to-version", "14" }, 3, "it runs version 14.20 already")
    rollout:is_untouched(rollout:go { "--sqitch", rollout.box.dir .. "/home" }, 3, "sqitch plan: No project")
    rollout:is_untouched(rollout:go({}, { env = { AWS_SECRET_ACCESS_KEY = "wrong" } }), 3, "SignatureDoesNotMatch")
    rollout:is_untouched(rollout:go { "--restore", "web" }, 2, "--restore \"web\" does not look like TYPE=QUANTITY")
  end)

  it("looks whether it was announced in time", function()
    local create = [[statuspage.page(%q):schedule { name = "Log database maintenance", body = "b",
      from = os.time() * 1000 + %d * 3600000, ["until"] = os.time() * 1000 + 90 * 3600000 }]]
    local page = rollout.lab.page
    local words = rollout:words { "--page", page }
    table.insert(words, 1, "plan")
    assert.equal(0, rollout.box:pgsh({ "-e", create:format(page, 20) }).exit)
    local result = rollout.box:pgsh(words)
    rollout:says(result, "was not announced 48 hours ahead")
    assert.equal(0, rollout.box:pgsh({ "-e", create:format(page, 49) }).exit)
    result = rollout.box:pgsh(words)
    assert.equal(0, result.exit, result.stderr)
  end)
end)
