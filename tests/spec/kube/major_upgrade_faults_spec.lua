-- What goes wrong in the middle of kubernetes-major-upgrade: each fault stops it before the next step that cannot be taken back, says how
-- to go back, and going back brings the old version with the old data.
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.upgrade"

-- A volume for the claim, of which only the handle differs.
local PERSISTENT = [[
apiVersion: v1
kind: PersistentVolume
metadata: {name: old-again}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: linode-block-storage-retain
  claimRef: {namespace: default, name: postgres-data}
  csi: {driver: linodebs.csi.linode.com, volumeHandle: %s, fsType: ext4}
]]

describe("kubernetes-major-upgrade", function()
  local upgrade, lab

  setup(function()
    upgrade = support.new()
    lab = upgrade.lab
  end)
  teardown(function() upgrade:stop() end)
  before_each(function() upgrade:reset() end)

  local QUICK = { "--rehearse", "no" }
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

  local file_of = run.write_file

  -- One run that meets one fault after another: each stops it before the next step that cannot be taken back, says how to go back, is
  -- mended, and pgsh resume goes on from there. Pods are waited for but shortly: where a slow machine runs into that, it goes on, too.
  describe("meets one fault after another", function()
    local KEPT, LIMIT_S, TRIES = "/var/lib/postgresql/data/kept.sql.gz", 4, 8
    local rehearsal, removed

    setup(function() rehearsal = postgres.start() end)
    teardown(function() rehearsal:remove() end)

    local function says(result, text) return (result.stdout .. result.stderr):find(text, 1, true) ~= nil end

    -- Go on until it stops for the reason that is meant.
    local function go_on(done)
      local result
      for _ = 1, TRIES do
        result = upgrade:again "resume"
        if result.exit ~= 124 or done(result) then return result end
      end
      return result
    end
    local function stopped(result, exit, text, ...)
      stops(result, exit, text, "IN MAINTENANCE", "pgsh undo", ...)
      if removed then
        assert.equal("active", upgrade:volumes().clones[1].status, text)
      else
        upgrade:volume_is_there(text)
      end
      assert.is_truthy(upgrade:route(), text)
    end
    local function meets(exit, text, ...)
      stopped(go_on(function(seen) return says(seen, text) end), exit, text, ...)
    end

    -- Where the data of the volume are that the claim has now.
    local function disk()
      local state = lab:state()
      local handle = state.volumes[state.claims["default/postgres-data"].volume].handle
      return ("%s/%s/data"):format(lab.volumes, handle:match "^%d+")
    end

    it("and ends as if there had been none", function()
      lab:faults {
        { action = "cut", contains = "pg_dumpall", bytes = 20000 }, { action = "lost", command = "scale" },
        { action = "lost", verb = "delete" },
      }
      upgrade.clouds:faults {
        { service = "linode", method = "POST", action = "reset_after" },
        { service = "cloudflare", method = "POST", action = "reset_after" },
      }
      local uri = ("postgresql://postgres@127.0.0.1:%d/postgres"):format(rehearsal.port)
      local somebody = assert(io.popen(("%s -X -q -d %s >/dev/null 2>&1"):format(lab.majors.new.bin .. "/psql",
        run.quote(lab:conninfo "postgres" .. " application_name=report")), "w"))
      local words = upgrade:words { "--rehearse", uri, "--dump-in-pod", KEPT }
      for i, word in ipairs(words) do
        if word == "--pod-timeout" then words[i + 1] = LIMIT_S .. "s" end
      end
      local result = upgrade.box:pgsh(words, { limit = 100 })

      -- Somebody is connected, who will not come back.
      if not says(result, "pythondiscord (report) from local") then result = go_on(function(r) return says(r, "(report)") end) end
      stopped(result, 124, "pythondiscord (report) from local", "nobody is connected but us")
      somebody:close()

      meets(5, "ended without word of how its command has ended: the line was lost")
      assert.equal("", run.shell("ls -A " .. upgrade.box.dir .. "/dump"))

      -- The pod cannot be reached any more in the middle of a copy.
      lab:faults { { action = "cut", contains = KEPT, times = 0 } }
      meets(5, "Keep a copy in the old pod", "the line was lost")
      lab:faults(false)

      rehearsal:psql "create role site"
      meets(5, "not empty: role site")
      rehearsal:psql "drop role site"

      upgrade.clouds:options { linode_clone_ends = "contact_support" }
      meets(5, "contact_support", "open a ticket")
      assert.equal(1, #upgrade:volumes().clones)
      upgrade.clouds:status(upgrade:volumes().clones[1].id, "active")

      os.execute(("printf x >>%s"):format(upgrade:dump()))
      meets(5, "is not a whole dump as it was made")
      os.execute(("truncate -s -1 %s"):format(upgrade:dump()))

      lab:hold("stuck-finalizer", "postgres%-data")
      meets(124, "pvc/postgres-data to be gone")
      assert.is_true(lab:state().claims["default/postgres-data"].terminating)
      removed = true
      -- What was let go comes back: a volume that waits for the claim.
      local path = upgrade.box.dir .. "/again.yaml"
      file_of(path, PERSISTENT:format(upgrade.handle))
      lab:release("stuck-finalizer", "postgres%-data")
      assert.equal(0, (lab:kubectl("apply -f " .. path)))
      meets(5, "is bound to the old data")
      assert.equal(0, (lab:kubectl "delete pvc/postgres-data pv/old-again"))
      assert.is_truthy(upgrade:volumes().old)
      assert.equal(0, (lab:kubectl(("apply -f %s/postgresql/volume.yaml"):format(lab.work))))

      lab:hold("image", upgrade.image)
      meets(124, "ImagePull")
      -- A data directory of the old version in the new volume.
      os.execute(("cp -a %s/%d/data/. %s/"):format(lab.volumes, upgrade.volume, disk()))
      lab:release("image", upgrade.image)
      meets(124, "CrashLoopBackOff")
      os.execute(("rm -rf %s/pgdata"):format(disk()))
      assert.equal(0, (lab:kubectl "delete pod -l app=postgres"))

      lab:faults { { action = "cut", contains = "/tmp/pgsh-import", times = 0 } }
      meets(5, "Copy the dump across", "the line was lost")
      lab:faults(false)

      -- Somebody was there before the import.
      upgrade:sql "create role site"
      meets(5, "not empty: role site")
      upgrade:sql "drop role site"

      upgrade:is_whole(go_on(function() return false end), "faults, one after another")
      assert.is_truthy(upgrade:volumes().old)
      assert.equal(run.shell("sha512sum <" .. upgrade:dump()), run.shell(("sha512sum <%s/%d/data/kept.sql.gz"):format(lab.volumes,
        upgrade.volume)))
      assert.equal(upgrade:sql("select count(*) from users", "site"),
        run.shell(("%s/psql -XAtq -d %s -c 'select count(*) from users'"):format(rehearsal.bin,
          run.quote(rehearsal:conninfo { dbname = "site" }))))
    end)
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

  it("finds in the rehearsal what the real import would stumble over", function()
    upgrade:sql("create collation made_up (locale = 'C')", "site")
    local result = upgrade:go { "--replace", "'C.UTF-8'='no_SUCH.utf8'" }
    stops(result, 5, "no_SUCH.utf8", "pgsh undo")
    upgrade:volume_is_there "the rehearsal failed"
    goes_back(result, "undone after a rehearsal that failed")
  end)

end)
