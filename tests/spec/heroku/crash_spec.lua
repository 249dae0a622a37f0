-- kill -9 at every write to the journal, one after another, then pgsh resume: the same final state, nothing done twice.
local labs = require "tests.spec.support.lab"
local run = require "tests.spec.support.run"
local json = require "cjson"
local socket = require "socket"

local FILE = "procedures/heroku-primary.lua"
local INSTANT = { dyno_restart_ms = 1, dyno_stop_ms = 1, maintenance_ms = 1 }

describe("killed and resumed", function()
  local lab, box

  setup(function()
    lab = labs.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  before_each(function() lab:reset(INSTANT) end)

  local ANSWERS = { "--yes", "--confirm", "disable-job", "--confirm", "enable-job", "--on-failure", "stop" }
  local PARAMETERS = { "--page", "PAGE", "--settle", "100ms" }

  local function with(words, more)
    local all = table.move(words, 1, #words, 1, {})
    for _, list in ipairs { more or {}, ANSWERS } do table.move(list, 1, #list, #all + 1, all) end
    return all
  end

  local function start(file, env)
    PARAMETERS[2] = lab.page
    return box:pgsh(with({ file or FILE, "--app", lab.app }, PARAMETERS), { env = env })
  end

  local function runs()
    return run.shell(("ls %s/state/pgsh/runs 2>/dev/null"):format(box.dir))
  end

  local function forget_runs()
    os.execute(("rm -rf %s/state/pgsh"):format(box.dir))
  end

  local WHOLE = {
    "scale background_worker=0", "incident in_progress", "config DB_OFFLINE=follower READ_ONLY_MODE=1", "run current",
    "config READ_ONLY_MODE-", "update completed", "scale background_worker=1:Standard-1X", "config DB_OFFLINE-",
  }

  -- A change that may be repeated without harm may be there twice in a row; the others exactly once.
  local REPEATABLE = { scale = true, config = true }
  local function without_repeats(changes)
    local out = {}
    for _, change in ipairs(changes) do
      if change ~= out[#out] or not REPEATABLE[change:match "^%a+"] then out[#out + 1] = change end
    end
    return out
  end

  local function is_whole(where)
    assert.same(WHOLE, without_repeats(lab:changes()), where)
    local outcome = lab:outcome()
    assert.equal("1:Standard-1X", outcome.worker, where)
    assert.is_nil(outcome.read_only, where)
    assert.is_nil(outcome.offline, where)
    assert.equal(1, outcome.starts["postgresql-concave-10231"], where)
    assert.same({ "completed < in_progress" }, outcome.incidents, where)
  end

  -- Resume until it is done; a run that was killed before it began leaves nothing to resume and is started anew.
  local function resume(where)
    local result = box:pgsh(with { "resume", "last" })
    if result.exit == 2 and result.stderr:find "before it began" or runs() == "" then
      assert.same({}, lab:changes(true), where)
      forget_runs()
      result = start()
    end
    assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  end

  local function count_writes()
    local count = box.dir .. "/count"
    local result = start(nil, run.crash(nil, nil, count))
    assert.equal(0, result.exit, result.stderr)
    return tonumber(run.read_file(count))
  end

  for _, how in ipairs { "after", "torn", "before" } do
    it(("%s any write, a run is whole after pgsh resume"):format(how), function()
      local writes = count_writes()
      assert.is_true(writes > 40, "only " .. writes .. " writes")
      for number = 1, writes do
        lab:reset(INSTANT)
        forget_runs()
        local where = ("killed %s write %d of about %d"):format(how, number, writes)
        local result = start(nil, run.crash(number, how))
        if result.exit == 137 then resume(where) end
        assert.is_true(result.exit == 137 or number > writes - 5, where .. ": not killed\n" .. result.stderr)
        is_whole(where)
      end
    end)
  end

  it("again while it is resumed, it is whole after a further resume", function()
    local writes = count_writes()
    for number = 5, writes, 9 do
      lab:reset(INSTANT)
      forget_runs()
      start(nil, run.crash(number, "after"))
      local second = 1 + number % 7
      box:pgsh(with { "resume", "last" }, { env = run.crash(second, "torn") })
      local where = ("killed at write %d, then at write %d of its resume"):format(number, second)
      resume(where)
      is_whole(where)
    end
  end)

  -- Start, and kill when that step has been done.
  local function kill_after(id, file)
    forget_runs()
    PARAMETERS[2] = lab.page
    local process = box:start(with({ file or FILE, "--app", lab.app }, PARAMETERS))
    local done = '"step.done"[^\n]*"' .. id:gsub("%-", "%%-") .. '"'
    repeat
      socket.sleep(0.002)
      local _, path = box:journal()
    until run.read_file(path):find(done) or not process:alive()
    process:signal "KILL"
    assert.equal(137, process:wait().exit)
  end

  it("with the older interface of the maintenance, it is whole too", function()
    for _, id in ipairs { "announce-start", "run-maintenance", "wait-for-the-maintenance" } do
      lab:reset { maintenance_interface = "older", maintenance_ms = 150, visible_delay = 50 }
      kill_after(id)
      resume(id)
      assert.equal(1, lab:outcome().starts["postgresql-concave-10231"], id)
      assert.equal("run older", lab:changes()[4], id)
    end
  end)

  -- The procedure as it is in the middle of an incident: edited where it stands.
  describe("with an edited procedure", function()
    local copy
    before_each(function()
      lab:reset { maintenance_ms = 200 }
      copy = box.dir .. "/mine.lua"
      os.execute(("cp %s %s"):format(FILE, copy))
    end)

    local function edit(...)
      local text = run.read_file(copy)
      for _, change in ipairs { ... } do
        local at, to = text:find(change[1], 1, true)
        assert.is_truthy(at, change[1])
        text = text:sub(1, at - 1) .. change[2] .. text:sub(to + 1)
      end
      run.write_file(copy, text)
    end

    local ONLINE = 'step "All databases are online" (function()'

    it("goes on with what is left, shows the difference and journals it", function()
      kill_after("run-maintenance", copy)
      edit({ ONLINE, 'step "A further look" (function() app:config() end)\n\n' .. ONLINE },
        { 'step "Stop the background worker" {', 'step "Stop the worker in the background" {' })
      local result = box:pgsh(with { "resume", "last" })
      assert.equal(0, result.exit, result.stderr)
      is_whole "edited"
      assert.is_truthy(result.stderr:find("A further look", 1, true), result.stderr)
      local changed
      for _, event in ipairs((box:journal())) do
        if event.type == "run.changed" then changed = json.encode(event.changes) end
      end
      assert.is_truthy(changed and changed:find("A further look", 1, true), changed)
    end)

    it("refuses what does not parse, and the run can still be resumed", function()
      kill_after("run-maintenance", copy)
      edit { ONLINE, "step 'All databases are online (function()" }
      local result = box:pgsh(with { "resume", "last" })
      assert.equal(2, result.exit, result.stderr)
      assert.is_truthy(result.stderr:find "mine.lua:%d+", result.stderr)
      edit { "step 'All databases are online (function()", ONLINE }
      resume "mended"
      is_whole "mended"
    end)

    it("makes the steps that are left as they are now", function()
      kill_after("disable-job", copy)
      edit { '"Scheduled maintenance finished successfully."', '"It is over."' }
      -- The text is a parameter, which the run keeps; a step that is edited is taken as it stands.
      edit { 'body = start_text, lasts', 'body = "It begins.", lasts' }
      resume "edited before it ran"
      is_whole "edited before it ran"
      local updates = lab:state().incidents[1].incident_updates
      assert.equal("It begins.", updates[2].body)
      assert.equal("Scheduled maintenance finished successfully.", updates[1].body)
    end)
  end)
end)
