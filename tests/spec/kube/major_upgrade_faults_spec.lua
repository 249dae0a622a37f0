-- What goes wrong in the middle of kubernetes-major-upgrade: each fault stops it before the next step that cannot be taken back, says how
-- to go back, and going back brings the old version with the old data. Those that take long only with PGSH_FULL=1.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.upgrade"

local FULL = os.getenv "PGSH_FULL" == "1"

describe("kubernetes-major-upgrade", function()
  local upgrade, lab

  setup(function()
    upgrade = support.new()
    lab = upgrade.lab
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  local QUICK = { "--rehearse", "no" }
  local function full(what, f)
    if FULL then it(what, f) end
  end

  local function stops(result, exit, ...)
    upgrade:says(result, ...)
    assert.equal(exit, result.exit, result.stderr)
  end

  -- It can be taken back from here.
  local function goes_back(result, where)
    upgrade:says(result, "pgsh undo")
    lab:faults(false)
    local undone = upgrade:again "undo"
    assert.equal(0, undone.exit, undone.stderr)
    upgrade:is_back(where)
  end

  local function file_of(path, text)
    local handle = assert(io.open(path, "w"))
    handle:write(text)
    handle:close()
    return path
  end

  full("stops when the dump is cut, leaves no file of it, and goes on from there", function()
    lab:faults { { action = "cut", contains = "pg_dumpall", bytes = 20000 } }
    local result = upgrade:go(QUICK)
    stops(result, 5, "MAINTENANCE")
    assert.equal("", run.shell("ls -A " .. upgrade.box.dir .. "/dump"))
    upgrade:volume_is_there "the dump was cut"
    upgrade:is_whole(upgrade:again "resume", "resumed after a dump that was cut")
  end)

  it("does not remove a volume whose dump is not what was validated", function()
    lab:hold("stuck-terminating", "postgres%-.*")
    local process = upgrade.box:start(upgrade:words(QUICK))
    process:expect("Stop PostgreSQL", 60)
    os.execute(("printf x >>%s"):format(upgrade:dump()))
    lab:faults(false)
    lab:release("stuck-terminating", "postgres%-.*")
    local result = process:wait(100)
    stops(result, 5, "is not a whole dump as it was made")
    upgrade:volume_is_there "the digest differs"
    goes_back(result, "undone after the digest differed")
  end)

  -- Of what the cloud removes together with its claim the clone is left.
  local function comes_from_the_clone(undone, where)
    upgrade:says(undone, "takes the place of the volume: it is no backup any more", "the databases are what they were")
    assert.equal(0, undone.exit, undone.stderr)
    upgrade:is_back(where)
    local volumes, state = upgrade:volumes(), lab:state()
    assert.is_nil(volumes.old, where)
    assert.equal(1, #volumes.clones, where)
    local now = state.volumes[state.claims["default/postgres-data"].volume]
    assert.equal(volumes.clones[1].id, tonumber(now.handle:match "^%d+"), where)
  end

  it("goes back to the clone when an import fails and the cloud has removed the old volume", function()
    upgrade:reclaims "Delete"
    -- A collation that the new image does not have.
    upgrade:sql("create collation missing (locale = 'C')", "site")
    upgrade:sql("update pg_collation set collcollate = 'xx_YY.utf8', collctype = 'xx_YY.utf8' where collname = 'missing'", "site")
    local result = upgrade:go(QUICK)
    stops(result, 5, "Linode removes its data with them", "xx_YY.utf8", "IN MAINTENANCE", "pgsh undo")
    assert.is_nil(upgrade:volumes().old)
    comes_from_the_clone(upgrade:again "undo", "undone after the import")
  end)

  it("does not go back to a volume that the cloud is about to remove", function()
    upgrade:reclaims "Delete"
    lab:hold("stuck-finalizer", "^pvc%x+$")
    local env = run.crash(nil, "before")
    env.CRASH_WORDS = '"effect.outcome"\n"remove-volume/run"\npvc/'
    assert.equal(137, upgrade:go(QUICK, { env = env }).exit)
    assert.is_truthy(upgrade:volumes().old)
    local words = { "undo", "last" }
    local process = upgrade.box:start(table.move(upgrade:answers(), 1, #upgrade:answers(), 3, words))
    process:expect(("waiting: pv/%s to be gone"):format(upgrade.pv), 60)
    lab:release("stuck-finalizer", "^pvc%x+$")
    comes_from_the_clone(process:wait(100), "undone while the old volume was on its way out")
  end)

  full("does not remove a volume whose clone failed", function()
    upgrade.clouds:call("POST", "/reset", { linode_clone_ends = "contact_support" })
    local result = upgrade:go(QUICK)
    stops(result, 5, "contact_support", "open a ticket")
    upgrade:volume_is_there "the clone failed"
    goes_back(result, "undone after a clone that failed")
  end)

  full("stops when somebody is still connected, and says who", function()
    local result = upgrade:go({ "--rehearse", "no" }, { without = "--readers" })
    stops(result, 124, "grafana (grafana) from", "nobody is connected but us")
    upgrade:volume_is_there "somebody is connected"
    goes_back(result, "undone while somebody was connected")
  end)

  full("stops when the claim does not go, with everything else as it was", function()
    lab:hold("stuck-finalizer", "postgres%-data")
    local words = upgrade:words(QUICK)
    for i, word in ipairs(words) do
      if word == "--pod-timeout" then words[i + 1] = "8s" end
    end
    local result = upgrade.box:pgsh(words, { limit = 100 })
    stops(result, 124, "pvc/postgres-data", "pgsh undo")
    assert.is_truthy(upgrade:volumes().old)
    assert.is_truthy(lab:state().volumes[upgrade.pv])
    lab:release("stuck-finalizer", "postgres%-data")
    upgrade:is_whole(upgrade:again "resume", "resumed after a claim that was stuck")
  end)

  full("stops when the new server is never ready, and goes back to the old one", function()
    lab:hold("image", upgrade.image)
    local words = upgrade:words(QUICK)
    for i, word in ipairs(words) do
      if word == "--pod-timeout" then words[i + 1] = "12s" end
    end
    local result = upgrade.box:pgsh(words, { limit = 100 })
    stops(result, 124, "pgsh undo")
    lab:release("image", upgrade.image)
    goes_back(result, "undone after a server that was never ready")
  end)

  full("does not start the new version on a volume that is not new", function()
    -- The volume's manifest brings back what was just let go.
    local id, label = upgrade.handle:match "^(%d+)%-(.*)$"
    local path = file_of(upgrade.box.dir .. "/old.yaml", ([[
apiVersion: v1
kind: PersistentVolume
metadata: {name: old-again}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: linode-block-storage-retain
  claimRef: {namespace: default, name: postgres-data}
  csi: {driver: linodebs.csi.linode.com, volumeHandle: %s-%s, fsType: ext4}
---
%s]]):format(id, label, run.read_file(lab.work .. "/postgresql/volume.yaml")))
    local result = upgrade:go({ "--rehearse", "no", "--volume-manifest", path }, { without = "--volume-manifest" })
    stops(result, 5, "it is another volume than the old one")
    goes_back(result, "undone after a volume that was not new")
  end)

  full("stops at the first error of an import that is not allowed", function()
    -- Made by somebody between the check and the import: the role is there already.
    lab:faults { { action = "internal", verb = "create", resource = "nothing" } }
    local words = upgrade:words(QUICK)
    local process = upgrade.box:start(words)
    process:expect("Copy the dump across", 90)
    upgrade:sql "create role site"
    local result = process:wait(100)
    stops(result, 5)
    assert.is_truthy((result.stdout .. result.stderr):find "not empty" or (result.stdout .. result.stderr):find "42710", result.stderr)
    goes_back(result, "undone after an import that failed")
  end)

  full("finds in the rehearsal what the real import would stumble over", function()
    upgrade:sql("create collation made_up (locale = 'C')", "site")
    local result = upgrade:go { "--replace", "'C.UTF-8'='no_SUCH.utf8'" }
    stops(result, 5, "no_SUCH.utf8", "pgsh undo")
    upgrade:volume_is_there "the rehearsal failed"
    goes_back(result, "undone after a rehearsal that failed")
  end)

  full("goes on when commands in the pod lose their connection, and answers are lost", function()
    lab:faults {
      { action = "cut", contains = "psql", bytes = 10, times = 2, skip = 3 }, { action = "lost", verb = "delete", times = 1 },
      { action = "lost", command = "scale", times = 1 },
    }
    upgrade.clouds:faults {
      { service = "linode", method = "POST", action = "reset_after" }, { service = "cloudflare", method = "POST", action = "reset_after" },
    }
    upgrade:is_whole(upgrade:go(QUICK), "with lost answers")
    assert.equal(1, #upgrade:volumes().clones)
  end)
end)
