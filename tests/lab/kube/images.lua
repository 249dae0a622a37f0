-- The images that pods run: what an image's name means, what its entry point is, and its environment.
local objects = require "kube.objects"
local sandbox = require "kube.sandbox"

local images = {}

local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

-- "postgres:14.5-alpine", "docker.io/library/postgres:14@sha256:…" → 14; nil when it is not PostgreSQL.
function images.postgres_major(image)
  local name = image:gsub("@sha256:%x+$", "")
  local tag = name:match "^postgres:([%w.%-_]+)$" or name:match "/postgres:([%w.%-_]+)$"
  if tag then return tonumber(tag:match "^(%d+)") or 0 end
  if name == "postgres" or name:match "/postgres$" then return 0 end
  return nil
end

-- The installed major of an image; nil when the registry has no such tag.
function images.server(cluster, image)
  local major = images.postgres_major(image)
  if not major then return nil end
  for _, which in ipairs { "old", "new" } do
    if cluster.majors[which].major == major then return cluster.majors[which] end
  end
  return nil
end

-- Whether the image can be pulled; otherwise what the registry says.
function images.pull(cluster, image)
  if cluster.faults:holds("image", image) then
    return false, ('rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/%s": failed to resolve '
      .. 'reference: not found')
      :format(image)
  end
  if images.postgres_major(image) and not images.server(cluster, image) or image:match ":nosuch" then
    return false, ('rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/%s": docker.io/library/%s: not '
      .. 'found')
      :format(image, image)
  end
  return true
end

local function base_environment(cluster, runtime, spec)
  local env = { PATH = PATH, HOSTNAME = runtime.pod.metadata.name, HOME = "/root", KUBERNETES_SERVICE_HOST = "10.128.0.1" }
  if runtime.sandbox.mode == "rewrite" then env.HOME = runtime.sandbox.dir .. "/tmp" end
  local server = images.server(cluster, spec.image)
  if server then
    local bin = runtime.sandbox:place(server.bin)
    env.PATH = bin .. ":" .. PATH
    env.PG_MAJOR, env.PG_VERSION, env.LANG = tostring(server.major), server.full, cluster.options.locale
    env.PGDATA = "/var/lib/postgresql/data"
    if runtime.sandbox.mode == "rewrite" then env.PGHOST = runtime.sandbox.sockets end
  end
  return env
end

-- The environment of a container; raises a text when a reference leads nowhere.
function images.environment(cluster, runtime, spec)
  local env = base_environment(cluster, runtime, spec)
  local namespace = runtime.pod.metadata.namespace
  local function data_of(kind, reference)
    local object = cluster.store:get(kind, namespace, reference.name)
    if not object then
      if reference.optional then return {} end
      error(('%s "%s" not found'):format(kind:lower(), reference.name), 0)
    end
    if kind == "ConfigMap" then return object.data or {} end
    local mime, out = require "mime", {}
    for key, value in pairs(object.data or {}) do out[key] = (mime.unb64(value)) end
    return out
  end
  for _, source in ipairs(spec.envFrom or {}) do
    local kind = source.secretRef and "Secret" or "ConfigMap"
    for key, value in pairs(data_of(kind, source.secretRef or source.configMapRef)) do env[(source.prefix or "") .. key] = value end
  end
  for _, variable in ipairs(spec.env or {}) do
    local from = variable.valueFrom
    if from and (from.secretKeyRef or from.configMapKeyRef) then
      local reference = from.secretKeyRef or from.configMapKeyRef
      local value = data_of(from.secretKeyRef and "Secret" or "ConfigMap", reference)[reference.key]
      if not value and not reference.optional then
        error(("couldn't find key %s in %s %s/%s"):format(reference.key, from.secretKeyRef and "Secret" or "ConfigMap", namespace,
          reference.name), 0)
      end
      env[variable.name] = value
    elseif from and from.fieldRef then
      env[variable.name] = tostring(objects.at(runtime.pod, table.unpack((function()
        local keys = {}
        for key in from.fieldRef.fieldPath:gmatch "[^.]+" do keys[#keys + 1] = key end
        return keys
      end)())) or "")
    else
      env[variable.name] = (tostring(variable.value or ""):gsub("%$%(([%w_]+)%)", function(name) return env[name] end))
    end
  end
  return env
end

-- The words that the container runs, and more environment for them.
function images.entry(cluster, runtime, container)
  local spec, env = container.spec, objects.copy(container.env)
  local box = runtime.sandbox
  if spec.command and #spec.command > 0 then
    local argv = objects.copy(spec.command)
    for _, word in ipairs(spec.args or {}) do argv[#argv + 1] = word end
    return argv, env
  end
  local server = images.server(cluster, spec.image)
  if server then
    env.LAB_ADDRESS, env.LAB_SOCKETS, env.LAB_LOCALE = runtime.address, box.sockets, cluster.options.locale
    env.LAB_CACHE = ("%s/cache/%d"):format(box:images(), server.major)
    env.LAB_AS = sandbox.as_server(cluster)
    if cluster.mode == "user" then env.LAB_OWNER = "0" elseif cluster.ordinary then env.LAB_OWNER = cluster.ordinary.uid end
    local argv = { "sh", box:images() .. "/postgres.sh" }
    for _, word in ipairs(spec.args or {}) do argv[#argv + 1] = word end
    return argv, env
  elseif env.DATABASE_URL then
    env.LAB_HOSTS = box.mode == "rewrite" and cluster.dir .. "/hosts/" .. runtime.pod.metadata.namespace or "/etc/hosts"
    env.LAB_PAUSE = tostring(cluster.options.service_pause)
    if spec.image:match "grafana" then env.LAB_READ_ONLY = "1" end
    return { "sh", box:images() .. "/service.sh", spec.name }, env
  end
  return { "sleep", "infinity" }, env
end

-- What stops the container: the official PostgreSQL image asks for SIGINT, the fast shutdown.
function images.stop_signal(image) return images.postgres_major(image) and "INT" or "TERM" end

return images
