-- Objects, waits and what is in the way, on a cluster: the lab's, or with PGSH_KUBE_TESTS=1 the real one of KUBECONFIG, in a namespace of
-- its own (what is made to go wrong on demand is left out then).
local kubectl, sh = require "pgsh.kubectl", require "pgsh.sh"
local host, pipe, hash, postgres = require "pgsh.host", require "pgsh.pipe", require "pgsh.hash", require "pgsh.postgres"
local kube = require "tests.spec.support.kube"
local failure = require("tests.spec.support.check").failure
local run = require "tests.spec.support.run"

local REAL = os.getenv "PGSH_KUBE_TESTS" == "1"

local MANIFEST = [[
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, labels: {app: db}}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: postgres
          image: postgres:%d
          env:
            - {name: POSTGRES_USER, value: app}
            - {name: POSTGRES_PASSWORD, value: spec-password}
            - {name: PGDATA, value: /data/pg}
          readinessProbe: {exec: {command: [pg_isready, -U, app]}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
]]

describe("a cluster", function()
  local lab, k, dir, path, namespace, major

  setup(function()
    dir = sh.run({ "mktemp", "-d", "/tmp/pgsh-spec-XXXXXX" }).out:match "%S+"
    path = dir .. "/db.yaml"
    namespace = "pgsh-spec-" .. host.pid
    if REAL then
      major = 15
      sh.run { "kubectl", "create", "namespace", namespace }
      k = kubectl { namespace = namespace, settle = "2s" }
    else
      lab = kube.start { world = "empty" }
      major = math.tointeger(lab.majors.new.major)
      namespace = "default"
      k = kubectl { context = "lab", namespace = namespace, binary = lab.dir .. "/bin/kubectl", env = lab.env, settle = "5s" }
    end
    run.write_file(path, MANIFEST:format(major))
    k:apply(path)
    k:wait_rollout("deployment/db", { timeout = "3m" })
  end)

  teardown(function()
    if REAL then sh.run { "kubectl", "delete", "namespace", namespace, "--wait=false" } end
    if lab then lab:stop() end
    sh.run { "rm", "-rf", dir }
  end)

  before_each(function() if lab then lab:faults(false) end end)

  it("says its version and what we may", function()
    local version = k:version()
    assert.matches("^v1%.", version.client)
    assert.matches("^v1%.", version.server)
    assert.is_true(k:can("create", "pods/exec"))
  end)

  it("has objects, and one pod of a workload", function()
    assert.equal("Deployment", k:get("deployment/db").kind)
    assert.is_nil(k:get "deployment/nosuch")
    assert.equal("db", k:list("deployments")[1].metadata.name)
    local pod = k:pod("deployment/db", { ready = true })
    assert.equal(pod.metadata.name, k:pods("deployment/db")[1].metadata.name)
    assert.matches("accept connections", k:logs(pod))
    assert.equal("", k:trouble "deployment/db")
    assert.matches("does not exist", k:trouble "deployment/nosuch")
    local none, why = k:pod "deployment/nosuch"
    assert.is_nil(none)
    assert.matches("does not exist", why)
    assert.equal("", k:diff(path))
    assert.equal("unchanged", k:apply(path).objects[1].became)
  end)

  it("runs commands in a pod, and hands streams over", function()
    assert.equal("/data/pg\n", k:read("deployment/db", { "printenv", "PGDATA" }).out)
    assert.equal(7, failure(k.exec, k, "deployment/db", { "sh", "-c", "exit 7" }).exit)
    assert.equal(127, failure(k.read, k, "deployment/db", { "nosuchcommand" }).exit)
    assert.equal("NotFound", failure(k.exec, k, "nosuch", { "true" }).reason)
    local done = pipe { k:output("deployment/db", { "head", "-c", "3000000", "/dev/urandom" }), hash("sha256", { as = "out" }),
      k:input("deployment/db", { "sha256sum" }) }
    assert.equal(3000000, done.bytes)
    assert.equal(done.digest.out, done.text.stdout:match "^%x+")
    assert.equal(4, failure(pipe, { ("x"):rep(10000000), k:input("deployment/db", { "sh", "-c", "exit 4" }) }).exit)
    assert.equal("yes\n", k:exec("deployment/db", { "sh", "-c", "sleep 0.3; echo yes" }, { record = "/data/.spec" }).out)
    k:forget("deployment/db", "/data/.spec")
    assert.equal("", k:read("deployment/db", { "sh", "-c", "ls /data/.spec* 2>/dev/null; true" }).out)
  end)

  it("takes files and gives them", function()
    local here, back = dir .. "/file", dir .. "/back"
    sh.run { "sh", "-c", "head -c 1500000 /dev/urandom >" .. here }
    assert.equal(1500000, k:upload(here, "deployment/db", "/data/file", { piece = "1M" }).sent)
    assert.equal(1500000, k:download("deployment/db", "/data/file", back).sent)
    assert.equal(hash.file(here), hash.file(back))
    assert.equal(0, k:upload(here, "deployment/db", "/data/file").sent)
  end)

  it("has a database whose stock can be taken", function()
    local db = postgres.remote(k, { pod = "deployment/db", user = "app", database = "app" })
    db:execute "create table t (id int primary key, x text); insert into t select n, 'x' from generate_series(1, 12) n"
    assert.equal(12, db:value "select count(*) from t")
    assert.same({ id = 3, x = "x" }, db:row("select * from t where id = $1 and x = $2", 3, "x"))
    db:execute "create sequence s"
    assert.equal("25006", failure(db.value, db, "select nextval('s')").sqlstate)
    assert.equal("42P01", failure(db.execute, db, "insert into nosuch values (1)").sqlstate)
    local stock = postgres.inventory(db, { databases = { "app" } })
    local found
    for _, one in ipairs(stock.databases) do found = one.name == "app" and one.content or found end
    assert.equal(12, found.tables[1].rows)
    assert.is_false(postgres.is_empty(db, { database = true }))
  end)

  it("scales down to nothing and up again", function()
    assert.same({ was = 1, replicas = 0 }, k:scale("deployment/db", 0))
    k:wait_gone("pods of deployment/db", { timeout = "3m" })
    local pod, why = k:pod "deployment/db"
    assert.is_nil(pod)
    assert.equal("none runs", why)
    assert.matches("no pod of deployment/db", failure(k.read, k, "deployment/db", { "true" }).message)
    assert.same({ was = 0, replicas = 1 }, k:scale("deployment/db", 1))
    assert.equal("Running", k:wait_ready("deployment/db", { timeout = "3m" }).status.phase)
  end)

  it("restarts, takes another image, and says what holds it up", function()
    local before = k:pod("deployment/db").metadata.name
    k:restart "deployment/db"
    k:wait_rollout("deployment/db", { timeout = "3m" })
    assert.not_equal(before, k:pod("deployment/db").metadata.name)
    local set = k:set_image("deployment/db", "postgres", "postgres:nosuch")
    assert.equal(("postgres:%d"):format(major), set.was)
    for _ = 1, 200 do
      if k:trouble("deployment/db"):find "nosuch" then break end
      host.sleep(0.2)
    end
    local err = failure(k.wait_rollout, k, "deployment/db", { timeout = "7s" })
    assert.equal("timeout", err.kind)
    assert.matches("nosuch", err.message)
    k:set_image("deployment/db", "postgres", set.was)
    k:wait_rollout("deployment/db", { timeout = "3m" })
  end)

  it("keeps a claim while it is used, and says by whom", function()
    assert.equal("Bound", k:wait_bound("pvc/data").status.phase)
    local deleted = k:delete "pvc/data"
    assert.is_true(deleted.existed)
    local err = failure(k.wait_gone, k, "pvc/data", { timeout = "4s", uid = deleted.uid })
    assert.matches("is on its way out", err.message)
    assert.matches("used by db%-", err.message)
    k:scale("deployment/db", 0)
    k:wait_gone("pvc/data", { timeout = "3m", uid = deleted.uid })
    assert.is_false(k:delete("pvc/data").existed)
    k:apply(path)
    k:wait_bound("pvc/data", { timeout = "3m" })
    k:wait_ready("deployment/db", { timeout = "3m" })
    assert.equal("Conflict", failure(k.delete, k, "pvc/data", { uid = deleted.uid }).reason)
  end)

  describe("that loses answers", function()
    if REAL then return end

    it("is asked what became of a change", function()
      lab:faults { { command = "scale", verb = "patch", action = "lost" } }
      assert.same({ was = 1, replicas = 2 }, k:scale("deployment/db", 2))
      lab:faults { { command = "scale", verb = "patch", action = "timeout" } }
      k.options.timeout = "4s"
      assert.same({ was = 2, replicas = 1 }, k:scale("deployment/db", 1))
      k.options.timeout = "30s"
      lab:faults { { command = "scale", action = "forbidden" } }
      assert.equal("Forbidden", failure(k.scale, k, "deployment/db", 3).reason)
      lab:faults { { command = "delete", verb = "delete", action = "lost" } }
      k:restart "deployment/db"
      k:wait_rollout("deployment/db", { timeout = "3m" })
    end)

    it("is asked again when it was only to be looked at", function()
      lab:faults { { verb = "get", action = "refused" }, { verb = "get", action = "internal" } }
      assert.equal("db", k:get("deployment/db").metadata.name)
      lab:faults { { verb = "exec", action = "cut", bytes = 10 } }
      assert.equal("all of these words\n", k:read("deployment/db", { "echo", "all of these words" }).out)
      lab:faults { { verb = "get", action = "unauthorized", times = 0 } }
      local err = failure(k.get, k, "deployment/db")
      assert.equal("Unauthorized", err.reason)
      assert.matches("log in again", err.hint)
    end)

    it("leaves a command in a pod unknown", function()
      -- What is lost when the last of the output has been seen does not matter.
      lab:faults { { verb = "exec", contains = "change it", action = "after" } }
      assert.equal("change it\n", k:exec("deployment/db", { "echo", "change it" }).out)
      for _, action in ipairs { "cut", "before" } do
        lab:faults { { verb = "exec", contains = "change it", action = action } }
        local err = failure(k.exec, k, "deployment/db", { "echo", "change it" })
        assert.truthy(err.kind == "unknown" or action == "before" and err.kind == "kubectl", action .. ": " .. tostring(err))
      end
      lab:faults { { verb = "exec", contains = "wc -c", action = "cut", input = true, bytes = 100000 } }
      local err = failure(pipe, { ("x"):rep(5000000), k:input("deployment/db", { "sh", "-c", "wc -c" }) })
      assert.truthy(err.kind == "unknown" or err.message:find "before it had read everything", tostring(err))
    end)
  end)
end)
