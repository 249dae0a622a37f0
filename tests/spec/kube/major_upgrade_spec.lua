-- kubernetes-major-upgrade as a whole: the run, the plan, and what is refused before anything is changed.
local run = require "tests.spec.support.run"
local support = require "tests.spec.support.upgrade"

describe("kubernetes-major-upgrade", function()
  local upgrade, lab

  setup(function()
    upgrade = support.new()
    lab = upgrade.lab
  end)
  teardown(function() upgrade:stop() end)

  describe("refuses before anything is changed", function()
    setup(function() upgrade:reset() end)

    local function refuses(expected, more, options)
      upgrade:is_untouched(upgrade:go(more, options), 3, expected)
    end
    local function with_file(name, from, to, f)
      local path = ("%s/postgresql/%s"):format(lab.work, name)
      local text = run.read_file(path)
      local function write(content) run.write_file(path, content) end
      local changed, count = text:gsub(from, to)
      assert.is_true(count > 0, from)
      write(changed)
      local ok, why = pcall(f)
      write(text)
      if not ok then error(why, 0) end
    end

    it("an image that is no newer major version", function()
      refuses("has this image already", { "--image", upgrade.old_image }, { without = "--image" })
      refuses("is no newer major version", { "--image", ("postgres:%d-alpine"):format(lab.majors.old.major) }, { without = "--image" })
      refuses("does not say which version", { "--image", "postgres:latest", "--rehearse", "no" }, { without = "--image" })
      refuses("is not installed here", { "--image", "postgres:99" }, { without = "--image" })
    end)

    it("what is not there, or is another one", function()
      refuses("there is no deployment/nothing", { "--scale-down", "site,nothing" }, { without = "--scale-down" })
      refuses("there is no deployment/nowhere", { "--deployment", "nowhere" })
      refuses("does not make the claim", { "--volume-manifest", lab.work .. "/services/site.yaml" }, { without = "--volume-manifest" })
      refuses("documents fit", { "--manifest", lab.work .. "/services/site.yaml" }, { without = "--manifest" })
      refuses("knows no zone", { "--zone", "example.org" }, { without = "--zone" })
    end)

    it("a user who may not dump everything", function()
      refuses("no superuser", { "--user", "site" })
    end)

    it("a manifest that says something else than the cluster", function()
      with_file("deployment.yaml", "image: postgres:%d+", "image: postgres:9.6", function()
        upgrade.manifest = upgrade:manifest_text()
        refuses "which is right?"
      end)
      upgrade.manifest = upgrade:manifest_text()
    end)

    it("a dump that is there, or has no place", function()
      os.execute("touch " .. upgrade:dump())
      refuses "is there already (--dump)"
      os.remove(upgrade:dump())
      refuses("there is no directory", { "--dump", "/nowhere/x.sql.gz" }, { without = "--dump" })
    end)

    it("missing credentials and labels that would not do", function()
      refuses("CLOUDFLARE_API_TOKEN is not set", nil, { env = { CLOUDFLARE_API_TOKEN = false } })
      refuses("LINODE_TOKEN is not set", nil, { env = { LINODE_TOKEN = false } })
      refuses("a label has no --", { "--clone-label", "a--b" })
      upgrade.clouds:volume { label = "there-already" }
      refuses("there is a volume there-already already", { "--clone-label", "there-already" })
    end)

    it("a typed confirmation that is missing, with the database stopped and the volume in place", function()
      upgrade:reset()
      local words = upgrade:words { "--rehearse", "no" }
      for i, word in ipairs(words) do
        if word == "--confirm" then
          words[i + 1] = "pvc/postgres-data"
        end
      end
      local result = upgrade.box:pgsh(words, { limit = 150 })
      upgrade:says(result, ("--confirm 'pvc/postgres-data pv/%s'"):format(upgrade.pv))
      assert.equal(4, result.exit, result.stderr)
      upgrade:volume_is_there "not confirmed"
      -- And back.
      result = upgrade:again "undo"
      assert.equal(0, result.exit, result.stderr)
      upgrade:is_back "undone"
      assert.equal(1, #upgrade:volumes().clones)
    end)
  end)

  it("plans it, and changes nothing", function()
    upgrade:reset()
    local words = upgrade:words()
    table.insert(words, 1, "plan")
    local result = upgrade.box:pgsh(words, { limit = 60 })
    upgrade:is_untouched(result, 0, "route pythondiscord.com/* → maintenance", "kubectl scale deployment/site --replicas=0",
      ("clone the volume %d as"):format(upgrade.volume), "kubectl delete pvc/postgres-data", "kubectl apply -f", "is to be typed",
      "+          image: " .. upgrade.image, "restore " .. upgrade:dump())
    assert.equal("", run.shell("ls " .. upgrade.box.dir .. "/dump"))
  end)

  it("does it: the same data in the new version, everything as it was", function()
    upgrade:reset()
    upgrade:is_whole(upgrade:go())
    -- Nothing of the password that the dump and the pod have is in what was written down.
    local journal = run.shell(("cat %s/state/pgsh/runs/*/journal.jsonl"):format(upgrade.box.dir))
    assert.is_nil(journal:find("SCRAM%-SHA%-256%$"))
    assert.is_nil(journal:find(upgrade.clouds.env.LINODE_TOKEN, 1, true))
    -- And it can be taken back: the old volume comes back with the old version.
    local result = upgrade:again "undo"
    assert.equal(0, result.exit, result.stderr)
    upgrade:is_back "undone after it was done"
  end)
end)
