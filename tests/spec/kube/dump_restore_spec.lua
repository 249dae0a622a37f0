-- kubernetes-dump-restore: its plan, and what it refuses. The run itself is in dump_restore_crash_spec.lua.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.dump_restore"

describe("kubernetes-dump-restore", function()
  local upgrade

  setup(function() upgrade = support.new() end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  it("is planned: what would be changed is shown, and nothing is", function()
    local plan = upgrade:plan()
    assert.equal(0, plan.exit, plan.stdout .. plan.stderr)
    local shown = { "kubectl lab/selfhosted", "kubectl scale deployment/miniflux --replicas=0", "#pgsh> startupProbe:", "rm -r /data/",
      "pg_restore /data/dump" }
    for _, text in ipairs(shown) do assert.match(text, plan.stdout, 1, true) end
    assert.equal(upgrade.before, run.read_file(upgrade.manifest))
    assert.equal(tostring(upgrade.old), upgrade:data())
    assert.equal(1, upgrade:replicas "miniflux")
  end)

  it("refuses what is not as it is assumed, all of it at once, and changes nothing", function()
    local major = upgrade.new
    upgrade:pod(("mkdir /data/%d; echo %d >/data/%d/PG_VERSION; echo old >/data/dump"):format(major, upgrade.old, major))
    upgrade:sql "create role other login"
    upgrade:sql "create database another"
    upgrade:kubectl "patch deployment/miniflux-db -p '{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\"}}}'"
    local result = upgrade:go({ "--image", ("postgres:%d"):format(upgrade.old), "--clients", "miniflux,nosuch", "--major", "13" })
    assert.equal(3, result.exit, result.stderr)
    for _, text in ipairs { "there is no deployment/nosuch", "is not newer than version", "has to be Recreate", "/data/dump is there",
      "the role other", "the database another", "The manifest is what runs" } do
      assert.match(text, result.stderr, 1, true)
    end
    upgrade:kubectl "patch deployment/miniflux-db -p '{\"spec\":{\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":null}}}'"
    os.execute(("sed -i 's/failureThreshold: 30/failureThreshold: 31/' %s"):format(upgrade.manifest))
    result = upgrade:go { "--others-anyway" }
    assert.equal(3, result.exit, result.stderr)
    assert.match("the cluster is not as", result.stderr, 1, true)
    os.execute(("sed -i 's/failureThreshold: 31/failureThreshold: 30/' %s"):format(upgrade.manifest))
    assert.match(("/data/%d is there"):format(major), result.stderr, 1, true)
    for _, words in ipairs { { "--data", "/" }, { "--data", "" }, { "--data", "data" }, { "--data", "/data/" }, { "--workload", "-x" },
      { "--image", "a b" }, { "--major", "0" } } do
      assert.equal(2, upgrade:go(words).exit, table.concat(words, " "))
    end
    assert.equal(3, upgrade:go({ "--data", "/elsewhere", "--others-anyway" }).exit)
    assert.equal(tostring(upgrade.old), upgrade:sql("show server_version"):match "^%d+")
    assert.equal(upgrade.before, run.read_file(upgrade.manifest))
    assert.equal(1, upgrade:replicas "miniflux")
  end)
end)
