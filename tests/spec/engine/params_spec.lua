local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("parameters", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  local SHOW = '\nstep "Show" (function() print(value) end)'

  -- What a parameter's value prints as, given a command line.
  local function value(declaration, ...)
    local run = box:run("local value = param." .. declaration .. SHOW, ...)
    return run.exit == 0 and run.out:gsub("\n$", "") or run
  end

  local function refused(declaration, message, ...)
    local run = value(declaration, ...)
    assert.equal("table", type(run), "it was not refused: " .. tostring(run))
    assert.equal(2, run.exit, run.all)
    assert.match(message, run.err, 1, true)
    assert.equal("", run.out)
    local lines = select(2, run.err:gsub("\n", ""))
    assert.is_true(lines <= 2, run.err)
  end

  it("take their values from flags in every spelling", function()
    assert.equal("crates-io", value('string { "app" }', "--app", "crates-io"))
    assert.equal("crates-io", value('string { "app" }', "--app=crates-io"))
    assert.equal("a=b", value('string { "app" }', "--app=a=b"))
    assert.equal("-5", value('integer { "n" }', "--n", "-5"))
    assert.equal("-5", value('integer { "n" }', "--n=-5"))
    assert.equal("nil", value 'string { "app" }')
  end)

  it("have types", function()
    assert.equal("0.5", value('number { "x" }', "--x", "0.5"))
    assert.equal("true", value('boolean { "x" }', "--x"))
    assert.equal("false", value('boolean { "x", default = true }', "--no-x"))
    assert.equal("false", value('boolean { "x", default = true }', "--x=off"))
    assert.equal("90", value('duration { "x" }', "--x", "1m30s"))
    assert.equal("300", value 'duration { "x", default = "5m" }')
    assert.equal("2026-11-21T14:00:00Z", value('time { "x" }', "--x", "2026-11-21T15:00:00+01:00"))
    assert.match("T14:30:00Z$", value('time { "x" }', "--x", "14:30"))
    assert.equal("b", value('choice { "x", choices = { "a", "b" } }', "--x", "b"))
    assert.equal("proc.lua", value('file { "x" }', "--x", "proc.lua"))
  end)

  it("make lists of commas and of repeated flags", function()
    local list = 'list { "x" } ; value = table.concat(value, "+")'
    assert.equal("a+b+c", value(list, "--x", "a,b", "--x=c"))
    assert.equal("3", value('list { "x", of = "integer" } ; value = value[1] + value[2]', "--x", "1,2"))
    refused('list { "x", of = "integer" }', '"b" is not a whole number', "--x", "1,b")
  end)

  it("read a text from a file", function()
    box:write("message.txt", "two\nlines\n")
    assert.equal("two\nlines", value('text { "x" }', "--x", "@message.txt"))
    refused('text { "x" }', "--x: cannot read none.txt", "--x", "@none.txt")
  end)

  it("are checked", function()
    refused('integer { "n" }', '--n "x" is not a whole number', "--n", "x")
    refused('integer { "n", min = 2 }', "--n is less than 2", "--n", "1")
    refused('number { "n", max = 2 }', "--n is more than 2", "--n", "3")
    refused('boolean { "n" }', '--n "maybe" is not true or false', "--n=maybe")
    refused('duration { "n" }', '--n "soon" is not a duration', "--n", "soon")
    refused('time { "n" }', '--n "25:00" is not a time', "--n", "25:00")
    refused('choice { "n", choices = { "read", "write" } }', 'did you mean write?', "--n", "wriet")
    refused('string { "n", pattern = "%l+" }', '--n "X" does not look like', "--n", "X")
    refused('string { "n" }', "--n is empty", "--n=")
    refused('string { "n" }', "--n needs a value", "--n")
    refused('string { "n" }', "--n is given twice", "--n", "a", "--n", "b")
    refused('file { "n" }', "--n: cannot read none", "--n", "none")
    refused('string { "n", "the name", required = true }', "--n is required (the name)")
  end)

  it("are told of all at once, in one line", function()
    local run = box:run([[
      local a = param.string { "app", required = true }
      local b = param.integer { "copies" }
      step "x" (function() print(a .. b) end)
    ]], "--copies", "many", "--ap", "x", "word")
    assert.equal(2, run.exit)
    for _, text in ipairs { "--app is required", '--copies "many" is not a whole number', "unknown option --ap (did you mean --app?)",
      'unexpected argument "word"' } do
      assert.match(text, run.err, 1, true)
    end
  end)

  it("suggest options of pgsh, too", function()
    refused('string { "n" }', "did you mean --confirm?", "--confrim", "x")
  end)

  it("come from a file, from the environment, from the default, in this order", function()
    box:write("params.json", '{ "app": "from-file", "read_only_var": "X" }')
    local text = [[
      local app = param.string { "app", default = "from-default", env = "HEROKU_APP" }
      local var = param.string { "read-only-var", default = "Y" }
      step "Show" (function() print(app, var) end)
    ]]
    box.env.PGSH_APP = "from-environment"
    assert.equal("from-flag\tX\n", box:run(text, "--params", "params.json", "--app", "from-flag").out)
    assert.equal("from-file\tX\n", box:run(text, "--params", "params.json").out)
    assert.equal("from-environment\tY\n", box:run(text).out)
    box.env.PGSH_APP = nil
    box.env.HEROKU_APP = "from-heroku"
    assert.equal("from-heroku\tY\n", box:run(text).out)
    box.env.HEROKU_APP = nil
    assert.equal("from-default\tY\n", box:run(text).out)
  end)

  it("are refused when their file is wrong", function()
    box:write("params.json", '{ "ap": 1 }')
    refused('string { "app" }', "params.json: unknown parameter ap (did you mean --app?)", "--params", "params.json")
    box:write("params.json", "{ app: 1 }")
    refused('string { "app" }', "params.json", "--params", "params.json")
    box:write("params.json", "[1]")
    refused('string { "app" }', "params.json: an object of parameters is expected", "--params", "params.json")
    refused('string { "app" }', "none.json", "--params", "none.json")
  end)

  it("keep a secret out of everything that is written", function()
    local run = box:run([[
      local token = param.string { "token", secret = true, env = "TOKEN_X" }
      step "Use" (function() print(token) sh.run({ "true" }, { env = { T = token } }) end)
    ]], { env = { TOKEN_X = "s3cr3t-value", XDG_STATE_HOME = box.env.XDG_STATE_HOME } })
    assert.equal(0, run.exit, run.all)
    assert.equal("•••\n", run.out)
    local journal = box:pgsh("show", "last", "-o", "jsonl").out
    assert.is_nil(journal:find("s3cr3t", 1, true))
  end)

  it("are shown by --help, with types and defaults, also when required ones are missing", function()
    local text = [[
      local app = param.string { "app", "Heroku app", required = true }
      local limit = param.duration { "limit", "longest wait", default = "10m" }
      local page = param.string { "page", "status page" }
      fact "never" (function() error "it was run" end)
      step("Scale " .. app) (function() error "it was run" end)
    ]]
    local run = box:pgsh(box:procedure(text), "--help")
    assert.equal(0, run.exit, run.all)
    assert.match("proc: A procedure", run.out, 1, true)
    assert.match("%-%-app string\n%s+Heroku app; required", run.out)
    assert.match("%-%-limit duration\n%s+longest wait; default 10m", run.out)
    assert.match("status page; optional", run.out)
    assert.match("1 step;", run.out)
    assert.equal("", run.err)
  end)

  it("are refused when they are declared wrongly, with file and line", function()
    for text, message in pairs {
      ['param.string { "app", requird = true }'] = "parameter app: unknown option requird (did you mean required?)",
      ['param.string { "a b" }'] = "param.string { \"name\", \"help\" }: the name consists of letters, digits and -",
      ['param.string { "a" } param.string { "a" }'] = "parameter a is declared twice",
      ['param.choice { "a" }'] = "parameter a: choices = { \"…\", … } is needed",
      ['param.strng { "a" }'] = "unknown name param.strng (did you mean string?)",
      ['param.integer { "a", default = "x" }'] = 'default of --a: "x" is not a whole number',
    } do
      local run = box:run(text .. ' step "x" (function() end)')
      assert.equal(2, run.exit, run.all)
      assert.match("proc.lua:2: " .. message, run.err, 1, true)
    end
  end)

  describe("are refused under a name that is pgsh's own:", function()
    local OPTIONS = { "dry-run", "yes", "confirm", "no-input", "step", "from", "until", "skip", "on-failure", "start-at", "output", "state",
      "color", "quiet", "verbose", "params", "list", "help", "version", "eval", "command", "no-rc" }

    local function refused_name(kind, name, message)
      local run = box:run(("param.%s { %q } step \"x\" (function() end)"):format(kind, name))
      assert.equal(2, run.exit, run.all)
      assert.match("proc.lua:2: parameter " .. name .. ": " .. message, run.err, 1, true)
      assert.match("give the parameter another name", run.err, 1, true)
    end

    it("an option, each of them", function()
      for _, name in ipairs(OPTIONS) do refused_name("string", name, ("--%s is an option of pgsh itself"):format(name)) end
      local flags = box:pgsh("completion", "bash").out:match 'compgen %-W "(%-%-[^$]*)'
      local count = select(2, flags:gsub("%-%-", ""))
      assert.equal(#OPTIONS, count, flags)
    end)

    it("the negation of a boolean", function()
      refused_name("boolean", "input", "--no-input is an option of pgsh itself")
      assert.equal("x", value('string { "input" }', "--input", "x"))
    end)

    it("an environment variable", function()
      refused_name("string", "path", "PGSH_PATH in the environment is pgsh's own")
      refused_name("string", "slack-url", "PGSH_SLACK_URL in the environment is pgsh's own")
    end)

    it("and every variable that is read is among them", function()
      local host, read = require "pgsh.host", {}
      local sources = require("pgsh.sh").read({ "grep", "-rhoE", 'getenv\\("PGSH_[A-Z_]+"', "src" }).out
      for variable in sources:gmatch '"(PGSH_[%u_]+)"' do read[variable] = true end
      for _, name in ipairs(host.embedded_names()) do
        for variable in host.embedded(name):gmatch '"(PGSH_[%u_]+)"' do
          if name ~= "pgsh/variables.lua" then read[variable] = true end
        end
      end
      for _, own in ipairs(require "pgsh.variables") do
        assert.is_true(read[own.name], own.name .. " is read by nobody")
        read[own.name] = nil
      end
      assert.is_nil((next(read)))
    end)

    it("also when a shell completes it, or its help is wanted", function()
      box:procedure 'param.string { "state" } step "x" (function() end)'
      for _, words in ipairs { { "completion", "flags", "proc.lua" }, { "proc.lua", "--help" }, { "plan", "proc.lua" },
        { "checklist", "proc.lua" }, { "proc.lua", "--list" } } do
        local run = box:pgsh(table.unpack(words))
        assert.is_nil(run.out:find("--state", 1, true), table.concat(words, " "))
      end
    end)
  end)
end)
