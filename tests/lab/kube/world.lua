-- What a fresh lab holds: namespaces, classes, and for each world its manifests and the data in its database.
--   upgrade   namespace default: deployment postgres on a claim, services that write, one that reads
--   restore   namespace selfhosted: miniflux and its database with PGDATA=/data/<old major>
--   all, empty
-- The data is made once, through the pods; a reset copies the volumes.
local api = require "kube.api"
local cqueues = require "cqueues"
local json = require "core.json"
local kinds = require "kube.kinds"
local objects = require "kube.objects"
local proc = require "core.proc"
local workloads = require "kube.workloads"
local yamlin = require "kube.yamlin"

local world = {}

local LIMIT_S = 60
local PREPARED = { exec = { command = { "pg_isready" } }, periodSeconds = 0.3, timeoutSeconds = 5 }

local WORLDS = {
  upgrade = {
    namespace = "default", folders = { "postgresql", "services" }, database = "postgres", claim = "postgres-data",
      seed = "seed-upgrade.sql",
  },
  restore = {
    namespace = "selfhosted", folders = { "selfhosted" }, database = "miniflux-db", claim = "miniflux-db", seed = "seed-restore.sql",
  },
}

function world.names(which)
  if which == "all" then return { "upgrade", "restore" } end
  if which == "empty" then return {} end
  return WORLDS[which] and { which } or error("no world " .. tostring(which), 0)
end

local function read_file(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

-- The manifests of a folder, with the majors that this lab has.
local function manifests_of(cluster, folder)
  local out = {}
  for path in io.popen(("ls %s/manifests/%s/*.yaml"):format(proc.quote(cluster.here), folder)):lines() do
    out[#out + 1] = { name = path:match "[^/]+$", text = world.with_majors(cluster, read_file(path)) }
  end
  return out
end

-- The manifests in the repository are written for 14 and 15.
function world.with_majors(cluster, text)
  local old, new = cluster.majors.old.major, cluster.majors.new.major
  return (text:gsub("postgres:14", "postgres:@old"):gsub("/data/14", "/data/@old"):gsub("postgres:15", "postgres:@new"):gsub("/data/15",
    "/data/@new")
    :gsub("@old", tostring(old)):gsub("@new", tostring(new)))
end

local function put(cluster, namespace, object)
  if kinds.of(object.kind).namespaced then object.metadata.namespace = object.metadata.namespace or namespace end
  local clean = objects.copy(object)
  clean.metadata.annotations = clean.metadata.annotations or {}
  api.apply(cluster, { object = object, applied = json.encode(clean) .. "\n" })
end

local function apply_folder(cluster, namespace, folder)
  for _, manifest in ipairs(manifests_of(cluster, folder)) do
    for _, object in ipairs(assert(yamlin.documents(manifest.text))) do
      if object ~= json.null then put(cluster, namespace, object) end
    end
  end
end

local function basics(cluster)
  for _, name in ipairs { "default", "kube-system" } do
    put(cluster, nil, { apiVersion = "v1", kind = "Namespace", metadata = { name = name } })
  end
  for name, policy in pairs { ["linode-block-storage"] = "Delete", ["linode-block-storage-retain"] = "Retain" } do
    put(cluster, nil, {
      apiVersion = "storage.k8s.io/v1", kind = "StorageClass", metadata = { name = name }, provisioner = "linodebs.csi.linode.com",
      reclaimPolicy = policy, allowVolumeExpansion = true,
    })
  end
  local ready = { type = "Ready", status = "True", reason = "KubeletReady", message = "kubelet is posting ready status",
    lastTransitionTime = objects.now() }
  put(cluster, nil, {
    apiVersion = "v1", kind = "Node", metadata = { name = cluster.node_name, labels = { ["kubernetes.io/hostname"] = cluster.node_name } },
      spec = {},
    status = {
      conditions = json.array { ready }, addresses = json.array { { type = "InternalIP", address = cluster.node_address } },
      nodeInfo = { kubeletVersion = "v1.20.2", containerRuntimeVersion = "containerd://1.4.3", osImage = "Debian GNU/Linux 12",
        kernelVersion = "6.1",
        architecture = "amd64" },
    },
  })
end

local function wait_until(what, test)
  local deadline = cqueues.monotime() + LIMIT_S
  while not test() do
    if cqueues.monotime() > deadline then error("timed out waiting until " .. what, 0) end
    cqueues.sleep(0.005)
  end
end

local function ready_pod(cluster, namespace, deployment)
  for _, pod in ipairs(cluster.store:list("Pod", namespace)) do
    if pod.metadata.name:match("^" .. deployment:gsub("%-", "%%-") .. "%-%w+%-%w+$") and workloads.is_ready(pod)
      and not pod.metadata.deletionTimestamp then
      return pod
    end
  end
  return nil
end

-- The conninfo of the server in a pod, through its socket, for the machine's own psql.
function world.conninfo(cluster, pod)
  local runtime = cluster.kubelet:of(pod)
  local box = runtime.sandbox
  local host = box.mode == "rewrite" and box.sockets or box.root .. "/run/postgresql"
  local env = runtime.containers[1].env
  local user = env.POSTGRES_USER or "postgres"
  return ("host=%s port=5432 user=%s dbname=%s"):format(host, user, env.POSTGRES_DB or user), runtime
end

function world.sql(cluster, pod, dbname, text, user)
  local conninfo = world.conninfo(cluster, pod)
  if dbname then conninfo = conninfo .. " dbname=" .. dbname end
  if user then conninfo = conninfo .. " user=" .. user end
  return proc.run(("PSQLRC=/dev/null %s/psql -XAtq -v ON_ERROR_STOP=1 -F '\t' -d %s -f - "
    .. "<<'SQLSQL'\n%s\nSQLSQL"):format(cluster.majors.new.bin,
    proc.quote(conninfo), text))
end

local function seed_one(cluster, name)
  local given = WORLDS[name]
  local pristine = cluster.dir .. "/pristine/" .. name
  wait_until(given.database .. " is ready", function() return ready_pod(cluster, given.namespace, given.database) end)
  local pod = ready_pod(cluster, given.namespace, given.database)
  local status, output = world.sql(cluster, pod, nil, read_file(cluster.here .. "/manifests/" .. given.seed))
  if status ~= 0 then error("seeding " .. name .. ": " .. output, 0) end
  local claims = require "kube.claims"
  local source
  for _, volume in ipairs(pod.spec.volumes) do source = claims.directory(cluster, pod, volume) or source end
  api.scale(cluster, { kind = "Deployment", namespace = given.namespace, name = given.database, replicas = 0 })
  wait_until(given.database .. " has stopped", function() return #cluster.store:list("Pod", given.namespace) == 0 end)
  proc.must(("mkdir -p %s && cp -a %s/. %s/"):format(pristine, proc.quote(source), pristine))
end

local function populate(cluster, name, folders)
  local given = WORLDS[name]
  if given.namespace ~= "default" then
    put(cluster, nil, { apiVersion = "v1", kind = "Namespace", metadata = { name = given.namespace } })
  end
  for _, folder in ipairs(folders or given.folders) do apply_folder(cluster, given.namespace, folder) end
end

-- The data of each world, once. Only the database's own deployment is started for it.
local function make_pristine(cluster, names)
  local work = {}
  for _, name in ipairs(names) do
    if not cluster.pristine[name] then
      work[#work + 1] = name
      local given = WORLDS[name]
      populate(cluster, name)
      for _, deployment in ipairs(cluster.store:list("Deployment", given.namespace)) do
        -- The checks of a database may need its data.
        for _, container in ipairs(deployment.spec.template.spec.containers) do
          container.livenessProbe, container.startupProbe, container.readinessProbe = nil, nil, PREPARED
        end
        if deployment.metadata.name ~= given.database then cluster.store:remove(deployment) end
      end
    end
  end
  local left, failed = #work, nil
  for _, name in ipairs(work) do
    cluster.queue:wrap(function()
      local ok, why = pcall(seed_one, cluster, name)
      failed = failed or not ok and why
      cluster.pristine[name] = ok
      left = left - 1
    end)
  end
  wait_until("the data is made", function() return left == 0 end)
  if failed then error(failed, 0) end
  return #work > 0
end

-- A fresh cluster with this world, everything ready (unless wait is false).
function world.fill(cluster, which, options)
  options = options or {}
  local names = world.names(which)
  cluster.which = which
  cluster:clear()
  for name, value in pairs(options) do cluster.options[name] = value end
  basics(cluster)
  if make_pristine(cluster, names) then
    cluster:clear()
    for name, value in pairs(options) do cluster.options[name] = value end
    basics(cluster)
  end
  for _, name in ipairs(names) do
    local given = WORLDS[name]
    cluster.seeds[given.namespace .. "/" .. given.claim] = cluster.dir .. "/pristine/" .. name
    populate(cluster, name)
  end
  world.wait_ready(cluster)
end

-- Whether every service that uses a database has found it: they are ready as soon as they run.
local function services_connect(cluster)
  for _, runtime in pairs(cluster.kubelet.runtimes) do
    for _, container in ipairs(runtime.containers) do
      local last = container.log[#container.log]
      if container.env and container.env.DATABASE_URL and not runtime.stopping and not (last and last.text:find(": connected", 1,
        true)) then
        return false
      end
    end
  end
  return true
end

function world.wait_ready(cluster)
  wait_until("every deployment is ready", function()
    for _, deployment in ipairs(cluster.store:list "Deployment") do
      if (deployment.status.readyReplicas or 0) < deployment.spec.replicas
        or deployment.status.observedGeneration ~= deployment.metadata.generation then
        return false
      end
    end
    return services_connect(cluster)
  end)
end

-- The manifests as files for procedures to edit, in DIR/work.
function world.write_manifests(cluster)
  local work = cluster.dir .. "/work"
  proc.must(("rm -rf %s && mkdir -p %s"):format(work, work))
  for _, folder in ipairs { "postgresql", "services", "selfhosted" } do
    proc.must(("mkdir -p %s/%s"):format(work, folder))
    for _, manifest in ipairs(manifests_of(cluster, folder)) do
      local file = assert(io.open(("%s/%s/%s"):format(work, folder, manifest.name), "w"))
      file:write(manifest.text)
      file:close()
    end
  end
end

world.ready_pod = ready_pod

return world
