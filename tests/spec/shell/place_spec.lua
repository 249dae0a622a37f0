-- Where the shell is: what the prompt says of the server, and \c.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

describe("the shell's place", function()
  local server, box, screen

  setup(function() server = postgres.start() end)
  teardown(function() server:remove() end)
  before_each(function() box = run.box() end)
  after_each(function()
    if screen then screen:close() end
    screen = nil
    box:remove()
  end)

  it("is in the prompt as it is: defaults by their real names, and the role after each answer", function()
    screen = terminal.open(box)
    screen:pgsh(("shell 'host=127.0.0.1 port=%d user=postgres'"):format(server.port))
    screen:see("\n?127.0.0.1:" .. server.port .. "/ RO>$")
    local function prompt_after(state)
      screen:keys "C-l"
      screen:line "select 1;"
      screen:see(("\npostgres@127.0.0.1:%d/postgres %%(%s%%) RO>$"):format(server.port, state))
    end
    prompt_after "primary"
    server:stop()
    run.shell("touch " .. server.dir .. "/data/standby.signal")
    server:start()
    prompt_after "standby"
    server:ctl "-w promote" -- which leaves the connection as it is
    prompt_after "primary"
    screen:line "db:identity().in_recovery"
    screen:see "\nfalse\n"
    screen:keys "C-d"
    screen:see "%[exit 0%]"
    local targets = {}
    for _, event in ipairs((box:journal())) do targets[event.target or ""] = true end
    assert.is_true(targets[("psql 127.0.0.1:%d/"):format(server.port)]) -- everywhere else the target keeps its name
  end)

  describe("is changed by \\c", function()
    setup(function()
      server:psql "create role app login password 'kept'"
      server:psql 'create database "Odd DB"'
    end)

    -- What is printed: the entries are read from standard input.
    local function shell(input, fields, env)
      return box:pgsh({ "shell", fields and server:conninfo(fields) }, { stdin = input, env = env })
    end
    local WHERE = "select current_database() as d, session_user as u;\n"

    it("to another database, for another user, of the same server", function()
      local result = shell("\\c template1\n" .. WHERE .. "\\c \"Odd DB\"\n" .. WHERE .. "\\c - postgres\n" .. WHERE
        .. "\\c postgres postgres\n" .. WHERE, { user = "app", password = "kept" })
      assert.equal(0, result.exit, result.stderr)
      local seen = {}
      for d, u in result.stdout:gmatch "d\tu\n([^\t]*)\t([^\n]*)\n" do seen[#seen + 1] = d .. " " .. u end
      assert.same({ "template1 app", "Odd DB app", "Odd DB postgres", "postgres postgres" }, seen)
      local said = ("connected to 127.0.0.1:%d/Odd DB as app, a primary\n"):format(server.port)
      assert.truthy(result.stderr:find(said, 1, true), result.stderr)
      local _, path = box:journal()
      assert.is_nil((result.stdout .. result.stderr .. run.read_file(path)):find("kept", 1, true))
    end)

    it("with the database at hand when that was left open, and without a password that is another user's", function()
      local result = shell("select 1;\n\\c - app\n", { user = "postgres", password = "kept" })
      assert.truthy(result.stderr:find("no password supplied", 1, true), result.stderr)
      local env = { PGHOST = "127.0.0.1", PGPORT = server.port, PGUSER = "postgres", PGPASSWORD = "kept" }
      result = box:pgsh({ "shell", "host=127.0.0.1" }, { stdin = "select 1;\n\\c - app\n" .. WHERE, env = env })
      assert.truthy(result.stdout:find("d\tu\npostgres\tapp\n", 1, true), result.stdout .. result.stderr)
    end)

    it("while a job keeps the former handle busy: what each has is its own", function()
      local result = shell([[
former = psql(os.getenv "CONN")
db = former
spawn("sleeper", function() former:value "select pg_sleep(30)" end)
further = former:value "select pg_backend_pid()"
\c template1
print(former ~= db, db:value "select pg_backend_pid()" ~= further)
db:close()
print(former:value "select pg_backend_pid()" == further)
jobs.cancel(1)
]], nil, { CONN = server:conninfo() })
      assert.equal("true\ttrue\ntrue\n", result.stdout, result.stderr)
    end)

    it("to a handle of the session, or where a connection string leads, in quotes too", function()
      local other = server:conninfo { dbname = "template1" }
      local result = shell(table.concat({ ("standby = psql [[%s]]\n\\c standby\n"):format(other),
        ("\\c \"%s\"\n"):format(server:conninfo():gsub("'", "")), ("\\c %s\n"):format(other),
        ("\\c postgresql://postgres@127.0.0.1:%d/template1\n"):format(server.port), "" }, WHERE), {})
      assert.equal(0, result.exit, result.stderr)
      local seen = {}
      for d in result.stdout:gmatch "d\tu\n([^\t]*)\t" do seen[#seen + 1] = d end
      assert.same({ "template1", "postgres", "template1", "template1" }, seen)
    end)

    it("only when it can be reached, and not from a server that nobody knows yet", function()
      assert.equal(1, shell("\\c nowhere\n", {}).exit)
      local result = shell(("db = psql(function() return [[%s]] end, { name = 'late' })\n\\c template1\n"):format(server:conninfo()), {})
      assert.truthy(result.stderr:find("psql late has not been used yet", 1, true), result.stderr)
      assert.equal(2, shell("\\c a b c\n", {}).exit)
    end)

    it("and said by \\conninfo, as by \\c alone", function()
      for _, command in ipairs { "\\c\n", "\\conninfo\n" } do
        local said = {}
        local text = shell(command, { user = "app", password = "kept" }).stdout
        for name, value in text:gmatch "([^\t\n]+)\t([^\n]*)\n" do said[name] = value end
        assert.truthy(said.pid:find "^%d+$")
        assert.truthy(said.server:find "^PostgreSQL %d")
        said.pid, said.server, said.connection = nil, nil, nil
        assert.same({ target = ("127.0.0.1:%d/postgres"):format(server.port), host = "127.0.0.1", port = tostring(server.port),
          database = "postgres", user = "app", TLS = "none", role = "primary" }, said)
      end
    end)
  end)
end)
