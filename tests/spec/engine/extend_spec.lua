local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("extend", function()
  local box
  before_each(function()
    box = support.box()
    box:procedure([[
      local who = param.string { "who", default = "world" }
      at "start - 5m"
      step "One" (function() print("one", who) end)
      at "start"
      step "Two" (function() print "two" end)
      step "Three" (function() print "three" end)
    ]], "base.lua")
  end)
  after_each(function() box:close() end)

  local function extended(text, ...)
    box:write("mine.lua", text)
    return box:pgsh("mine.lua", "-y", ...)
  end

  it("takes a procedure as it is, beside the file, by name or by path", function()
    assert.equal("one\tworld\ntwo\nthree\n", extended('extend "base"').out)
    assert.equal("one\tworld\ntwo\nthree\n", extended('extend "base.lua"').out)
    assert.equal("one\tana\ntwo\nthree\n", extended('extend "base"', "--who", "ana").out)
  end)

  it("takes procedures that come with pgsh", function()
    local run = box:pgsh(box:write("mine.lua", 'extend "heroku-follower"'), "--list")
    assert.equal(0, run.exit, run.all)
  end)

  it("puts steps before and after others", function()
    local run = extended [[
      extend "base"
      before "two" { step "A" (function() print "a" end), step "B" (function() print "b" end) }
      after "two" { step "C" (function() print "c" end) }
      after "three" (function() step "D" (function() print "d" end) end)
    ]]
    assert.equal("one\tworld\na\nb\ntwo\nc\nthree\nd\n", run.out)
  end)

  it("gives steps the time of the place they are put to", function()
    box:write("mine.lua", 'extend "base" after "one" { step "A" (function() end) } before "three" { step "B" (function() end) }')
    local list = box:pgsh("mine.lua", "--list").out
    assert.match("A  at start %- 5m\n", list)
    assert.match("B  at start\n", list)
  end)

  it("replaces a step; a single one takes over the id", function()
    assert.equal("one\tworld\nother\nthree\n", extended([[
      extend "base"
      replace "two" { step "Other" (function() print "other" end) }
    ]]).out)
    assert.match("  two  ", box:pgsh("mine.lua", "--list").out, 1, true)
    assert.equal("one\tworld\nx\ny\nthree\n", extended([[
      extend "base"
      replace "two" { step "X" (function() print "x" end), step "Y" (function() print "y" end) }
    ]]).out)
  end)

  it("leaves steps out", function()
    local run = extended 'extend "base" skip "two" skip("three", "not on Sundays")'
    assert.equal("one\tworld\n", run.out)
    assert.match("left out by mine.lua:1", run.err)
    assert.match("not on Sundays", run.err)
  end)

  it("sets other defaults, which flags win over", function()
    local text = 'defaults { who = "team" } extend "base"'
    assert.equal("one\tteam\ntwo\nthree\n", extended(text).out)
    assert.equal("one\tana\ntwo\nthree\n", extended(text, "--who", "ana").out)
  end)

  it("may have a name and steps of its own", function()
    local run = extended 'procedure { name = "mine" } extend "base" step "Four" (function() print "four" end)'
    assert.equal("one\tworld\ntwo\nthree\nfour\n", run.out)
    assert.match("mine", run.err)
  end)

  it("tells what is wrong", function()
    for text, message in pairs {
      ['extend "bass"'] = 'extend "bass": there is no such procedure',
      ['extend "base" before "tow" { step "A" (function() end) }'] = 'before "tow": there is no such step (did you mean two?)',
      ['extend "base" after "two" { 1 }'] = "steps are expected between the braces",
      ['extend "base" after "two" {}'] = "steps are expected between the braces",
      ['extend "base" skip "four"'] = "there is no such step",
      ['extend "base" defaults { who = "x" }'] = "defaults must stand before extend",
      ['extend "mine"'] = "extends itself",
      ['extend "base" step "One" (function() end)'] = "the id one is taken",
    } do
      local run = extended(text)
      assert.equal(2, run.exit, run.all)
      assert.match(message, run.err, 1, true)
    end
  end)
end)
