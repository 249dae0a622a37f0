-- No credential in what pgsh prints, writes or starts.
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"
local socket = require "socket"

describe("the credentials", function()
  local lab, box

  setup(function()
    lab = labs.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)

  local function passwords_into(secrets)
    for _, value in pairs(lab:state().config) do
      local password = tostring(value):match "://[^:/@]+:([^@]+)@"
      if password then secrets[password] = true end
    end
  end

  -- The command lines of pgsh and of whatever it started: its session (the lab's own psql is not among them).
  local function command_lines(pid)
    return run.shell(("ps -ww -o args= -s %d"):format(pid))
  end

  local function find_in(text, secrets, where)
    for value in pairs(secrets) do assert.is_nil(text:find(value, 1, true), "a secret is in " .. where) end
  end

  it("are in no output, no journal and no command line, whatever happens", function()
    local vars = { SESSION_KEY = "s3ss10n-k3y-0123", HOOK_URL = "https://h.example/T/XYZ9" }
    lab:reset { rotate_credentials = true, dyno_restart_ms = 50, config = vars }
    local secrets = {}
    for _, value in ipairs { lab.env.HEROKU_API_KEY, lab.env.STATUSPAGE_API_KEY, vars.SESSION_KEY, "h.example/T/XYZ9" } do
      secrets[value] = true
    end
    passwords_into(secrets)
    lab:faults {
      { service = "heroku", method = "PATCH", path = "config%-vars", action = "garbage" },
      { service = "heroku", method = "GET", path = "config%-vars", action = "truncate", skip = 4 },
    }
    local process = box:start { "procedures/heroku-primary.lua", "--app", lab.app, "--page", lab.page, "--yes", "--confirm", "disable-job",
      "--confirm", "enable-job", "-v", "--on-failure", "stop" }
    local lines = {}
    while process:alive() do
      lines[#lines + 1] = command_lines(process.pid)
      socket.sleep(0.05)
    end
    local result = process:wait()
    passwords_into(secrets)
    local _, path = box:journal()
    local journal = run.read_file(path)
    assert.is_true(#journal > 1000 and #lines > 3)
    find_in(result.stdout .. result.stderr, secrets, "the output")
    find_in(journal, secrets, "the journal")
    assert.is_truthy(table.concat(lines):find("heroku-primary.lua", 1, true), lines[1])
    find_in(table.concat(lines), secrets, "a command line")
    for _, format in ipairs { "json", "jsonl", "text" } do
      local shown = box:pgsh { "show", "last", "--output", format }
      find_in(shown.stdout .. shown.stderr, secrets, "pgsh show --output " .. format)
    end
    local planned = box:pgsh { "plan", "procedures/heroku-primary.lua", "--app", lab.app, "--output", "jsonl" }
    find_in(planned.stdout .. planned.stderr, secrets, "a plan")
  end)

  it("are not in the error of a refused connection", function()
    lab:reset()
    local secrets = {}
    passwords_into(secrets)
    lab:postgres("primary", "stop")
    local result = box:pgsh { "-e", 'print(heroku.app("crates-io"):database("DATABASE"):value "select 1")' }
    assert.is_true(result.exit ~= 0)
    find_in(result.stdout .. result.stderr, secrets, "the error")
  end)

  it("are not printed by a script that holds them", function()
    lab:reset()
    local secrets = {}
    passwords_into(secrets)
    local result = box:pgsh { "-e", 'for name, value in pairs(heroku.app("crates-io"):config()) do print(name, value) end' }
    assert.equal(0, result.exit, result.stderr)
    assert.is_truthy(result.stdout:find("DATABASE_URL", 1, true))
    find_in(result.stdout, secrets, "what print wrote")
  end)
end)
