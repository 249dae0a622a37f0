-- Ctrl-C, as a signal: once, the operation is cancelled, the state said, and the run can go on; twice, it is over at once.
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"
local socket = require "socket"

local FILE = "procedures/heroku-primary.lua"

describe("an interrupted run", function()
  local lab, box

  setup(function()
    lab = labs.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  before_each(function() lab:reset() end)

  local ANSWERS = { "--yes", "--confirm", "disable-job", "--confirm", "enable-job" }
  local function words(...)
    local all = { ... }
    return table.move(ANSWERS, 1, #ANSWERS, #all + 1, all)
  end
  local function start()
    return box:start(words(FILE, "--app", lab.app, "--page", lab.page))
  end
  local function finish()
    local result = box:pgsh(words("resume", "last"))
    assert.equal(0, result.exit, result.stderr)
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker)
    assert.is_nil(outcome.read_only)
    assert.equal(1, outcome.starts["postgresql-concave-10231"])
    assert.same({ "completed < in_progress" }, outcome.incidents)
  end
  local function journal_is_intact()
    local _, path = box:journal()
    local text = run.read_file(path)
    -- Room that was prepared for further events may stand behind the last one.
    text = text:gsub("[\0]+$", "")
    assert.equal("\n", text:sub(-1), "torn: " .. text:sub(-300))
    for line in text:gmatch "[^\n]+" do assert.is_true((pcall(require("cjson").decode, line)), line) end
  end

  it("in a wait says where it stands, exits 130 and can be resumed", function()
    lab:options { redeploy_never_ends = true }
    local process = start()
    process:expect "of 2 dynos run v41"
    process:signal "INT"
    local result = process:wait(10)
    assert.equal(130, result.exit, result.stderr)
    assert.is_truthy(result.stderr:find "USERS ARE READ%-ONLY SINCE")
    assert.is_truthy(result.stderr:find "go on: pgsh resume %w+")
    assert.is_truthy(result.stderr:find "go back: pgsh undo %w+")
    journal_is_intact()
    lab:options { redeploy_never_ends = false }
    assert.equal(0, box:pgsh({ "-e", 'heroku.app("crates-io"):config { MENDED = "1" }' }).exit)
    finish()
  end)

  it("twice is over at once, with its journal intact", function()
    lab:options { redeploy_never_ends = true }
    local process = start()
    process:expect "of 2 dynos run v41"
    local began = socket.gettime()
    process:signal "INT"
    process:signal "INT"
    local result = process:wait(10)
    assert.equal(130, result.exit, result.stderr)
    assert.is_true(socket.gettime() - began < 2)
    journal_is_intact()
    lab:options { redeploy_never_ends = false }
    assert.equal(0, box:pgsh({ "-e", 'heroku.app("crates-io"):config { MENDED = "1" }' }).exit)
    finish()
  end)

  it("while a change is under way does not make it twice", function()
    for _, path in ipairs { "/run$", "/incidents$", "/config%-vars$" } do
      lab:reset()
      lab:faults { { path = path, method = path == "/config%-vars$" and "PATCH" or "POST", action = "delay", ms = 700 } }
      local process = start()
      local deadline = socket.gettime() + 10
      repeat
        socket.sleep(0.01)
        local log = lab:log { effect = true }
        local last = log[#log]
      until last and last.path:find(path) or socket.gettime() > deadline
      process:signal "INT"
      local result = process:wait(15)
      assert.is_true(result.exit == 130 or result.exit == 6, result.exit .. "\n" .. result.stderr)
      journal_is_intact()
      finish()
    end
  end)

  it("TERM ends it like Ctrl-C, and it can be resumed", function()
    lab:options { maintenance_ms = 600 }
    local process = start()
    process:expect "Wait for the maintenance"
    process:signal "TERM"
    local result = process:wait(10)
    assert.is_true(result.exit ~= 0, result.stderr)
    journal_is_intact()
    finish()
  end)
end)
