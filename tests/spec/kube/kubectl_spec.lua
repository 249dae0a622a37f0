-- What kubectl's answers are made of, over a kubectl that is a script; and the real one, without a server.
local fake = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "fake.lua")
local kubectl, sh = require "pgsh.kubectl", require "pgsh.sh"
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "../engine/support.lua")
local failure = require("tests.spec.support.check").failure

describe("kubectl", function()
  local world, k
  before_each(function()
    world = fake.new()
    k = world.k
  end)
  after_each(function() world:close() end)

  local function says(command, out, err, exit)
    world:write(command .. ".out", out)
    world:write(command .. ".err", err or "")
    world:write(command .. ".sh", ('cat "$D/%s.out"; cat "$D/%s.err" >&2; exit %d\n'):format(command, command, exit or 0))
  end

  local function calls() return world:read "calls" or "" end

  it("is a target, and says to whom it speaks every time", function()
    says("get", '{"kind": "Pod", "metadata": {"name": "p", "labels": null}}')
    assert.matches("^kubectl fake/pgsh%-spec", tostring(k))
    assert.same({ kind = "Pod", metadata = { name = "p" } }, k:get "pod/p")
    assert.matches("^%-%-context=fake %-%-namespace=pgsh%-spec%-%w+ get pod/p %-o json", calls())
    assert.matches("%-%-request%-timeout=30000ms", calls())
  end)

  it("knows what is not there from what cannot be read", function()
    says("get", "")
    assert.is_nil(k:get "deployment/site")
    says("get", "", 'Error from server (Forbidden): deployments.apps "site" is forbidden: User "x" cannot get resource\n', 1)
    local err = failure(k.get, k, "deployment/site")
    assert.equal("kubectl", err.kind)
    assert.equal("Forbidden", err.reason)
    assert.equal(1, err.exit)
    assert.equal(tostring(k), err.target)
    assert.matches("^kubectl get: Error from server", err.message)
    assert.equal(1, select(2, calls():gsub(" get deployment/site [^\n]*Forbid", "")) + 1)
  end)

  it("asks again for what may pass, and no more than three times", function()
    says("get", "", "Error from server (ServiceUnavailable): the server is currently unable to handle the request\n", 1)
    local err = failure(k.get, k, "deployment/site")
    assert.equal("kubectl_connect", err.code)
    assert.equal("ServiceUnavailable", err.reason)
    assert.is_true(err.retryable)
    assert.equal(3, select(2, calls():gsub("\n", "")))
    says("get", "", "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n", 1)
    err = failure(k.get, k, "deployment/site")
    assert.equal("Connection", err.reason)
    assert.matches("context", err.hint)
    says("get", "", "error: You must be logged in to the server (Unauthorized)\n", 1)
    err = failure(k.get, k, "deployment/site")
    assert.equal("Unauthorized", err.reason)
    assert.matches("log in again", err.hint)
  end)

  it("lists", function()
    says("get", '{"items": [{"metadata": {"name": "a"}}]}')
    assert.equal("a", k:list("pods", { selector = "app=x", fields = "status.phase=Running", all_namespaces = true })[1].metadata.name)
    assert.matches("get pods %-o json %-%-selector=app=x %-%-field%-selector=status.phase=Running %-%-all%-namespaces", calls())
    says("get", '{"items": []}')
    assert.same({}, k:list "pods")
  end)

  it("can, or cannot", function()
    says("auth", "yes\n")
    assert.is_true(k:can("create", "pods/exec"))
    says("auth", "no\n", "", 1)
    assert.is_false(k:can("create", "pods/exec"))
    says("auth", "", "error: You must be logged in to the server (Unauthorized)\n", 1)
    assert.equal("kubectl", failure(k.can, k, "create", "pods/exec").kind)
  end)

  it("refuses what is no name, no option, no number, before anything is called", function()
    for _, call in ipairs {
      { k.get, "site" }, { k.get, "-f/x" }, { k.get, "deployment/" }, { k.get, "deployment/site", { namspace = "x" } },
      { k.list, "pods -A" },
      { k.scale, "deployment/site", -1 }, { k.scale, "deployment/site", "2" }, { k.apply, "-f" }, { k.logs, "-x" },
      { k.set_image, "deployment/site", "c", "a b" }, { k.exec, "p", {} }, { k.exec, "p", "ls" }, { k.exec, "-p", { "ls" } },
      { k.exec, "p", { "ls" }, { timout = 1 } }, { k.wait_gone, {} }, { k.wait_rollout, "site" },
    } do
      assert.equal("usage", failure(call[1], k, table.unpack(call, 2)).kind)
    end
    assert.is_nil(world:read "calls")
    local wrong = {
      { contxt = "x" }, { context = "-x" }, { context = "x", namespace = "" }, { context = "x", namespace = "y", timeout = "x" } }
    for _, options in ipairs(wrong) do
      assert.equal("usage", failure(kubectl, options).kind)
    end
  end)

  it("scales from what it saw, and lets the object decide when the answer is lost", function()
    says("get", '{"kind": "Deployment", "metadata": {"name": "site"}, "spec": {"replicas": 2}}')
    says("scale", "deployment.apps/site scaled\n")
    assert.same({ was = 2, replicas = 0 }, k:scale("deployment/site", 0))
    assert.matches("scale deployment/site %-%-replicas=0 %-%-current%-replicas=2", calls())
    says("scale", "", "error: Expected replicas to be 2, was 3\n", 1)
    local err = failure(k.scale, k, "deployment/site", 0)
    assert.equal("kubectl", err.kind)
    assert.matches("Expected replicas", err.message)
    world:write("scale.sh", 'echo \'{"kind": "Deployment", "metadata": {"name": "site"}, "spec": {"replicas": 0}}\' >"$D/get.out"\n'
      .. "echo 'Unable to connect to the server: unexpected EOF' >&2; exit 1\n")
    assert.same({ was = 2, replicas = 0 }, k:scale("deployment/site", 0))
    says("get", "")
    assert.equal("NotFound", failure(k.scale, k, "deployment/site", 0).reason)
  end)

  it("sends again what the object says did not happen", function()
    says("get", '{"kind": "Deployment", "metadata": {"name": "site"}, "spec": {"replicas": 2}}')
    world:write("scale.sh", 'echo x >>"$D/scales"; echo "error: unexpected EOF" >&2; exit 1\n')
    local err = failure(k.scale, k, "deployment/site", 0)
    assert.equal("failed", err.kind)
    assert.equal("x\nx\nx\n", world:read "scales")
  end)

  it("shows a difference without what differs every time", function()
    says("diff", "diff -u -N /tmp/LIVE-1/apps.v1.Deployment.shop.postgres /tmp/MERGED-2/apps.v1.Deployment.shop.postgres\n"
      .. "--- /tmp/LIVE-1/apps.v1.Deployment.shop.postgres\t2026-11-21 04:09:06.811237493 +0000\n"
      .. "+++ /tmp/MERGED-2/apps.v1.Deployment.shop.postgres\t2026-11-21 04:09:06.811237493 +0000\n@@ -6,7 +6,7 @@\n"
      .. "     kubectl.kubernetes.io/last-applied-configuration: |\n       {\"apiVersion\":\"apps/v1\",\"secret\":1}\n- "
        .. " replicas: 1\n", "", 1)
    assert.equal("--- live/apps.v1.Deployment.shop.postgres\n+++ merged/apps.v1.Deployment.shop.postgres\n@@ -6,7 +6,7 @@\n"
      .. "     kubectl.kubernetes.io/last-applied-configuration: |\n       …\n-  replicas: 1\n", k:diff "x.yaml")
    says("diff", "")
    assert.equal("", k:diff "x.yaml")
    says("diff", "", 'The Deployment "x" is invalid: spec.selector: Invalid value\n', 2)
    assert.equal("Invalid", failure(k.diff, k, "x.yaml").reason)
  end)

  it("says what became of each object", function()
    says("diff", "")
    says("apply", "persistentvolume/postgres-pv unchanged\npersistentvolumeclaim/postgres-data created\n")
    assert.same({ objects = { { name = "persistentvolume/postgres-pv", became = "unchanged" },
      { name = "persistentvolumeclaim/postgres-data", became = "created" } } }, k:apply "volume.yaml")
    says("diff", "", "error: the path \"x\" does not exist\n", 2)
    says("apply", "", 'error: the path "x" does not exist\n', 1)
    assert.matches("does not exist", failure(k.apply, k, "x").message)
  end)

  describe("of this machine", function()
    local real = sh.read({ "sh", "-c", "command -v kubectl" }, { ok = { 0, 1, 127 } }).exit == 0

    it("has a version, and says clearly when there is no server", function()
      if not real then return pending "kubectl is not installed" end
      world:write("config", ("apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context: "
        .. "{cluster: c, user: u, "
        .. "namespace: shop}\n- name: bare\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster: {server: "
        .. "'http://127.0.0.1:1'}\n"
        .. "users:\n- name: u\n  user: {token: t}\n"))
      local env = { KUBECONFIG = world.dir .. "/config" }
      local here = kubectl { env = env }
      assert.equal("kubectl here/shop", tostring(here))
      assert.equal("kubectl bare/default", tostring(kubectl { context = "bare", env = env }))
      assert.equal("kubectl bare/other", tostring(kubectl { context = "bare", namespace = "other", env = env }))
      assert.matches("^v1%.%d+", here:version({ server = false }).client)
      local err = failure(here.version, here)
      assert.equal("kubectl_connect", err.code)
      assert.equal("Connection", err.reason)
      assert.matches("refused", err.message)
      err = failure(kubectl, { context = "nonesuch", env = env })
      assert.matches("nonesuch", err.message)
    end)

    it("is missing in one clear line", function()
      local none = kubectl { context = "a", namespace = "b", binary = "/nonexistent/kubectl" }
      local err = failure(none.version, none)
      assert.equal("kubectl", err.kind)
      assert.matches("there is no /nonexistent/kubectl", err.message)
      assert.matches("kubernetes%-client", err.hint)
    end)

    it("that is too old is refused", function()
      says("version", '{"clientVersion": {"gitVersion": "v1.19.3"}, "serverVersion": {"gitVersion": "v1.30.0"}}')
      assert.matches("v1.19.3: 1.20 or newer", failure(k.version, k).message)
      says("version", '{"clientVersion": {"gitVersion": "v1.20.2"}, "serverVersion": {"gitVersion": "v1.30.0"}}')
      assert.same({ client = "v1.20.2", server = "v1.30.0" }, k:version())
    end)
  end)

  it("stays with the cluster that a run began with", function()
    local box = support.box()
    local text = [[local k = kubectl { binary = "%s/kubectl" }
      step "One" (function() k:exec("p", { "true" }) if FAIL then fail "no" end end)]]
    world:write("config.sh", 'echo "{\\"current-context\\": \\"$(cat $D/current)\\", '
      .. '\\"contexts\\": [{\\"name\\": \\"c\\", \\"context\\": {}}]}"\n')
    world:write("current", "first")
    local run = box:pgsh(box:procedure("local FAIL = true\n" .. text:format(world.dir)), "-y", "--on-failure", "stop")
    assert.equal(5, run.exit, run.all)
    assert.matches("context=first", calls())
    world:write("current", "second")
    box:procedure("local FAIL = false\n" .. text:format(world.dir))
    run = box:pgsh("resume", "last", "-y")
    assert.equal(0, run.exit, run.all)
    assert.is_nil(calls():find("second", 1, true))
    run = box:pgsh("plan", "proc.lua")
    assert.match("kubectl second/default", run.all, 1, true)
    box:close()
  end)
end)

