-- A token that Heroku takes no longer, in the middle of a run: a new one is found or asked for, and nothing is done twice.
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"
local support = require "tests.spec.engine.support"

local PROCEDURE = [[
procedure { name = "expires", summary = "changes one after another" }
local app = heroku.app "crates-io"
step "Set" { run = function()
  app:config { A = "1" }
  app:config { B = "2" }
  app:scale { web = 3 }
end }
step "Set more" (function() app:config { C = "3" } end)
]]

local WHOLE = { "config A=1", "config B=2", "scale web=3", "config C=3" }

describe("a token that expires", function()
  local lab, box

  setup(function() lab = labs.start { postgres = false } end)
  teardown(function() lab:stop() end)
  before_each(function()
    box = support.box()
    lab:reset()
  end)
  after_each(function() box:close() end)

  local function expires(method, path, skip)
    lab:faults { { service = "heroku", method = method, path = path, action = "expire_token", skip = skip or 0 } }
  end

  local function netrc(token)
    box:write(".netrc", ("machine %s\n  login operator\n  password %s\n"):format(lab.env.HEROKU_HOST:match "//(.*)$", token))
  end

  local function environment(key)
    local env = { HOME = box.dir, HEROKU_HOST = lab.env.HEROKU_HOST, HEROKU_DATA_HOST = lab.env.HEROKU_DATA_HOST, HEROKU_API_KEY = key }
    for name, value in pairs(env) do box.env[name] = value end
  end

  -- pgsh with the key in its environment, at a terminal.
  local function terminal(...)
    environment(lab.env.HEROKU_API_KEY)
    local words = { "env" }
    for name, value in pairs(box.env) do words[#words + 1] = name .. "=" .. value end
    box.exe = table.concat(words, " ") .. " " .. box.exe
    box:terminal(...)
  end

  local function nowhere(token)
    assert.is_nil(box:screen():find(token, 1, true))
    assert.equal("", run.shell(("grep -rlF -e '%s' %s/state"):format(token, box.dir)))
  end

  -- A config change is made of reads and the change: it may be refused at either.
  for what, fault in pairs { ["a change"] = { "PATCH", "config", 1 }, ["a read"] = { "GET", "formation" } } do
    it("at " .. what .. " is asked for, and the refused request is made again", function()
      expires(table.unpack(fault))
      terminal(box:procedure(PROCEDURE:gsub("app:scale", "app:formation() app:scale")), "-y")
      box:shows "A new token"
      box:types("wrong", "Enter")
      box:shows "credential from the operator any more"
      box:types(lab.spare_token, "Enter")
      box:shows "exit status 0"
      assert.same(WHOLE, lab:changes())
      nowhere(lab.spare_token)
      nowhere(lab.env.HEROKU_API_KEY)
    end)
  end

  it("does not cost the step the time that the operator takes", function()
    expires("PATCH", "config", 1)
    terminal(box:procedure((PROCEDURE:gsub('step "Set" {', 'step "Set" { timeout = "500ms",'))), "-y", "--on-failure", "stop")
    box:shows "A new token"
    run.shell "sleep 0.7"
    box:types(lab.spare_token, "Enter")
    box:shows "exit status 0"
    assert.same(WHOLE, lab:changes())
  end)

  it("is given up after three that are refused, and the run says why", function()
    expires("PATCH", "config", 1)
    terminal(box:procedure(PROCEDURE), "-y", "--on-failure", "stop")
    for _, word in ipairs { "one", "two", "three" } do
      box:shows "new token"
      run.shell "sleep 0.1"
      box:types(word, "Enter")
    end
    local screen = box:shows "exit status"
    assert.match("exit status 5", screen)
  end)

  it("and was renewed where it is kept is found there", function()
    netrc(lab.env.HEROKU_API_KEY)
    environment(nil)
    expires("PATCH", "formation")
    -- What the CLI does in another terminal: the file has the new one, this process the old one.
    local result = box:pgsh(box:procedure(PROCEDURE:gsub('step "Set"', ([[step "Log in" (function()
      app:config()
      sh.run { "sed", "-i", "s/password .*/password %s/", ".netrc" }
    end)
    step "Set"]]):format(lab.spare_token))), "-y")
    assert.equal(0, result.exit, result.err)
    assert.same(WHOLE, lab:changes())
  end)

  it("without anybody to ask stops the run, and a resume with a new one repeats nothing", function()
    expires("PATCH", "formation")
    environment(lab.env.HEROKU_API_KEY)
    local result = box:pgsh(box:procedure(PROCEDURE), "-y", "--on-failure", "stop")
    assert.equal(5, result.exit, result.err)
    assert.match("does not accept the credential from HEROKU_API_KEY", result.err)
    environment(lab.spare_token)
    result = box:pgsh("resume", "last", "-y")
    assert.equal(0, result.exit, result.err)
    assert.same(WHOLE, lab:changes())
  end)

  it("and was replaced in a run that is cut off later is not the cause of anything done twice", function()
    netrc(lab.env.HEROKU_API_KEY)
    environment(nil)
    expires("PATCH", "config", 1)
    local failing = PROCEDURE:gsub("app:scale", "sh.run 'test -e good' app:scale"):gsub('step "Set" {', ([[step "Log in" (function()
      app:config()
      sh.run { "sed", "-i", "s/password .*/password %s/", ".netrc" }
    end)
    step "Set" {]]):format(lab.spare_token))
    local result = box:pgsh(box:procedure(failing), "-y", "--on-failure", "stop")
    assert.equal(5, result.exit, result.err)
    assert.same({ "config A=1", "config B=2" }, lab:changes())
    box:write("good", "")
    result = box:pgsh("resume", "last", "-y")
    assert.equal(0, result.exit, result.err)
    assert.same(WHOLE, lab:changes())
  end)

  it("is only named in a plan", function()
    expires("GET", "formation")
    environment(lab.env.HEROKU_API_KEY)
    local result = box:pgsh("plan", box:procedure(PROCEDURE:gsub("app:scale", "app:formation() app:scale")))
    assert.match("does not accept the credential", result.all)
    assert.same({}, lab:changes(true))
  end)
end)
