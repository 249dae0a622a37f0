-- Every example runs, can be planned, and has a checklist.
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "support.lua")

describe("the example", function()
  local box
  before_each(function()
    box = support.box()
    box.env.PGSH_DIR, box.env.PGSH_NOTES = box.dir, box.dir
  end)
  after_each(function() box:close() end)

  local listing = io.popen "ls examples/*.lua"
  local files = {}
  for path in listing:lines() do files[#files + 1] = path end
  listing:close()

  for _, path in ipairs(files) do
    it(path .. " works", function()
      local cwd = { cwd = require("pgsh.host").getenv "PWD" }
      for _, command in ipairs { "run", "plan", "checklist" } do
        local run = box:pgsh(command, path, "-y", "--no-input", cwd)
        assert.equal(0, run.exit, command .. "\n" .. run.all)
      end
    end)
  end

  it("7 works when a person is at it", function()
    local run = box:pgsh("examples/07-manual-and-confirm.lua", "--all", "-y", "--confirm", "tell-the-team=told", "--confirm", "example-07",
      { cwd = require("pgsh.host").getenv "PWD" })
    assert.equal(0, run.exit, run.all)
  end)

  it("3 is taken back", function()
    local cwd = { cwd = require("pgsh.host").getenv "PWD" }
    local run = box:pgsh("examples/03-keep-verify-undo.lua", "--break", "-y", "--on-failure", "undo", cwd)
    assert.equal(1, run.exit, run.all)
    assert.match("2 steps undone", run.err)
  end)
end)
