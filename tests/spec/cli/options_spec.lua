-- The command line: what becomes the Invocation, and what is told when it is wrong. The engine is replaced, by $PGSH_PATH, by one
-- that puts out the Invocation it gets.
local json = require "cjson"
local run = require "tests.spec.support.run"

local ENGINE = [[
local host, json = require "pgsh.host", require "pgsh.json"
return function(invocation)
  host.emit("output", { text = json.encode(invocation) })
  return 0
end
]]

describe("the command line", function()
  local box

  setup(function()
    box = run.box()
    os.execute("mkdir -p " .. box.dir .. "/lua/pgsh")
    run.write_file(box.dir .. "/lua/pgsh/main.lua", ENGINE)
    box.env.PGSH_PATH = box.dir .. "/lua"
  end)

  teardown(function() box:remove() end)

  local function parsed(...)
    local result = box:pgsh({ ... })
    assert.equal("", result.stderr)
    return json.decode(result.stdout)
  end

  local function refused(message, ...)
    local result = box:pgsh({ ... })
    assert.equal("pgsh: " .. message .. "\n", result.stderr)
    assert.equal("", result.stdout)
    assert.equal(2, result.exit)
  end

  describe("finds the command:", function()
    it("a file is run", function()
      local got = parsed("procedures/x.lua")
      assert.equal("run", got.command)
      assert.equal("procedures/x.lua", got.file)
    end)
    it("a word of pgsh's own", function()
      local got = parsed("plan", "x.lua", "more")
      assert.equal("plan", got.command)
      assert.equal("x.lua", got.file)
      assert.same({ "more" }, got.words)
    end)
    it("an id is a word, not a file", function()
      local got = parsed("resume", "k7f2")
      assert.equal("resume", got.command)
      assert.is_nil(got.file)
      assert.same({ "k7f2" }, got.words)
    end)
    it("-n and --dry-run turn a run into a plan", function()
      assert.equal("plan", parsed("-n", "x.lua").command)
      assert.equal("plan", parsed("x.lua", "--dry-run").command)
    end)
    it("-e is code, its words are arguments", function()
      local got = parsed("-e", "print(1)", "a", "-e", "print(2)", "plan")
      assert.equal("eval", got.command)
      assert.equal("print(1)\nprint(2)", got.options.code)
      assert.same({ "a", "plan" }, got.words)
    end)
    it("- is standard input, no words are the shell", function()
      assert.equal("stdin", parsed("-").command)
      assert.equal("shell", parsed().command)
    end)
    it("--help keeps the command", function()
      local got = parsed("x.lua", "--help")
      assert.equal("run", got.command)
      assert.is_true(got.options.help)
      assert.equal("help", parsed("-h").command)
    end)
    it("behind -- everything is a word", function()
      local got = parsed("x.lua", "--", "--yes", "plan")
      assert.is_false(got.options.yes)
      assert.same({ "--yes", "plan" }, got.words)
      assert.equal("plan", parsed("--", "plan").file)
    end)
  end)

  describe("takes options", function()
    it("in every form", function()
      local o = parsed("x.lua", "-qv", "--from=a", "--until", "b", "--skip", "c,d", "--skip=e", "--confirm", "crates-io",
        "--confirm=x", "--params", "p.json", "--state=/tmp/s", "--on-failure", "undo", "--start-at", "14:00", "--step",
          "--no-input").options
      assert.is_true(o.quiet and o.verbose and o.step and o.no_input)
      assert.equal("a", o.from)
      assert.equal("b", o["until"])
      assert.same({ "c", "d", "e" }, o.skip)
      assert.same({ "crates-io", "x" }, o.confirm)
      assert.same({ "p.json" }, o.params)
      assert.equal("/tmp/s", o.state)
      assert.equal("undo", o.on_failure)
      assert.equal("14:00", o.start_at)
    end)
    it("with the value behind its letter", function()
      local event = parsed("x.lua", "-ojsonl")
      assert.equal("jsonl", json.decode(event.text).options.output)
    end)
    it("in front of the file too", function()
      assert.equal("x.lua", parsed("--yes", "x.lua").file)
    end)
    it("leaves those of the procedure, with the word behind them, in order", function()
      local got = parsed("x.lua", "--app", "crates-io", "--yes", "--rehearse", "--count=-5", "--low", "-5")
      assert.same({ "--app", "crates-io", "--rehearse", "--count=-5", "--low", "-5" }, got.rest)
      assert.is_true(got.options.yes)
      local known = table.concat(got.known, " ")
      assert.truthy(known:find("--dry-run", 1, true))
    end)
    it("finds a file behind a flag that takes no value", function()
      local got = parsed("--rehearse", "procedures/x.lua")
      assert.equal("procedures/x.lua", got.file)
      assert.same({ "--rehearse" }, got.rest)
    end)
    it("never takes a command for a flag's value", function()
      local got = parsed("--rehearse", "plan", "x.lua")
      assert.equal("plan", got.command)
      assert.equal("x.lua", got.file)
    end)
  end)

  describe("refuses in one line, with exit status 2:", function()
    it("an option that no command takes", function()
      refused("unknown option --outptu (did you mean --output?)", "runs", "--outptu", "json")
    end)
    it("a misspelt command", function()
      refused("plna is neither a file nor a command (did you mean plan?)", "plna", "x.lua")
    end)
    it("a missing value", function() refused("--from needs a value", "x.lua", "--from") end)
    it("a value where none belongs", function() refused("--yes takes no value", "x.lua", "--yes=1") end)
    it("a choice that does not exist", function()
      refused('--output takes text, json or jsonl, not "jsnol" (did you mean jsonl?)', "x.lua", "-o", "jsnol")
    end)
    it("-e together with a file", function() refused("-e does not go together with run", "x.lua", "-e", "1") end)
    it("without letting an argument command the terminal", function()
      refused([[unknown option --\x1b[31m]], "runs", "--\27[31m")
    end)
  end)

  it("--version says what it is made of", function()
    local result = box:pgsh { "--version" }
    assert.truthy(result.stdout:find("^pgsh %d+%.%d+%.%d+ %(Lua 5%.4, libpq %d+%.%d+, libcurl %d[%d.]+%)\n$"))
    assert.equal(0, result.exit)
  end)
end)

describe("pgsh lua", function()
  local box
  setup(function() box = run.box() end)
  teardown(function() box:remove() end)

  local function program(text, ...)
    local path = box.dir .. "/program.lua"
    run.write_file(path, text)
    return box:pgsh { "lua", path, ... }
  end

  it("gives everything behind FILE to the program", function()
    local result = program("print(arg[0]:match '[^/]+$', ...)", "--yes", "-o", "TAP", "--", "x")
    assert.equal("program.lua\t--yes\t-o\tTAP\t--\tx\n", result.stdout)
    assert.equal(0, result.exit)
  end)
  it("may wait, and has pgsh's modules and the whole standard library", function()
    local result = program [[
      require("pgsh.host").sleep(0.01)
      print(type(os.execute), type(io.popen), type(package.path), require("pgsh.json").encode { 1 })
    ]]
    assert.equal("function\tfunction\tstring\t[1]\n", result.stdout)
  end)
  it("ends at os.exit, also inside pcall, with its closers run and its output written", function()
    local result = program [[
      local closer <close> = setmetatable({}, { __close = function() print "closed" end })
      io.write "before "
      while true do pcall(function() os.exit(3) end) end
    ]]
    assert.equal("before closed\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(3, result.exit)
    assert.equal(1, program("os.exit(false)").exit)
    assert.equal(0, program("os.exit(true)").exit)
  end)
  it("shows an error with its traceback", function()
    local result = program "error 'boom'"
    assert.truthy(result.stderr:find("^pgsh: [^\n]*program%.lua:1: boom\n"))
    assert.truthy(result.stderr:find("stack traceback", 1, true))
    assert.equal(1, result.exit)
  end)
  it("says what does not parse, and what is not there", function()
    assert.truthy(program("x = = 1").stderr:find("^pgsh: [^\n]*program%.lua:1: [^\n]*near '='\n$"))
    assert.equal(2, program("x = = 1").exit)
    local result = box:pgsh { "lua", "/nowhere.lua" }
    assert.truthy(result.stderr:find("^pgsh: cannot open /nowhere.lua"))
    assert.equal(1, result.exit)
  end)
end)
