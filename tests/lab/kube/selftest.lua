-- Checks the Kubernetes lab itself: lua5.4 tests/lab/kube/selftest.lua [PART...] (in the root of the repository). PGSH_LAB_SANDBOX=rewrite
-- checks
-- it as in a container without privileges. What can be asked of the machine's
-- own
-- kubectl without a server is compared with it.
package.path = "./?.lua;tests/lab/?.lua;" .. package.path
local kubes = require "tests.spec.support.kube"
local lfs = require "lfs"
local luasocket = require "socket"
local harness = require "selftest.harness"

local check, equal = harness.check, harness.equal
local quote = kubes.quote

local function trimmed(text) return (text:gsub("%s+$", "")) end

-- kubectl must end so and say this (a pattern, or a plain text with a leading "=").
local function expect(kube, words, status, wanted)
  local seen, output = kube:kubectl(words)
  output = trimmed(output)
  equal(seen, status, ("kubectl %s: status; it said %s"):format(words, output))
  if wanted then
    local same = wanted:sub(1, 1) == "=" and output == wanted:sub(2) or wanted:sub(1, 1) ~= "=" and output:find(wanted) ~= nil
    check(same, ("kubectl %s says %s"):format(words, wanted), output)
  end
  return output
end

local function first_day(kube)
  local state = kube:state()
  for name, deployment in pairs(state.deployments) do equal(deployment.ready, deployment.replicas, name .. " is ready") end
  equal(state.claims["default/postgres-data"].phase, "Bound", "the claim is bound")
  local users = trimmed(kube:sql("postgres",
    "select string_agg(distinct usename, ' ' order by usename) from pg_stat_activity where client_addr is not null"))
  equal(users, "bitwarden grafana metabase metricity site", "the services are connected")
  equal(trimmed(kube:sql("postgres", "show server_version_num")):sub(1, 2), tostring(kube.majors.old.major),
    "the server is of the old major")
  equal(trimmed(kube:sql("postgres", "select count(*) from users", { dbname = "site" })), "2000", "with its data")
end

local function reading(kube)
  expect(kube, "get deploy", 0, "^NAME        READY   UP%-TO%-DATE   AVAILABLE   AGE\nbitwarden   1/1     1            1           %d+s\n")
  expect(kube, "get deploy nosuch", 1, '=Error from server (NotFound): deployments.apps "nosuch" not found')
  expect(kube, "get deploy nosuch --ignore-not-found", 0, "=")
  expect(kube, "get deploy site -n nowhere", 1, '=Error from server (NotFound): namespaces "nowhere" not found')
  expect(kube, "get deploy -l app=nosuch", 0, "=No resources found in default namespace.")
  expect(kube, "get widgets", 1, '=error: the server doesn\'t have a resource type "widgets"')
  expect(kube, "get deploy site nosuch metabase -o name", 1, "deployment.apps/site\ndeployment.apps/metabase\n?.*")
  expect(kube, "get deploy site -o jsonpath='{.spec.replicas} {.status.readyReplicas}'", 0, "=2 2")
  expect(kube, "get deploy site -o jsonpath='{.spec.nosuch}'", 0, "=")
  expect(kube, "get deploy site -o jsonpath='{.spec.replicas'", 1, "=error: error parsing jsonpath {.spec.replicas, unclosed action")
  expect(kube, [[get deploy site metabase -o jsonpath='{range .items[*]}{.metadata.name}={.spec.replicas}{"\n"}{end}']], 0,
    "=site=2\nmetabase=1")
  expect(kube, [[get pv -o jsonpath='{.items[?(@.spec.claimRef.name=="postgres-data")].spec.csi.driver}']], 0, "=linodebs.csi.linode.com")
  local handle = expect(kube, "get pv -o jsonpath='{.items[0].spec.csi.volumeHandle}'", 0, "^%d+%-pvc%x+$")
  equal(tonumber(handle:match "^%d+"), kube:disks()[1].id, "the handle leads to the cloud's volume")
  equal(kube:disks()[1].linode_id ~= nil, true, "which is attached")
  expect(kube, "get deploy/site --context nosuch", 1, 'context "nosuch" does not exist')
  expect(kube, "version -o json", 0, '"serverVersion"')
  expect(kube, "auth can-i delete pvc", 0, "=yes")
  expect(kube, "describe pv", 0, "VolumeHandle: +" .. handle:gsub("%-", "%%-"))
end

local function scaling(kube)
  expect(kube, "scale deploy --replicas 0 site nosuch metabase", 1,
    'deployment.apps/site scaled\ndeployment.apps/metabase scaled\nError from server %(NotFound%): deployments.apps "nosuch" not found')
  expect(kube, "wait --for=delete pod -l 'app in (site,metabase)' --timeout=30s", 0)
  local json = expect(kube, "get deploy site -o json", 0)
  check(not json:find '"readyReplicas"' and json:find '"observedGeneration": 2', "at 0 the counts are absent", json)
  equal(trimmed(kube:sql("postgres", "select count(*) from pg_stat_activity where usename in ('site', 'metabase')")), "0",
    "and nobody is connected")
  expect(kube, "scale deploy nosuch --replicas 1", 1, '=error: no objects passed to scale deployments.apps "nosuch" not found')
  expect(kube, "scale deploy/site --current-replicas=5 --replicas=1", 1, "=error: Expected replicas to be 5, was 0")
  expect(kube, "scale deploy/site --current-replicas=0 --replicas=1 --dry-run=server", 0, "=deployment.apps/site scaled (server dry run)")
  expect(kube, "scale deploy/site --current-replicas=0 --replicas=1", 0, "=deployment.apps/site scaled")
  expect(kube, "scale deploy site --replicas=-1", 1, "COUNT must be greater than or equal to 0")
  expect(kube, "rollout status deploy/site --timeout=30s", 0, 'deployment "site" successfully rolled out$')
  expect(kube, "rollout status deploy/nosuch", 1, '=Error from server (NotFound): deployments.apps "nosuch" not found')
  expect(kube, "wait --for=condition=available deploy/site --timeout=10s", 0, "=deployment.apps/site condition met")
  expect(kube, "wait --for=condition=Nosuch deploy/site --timeout=0.2s", 1,
    "=error: timed out waiting for the condition on deployments/site")
  expect(kube, "wait --for=nonsense deploy/site", 1, '=error: unrecognized condition: "nonsense"')
  expect(kube, "wait --for=condition=Ready pod -l app=nosuch", 1, "=error: no matching resources found")
  expect(kube, "rollout restart deploy/site", 0, "=deployment.apps/site restarted")
  expect(kube, "rollout undo deploy/site --to-revision=99", 1, "=error: unable to find specified revision 99 in history")
  expect(kube, "set image deploy/site site=postgres:9", 0, "=deployment.apps/site image updated")
  expect(kube, "rollout status deploy/site --timeout=0.5s", 1, "error: timed out waiting for the condition$")
  kube:wait_until(function() return select(2, kube:kubectl "get pods -l app=site"):find "ImagePullBackOff" end)
  expect(kube, "rollout undo deploy/site", 0, "=deployment.apps/site rolled back")
  expect(kube, "rollout status deploy/site --timeout=30s", 0)
end

local function execs(kube)
  local pod = "exec deploy/postgres -- "
  expect(kube, pod .. "echo hi", 0, "=hi")
  expect(kube, pod .. "sh -c 'echo out; exit 7'", 7, "=out\ncommand terminated with exit code 7")
  expect(kube, pod .. "sh -c 'kill -KILL $$'", 137, "=command terminated with exit code 137")
  expect(kube, pod .. "nosuchcommand", 1,
    '^error: Internal error occurred: .*exec: "nosuchcommand": executable file not found in %$PATH: unknown$')
  expect(kube, pod .. "/etc/passwd", 1, 'exec: "/etc/passwd": permission denied: unknown$')
  expect(kube, "exec deploy/postgres", 1, "=error: you must specify at least one command for the container")
  expect(kube, "exec deploy/postgres echo hi", 1, "is not supported anymore")
  expect(kube, "exec nosuch -- true", 1, '=Error from server (NotFound): pods "nosuch" not found')
  expect(kube, "exec deploy/postgres -c nosuch -- true", 1, "container nosuch is not valid for pod postgres%-")
  expect(kube, pod .. "sh -c 'echo $PGDATA; psql -U $POSTGRES_USER -Atc \"show data_directory\"'", 0,
    "=/var/lib/postgresql/data/pgdata\n/var/lib/postgresql/data/pgdata")
  expect(kube, pod .. "pg_dumpall --version", 0, "pg_dumpall %(PostgreSQL%) " .. kube.majors.old.major .. "%.")
  local _, sum = kube:shell "head -c 3000000 /dev/urandom >$KUBECONFIG.data; sha256sum <$KUBECONFIG.data"
  local _, far = kube:shell "kubectl exec -i deploy/postgres -- sha256sum <$KUBECONFIG.data"
  equal(far, sum, "a file reaches the pod")
  local _, back = kube:shell "cat $KUBECONFIG.data | kubectl exec -i deploy/postgres -- cat | sha256sum"
  equal(back, sum, "and comes back")
  local _, nothing = kube:shell "printf x | kubectl exec deploy/postgres -- cat"
  equal(nothing, "", "without -i nothing is passed on")
  expect(kube, "exec deploy/postgres -- sh -c 'sleep 30 >/dev/null 2>&1 & echo started'", 0, "=started")
  local began = luasocket.gettime()
  kube:shell "timeout -s TERM 0.5 kubectl exec deploy/postgres -- sh -c 'sleep 1; touch /var/lib/postgresql/data/went-on'"
  kube:wait_until(function() return kube:kubectl(pod .. "test -e /var/lib/postgresql/data/went-on") == 0 end)
  check(luasocket.gettime() - began < 30, "the remote process goes on when kubectl ends")
end

local function logs(kube)
  expect(kube, "logs deploy/postgres --tail=1", 0, "database system is ready to accept connections$")
  expect(kube, "logs deploy/postgres -p", 1, 'previous terminated container "postgres" in pod "postgres%-%w+%-%w+" not found')
  kube:kill "postgres"
  kube:wait_until(function(state)
    for _, pod in ipairs(state.pods) do if pod.name:find "^postgres" and pod.restarts == 1 and pod.ready then return true end end
  end)
  expect(kube, "logs deploy/postgres -p --tail=1", 0, ".")
  kube:wait_until(function() return select(2, kube:kubectl "logs deploy/metricity --tail=1"):find "connected" end)
  expect(kube, "logs deploy/metricity", 0, "ERROR: connection to lovelace.box.pydis.wtf lost")
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function manifests(kube)
  local path = kube.work .. "/postgresql/deployment.yaml"
  local old, new = "postgres:" .. kube.majors.old.major, "postgres:" .. kube.majors.new.major
  expect(kube, "apply -f " .. kube.work .. "/postgresql", 0, "deployment.apps/postgres unchanged")
  expect(kube, "diff -f " .. path, 0, "=")
  local text = read(path)
  write(path, (text:gsub(old, new)))
  local shown = expect(kube, "diff -f " .. path, 1, "%-        image: " .. old .. "\n%+        image: " .. new)
  check(shown:find "^diff %-u %-N " and shown:find "%-  generation: 1\n%+  generation: 2", "a unified diff of the whole object", shown)
  expect(kube, "apply -f " .. path .. " --dry-run=server", 0, "deployment.apps/postgres configured %(server dry run%)")
  expect(kube, "apply -f " .. path .. " --dry-run=client", 0, "deployment.apps/postgres configured %(dry run%)")
  local bad = kube.work .. "/bad.yaml"
  local function refused(body, status, wanted)
    write(bad, body)
    expect(kube, "apply -f " .. bad, status, wanted)
  end
  refused((text:gsub("replicas: 1", "replicsa: 1")), 1,
    'ValidationError%(Deployment.spec%): unknown field "replicsa" in io.k8s.api.apps.v1.DeploymentSpec')
  refused((text:gsub("replicas: 1", "replicas: two")), 1,
    'invalid type for io.k8s.api.apps.v1.DeploymentSpec.replicas: got "string", expected "integer"')
  refused((text:gsub("app: postgres", "app: other")), 1, "spec.selector: Invalid value: .*: field is immutable$")
  refused("kind: Pod\n", 1, "apiVersion not set")
  refused("a:\n  b: c\n d: e\n", 1, "error parsing .*: error converting YAML to JSON: yaml: line 3: did not find expected key$")
  expect(kube, "diff -f " .. bad, 2)
  refused("", 1, "=error: no objects passed to apply")
  local claim = read(kube.work .. "/postgresql/volume.yaml")
  refused((claim:gsub("%-retain", "")), 1, 'PersistentVolumeClaim "postgres%-data" is invalid: spec: Forbidden: spec is immutable')
  refused((claim:gsub("10Gi", "5Gi")), 1, "Forbidden: field can not be less than previous value")
  expect(kube, "apply -f /nowhere.yaml", 1, '=error: the path "/nowhere.yaml" does not exist')
  expect(kube, "apply -f " .. path, 0, "deployment.apps/postgres configured")
  kube:wait_until(function() return select(2, kube:kubectl "logs deploy/postgres"):find "incompatible" end)
  expect(kube, "logs deploy/postgres", 0, "The data directory was initialized by PostgreSQL version " .. kube.majors.old.major
    .. ", which is not compatible with this version " .. kube.majors.new.major)
  kube:wait_until(function() return select(2, kube:kubectl "get pods -l app=postgres"):find "CrashLoopBackOff" end)
  write(path, text)
  expect(kube, "apply -f " .. path, 0)
  expect(kube, "rollout status deploy/postgres --timeout=60s", 0)
end

local function volumes(kube)
  expect(kube, "delete pvc postgres-data --timeout=0.3s", 1,
    '^persistentvolumeclaim "postgres%-data" deleted\nerror: timed out waiting for the condition on persistentvolumeclaims/postgres%-data$')
  expect(kube, "get pvc", 0, "postgres%-data   Terminating   pvc%x+")
  expect(kube, "get pvc postgres-data -o jsonpath='{.status.phase} {.metadata.finalizers[0]}'", 0, "=Bound kubernetes.io/pvc-protection")
  expect(kube, ("apply -f %s/postgresql/volume.yaml"):format(kube.work), 0,
    "Warning: Detected changes to resource postgres%-data which is currently being deleted")
  kube:hold("stuck-finalizer", "^postgres%-data$")
  expect(kube, "scale deploy postgres --replicas 0", 0)
  expect(kube, "wait --for=delete pod -l app=postgres --timeout=30s", 0)
  expect(kube, "get pvc postgres-data --no-headers", 0, "Terminating")
  kube:release("stuck-finalizer", "^postgres%-data$")
  expect(kube, "wait --for=delete pvc/postgres-data --timeout=10s", 0)
  local name = expect(kube, "get pv -o jsonpath='{.items[0].metadata.name} {.items[0].status.phase}'", 0, "^pvc%x+ Released$"):match "^%S+"
  local disk = kube:disks()[1]
  check(disk.linode_id == require("cjson").null, "the volume is detached")
  -- The cloud keeps a Retain volume when the cluster forgets it.
  expect(kube, "delete pv " .. name, 0, ('=persistentvolume "%s" deleted'):format(name))
  check(lfs.attributes(("%s/%d/data/pgdata/PG_VERSION"):format(kube.volumes, disk.id)), "and kept")
  expect(kube, ("apply -f %s/postgresql/volume.yaml"):format(kube.work), 0, "=persistentvolumeclaim/postgres-data created")
  expect(kube, "delete pvc nosuch", 1, '=Error from server (NotFound): persistentvolumeclaims "nosuch" not found')
  expect(kube, "scale deploy postgres --replicas 1", 0)
  expect(kube, "rollout status deploy/postgres --timeout=60s", 0)
  equal(trimmed(kube:sql("postgres", "select count(*) from pg_database where datname = 'site'")), "0", "a new volume is empty")
end

local function faults(kube)
  local function once(fault, words, status, wanted)
    kube:faults { fault }
    local output = expect(kube, words, status, wanted)
    kube:faults(false)
    return output
  end
  once({ action = "refused", verb = "list" }, "get pods", 1,
    "^The connection to the server 127.0.0.1:%d+ was refused %- did you specify the right")
  once({ action = "timeout", verb = "get" }, "get deploy site --request-timeout=200ms", 1,
    "^Unable to connect to the server: .*Client.Timeout exceeded")
  once({ action = "throttled", verb = "get" }, "get deploy site -o name", 0, "=deployment.apps/site")
  once({ action = "throttled", verb = "get", times = 0 }, "get deploy site", 1, "^Error from server %(TooManyRequests%)")
  once({ action = "conflict", verb = "patch" }, "scale deploy site --replicas 1", 1,
    "^Error from server %(Conflict%): Operation cannot be fulfilled on")
  kube:faults { { action = "forbidden", verb = "delete", resource = "persistentvolumeclaims", times = 0 } }
  expect(kube, "auth can-i delete pvc", 1, "=no")
  expect(kube, "delete pvc postgres-data", 1, 'is forbidden: User "deployer" cannot delete resource "persistentvolumeclaims"')
  kube:faults(false)
  once({ action = "lost", verb = "patch" }, "scale deploy site --replicas 1", 1, "=Unable to connect to the server: EOF")
  equal(kube:state().deployments["default/site"].replicas, 1, "done, though the answer was lost")
  local changes = table.concat(kube:changes(), "\n")
  check(changes:find("scaled Deployment/site 2 -> 1", 1, true), "and in the log of changes", changes)
  once({ action = "before", verb = "exec" }, "exec deploy/postgres -- touch /var/lib/postgresql/data/no", 1, "error dialing backend")
  expect(kube, "exec deploy/postgres -- test -e /var/lib/postgresql/data/no", 1)
  local cut = once({ action = "cut", bytes = 1000 },
    "exec deploy/postgres -- sh -c 'head -c 99999 /dev/zero; touch /var/lib/postgresql/data/yes'", 0)
  equal(#cut, 1000, "a cut stream ends with status 0")
  kube:wait_until(function() return kube:kubectl "exec deploy/postgres -- test -e /var/lib/postgresql/data/yes" == 0 end)
  once({ action = "after" }, "exec deploy/postgres -- sh -c 'echo out; exit 3'", 0, "=out")
  kube:faults { { action = "hang", verb = "exec" } }
  equal(kube:shell "timeout 1 kubectl exec deploy/postgres -- true", 124, "one that hangs, hangs")
  kube:hold("slow-binding", "^postgres%-data$")
  expect(kube, "scale deploy postgres --replicas 0", 0)
  expect(kube, "delete pvc postgres-data", 0)
  expect(kube, ("apply -f %s/postgresql/volume.yaml"):format(kube.work), 0)
  expect(kube, "scale deploy postgres --replicas 1", 0)
  kube:wait_until(function() return select(2, kube:kubectl "get events"):find "unbound immediate PersistentVolumeClaims" end)
  expect(kube, "get pvc postgres-data -o jsonpath='{.status.phase}'", 0, "=Pending")
  expect(kube, "get pods -l app=postgres --no-headers", 0, "0/1   Pending")
  kube:release("slow-binding", "^postgres%-data$")
  expect(kube, "rollout status deploy/postgres --timeout=60s", 0)
  kube:reset()
  kube:evict "postgres"
  kube:wait_until(function() return select(2, kube:kubectl "get pods -l app=postgres"):find "Evicted" end)
  kube:wait_until(function(state) return state.deployments["default/postgres"].ready == 1 end)
  equal(trimmed(kube:sql("postgres", "select count(*) from users", { dbname = "site" })), "2000", "another pod has the data")
end

-- Without a server: the machine's kubectl against the stand-in.
local OFFLINE = {
  "get", "get pods -z", "get --nosuch", "get pods -o", "get --namespace", "scale deploy x --replicas=x", "logs x --tail=a", "exec x --",
    "exec",
  "wait pod/x", "wait --for=foo pod/x", "apply", "diff", "apply -f /nowhere.yaml", "delete", "delete pod x --cascade=foo",
    "rollout status", "rollout restart",
  "rollout status deploy/x --timeout=x", "auth can-i", "apply -f /dev/null --dry-run=foo", "get pods --request-timeout=x",
    "version --client -o foo",
  "set image", "cp", "scale deploy/x y --replicas=1", "describe", "config view -o jsonpath='{.contexts[*].name}'",
    "config get-contexts -o name",
  "config current-context",
}

-- Words that differ between builds of the real one: "Error:" or "error:", a hint, a log line before the message.
local function essence(text)
  local out = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local inner = line:match '^E%d.*err="(.*)"$'
    if inner then line = "error: " .. inner:gsub('\\"', '"') end
    line = line:gsub("^Error: ", "error: ")
    if line ~= "" then out[#out + 1] = line end
  end
  return table.concat(out, "\n")
end

local function against_real(kube)
  local _, path = kube:shell "IFS=:; for d in ${PATH#*:}; do [ -x \"$d/kubectl\" ] && echo \"$d/kubectl\" && break; done"
  local real = path:match "^%S+"
  if not real then return print "no kubectl on this machine: nothing to compare with" end
  local _, version = kube:shell(quote(real) .. " version --client 2>/dev/null")
  local old = version:find('Minor:"20', 1, true) ~= nil
  local same = 0
  for _, words in ipairs(OFFLINE) do
    local real_status, real_text = kube:shell(quote(real) .. " " .. words)
    local status, text = kube:shell((old and "export PGSH_LAB_KUBECTL=1.20; " or "") .. "kubectl " .. words)
    if status == real_status and essence(text) == essence(real_text) then
      same = same + 1
    else
      local line = "  differs: kubectl %s\n    real: %d %s\n    ours: %d %s"
      print(line:format(words, real_status, essence(real_text), status, essence(text)))
    end
  end
  print(("%d of %d command lines end with the words of the real kubectl (%s)"):format(same, #OFFLINE, old and "1.20" or "newer"))
  check(same >= #OFFLINE * 0.8, "nearly all words are the real one's", same)
end

local function many_at_once(kube)
  kube:shell("for i in 1 2 3 4 5 6 7 8 9 10; do kubectl scale deploy metabase --replicas=$i >/dev/null & done; wait; "
    .. "kubectl scale deploy metabase --replicas=1 >/dev/null")
  local generations = kube:state().deployments["default/metabase"].generation
  check(generations >= 2 and generations <= 12, "many kubectl at once: every change is counted", generations)
  equal(kube:state().deployments["default/metabase"].replicas, 1, "the last one holds")
end

local PARTS = { "first_day", "reading", "scaling", "execs", "logs", "manifests", "volumes", "faults", "many_at_once", "against_real" }
local parts = {
  first_day = first_day, reading = reading, scaling = scaling, execs = execs, logs = logs, manifests = manifests, volumes = volumes,
  faults = faults, many_at_once = many_at_once, against_real = against_real,
}

local function run()
  local began = luasocket.gettime()
  local kube = kubes.start { world = "upgrade" }
  print(("%s: up after %.1f s; %s and %s%s"):format(kube.mode, luasocket.gettime() - began, kube.majors.old.version,
    kube.majors.new.version,
    kube.majors.old.derived and " (the older one derived)" or ""))
  for _, name in ipairs(#arg > 0 and arg or PARTS) do
    print(("  %s, after a reset in %.1f s"):format(name, kube:reset()))
    assert(parts[name], "no such part")(kube)
  end
  equal(kube:errors(), "", "the lab complains of nothing")
  local dir = kube.dir
  kube:stop()
  check(not lfs.attributes(dir), "nothing is left of the lab's directory")
end

run()
os.exit(harness.report())
