local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("a script", function()
  local box
  before_each(function() box = support.box() end)
  after_each(function() box:close() end)

  -- It is refused with exit 2 before anything happens, and the message says so.
  local function refused(text, ...)
    local run = box:run(text)
    assert.equal(2, run.exit, run.all)
    for i = 1, select("#", ...) do assert.match((select(i, ...)), run.err, 1, true) end
    assert.equal("", run.out)
    return run
  end

  it("with a syntax error is told by file, line and caret", function()
    refused('step "x" (function()\n  local a = = 2\nend)', "proc.lua:3:", "local a = = 2\n", "^")
  end)

  it("that cannot be read is told of", function()
    local run = box:pgsh("none.lua", "-y")
    assert.is_true(run.exit == 1 or run.exit == 2, run.all)
    assert.match("none.lua", run.err, 1, true)
  end)

  it("without steps is no procedure", function()
    refused("local x = 1", "no step is declared")
  end)

  it("may not use an unknown global, and is told the nearest name", function()
    refused('sept "x" (function() end)', "proc.lua:2: unknown global sept (did you mean step?)")
    local run = box:run('step "x" (function() prnt "y" end)')
    assert.equal(1, run.exit, run.all)
    assert.match("proc.lua:2: unknown global prnt (did you mean print?)", run.err, 1, true)
  end)

  it("may not make globals", function()
    refused('app = 1 step "x" (function() end)', "proc.lua:2: app would be a new global: write local app = …")
    refused('step = 1', "step is pgsh's own name")
    refused('string.format = nil', "string.format cannot be changed")
  end)

  it("finds neither the operating system nor the file system of Lua", function()
    refused('os.execute "true"', "there is no os.execute here: use sh.run or sh.read")
    refused('io.open "x"', "there is no io here: use file.read")
    refused('os.exit(1)', "there is no os.exit here")
    refused('require "pgsh.host"', "not for scripts")
    refused('require "io"', "no such module")
    refused('load(("x"):rep(3) .. "=1")() step "x" (function() end)', "would be a new global")
    assert.equal("nil\n", box:run('local f = load "return io" step "x" (function() print(pcall(f) and 1 or nil) end)').out)
  end)

  it("gets its modules from beside it and from PGSH_PATH, as strict as itself", function()
    box:write("helper.lua", 'return { name = ... , answer = function() return sh.read("echo 42").out end }')
    assert.equal("helper\t42\n\n", box:run('local h = require "helper" step "x" (function() print(h.name, h.answer()) end)').out)
    box:write("loose.lua", "x = 1")
    refused('require "loose"', "loose.lua:1: x would be a new global")
    refused('require "nothing"', "no such module on PGSH_PATH")
  end)

  it("is told of wrong words with their line", function()
    for text, message in pairs {
      ['step "x"'] = 'proc.lua:2: step "x" has no body',
      ['step "x" { rnu = function() end }'] = 'step "x": unknown option rnu (did you mean run?)',
      ['step "x" { run = 1 }'] = 'step "x": run must be a function',
      ['step "x" { keep = function() end }'] = 'step "x": run is needed',
      ['step "x" { run = function() end, timeout = "soon" }'] = "timeout is not a duration",
      ['step "x" { run = function() end, opens = "c" }'] = "opens = a clock",
      ['step "x" { run = function() end, at = "noon" }'] = "at noon: a time is",
      ['step "x" { run = function() end, verify = "y" }'] = 'verify = { "what must hold", function }',
      ['step "x" (function() end) step "X" (function() end)'] = "the id x is taken by line 2",
      ['step "x" { id = "a/b", run = function() end }'] = 'id "a/b" cannot be used',
      ['step "x" (function() step "y" (function() end) end)'] = false,
      ['at "later"'] = "at later: a time is",
      ['clock { "a" } clock { "a" }'] = "clock a is declared twice",
      ['clock { "a", budgte = 1 }'] = "unknown option budgte",
      ['procedure { nam = "x" }'] = "procedure: unknown option nam (did you mean name?)",
      ['manual "x" { urll = "x" }'] = "unknown option urll (did you mean url?)",
      ['fact "x" (1)'] = "a function is expected behind the name",
    } do
      if message then refused(text, message) end
    end
  end)

  it("may not declare steps while it runs", function()
    local run = box:run 'step "x" (function() step "y" (function() end) end)'
    assert.equal(1, run.exit, run.all)
    assert.match("step belongs at the top level", run.err)
  end)

  it("that loops forever is stopped", function()
    local run = box:run('while true do end step "x" (function() end)', { timeout = 60 })
    assert.is_true(run.exit ~= 0, run.all)
    assert.is_true(#run.err > 0)
  end)

  describe("on the command line", function()
    local function eval(code) return box:pgsh("-e", code) end

    it("prints the values of an expression", function()
      assert.equal("2\n", eval("1 + 1").out)
      assert.equal("text\n", eval("'text'").out)
      assert.equal('{ 1, 2, a = { b = "c" } }\n', eval("{ 1, 2, a = { b = 'c' } }").out)
      assert.equal("1\n2\n", eval("1, 2").out)
      assert.equal("", eval("local x = 1").out)
      assert.equal(0, eval("").exit)
    end)

    it("is strict, and has its effects at once", function()
      assert.equal(2, eval("wiat(1)").exit)
      assert.match("did you mean wait%?", eval("wiat(1)").err)
      assert.equal("hi\n\n", eval("sh.run('echo hi').out").out)
      assert.equal(1, eval("error 'x'").exit)
      assert.equal(2, eval("local = 1").exit)
    end)

    it("comes from standard input", function()
      assert.equal("3\n", box:pgsh("-", { input = "local a = 1\nprint(a + 2)" }).out)
    end)
  end)

  -- The words the command line knows, from its own table.
  local function known_commands()
    local file = assert(io.open "src/cli/options.c")
    local body = file:read("a"):match "options_commands%[%] = (%b{})"
    file:close()
    local names = {}
    for name in body:gmatch '{"(%w+)",' do names[#names + 1] = name end
    assert.is_true(#names >= 15)
    return names
  end

  it("has help for every command, also as its --help", function()
    local overview = box:pgsh("help").out
    local how = { eval = { "-e", "error 'it was run'", "--help" }, stdin = { "-", "--help" } }
    for _, name in ipairs(known_commands()) do
      -- `pgsh help --help` is `pgsh --help`: the overview.
      local asked = box:pgsh(table.unpack(how[name] or { name, name == "help" and name or "--help" }))
      assert.same({ 0, "" }, { asked.exit, asked.err }, name)
      local usage = asked.out:match "^(pgsh [^\n]+)\n%s+%S"
      assert.is_truthy(usage, asked.out)
      assert.match(usage, overview, 1, true)
      if not how[name] then
        assert.match(asked.out, box:pgsh("help", name).out, 1, true)
        assert.match("\n" .. name .. "\n", "\n" .. box:pgsh("completion", "topics").out, 1, true)
      end
    end
    assert.match("PGSH_PATH", box:pgsh("help", "environment").out, 1, true)
    assert.match("did you mean resume?", box:pgsh("help", "resmue").err, 1, true)
  end)

  it("carries nothing out whose help is wanted", function()
    box:procedure [[step "One" {
      run = function() sh.run "echo x >>made" sh.run "test -e fixed" end, undo = function() sh.run "touch undone" end,
    }]]
    assert.equal(5, box:pgsh("proc.lua", "-y", "--on-failure", "stop").exit)
    box:write("fixed", "")
    assert.match("^pgsh resume", box:pgsh("resume", "last", "-y", "--help").out)
    assert.match("^pgsh undo", box:pgsh("undo", "--help", "last", "-y").out)
    assert.equal("x\n", box:read "made")
    assert.is_nil(box:read "undone")
    box:write("plain.lua", "print 'it was run'")
    assert.match("^pgsh %-e CODE", box:pgsh("lua", "--help", "plain.lua").out)
    assert.equal("it was run\n", box:pgsh("lua", "plain.lua", "--help").out)
  end)

  it("has help for every name it can use", function()
    local topics = box:pgsh("completion", "topics").out
    for topic in ("step manual preflight fact param clock at extend before after replace skip defaults wait ask log spawn tripwire problem "
      .. "fail unset print sh file json"):gmatch "%S+" do
      assert.match("\n" .. topic .. "\n", "\n" .. topics, 1, true)
      local help = box:pgsh("help", topic)
      assert.equal(0, help.exit, topic)
      assert.is_true(#help.out > 30, topic)
    end
    assert.equal(2, box:pgsh("help", "stpe").exit)
    assert.match("stopped half way", box:pgsh("help", "exit").out)
    assert.match("wait.upto", box:pgsh("-e", "help(wait)").out, 1, true)
  end)
end)
