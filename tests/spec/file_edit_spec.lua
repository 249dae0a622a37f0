-- file.edit through the door: a plan shows it, the journal answers for it, a crash at any write leaves it made once, undo takes it back.
local file, sh, yaml = require "pgsh.file", require "pgsh.sh", require "pgsh.yaml"
local run = require "tests.spec.support.run"
local check = require "tests.spec.support.check"
local failure, has = check.failure, check.has

local BEFORE = "# head\nspec:\n  image: postgres:15  # keep\n  replicas: 1\n"
local AFTER = BEFORE:gsub("postgres:15", "postgres:16")

describe("file.edit", function()
  local box, path
  before_each(function()
    box = run.box()
    path = box.dir .. "/deployment.yaml"
    file.write(path, BEFORE)
  end)
  after_each(function() box:remove() end)

  local function bump(text) return yaml.edit(text, { "spec", "image" }, "postgres:16") end

  local function procedure(body, undo)
    file.write(box.dir .. "/proc.lua", ([[
      procedure { name = "proc", summary = "A procedure" }
      local path = %q
      local function bump(text) return yaml.edit(text, { "spec", "image" }, "postgres:16") end
      step "Bump" { run = function() %s end, undo = %s }
    ]]):format(path, body, undo or "function(_, result) file.revert(result) end"))
  end

  local function plan() return box:pgsh { "plan", box.dir .. "/proc.lua" } end
  local function crash(...)
    local env = run.crash(...)
    env.ASAN_OPTIONS = "verify_asan_link_order=0" -- the shim comes first
    return env
  end
  local function start(env) return box:pgsh({ box.dir .. "/proc.lua", "--yes", "--no-input", "--on-failure", "stop" }, { env = env }) end
  local function again(word) return box:pgsh { word, "last", "--yes", "--no-input", "--on-failure", "stop" } end

  it("writes what the function returns, and says what is different", function()
    local done = file.edit(path, bump)
    assert.equal(AFTER, file.read(path))
    assert.is_true(done.changed)
    assert.equal(BEFORE, done.before)
    assert.equal(path, done.path)
    assert.equal(file.diff(path, BEFORE, AFTER), done.diff)
  end)

  it("changes nothing when there is nothing to change", function()
    local inode = sh.read({ "stat", "-c", "%i", path }).out
    for _, f in ipairs { function(text) return text end, function() end } do
      local done = file.edit(path, f)
      assert.is_false(done.changed)
      assert.equal("", done.diff)
    end
    assert.equal(inode, sh.read({ "stat", "-c", "%i", path }).out)
  end)

  it("keeps the mode, and a symbolic link", function()
    sh.run { "chmod", "640", path }
    sh.run { "ln", "-s", path, box.dir .. "/link" }
    file.edit(box.dir .. "/link", bump)
    assert.equal("640", sh.read({ "stat", "-c", "%a", path }).out:match "%d+")
    assert.equal("symbolic link", sh.read({ "stat", "-c", "%F", box.dir .. "/link" }).out:match "[^\n]+")
    assert.equal(AFTER, file.read(path))
  end)

  it("refuses when somebody else writes meanwhile", function()
    local err = failure(file.edit, path, function(text)
      file.write(path, "other\n")
      return bump(text)
    end)
    assert.equal("refused", err.kind)
    has(err, "has changed since it was read")
    assert.equal("other\n", file.read(path))
  end)

  it("raises what its function raises, and writes nothing", function()
    local err = failure(file.edit, path, function(text) return yaml.edit(text, { "spec", "nope" }, 1) end)
    assert.equal("refused", err.kind)
    assert.equal("usage", failure(file.edit, path, function() return 5 == 5 end).kind)
    assert.equal("io", failure(file.edit, path .. ".none", bump).kind)
    assert.equal(BEFORE, file.read(path))
  end)

  it("takes bytes that are no UTF-8, which are not kept", function()
    file.write(path, "a\xff\nb\n")
    local done = file.edit(path, function(text) return (text:gsub("b", "c")) end)
    assert.equal("a\xff\nc\n", file.read(path))
    assert.is_nil(done.before)
    has(failure(file.revert, done), "was not kept")
  end)

  it("is taken back, unless the file was changed since", function()
    local done = file.edit(path, bump)
    local back = file.revert(done)
    assert.is_true(back.changed)
    assert.equal(BEFORE, file.read(path))
    assert.is_false(file.revert(done).changed)
    file.write(path, "other\n")
    has(failure(file.revert, done), "has changed since it was edited")
    assert.equal("other\n", file.read(path))
    assert.equal("usage", failure(file.revert, { path = path }).kind)
    done.before = "•••"
    has(failure(file.revert, done), "holds a secret")
  end)

  describe("in a procedure", function()
    it("is shown by a plan, and not made", function()
      procedure "return file.edit(path, bump)"
      local planned = plan()
      assert.equal(0, planned.exit, planned.stderr)
      has(planned.stdout, "edit " .. path)
      has(planned.stdout, "-  image: postgres:15  # keep\n")
      has(planned.stdout, "+  image: postgres:16  # keep\n")
      assert.equal(BEFORE, file.read(path))
    end)

    it("shows what is only known after the run in its place", function()
      procedure [[local made = sh.run { "true" }
        return file.edit(path, function(text) return yaml.edit(text, { "spec", "image" }, made.out) end)]]
      local planned = plan()
      assert.equal(0, planned.exit, planned.stderr)
      has(planned.stdout, "known after the run›")
    end)

    it("shows the difference when it is made, and is undone", function()
      procedure "return file.edit(path, bump)"
      local done = start()
      assert.equal(0, done.exit, done.stderr)
      has(done.stderr, "+  image: postgres:16")
      assert.equal(AFTER, file.read(path))
      local undone = again "undo"
      assert.equal(0, undone.exit, undone.stderr)
      has(undone.stderr, "+  image: postgres:15")
      assert.equal(BEFORE, file.read(path))
    end)

    it("is not refused by a preflight's read, only by its change", function()
      file.write(box.dir .. "/proc.lua", ([[
        procedure { name = "proc", summary = "A procedure" }
        preflight "Look" (function() file.edit(%q, function(text) return text .. "x" end) end)
        step "Do" (function() end)
      ]]):format(path))
      local done = start()
      assert.equal(3, done.exit, done.stderr)
      assert.equal(BEFORE, file.read(path))
    end)

    it("is answered from the journal when the step is run again", function()
      procedure [[
        local first = file.edit(path, bump)
        local second = file.edit(path, function(text) return (text:gsub("replicas: 1", "replicas: 2")) end)
        log(first.diff)
        if not sh.read("ls " .. path .. ".go 2>/dev/null || true").out:find "go" then fail "not yet" end
        assert(first.changed and second.changed and first.before:find "postgres:15")
        return first]]
      local cut = start()
      assert.equal(5, cut.exit, cut.stderr)
      file.write(path .. ".go", "")
      local done = again "resume"
      assert.equal(0, done.exit, done.stderr)
      has(done.stderr, "-  image: postgres:15")
      assert.equal((AFTER:gsub("replicas: 1", "replicas: 2")), file.read(path))
    end)

    it("is made once, whenever pgsh is killed", function()
      -- A function that would do harm when it were given its own result.
      local body = 'return file.edit(path, function(text) assert(not text:find "twice") return text .. "twice\\n" end)'
      procedure(body)
      local counted = box.dir .. "/writes"
      assert.equal(0, start(crash(nil, "after", counted)).exit)
      local writes = tonumber(run.read_file(counted):match "%d+")
      assert.is_true(writes > 4)
      for i = 1, writes do
        for _, how in ipairs { "torn", "after" } do
          box:remove()
          box = run.box()
          path = box.dir .. "/deployment.yaml"
          file.write(path, BEFORE)
          procedure(body)
          local cut = start(crash(i, how))
          assert.equal(137, cut.exit)
          local begun = #(box:journal() or {}) > 0
          if begun then
            local done = again "resume"
            assert.equal(0, done.exit, ("write %d %s: %s"):format(i, how, done.stderr))
            assert.equal(BEFORE .. "twice\n", file.read(path), i .. how)
            assert.equal(0, again("undo").exit, i .. how)
          end
          assert.equal(BEFORE, file.read(path), i .. how)
        end
      end
    end)

    it("that was cut off is unknown when somebody else has written since", function()
      procedure "return file.edit(path, bump)"
      local cut
      for i = 1, 40 do -- the write that holds the outcome is the first after which the file is the new one
        box:remove()
        box = run.box()
        path = box.dir .. "/deployment.yaml"
        file.write(path, BEFORE)
        procedure "return file.edit(path, bump)"
        cut = start(crash(i, "torn"))
        if file.read(path) == AFTER then break end
      end
      assert.equal(137, cut.exit)
      file.write(path, "other\n")
      local done = again "resume"
      assert.equal(6, done.exit, done.stderr)
      has(done.stderr, "neither as it was before nor as it was to be")
      assert.equal("other\n", file.read(path))
    end)

    it("with a secret in it is not restored from a journal that has none", function()
      file.write(path, BEFORE .. "# hunter22hunter\n")
      procedure 'local _ = secret "hunter22hunter" return file.edit(path, bump)'
      local done = start()
      assert.equal(0, done.exit, done.stderr)
      local undone = again "undo"
      has(undone.stderr, "holds a secret")
      assert.equal(AFTER .. "# hunter22hunter\n", file.read(path))
      local _, journal = box:journal()
      assert.is_nil((done.stderr .. undone.stderr .. file.read(journal)):find("hunter22", 1, true))
    end)
  end)
end)
