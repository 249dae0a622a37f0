-- The service linode against its simulator, as scripts use it.
local check = require "tests.spec.support.check"
local clouds = require "tests.spec.support.clouds"
local run = require "tests.spec.support.run"

describe("linode", function()
  local lab, box, volume

  setup(function()
    lab = clouds.start()
    box = run.box(lab.env)
  end)
  teardown(function()
    box:remove()
    lab:stop()
  end)
  local function reset(options)
    lab:reset(options)
    volume = lab:volume { label = "pvc1a2b-x", size = 20 }
    os.execute(("echo data >%s/file"):format(volume.dir))
  end
  before_each(function() reset() end)

  local function evaluate(text, env)
    local script = ('local account, ID = linode.account { settle = "1s" }, %d '):format(volume.id) .. text
    return box:pgsh({ "-e", script }, { env = env })
  end
  local prints, fails = check.evaluated(evaluate)
  local function clones()
    local out = {}
    for _, one in ipairs(lab:state().volumes) do
      if one.source == volume.id then out[#out + 1] = one end
    end
    return out
  end

  it("looks at volumes, finds one by a PersistentVolume's handle", function()
    prints("pvc1a2b-x\tactive\t20\tnil", "local v = account:volume(ID) print(v.label, v.status, v.size, v.linode_id)")
    prints("nil", "print(account:volume(1))")
    prints("true\tnil", 'print(account:find(ID .. "-pvc1a2b-x").id == ID, account:find "1-gone")')
    fails("is called pvc1a2b-x, and not other", 'account:find(ID .. "-other")')
    fails("is no handle of the Linode driver", 'account:find "pvc-1"')
    prints("516140\tpvc-a-b", 'print(linode.parse_handle "516140-pvc-a-b")')
    prints("nil", 'print((linode.parse_handle "x-1"))')
  end)

  it("lists all pages, and those of a label", function()
    for i = 1, 30 do lab:volume { label = "v" .. i } end
    prints("31\t1\t0", 'print(#account:volumes(), #account:volumes { label = "v7" }, #account:volumes { label = "none" })')
  end)

  it("clones a volume with what is on it, and waits until the clone is active", function()
    reset { linode_clone_ms = 300 }
    prints("creating\tactive", [[
      local made = account:clone(ID, { label = "before-16" })
      print(made.json.status, account:wait_active(made.json.id).status)]])
    local clone = clones()[1]
    assert.equal("before-16", clone.label)
    assert.equal(20, clone.size)
    assert.equal("data\n", run.read_file(("%s/volumes/%d/data/file"):format(lab.dir, clone.id)))
  end)

  it("says at once that a clone cannot become active", function()
    reset { linode_clone_ms = 10, linode_clone_ends = "contact_support" }
    fails("contact_support", 'account:wait_active(account:clone(ID, { label = "a" }).json.id)')
    fails("there is no volume 1 any more", "account:wait_active(1)")
    reset { linode_clone_ms = 60000 }
    local late = fails("is active: not within", 'account:wait_active(account:clone(ID, { label = "a" }).json.id, { timeout = "500ms" })')
    assert.is_truthy(late.stderr:find("last seen: creating", 1, true), late.stderr)
    fails("status active can be cloned", 'account:clone(account:volumes { label = "a" }[1].id, { label = "b" })')
  end)

  it("refuses labels that the service would refuse, before it asks", function()
    for _, label in ipairs { "", "1a", "a--b", "a__b", "a b", "a.b", ("a"):rep(33) } do
      fails("a label", ("account:clone(ID, { label = %q })"):format(label))
    end
    prints("true\ttrue", 'print(linode.check_label "pg15-before-16_x", (linode.check_label(("a"):rep(32))))')
    assert.same({}, lab:requests("linode", "POST"))
    fails("must be unique", 'account:clone(ID, { label = "pvc1a2b-x" })')
  end)

  it("says what is wrong with the credential", function()
    fails("LINODE_TOKEN is not set", "account:check()", { LINODE_TOKEN = false })
    fails("Invalid Token", "account:check()", { LINODE_TOKEN = "wrong" })
    reset { linode_read_only = true }
    fails("not authorized", 'account:check() account:clone(ID, { label = "a" })')
    assert.equal(0, #clones())
  end)

  it("asks the account for the clone when the answer was lost, and makes no second one", function()
    for _, fault in ipairs { { action = "reset_after" }, { action = "status", code = 500, process = true } } do
      reset()
      fault.service, fault.method = "linode", "POST"
      lab:faults { fault }
      prints("true\tactive", [[
        local made = account:clone(ID, { label = "lost" })
        print(made.json.id == account:volumes { label = "lost" }[1].id, account:wait_active(made.json.id).status)]])
      assert.equal(1, #clones(), fault.action)
    end
  end)

  it("does not take a volume for the clone that was there before, or has another size", function()
    -- The request never arrived: the account shows none that is ours, and it is sent again.
    reset { linode_unique_labels = false }
    local former = lab:volume { label = "lost", size = 20 }
    lab:faults { { service = "linode", method = "POST", action = "reset_before" } }
    prints("true", ('print(account:clone(ID, { label = "lost", known = { %d } }).json.id ~= %d)'):format(former.id, former.id))
    assert.equal(1, #clones())
    reset { linode_unique_labels = false }
    former = lab:volume { label = "lost", size = 30 }
    lab:faults { { service = "linode", method = "POST", action = "reset_before" } }
    prints("true", ('print(account:clone(ID, { label = "lost" }).json.id ~= %d)'):format(former.id))
    assert.equal(1, #clones())
  end)

  it("waits when it is told to", function()
    reset { linode_limit = 1, linode_window_s = 1 }
    prints("true", "account:volume(ID) print(account:volume(ID).id == ID)")
  end)

  it("shows in a plan what it would do, and does not do it", function()
    local file = box.dir .. "/plan.lua"
    local handle = assert(io.open(file, "w"))
    handle:write(([[
      procedure { name = "p", summary = "s" }
      local account = linode.account()
      step "Clone" (function()
        local made = account:clone(%d, { label = "before" })
        account:wait_active(made.json.id)
      end)
    ]]):format(volume.id))
    handle:close()
    local result = box:pgsh { "plan", file }
    assert.equal(0, result.exit, result.stderr)
    local text = result.stdout .. result.stderr
    assert.is_truthy(text:find(("clone the volume %d as before"):format(volume.id), 1, true), text)
    assert.is_truthy(text:find("is active (limit 30:00", 1, true), text)
    assert.equal(0, #clones())
  end)
end)
