-- PostgreSQL in Kubernetes to a new major version: by a dump, a new and empty volume, and an import. Nothing of the old volume is removed
-- before the dump is validated, the volume is cloned and somebody has typed what goes; and up to the end there is a way back.
procedure {
  name = "kubernetes-major-upgrade",
  summary = "PostgreSQL in Kubernetes to a new major version, by a dump and a new volume",
}

local context = param.string { "context", "context of kubectl; else the current one" }
local namespace = param.string { "namespace", "namespace of the database and of what uses it; else the context's" }
local deployment = param.string { "deployment", "deployment of PostgreSQL", default = "postgres" }
local manifest = param.file {
  "manifest", "its manifest, whose image is changed", required = true, placeholder = "postgresql/deployment.yaml",
}
local volume_manifest = param.file {
  "volume-manifest", "manifest of its volume, which is applied anew", required = true, placeholder = "postgresql/volume.yaml",
}
local services = param.list {
  "scale-down", "deployments that write to the database", required = true, placeholder = "site,metricity,metabase,bitwarden",
}
local user = param.string { "user", "superuser of the database", default = "pythondiscord" }
local image = param.string { "image", "the new image", required = true, placeholder = "postgres:<new major>" }
local zone_name = param.string { "zone", "Cloudflare zone of the maintenance page; without it there is none" }
local route_given = param.string { "route", "pattern of the maintenance page; else everything of the zone" }
local script = param.string { "script", "Worker that shows the maintenance page", default = "maintenance" }
local rehearse = param.string {
  "rehearse", "where the import is tried first: local (a temporary server of the new version), no, or the address of an empty server",
  default = "local",
}

local database_given = param.string { "database", "database that the image makes by itself; else it is called like the user" }
local container_given = param.string { "container", "container of PostgreSQL; else the one that has the volume" }
local major_given = param.integer { "major", "new major version, where the image's tag does not say it", min = 10 }
local dump_path = param.string {
  "dump", "where the dump is written", default = "backup.sql.gz", pattern = ".+%.gz", looks_like = "FILE.gz",
}
local dump_in_pod = param.string { "dump-in-pod", "keep a copy of the dump in the old pod, too: a path on its volume" }
local pod_path = param.string { "pod-path", "where the dump is put in the new pod", default = "/tmp/pgsh-import.sql.gz", pattern = "/.+" }
local replaced = param.list { "replace", "in the rehearsal's stream, FROM=TO: a locale that is called otherwise here" } or {}
local allowed = param.list { "allow", "further errors that an import may meet: SQLSTATE=text of the message" } or {}
local readers = param.list { "readers", "users or applications that only read, and may stay connected" } or {}
local label_given = param.string { "clone-label", "label of the volume's clone" }
local kubeconfig = param.string { "kubeconfig", "configuration of kubectl" }
local error_words = param.list {
  "error-words", "words of a log line that is not normal", default = { "ERROR", "FATAL", "CRITICAL", "panic", "Traceback" },
}
local quiet_time = param.duration { "log-time", "how long the services' logs are looked at in the end", default = "15s" }
local budget = param.duration { "budget", "how long the maintenance page may be up", default = "2h" }
local pod_limit = param.duration { "pod-timeout", "longest wait for pods to come or go, and for a server to answer", default = "10m" }
local clone_limit = param.duration { "clone-timeout", "longest wait for the clone", default = "60m" }
local data_limit = param.duration { "data-timeout", "longest time for the dump, a copy, an import", default = "12h" }
local settle = param.duration { "settle", "how long to look for a change whose answer was lost", default = "20s" }

-- What is worked on -----------------------------------------------------------------------------------------------------------

local k = kubectl { context = context, namespace = namespace, kubeconfig = kubeconfig, settle = settle }
local workload = "deployment/" .. deployment
local db = postgres.remote(k, { pod = workload, container = container_given, user = user, name = workload })
local volumes = linode.account { settle = settle }
local zone = zone_name and cloudflare.zone(zone_name, { settle = settle })
local route = route_given or zone_name and zone_name .. "/*"
local database = database_given or user
local down = clock { "in maintenance", budget = budget }

local function named(service) return service:find("/", 1, true) and service or "deployment/" .. service end

-- "docker.io/library/postgres:15.3-alpine@sha256:…" is version 15.
local function major_of(text)
  local tag = text:gsub("@.*$", ""):match ":([^:/]+)$"
  return tag and math.tointeger(tonumber(tag:match "^%d+"))
end

local new_major = major_given or major_of(image)
local scratch = rehearse == "local" and postgres.throwaway { version = new_major, user = user, name = "rehearsal" } or nil
local elsewhere = rehearse ~= "local" and rehearse ~= "no" and psql(rehearse) or nil

local CLUSTER = [[
select current_setting('server_version_num')::int as version, current_setting('server_version') as version_text,
  pg_is_in_recovery() as in_recovery, (select rolsuper from pg_roles where rolname = current_user) as superuser,
  (select sum(pg_database_size(oid))::int8 from pg_database where datallowconn) as bytes,
  (select count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global')) as tablespaces]]

local function volume_of(pod)
  local claims = {}
  for _, volume in ipairs(pod.volumes or {}) do
    if volume.persistentVolumeClaim then claims[volume.name] = volume.persistentVolumeClaim.claimName end
  end
  for _, one in ipairs(pod.containers) do
    for _, mount in ipairs(not (container_given and one.name ~= container_given) and one.volumeMounts or {}) do
      if claims[mount.name] then return one, claims[mount.name] end
    end
  end
  fail("no container of %s has a volume of a PersistentVolumeClaim", workload)
end

-- The deployment, its volume and its server as they are before anything is changed: a resumed run needs them when they are gone.
local function look()
  local object = k:get(workload) or fail("there is no %s", workload)
  local one, claim_name = volume_of(object.spec.template.spec)
  local claim = k:get("pvc/" .. claim_name) or fail("there is no pvc/%s", claim_name)
  if not claim.spec.volumeName then fail("pvc/%s is not bound to a volume", claim_name) end
  local volume = k:get("pv/" .. claim.spec.volumeName) or fail("there is no pv/%s", claim.spec.volumeName)
  local csi = volume.spec.csi or {}
  local id, label = linode.parse_handle(csi.volumeHandle)
  local was = {}
  for _, service in ipairs(services) do
    local found = k:get(named(service)) or fail("there is no %s (--scale-down)", named(service))
    was[service] = found.spec.replicas or fail("%s has no replicas (--scale-down)", named(service))
  end
  return {
    replicas = object.spec.replicas, container = one.name, image = one.image, claim = claim_name, claim_uid = claim.metadata.uid,
    volume = volume.metadata.name, volume_uid = volume.metadata.uid, policy = volume.spec.persistentVolumeReclaimPolicy,
    driver = csi.driver or "none", handle = csi.volumeHandle, volume_id = id, label = label, services = was, server = db:row(CLUSTER),
  }
end

local cluster = fact "cluster" (function()
  local ok, found = pcall(look)
  if ok then return found end
  if found.kind == "interrupted" or found.kind == "cancelled" then error(found, 0) end
  return { why = tostring(found), server = {}, services = {} }
end)

local claim, volume = ("pvc/%s"):format(cluster.claim), ("pv/%s"):format(cluster.volume)
local short = deployment:gsub("[^%w-]", "-"):gsub("^%A+", ""):sub(1, 16)
local label = label_given or ("%s-pg%d-to-%d"):format(short, (cluster.server.version or 0) // 10000, new_major or 0)

-- What an import may meet: what the image has made by itself is there already.
local expected = postgres.exists_already { roles = { user }, databases = { database } }
for _, text in ipairs(allowed) do
  local sqlstate, object = text:match "^([%u%d][%u%d][%u%d][%u%d][%u%d])=(.+)$"
  expected[#expected + 1] = { sqlstate = sqlstate or text, object = object or text }
end

local replacements = {}
for i, text in ipairs(replaced) do
  local from, to = text:match "^(.-)=(.*)$"
  replacements[i] = { from or text, to or "" }
end

-- Looking -----------------------------------------------------------------------------------------------------------------------

local function answers()
  local ok, version = pcall(db.value, db, "select current_setting('server_version_num')::int")
  if ok then return version end
  if not version.retryable and version.kind ~= "kubectl" then error(version, 0) end
  return false, tostring(version)
end

local function await_server()
  return wait.upto(pod_limit, "the server accepts connections", function()
    local version, why = answers()
    return version, why
  end)
end

-- Everybody who is connected, besides the server's own processes, us, and those who only read.
local CLIENTS = [[
select usename as name, application_name as application, datname as database, coalesce(host(client_addr), 'local') as address,
  count(*) as connections
from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name not like 'pgsh%'
group by 1, 2, 3, 4 order by 1, 2, 3, 4]]

local function clients()
  local out = {}
  for _, one in ipairs(db:rows(CLIENTS)) do
    local may_stay = false
    for _, name in ipairs(readers) do may_stay = may_stay or name == one.name or name == one.application end
    if not may_stay then out[#out + 1] = one end
  end
  return out
end

local function names_of(list)
  local words = {}
  for i, one in ipairs(list) do
    words[i] = ("%s (%s) from %s in %s"):format(one.name, one.application ~= "" and one.application or "unnamed", one.address, one.database)
  end
  return table.concat(words, ", ")
end

-- Differences that a new version makes by itself are told; others mean that something is missing.
local BY_VERSION = { ["extension version"] = true, ["number of functions"] = true, ["number of functions_md5"] = true }
local BY_LOCALE = { ["database collate"] = true, ["database ctype"] = true, ["database provider"] = true, ["database icu_locale"] = true }

-- A server elsewhere was made by a superuser of its own, who need not be called like the cluster's.
local function of_that_server(one)
  return BY_LOCALE[one.what] or one.what == "role" and one.before == nil or one.what == "tablespace owner"
    or one.what == "database owner" and one.object == "postgres"
end

local function must_be_same(before, after, elsewhere_too)
  local told = {}
  local difference = postgres.compare(before, after, {
    ignore = function(one)
      if BY_VERSION[one.what] then told[#told + 1] = ("%s of %s: %s, now %s"):format(one.what, one.object, one.before, one.after) end
      return BY_VERSION[one.what] or elsewhere_too and of_that_server(one)
    end,
  })
  for _, text in ipairs(told) do log.warn("%s", text) end
  if difference.same == false then fail("the databases are not what they were:\n%s", difference.text) end
  return difference.same
end

local function none_left(name)
  local left = k:pods(name)
  if #left == 0 then return true end
  return false, ("%d pods of %s are left"):format(#left, name)
end

local function stop(name)
  k:scale(name, 0)
  k:wait_gone("pods of " .. name, { timeout = pod_limit })
end

-- Before anything changes -------------------------------------------------------------------------------------------------------

preflight "The cluster, the deployment and its volume" (function()
  if cluster.why then return problem("%s", cluster.why) end
  if cluster.replicas ~= 1 then problem("%s has %d replicas, and not one", workload, cluster.replicas) end
  for _, one in ipairs { { "patch", "deployments.apps/scale" }, { "patch", "deployments.apps" }, { "create", "pods/exec" },
    { "delete", "persistentvolumeclaims" }, { "delete", "persistentvolumes" }, { "create", "persistentvolumeclaims" } } do
    if not k:can(one[1], one[2]) then problem("kubectl may not %s %s", one[1], one[2]) end
  end
  for _, service in ipairs(services) do
    if cluster.services[service] == 0 then problem("%s is scaled to 0 already: is somebody at a maintenance?", named(service)) end
  end
end)

preflight "The versions" (function()
  if cluster.why then return end
  local server = cluster.server
  if not new_major then problem("the tag of %s does not say which version it is (--major)", image) end
  if image == cluster.image then problem("%s has this image already", workload) end
  if new_major and new_major <= server.version // 10000 then
    problem("the server is version %s: %d is no newer major version", server.version_text, new_major)
  end
  if server.in_recovery then problem("the server is in recovery") end
  if not server.superuser then problem("%s is no superuser: the dump would not be whole (--user)", user) end
  if server.tablespaces > 0 then problem("the server has %d tablespaces of its own, which a new volume has not", server.tablespaces) end
end)

local IMAGE = { "spec", "template", "spec", "containers" }

local function image_path() return { IMAGE[1], IMAGE[2], IMAGE[3], IMAGE[4], { name = cluster.container }, "image" } end

local THIS = { kind = "Deployment", metadata = { name = deployment } }

preflight "The manifests" (function()
  if cluster.why then return end
  local ok, now = pcall(yaml.get, file.read(manifest), image_path(), { document = THIS })
  if not ok or not now then
    problem("%s: %s", manifest, ok and ("there is no image of %s"):format(cluster.container) or tostring(now))
  elseif now ~= cluster.image then
    problem("%s says %s, the cluster runs %s: which is right?", manifest, now, cluster.image)
  end
  local found, all = pcall(yaml.decode_all, file.read(volume_manifest))
  local has = false
  for _, one in ipairs(found and all or {}) do
    has = has or type(one) == "table" and one.kind == "PersistentVolumeClaim" and one.metadata and one.metadata.name == cluster.claim
  end
  if not has then problem("%s does not make the claim %s of %s", volume_manifest, cluster.claim, workload) end
end)

preflight "The volume at Linode" (function()
  if cluster.why then return end
  if not cluster.volume_id then
    return problem("%s is no volume of Linode's (driver %s): it cannot be cloned from here", volume, cluster.driver)
  end
  local good, why = linode.check_label(label)
  if not good then problem("%s: %s (--clone-label)", label, why) end
  local there = volumes:find(cluster.handle)
  if not there then return problem("Linode has no volume %s", cluster.handle) end
  if there.status ~= "active" then problem("the volume %d is %s", there.id, there.status) end
  if good and #volumes:volumes { label = label } > 0 then problem("there is a volume %s already (--clone-label)", label) end
end)

preflight "The maintenance page" {
  when = { zone ~= nil, "no zone is given (--zone)" },
  run = function()
    local there = zone:find(route)
    if there then problem("%s leads to %s already: is somebody at a maintenance?", route, there.script or "no Worker") end
  end,
}

local FREE = [[df -Pk -- "$1" | awk 'NR == 2 { print $4 }']]

preflight "Room for the dump" (function()
  if cluster.why then return end
  local directory = dump_path:match "^(.*)/[^/]*$" or "."
  if sh.read({ "test", "-e", dump_path }, { ok = { 0, 1 } }).exit == 0 then problem("%s is there already (--dump)", dump_path) end
  local free = tonumber(sh.read({ "sh", "-c", FREE, "df", directory }, { what = "space below " .. directory }).out)
  if not free then return problem("there is no directory %s (--dump)", directory) end
  local wanted = cluster.server.bytes // 2 // 1024
  if free < wanted then problem("the dump may need %d MiB, and %s has %d", wanted // 1024, directory, free // 1024) end
end)

preflight "The rehearsal" {
  when = { rehearse ~= "no", "not asked for (--rehearse no)" },
  run = function()
    if cluster.why then return end
    for _, one in ipairs(replacements) do
      if one[2] == "" then problem("--replace %s: FROM=TO is meant", one[1]) end
    end
    if scratch then
      for _, one in ipairs(postgres.installations()) do
        if one.major == new_major then return end
      end
      return problem("PostgreSQL %s is not installed here: install it, or give an empty server (--rehearse)", tostring(new_major))
    end
    local empty, found = postgres.is_empty(rehearse, { roles = { user } })
    if not empty then problem("the server of --rehearse is not empty: %s %s …", found[1].what, found[1].name) end
  end,
}

-- Out of use ------------------------------------------------------------------------------------------------------------------

local page = step "Show the maintenance page" {
  id = "maintenance-on",
  when = { zone ~= nil, "no zone is given (--zone)" },
  opens = down,
  run = function() return { id = zone:create({ pattern = route, script = script }).json.result.id } end,
  verify = { "the route leads to the Worker", function()
    local there = zone:find(route)
    return there ~= nil and there.script == script
  end },
  undo = { "remove the route", function()
    local there = zone:find(route)
    if there and there.script == script then zone:delete(there.id) end
  end },
  note = function() return ("%s → %s"):format(route, script) end,
}

local scaled_down = step "Scale down what writes" {
  id = "scale-down",
  keep = function() return { was = cluster.services, clients = clients() } end,
  run = function()
    for _, service in ipairs(services) do k:scale(named(service), 0) end
    for _, service in ipairs(services) do k:wait_gone("pods of " .. named(service), { timeout = pod_limit }) end
  end,
  verify = { "no pod of theirs is left", function()
    for _, service in ipairs(services) do
      local gone, seen = none_left(named(service))
      if not gone then return false, seen end
    end
    return true
  end },
  undo = { "scale them to what they were", function(kept)
    for _, service in ipairs(services) do k:scale(named(service), kept.was[service]) end
    for _, service in ipairs(services) do k:wait_rollout(named(service), { timeout = pod_limit }) end
  end },
}

local alone = step "Nobody else is connected" {
  id = "alone",
  keep = function() return { others = clients() } end,
  run = function()
    wait.upto(math.min(60, pod_limit), "nobody is connected but us", function()
      local left = clients()
      return #left == 0, names_of(left)
    end)
  end,
  doc = "Those who only read may stay: --readers names them.",
}

-- The dump ----------------------------------------------------------------------------------------------------------------------

local inventory = step "Take stock" {
  id = "inventory",
  run = function() return { taken = postgres.inventory(db) } end,
  note = function(_, result) return ("%d databases, %d roles"):format(#result.taken.databases, #result.taken.roles) end,
}

local stays = { "nothing: the dump stays where it is", function() end }

local dumped = step "Dump" {
  id = "dump",
  run = function() return postgres.dump { from = db, to = dump_path, timeout = data_limit, stall = "10m" } end,
  note = function(_, result) return ("%s, %d bytes, sha512 %.12s…"):format(result.path, result.bytes, tostring(result.sha512.file)) end,
  undo = stays,
}

local function validated()
  return postgres.validate(dump_path, {
    sha512 = dumped.done and dumped.result.sha512.file or nil, plain_sha512 = dumped.done and dumped.result.sha512.plain or nil,
    format = "cluster", timeout = data_limit,
  })
end

local valid = step "Validate the dump" {
  id = "validate",
  run = validated,
  note = function() return "digests, gzip, end-of-dump marker" end,
}

step "Keep a copy in the old pod" {
  id = "dump-in-pod",
  when = { dump_in_pod ~= nil, "not asked for (--dump-in-pod)" },
  run = function() k:upload(dump_path, workload, dump_in_pod, { container = cluster.container, timeout = data_limit }) end,
  undo = stays,
}

step "Rehearse the import" {
  id = "rehearse",
  when = { rehearse ~= "no", "not asked for (--rehearse no)" },
  run = function()
    local into = scratch or rehearse
    postgres.restore {
      from = dump_path, into = into, validated = valid.result, allow = expected, replace = replacements,
      empty = { roles = { user }, databases = { database } }, timeout = data_limit,
    }
    must_be_same(inventory.result.taken, postgres.inventory(into), true)
    if scratch then scratch:close() end
  end,
  undo = elsewhere and "by hand: empty the server of the rehearsal" or { "nothing: the server is gone", function() end },
  doc = "Every error has to be on the list of those that are allowed. Where a locale is called otherwise here, --replace puts another name "
    .. "in its place in this attempt's stream; the dump itself is never edited.",
}

-- The volume ----------------------------------------------------------------------------------------------------------------------

-- Back to what was: the old image, the old number of pods, the old data.
local function run_again(kept)
  local now = k:get(workload)
  for _, one in ipairs(now and now.spec.template.spec.containers or {}) do
    if one.name == cluster.container and one.image ~= cluster.image then k:apply(manifest) end
  end
  k:scale(workload, kept.replicas)
  k:wait_rollout(workload, { timeout = pod_limit })
  local is_old = wait.upto(pod_limit, "the old version accepts connections", function()
    local version, why = answers()
    return version == cluster.server.version, why or ("the server is version %d"):format(version // 10000)
  end)
  if is_old == true and must_be_same(inventory.result.taken, postgres.inventory(db)) then
    log.info("the databases are what they were, in version %s", cluster.server.version_text)
  end
end

step "Stop PostgreSQL" {
  id = "stop-database",
  keep = function() return { replicas = cluster.replicas } end,
  run = function()
    stop(workload)
    wait.upto(pod_limit, "the volume is detached", function()
      local there = volumes:find(cluster.handle)
      if not there then fail("Linode has no volume %s any more", cluster.handle) end
      return not there.linode_id, there.linode_label
    end)
  end,
  verify = { "no pod of it is left", function() return none_left(workload) end },
  undo = { "start it again, with what it had", run_again },
}

local clone = step "Clone the volume" {
  id = "clone",
  run = function()
    local made = volumes:clone(cluster.volume_id, { label = label })
    volumes:wait_active(made.json.id, { timeout = clone_limit })
    return { id = made.json.id, label = label }
  end,
  note = function(_, result) return ("volume %s, %s"):format(tostring(result.id), label) end,
  undo = { "nothing: the clone stays, as a backup", function() end },
}

-- What makes the removal of a volume safe. It is looked at anew each time, whatever was seen before.
local function must_be_safe()
  local proof = validated()
  wait.upto("30s", "the clone is active, and as large as the volume", function()
    local copy, source = volumes:volume(clone.result.id), volumes:find(cluster.handle)
    if not copy then return false, "there is no clone" end
    if copy.status ~= "active" then return false, "the clone is " .. copy.status end
    return not source or copy.size == source.size, ("the clone has %d GiB"):format(copy.size)
  end)
  wait.upto("30s", "nothing uses the volume", function() return none_left(workload) end)
  return proof
end

-- The volume of Linode behind a claim: its id.
local function behind(bound)
  local one = bound and bound.spec.volumeName and k:get("pv/" .. bound.spec.volumeName)
  return one and one.spec.csi and linode.parse_handle(one.spec.csi.volumeHandle), one
end

local function has_the_data(id) return id ~= nil and (id == cluster.volume_id or id == clone.result.id) end

-- A volume that is brought back: what Linode has, under the old claim's name.
local function manifest_of(kept, source)
  local back = ("%s-back"):format(kept.volume.name)
  return json.encode {
    apiVersion = "v1", kind = "List", items = {
      {
        apiVersion = "v1", kind = "PersistentVolume", metadata = { name = back }, spec = {
          capacity = kept.volume.capacity, accessModes = kept.volume.accessModes, storageClassName = kept.volume.storageClassName,
          volumeMode = kept.volume.volumeMode, persistentVolumeReclaimPolicy = "Retain",
          csi = {
            driver = cluster.driver, volumeHandle = ("%d-%s"):format(source.id, source.label), fsType = kept.volume.fsType,
            volumeAttributes = kept.volume.attributes,
          },
          claimRef = { apiVersion = "v1", kind = "PersistentVolumeClaim", name = cluster.claim, namespace = k.namespace },
        },
      },
      {
        apiVersion = "v1", kind = "PersistentVolumeClaim", metadata = { name = cluster.claim, namespace = k.namespace }, spec = {
          accessModes = kept.claim.accessModes, resources = kept.claim.resources, storageClassName = kept.claim.storageClassName,
          volumeMode = kept.claim.volumeMode, volumeName = back,
        },
      },
    },
  }
end

local function bring_back(kept)
  local now = k:get(claim)
  if now and not now.metadata.deletionTimestamp and has_the_data((behind(now))) then return end
  if now then k:wait_gone(claim, { timeout = pod_limit, uid = now.metadata.uid }) end
  -- What is about to be reclaimed is there for a while yet, and nothing to build on.
  local old = k:get(volume)
  local reclaimed = old and old.metadata.uid == cluster.volume_uid and old.spec.persistentVolumeReclaimPolicy ~= "Retain"
  if reclaimed then k:wait_gone(volume, { timeout = pod_limit, uid = cluster.volume_uid }) end
  local source = not reclaimed and volumes:volume(cluster.volume_id)
  if not source or source.status ~= "active" then source = volumes:volume(clone.result.id) end
  if not source then fail("Linode has neither the volume %d nor its clone %s", cluster.volume_id, tostring(clone.result.id)) end
  if source.id ~= cluster.volume_id then log.warn("the clone %s takes the place of the volume: it is no backup any more", source.label) end
  local path = dump_path .. ".volume.json"
  file.write(path, manifest_of(kept, source), { what = ("how the volume %d is brought back: %s"):format(source.id, path) })
  k:apply(path)
  k:wait_bound(claim, { timeout = pod_limit })
end

step "Remove the volume" {
  id = "remove-volume",
  keep = function()
    local old, bound = k:get(volume), k:get(claim)
    if not old or not bound or bound.metadata.uid ~= cluster.claim_uid or old.metadata.uid ~= cluster.volume_uid then
      fail("%s and %s are not what they were when the run began", claim, volume)
    end
    return {
      volume = {
        name = cluster.volume, capacity = old.spec.capacity, accessModes = old.spec.accessModes, volumeMode = old.spec.volumeMode,
        storageClassName = old.spec.storageClassName, fsType = old.spec.csi.fsType, attributes = old.spec.csi.volumeAttributes,
      },
      claim = {
        accessModes = bound.spec.accessModes, resources = bound.spec.resources, storageClassName = bound.spec.storageClassName,
        volumeMode = bound.spec.volumeMode,
      },
    }
  end,
  confirm = function()
    local data = cluster.policy == "Retain" and ("its data stay at Linode (volume %s)"):format(tostring(cluster.volume_id))
      or "Linode removes its data with them"
    return ("%s %s"):format(claim, volume), ("the claim and the volume are removed, and %s; the dump %s and the clone %s are what is left")
      :format(data, dump_path, label)
  end,
  run = function()
    must_be_safe()
    k:delete(claim, { uid = cluster.claim_uid })
    k:wait_gone(claim, { timeout = pod_limit, uid = cluster.claim_uid })
    k:delete(volume, { uid = cluster.volume_uid })
    k:wait_gone(volume, { timeout = pod_limit, uid = cluster.volume_uid })
  end,
  verify = { "both are gone", function()
    for _, one in ipairs { { claim, cluster.claim_uid }, { volume, cluster.volume_uid } } do
      local now = k:get(one[1])
      if now and now.metadata.uid == one[2] then return false, one[1] .. " is there" end
    end
    return true
  end },
  undo = { "bring the volume back, from the clone where the old one is gone", bring_back },
  doc = "The claim first, then the volume. Refused unless the dump is whole, the clone is active and no pod is left.",
}

-- The claim and volume that are there now; never those that were there when the run began, nor what was brought back.
local function remove_new()
  local now = k:get(claim)
  if not now or now.metadata.uid == cluster.claim_uid then return end
  local id, volume_now = behind(now)
  if has_the_data(id) then return end
  k:delete(claim, { uid = now.metadata.uid })
  k:wait_gone(claim, { timeout = pod_limit, uid = now.metadata.uid })
  if volume_now then
    k:delete("pv/" .. volume_now.metadata.name, { uid = volume_now.metadata.uid })
    k:wait_gone("pv/" .. volume_now.metadata.name, { timeout = pod_limit, uid = volume_now.metadata.uid })
  end
end

step "Make a new volume" {
  id = "new-volume",
  run = function()
    k:apply(volume_manifest)
    k:wait_bound(claim, { timeout = pod_limit })
  end,
  verify = { "it is another volume than the old one", function()
    local now = k:get(claim)
    local id = behind(now)
    if not id then return false, "it is not bound" end
    if now.metadata.uid == cluster.claim_uid or has_the_data(id) then fail("%s is bound to the old data: the volume %d", claim, id) end
    return true
  end },
  undo = { "remove the new volume", remove_new },
}

-- The new version -------------------------------------------------------------------------------------------------------------------

step "Set the new image in the manifest" {
  id = "image",
  keep = function() return { text = file.read(manifest) } end,
  run = function()
    file.edit(manifest, function(text) return yaml.edit(text, image_path(), image, { document = THIS }) end)
  end,
  verify = { "the manifest has it", function() return yaml.get(file.read(manifest), image_path(), { document = THIS }) == image end },
  undo = { "put the old one back", function(kept) file.edit(manifest, function() return kept.text end) end },
}

step "Start the new version" {
  id = "start-new",
  run = function()
    k:apply(manifest)
    k:scale(workload, cluster.replicas)
    k:wait_rollout(workload, { timeout = pod_limit })
    await_server()
  end,
  verify = { "the server is of the new version, and empty", function()
    local version = answers()
    if version // 10000 ~= new_major then return false, ("the server is version %d"):format(version // 10000) end
    local empty, found = postgres.is_empty(db, { roles = { user }, databases = { database } })
    return empty, not empty and ("it is not empty: %s %s"):format(found[1].what, found[1].name) or nil
  end },
  verify_within = "30s",
  undo = { "stop it", function() stop(workload) end },
}

local with_volume = { "nothing: it goes with the new volume", function() end }

step "Copy the dump across" {
  id = "copy",
  run = function() k:upload(dump_path, workload, pod_path, { container = cluster.container, timeout = data_limit }) end,
  undo = with_volume,
}

local imported = step "Import" {
  id = "import",
  run = function()
    return postgres.restore {
      from = dump_path, into = db, there = pod_path, record = pod_path .. ".import", validated = valid.result, allow = expected,
      empty = { roles = { user }, databases = { database } }, timeout = data_limit,
    }
  end,
  note = function(_, result) return ("%d allowed errors; %s has the dump's password"):format(result.allowed_count, user) end,
  undo = with_volume,
  doc = "Stops at the first error that is not allowed; then the way back is the old volume or its clone. Where the role exists already, "
    .. "its attributes and its password become those of the dump.",
}

step "Compare" {
  id = "compare",
  run = function()
    -- In a plan the server is still the old one, in use.
    if imported.done then must_be_same(inventory.result.taken, postgres.inventory(db)) end
    for _, one in ipairs(inventory.result.taken.databases) do
      if one.allow_connections and not one.is_template then db:at(one.name):execute("analyze", { what = "analyze " .. one.name }) end
    end
  end,
  note = function() return "databases, roles, extensions, tables, rows, sequences" end,
  undo = with_volume,
}

step "Remove the copy from the pod" {
  id = "remove-copy",
  run = function()
    k:forget(workload, pod_path .. ".import", { container = cluster.container })
    k:exec(workload, { "rm", "-f", "--", pod_path }, { container = cluster.container })
  end,
  undo = with_volume,
}

-- Back in use ----------------------------------------------------------------------------------------------------------------------

step "Restart the database server" {
  id = "restart",
  run = function()
    k:restart(workload)
    k:wait_rollout(workload, { timeout = pod_limit })
    await_server()
  end,
  undo = { "nothing", function() end },
}

local scaled_up = step "Scale up the services" {
  id = "scale-up",
  keep = function()
    return { was = cluster.services, id = (behind(k:get(claim))) }
  end,
  run = function(kept)
    for _, service in ipairs(services) do k:scale(named(service), kept.was[service]) end
    for _, service in ipairs(services) do k:wait_rollout(named(service), { timeout = pod_limit }) end
  end,
  undo = { "scale them down again, and clone the volume with what they wrote since", function(kept)
    for _, service in ipairs(services) do stop(named(service)) end
    if kept.id then
      local made = volumes:clone(kept.id, { label = ("new-%s"):format(label):sub(1, 32) })
      volumes:wait_active(made.json.id, { timeout = clone_limit })
    end
  end },
}

-- Lines of a log that are not normal.
local function abnormal(text)
  for line in text:gmatch "[^\n]+" do
    for _, word in ipairs(error_words) do
      if line:find(word, 1, true) then return line end
    end
  end
end

step "The services interact" {
  id = "interact",
  run = function()
    local before = {}
    for _, one in ipairs(scaled_down.kept.clients) do before[one.name] = true end
    -- Who stayed without the services was somebody else, and need not come back.
    for _, one in ipairs(alone.kept.others) do before[one.name] = nil end
    wait.upto(pod_limit, "everybody who was connected is connected again", function()
      local now = {}
      for _, one in ipairs(clients()) do now[one.name] = true end
      for name in pairs(before) do
        if not now[name] then return false, name .. " is not connected" end
      end
      return true
    end)
    wait(quiet_time)
    for _, service in ipairs(services) do
      local line = abnormal(k:logs(named(service), { since = quiet_time }))
      if line and scaled_up.done then fail("the log of %s: %s", service, line) end
    end
  end,
}

step "Remove the maintenance page" {
  id = "maintenance-off",
  when = { zone ~= nil, "no zone is given (--zone)" },
  closes = down,
  run = function() zone:delete(page.result.id) end,
  verify = { "the route is gone", function() return zone:find(route) == nil end },
  undo = { "show it again", function() zone:create { pattern = route, script = script } end },
}
