-- kubernetes-dump-restore: what fails in the middle, and the way back.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.dump_restore"

describe("kubernetes-dump-restore, when something fails,", function()
  local upgrade

  setup(function() upgrade = support.new() end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  local function stopped(exit, result, ...)
    assert.equal(exit, result.exit, result.stderr)
    assert.match("WITHOUT SERVICE", result.stderr, 1, true)
    for _, text in ipairs { ... } do assert.match(text, result.stderr, 1, true) end
  end

  it("stops at each, goes on when it is mended, and goes back from the restore", function()
    -- pg_dump cannot finish: nothing half is left.
    upgrade:pod "mkdir /data/dump.part"
    stopped(5, upgrade:go(), "pg_dump", "exited with 1")
    assert.equal(("%d"):format(upgrade.old), upgrade:sql("show server_version"):match "^%d+")
    assert.equal("", (upgrade:pod "ls -d /data/dump 2>/dev/null; true"))
    upgrade:pod "rmdir /data/dump.part"
    -- The image cannot be pulled: the server is never ready, and the time-out says why.
    upgrade.lab:hold("image", (":%d"):format(upgrade.new))
    stopped(124, upgrade:again("resume", { "--start-timeout", "8s" }), "not within", "failed to pull")
    upgrade.lab:release("image", (":%d"):format(upgrade.new))
    assert.is_truthy(run.read_file(upgrade.manifest):find("#pgsh> livenessProbe", 1, true))
    -- The dump is another one than was made.
    local result = upgrade:again("resume", { "--until", "start-new", "--start-timeout", "60s" })
    assert.equal(0, result.exit, result.stderr)
    upgrade:pod "cp /data/dump /data/dump.good; echo x >>/data/dump"
    stopped(5, upgrade:again "resume", "has the SHA-512")
    upgrade:pod "mv /data/dump.good /data/dump"
    -- An error that is not allowed: a type of that name is there already.
    upgrade:sql "create type feeds as enum ('x')"
    stopped(5, upgrade:again "resume", "the restore had errors", "42710: type \"feeds\" already exists")
    assert.match("pgsh undo", upgrade:again("resume").stderr, 1, true)
    upgrade:is_back(upgrade:again "undo")
  end)

  if os.getenv "PGSH_FULL" ~= "1" then return end

  it("is back from behind the start of the workloads, and can begin again", function()
    upgrade:faults({ command = "apply", verb = "patch", resource = "deployments", action = "forbidden", skip = 1 })
    local result = upgrade:go()
    assert.equal(5, result.exit, result.stderr)
    assert.match("Forbidden", result.stderr, 1, true)
    assert.equal(tostring(upgrade.new), upgrade:sql("show server_version"):match "^%d+")
    assert.equal(1, upgrade:replicas "miniflux")
    upgrade:is_back(upgrade:again "undo")
  end)
end)
