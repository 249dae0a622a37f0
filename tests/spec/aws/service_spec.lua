-- The service aws, as scripts use it, against the simulator, which verifies every signature.
local check = require "tests.spec.support.check"
local labs = require "tests.spec.support.aws"
local run = require "tests.spec.support.run"

local ONE, OTHER = "production-2-workers-org", "precise-production-2-workers-org"

describe("aws", function()
  local lab, box

  setup(function() lab = labs.start() end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:reset()
    box = run.box(lab.env)
  end)
  after_each(function()
    box:remove()
    assert.equal("", lab:errors())
  end)

  local NO_KEYS = { AWS_ACCESS_KEY_ID = false, AWS_SECRET_ACCESS_KEY = false, AWS_SESSION_TOKEN = false }

  local function evaluate(text, env)
    return box:pgsh({ "-e", ("local one, other = aws.group(%q), aws.group(%q) "):format(ONE, OTHER) .. text }, { env = env })
  end
  local prints, fails = check.evaluated(evaluate)
  local function write(name, text, mode)
    local path = box.dir .. "/" .. name
    os.execute(("mkdir -p %s"):format(run.quote(path:match "^(.*)/")))
    run.write_file(path, text)
    if mode then os.execute(("chmod %s %s"):format(mode, run.quote(path))) end
    return path
  end
  local function keys(session)
    return ("aws_access_key_id = %s\naws_secret_access_key = %s\n"):format(session.key, session.secret)
      .. (session.token and ("aws_session_token = %s\n"):format(session.token) or "")
  end
  -- A program that prints a session as credential_process wants it.
  local function printer(name, session, more)
    return write(name, ("#!/bin/sh\necho called $* >>%s\ncat <<'E'\n"):format(run.quote(box.dir .. "/" .. name .. ".called"))
      .. ('{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "%s", "SessionToken": "%s"%s}\nE\n')
        :format(session.key, session.secret, session.token, more or ""), "755")
  end
  local function without_secrets(text)
    for _, session in ipairs { lab.second, lab.static, { secret = lab.env.AWS_SECRET_ACCESS_KEY, token = lab.env.AWS_SESSION_TOKEN } } do
      assert.is_nil(text:find(session.secret, 1, true), "a secret is in " .. text)
      if session.token then assert.is_nil(text:find(session.token, 1, true), "a token is in " .. text) end
    end
  end

  describe("groups", function()
    it("are described", function()
      prints(ONE .. "\t1\t6\t3\t3\t3\t|", [[local g = one:info()
        print(g.name, g.min, g.max, g.desired, g.instances, g.states.InService, "|" .. table.concat(g.suspended, ","))]])

    end)
    it("that are not there are nil, or an error that says where", function()
      prints("nil", 'print(aws.group("nobody"):find())')
      fails("there is no Auto Scaling group nobody in us-east-1", 'aws.group("nobody"):info()')
      fails("there is no Auto Scaling group nobody in us-east-1", 'print(aws.group("nobody"):suspended())')
      fails("ValidationError: AutoScalingGroup name not found", 'aws.group("nobody"):suspend "Terminate"')
    end)
    it("are listed to the last page", function()
      for i = 1, 7 do lab:group("group-" .. i, "add") end
      lab:options { page_size = 2 }
      prints("9 group-7", "local list = aws.groups() print(#list .. ' ' .. list[9].name)")
      assert.equal(5, #lab:log())
      prints("2 0", ("local list = aws.groups { %q, 'group-3', 'nobody' } print(#list .. ' ' .. #aws.groups {})"):format(ONE))
    end)
    it("whose names are no names are refused", function()
      fails("is no name of an Auto Scaling group", 'aws.group ""')
      fails("is no name of an Auto Scaling group", 'aws.group "a:b"')
      fails("unknown option regoin", 'aws.group("a", { regoin = "x" })')
    end)
  end)

  describe("processes", function()
    it("are suspended and resumed, one group for itself", function()
      prints("Terminate false", [[one:suspend "Terminate"
        print(table.concat(one:suspended(), ",") .. " " .. tostring((one:is_active "Terminate")))]])
      assert.equal("Terminate", lab:suspended(ONE))
      assert.equal("", lab:suspended(OTHER))
      prints("true", 'one:resume { "Terminate" } print((one:is_active "Terminate"))')
      assert.same({ "SuspendProcesses " .. ONE .. " Terminate", "ResumeProcesses " .. ONE .. " Terminate" }, lab:changes())
    end)
    it("that are active can be told from those that somebody else suspended", function()
      evaluate 'one:suspend { "Launch" }'
      prints("Terminate", 'print(table.concat(one:active { "Terminate", "Launch" }, ","))')
      prints("false Terminate is not suspended", [[local ok, why = one:is_suspended { "Terminate", "Launch" }
        print(tostring(ok) .. " " .. why)]])
    end)
    it("are never all of them because a list is empty", function()
      prints("nil nil", "print(tostring(one:suspend {}) .. ' ' .. tostring(one:resume {}))")
      assert.same({}, lab:changes(true))
    end)
    it("that there are not are refused before anything is sent", function()
      fails("there is no process Terminat;", 'one:suspend "Terminat"')
      fails("name the processes", "one:suspend()")
      assert.equal(0, #lab:log())
    end)
  end)

  describe("requests", function()
    it("whose answer was lost are settled by the group itself", function()
      lab:faults { { path = "/SuspendProcesses", action = "reset_after" } }
      prints("200", 'print(one:suspend("Terminate").status)')
      assert.equal("Terminate", lab:suspended(ONE))
      assert.equal(1, #lab:changes(true))
    end)
    it("that did not arrive are sent again", function()
      lab:faults { { path = "/SuspendProcesses", action = "reset_before" } }
      prints("200", 'print(aws.group("' .. ONE .. '", { settle = "0s" }):suspend("Terminate").status)')
      assert.equal("Terminate", lab:suspended(ONE))
    end)
    it("that are throttled come again until they are let in", function()
      local function busy(action, code, times)
        lab:faults { { path = "/" .. action, action = "status", code = 400, times = times,
          body = ("<ErrorResponse><Error><Code>%s</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"):format(code) } }
      end
      busy("SuspendProcesses", "Throttling", 2)
      busy("DescribeAutoScalingGroups", "RequestLimitExceeded", 1)
      prints("2", 'one:suspend "Terminate" other:suspend "Terminate" print(#aws.groups())')
      assert.same({ "SuspendProcesses " .. ONE .. " Terminate", "SuspendProcesses " .. OTHER .. " Terminate" }, lab:changes())
      assert.equal(6, #lab:log())
    end)
    it("that an answer makes no sense of fail with its words", function()
      lab:faults { { path = "/DescribeAutoScalingGroups", action = "garbage", body = "<html>hello" } }
      fails("an answer that is none of autoscaling", "one:suspended()")
      lab:faults { { path = "/SuspendProcesses", action = "status", code = 400,
        body = "<ErrorResponse><Error><Code>ResourceInUse</Code><Message>busy &amp; tired</Message></Error></ErrorResponse>" } }
      fails("ResourceInUse: busy", 'one:suspend "Terminate"')
    end)
    it("are signed for now: a wrong clock is named", function()
      lab:options { clock_ahead_s = 1000 }
      local result = fails("SignatureDoesNotMatch: Signature expired", "one:suspended()")
      assert.is_truthy(result.stderr:find("is the clock of this machine right?", 1, true), result.stderr)
      lab:options { clock_ahead_s = -1000 }
      fails("is the clock of this machine right?", "one:suspended()")
    end)
    it("go to no other than the service", function()
      fails("is not https", "one:suspended()", { AWS_ENDPOINT_URL = "http://aws.example.com" })
      fails("is no address", "one:suspended()", { AWS_ENDPOINT_URL = "autoscaling" })
    end)
    it("need a region", function()
      local away = { AWS_REGION = false, HOME = box.dir }
      local result = fails("no AWS region is given", "one:suspended()", away)
      assert.is_truthy(result.stderr:find("set AWS_REGION, or region in the profile", 1, true), result.stderr)
      fails('"eu west" is no AWS region', "one:suspended()", { AWS_REGION = "eu west", HOME = box.dir })
      write(".aws/config", "[default]\nregion = us-east-1\n")
      prints("0", "print(#one:suspended())", away)
      fails("valid region, not 'eu-west-1'", ("aws.group(%q, { region = 'eu-west-1' }):suspended()"):format(ONE))
    end)
  end)

  describe("credentials", function()
    local function from(expected, env, more)
      for name, value in pairs(NO_KEYS) do
        if env[name] == nil then env[name] = value end
      end
      return prints(expected, ('local g = aws.group(%q, %s) local where = g:check_credential() g:suspended() print(where)')
        :format(ONE, more or "{}"), env)
    end
    it("are those of the environment", function()
      from("the environment", lab.env)
      fails("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not", "one:suspended()", { AWS_SECRET_ACCESS_KEY = false })
      local result = fails("InvalidClientTokenId", "one:suspended()", { AWS_SESSION_TOKEN = "stale" })
      assert.is_truthy(result.stderr:find("the credentials come from the environment", 1, true), result.stderr)
      result = fails("SignatureDoesNotMatch: The request signature we calculated", "one:suspended()", { AWS_SECRET_ACCESS_KEY = "wrong" })
      without_secrets(result.stderr)
    end)
    it("are those of a profile in the shared files", function()
      local path = write("creds", "[default]\n" .. keys(lab.static) .. "\n[night]\n" .. keys(lab.second) .. "s3 =\n  region = x\n")
      from("profile default of the credentials file", { AWS_SHARED_CREDENTIALS_FILE = path })
      from("profile night of the credentials file", { AWS_SHARED_CREDENTIALS_FILE = path, AWS_PROFILE = "night" })
      from("profile night of the credentials file", { AWS_SHARED_CREDENTIALS_FILE = path,
        AWS_ACCESS_KEY_ID = lab.env.AWS_ACCESS_KEY_ID }, "{ profile = 'night' }")
      local config = write("config", "# ours\n[profile day]\r\n" .. keys(lab.second) .. "region=us-east-1\n")
      from("profile day of the config file", { AWS_CONFIG_FILE = config, AWS_PROFILE = "day", AWS_REGION = false })
    end)
    it("are those of a credential_process", function()
      local program = printer("my tool", lab.second)
      local config = write("config", ('[profile p]\ncredential_process = "%s" --for p\n'):format(program))
      local result = from("the credential_process of profile p", { AWS_CONFIG_FILE = config, AWS_PROFILE = "p" })
      assert.equal("called --for p\n", run.read_file(program .. ".called"))
      without_secrets(result.stdout .. result.stderr)
      config = write("config", "[profile p]\ncredential_process = false\n")
      fails("the credential_process of profile p failed", "one:suspended()",
        { AWS_CONFIG_FILE = config, AWS_PROFILE = "p", AWS_ACCESS_KEY_ID = false, AWS_SECRET_ACCESS_KEY = false })
    end)
    it("are what aws configure export-credentials prints, when there are no others, or a role's", function()
      local program = printer("bin/aws", lab.second)
      local path = box.dir .. "/bin:" .. os.getenv "PATH"
      from("aws configure export-credentials", { PATH = path })
      local config = write("config", "[profile sso]\nsso_session = s\n" .. keys(lab.static))
      from("aws configure export-credentials", { PATH = path, AWS_CONFIG_FILE = config, AWS_PROFILE = "sso" })
      assert.matches("called configure export%-credentials %-%-format process %-%-profile sso\n$", run.read_file(program .. ".called"))
    end)
    it("that are nowhere: every place is named", function()
      local none = { PATH = "/usr/bin:/bin", AWS_EC2_METADATA_DISABLED = "true", HOME = box.dir }
      for name, value in pairs(NO_KEYS) do none[name] = value end
      write("bin/aws", "#!/bin/sh\necho 'Unable to retrieve credentials: no credentials found' >&2\nexit 253\n", "755")
      none.PATH = box.dir .. "/bin:" .. none.PATH
      local result = fails("no AWS credentials: none in AWS_ACCESS_KEY_ID, nor for profile default in " .. box.dir .. "/.aws/credentials",
        "one:suspended()", none)
      assert.is_truthy(result.stderr:find("no credentials found", 1, true), result.stderr)
      assert.is_truthy(result.stderr:find("aws sso login", 1, true), result.stderr)
    end)
    it("of a session that ends in a moment are looked for anew", function()
      local program = printer("tool", lab.second, ', "Expiration": "2001-01-01T00:00:00Z"')
      local config = write("config", "[profile p]\ncredential_process = " .. program .. "\n")
      from("the credential_process of profile p", { AWS_CONFIG_FILE = config, AWS_PROFILE = "p" })
      assert.is_true(#run.read_file(program .. ".called") > #"called \n")
    end)
  end)

  describe("in a run", function()
    local PROCEDURE = [[
      procedure { name = "hold", summary = "terminations are suspended meanwhile" }
      local group = aws.group "%s"
      local held = step "Suspend" {
        keep = function() return { active = group:active "Terminate" } end,
        run = function(kept) group:suspend(kept.active) end,
        verify = { "suspended", function() return group:is_suspended "Terminate" end },
        undo = function(kept) group:resume(kept.active) end,
      }
      step "Work" (function() sh.run { "sh", "%s" } end)
      step "Resume" { run = function() group:resume(held.kept.active) end, undo = { "nothing", function() end } }
    ]]
    local function procedure(work)
      return write("hold.lua", PROCEDURE:format(ONE, write("work.sh", work or ":")))
    end

    it("are planned without a change, and the targets are the groups", function()
      local result = box:pgsh { "plan", procedure() }
      assert.equal(0, result.exit, result.stderr)
      local text = result.stdout .. result.stderr
      assert.is_truthy(text:find("SuspendProcesses Terminate", 1, true), text)
      assert.is_truthy(text:find("autoscaling " .. ONE, 1, true), text)
      assert.same({}, lab:changes(true))
      without_secrets(text)
    end)
    it("show a redirected address with the target", function()
      local result = box:pgsh { procedure(), "-y", "--no-input" }
      assert.equal(0, result.exit, result.stderr)
      local named
      for _, event in ipairs((box:journal())) do
        for _, target in ipairs(event.targets or {}) do named = named or target end
      end
      assert.same({ kind = "autoscaling", name = ONE, detail = lab.env.AWS_ENDPOINT_URL }, named)
    end)
    it("only what we suspended is resumed", function()
      evaluate 'one:suspend { "Terminate", "Launch" }'
      lab:call("DELETE", "/log")
      local result = box:pgsh { procedure(), "-y", "--no-input" }
      assert.equal(0, result.exit, result.stderr)
      assert.equal("Launch,Terminate", lab:suspended(ONE))
      assert.same({}, lab:changes(true))
    end)
    it("a session that expires in the middle is renewed, and the run goes on", function()
      local path = write("creds", "[default]\n" .. keys { key = lab.env.AWS_ACCESS_KEY_ID, secret = lab.env.AWS_SECRET_ACCESS_KEY,
        token = lab.env.AWS_SESSION_TOKEN })
      local env = { AWS_SHARED_CREDENTIALS_FILE = path }
      for name, value in pairs(NO_KEYS) do env[name] = value end
      local newer = write("newer", "[default]\n" .. keys(lab.second))
      local file = procedure(("curl -sS -X POST %s/_lab/credential -d '{\"key\":\"%s\",\"expired\":true}'; mv %s %s"):format(
        lab.control, lab.env.AWS_ACCESS_KEY_ID, newer, path))
      local result = box:pgsh({ file, "-y", "--no-input" }, { env = env })
      assert.equal(0, result.exit, result.stderr)
      assert.is_truthy(result.stderr:find("the AWS session has expired; going on", 1, true), result.stderr)
      assert.equal("", lab:suspended(ONE))
      assert.same({ "SuspendProcesses " .. ONE .. " Terminate", "ResumeProcesses " .. ONE .. " Terminate" }, lab:changes())
      local _, journal = box:journal()
      without_secrets(result.stdout .. result.stderr .. run.read_file(journal))
    end)
    it("also when its answer was lost on the way, and the look for it found the newer credentials", function()
      local path = write("creds", "[default]\n" .. keys { key = lab.env.AWS_ACCESS_KEY_ID, secret = lab.env.AWS_SECRET_ACCESS_KEY,
        token = lab.env.AWS_SESSION_TOKEN })
      local env = { AWS_SHARED_CREDENTIALS_FILE = path }
      for name, value in pairs(NO_KEYS) do env[name] = value end
      lab:faults { { path = "/ResumeProcesses", action = "reset_before" } }
      local newer = write("newer", "[default]\n" .. keys(lab.second))
      local file = procedure(("curl -sS -X POST %s/_lab/credential -d '{\"key\":\"%s\",\"expired\":true}'; mv %s %s"):format(
        lab.control, lab.env.AWS_ACCESS_KEY_ID, newer, path))
      local text = run.read_file(file):gsub('aws.group "' .. ONE:gsub("%p", "%%%0") .. '"', '%0 group.settle = "0s"')
      write("hold.lua", text)
      local result = box:pgsh({ file, "-y", "--no-input" }, { env = env })
      assert.equal(0, result.exit, result.stderr)
      assert.equal("", lab:suspended(ONE))
    end)
    it("without newer credentials it stops, says what helps, and goes on when it is resumed", function()
      local path = write("creds", "[default]\n" .. keys { key = lab.env.AWS_ACCESS_KEY_ID, secret = lab.env.AWS_SECRET_ACCESS_KEY,
        token = lab.env.AWS_SESSION_TOKEN })
      local env = { AWS_SHARED_CREDENTIALS_FILE = path }
      for name, value in pairs(NO_KEYS) do env[name] = value end
      local file = procedure(("curl -sS -X POST %s/_lab/credential -d '{\"key\":\"%s\",\"expired\":true}'"):format(
        lab.control, lab.env.AWS_ACCESS_KEY_ID))
      local result = box:pgsh({ file, "-y", "--no-input", "--on-failure", "stop" }, { env = env })
      assert.equal(5, result.exit, result.stderr)
      assert.is_truthy(result.stderr:find("renew them (aws sso login), then retry", 1, true), result.stderr)
      write("creds", "[default]\n" .. keys(lab.second))
      result = box:pgsh({ "resume", "last", "-y", "--no-input" }, { env = env })
      assert.equal(0, result.exit, result.stderr)
      assert.same({ "SuspendProcesses " .. ONE .. " Terminate", "ResumeProcesses " .. ONE .. " Terminate" }, lab:changes())
    end)
  end)
end)
