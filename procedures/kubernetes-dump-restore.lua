-- Major upgrade of a PostgreSQL in Kubernetes by dump and restore, where PGDATA has a directory for each major version on one volume
-- (/data/15, /data/16). The old directory stays as it is until the very end, so there is a way back all the time.
procedure {
  name = "kubernetes-dump-restore",
  summary = "Major upgrade of a PostgreSQL in Kubernetes, by dump and restore into a new PGDATA on the same volume",
}

local context = param.string { "context", "context of the kubeconfig; default: the current one" }
local namespace = param.string { "namespace", "namespace; default: the context's" }
local workload_name = param.string {
  "workload", "workload of the database: NAME of a deployment, or KIND/NAME", required = true, pattern = "[%w][%w./-]*",
}
local manifest = param.file { "manifest", "manifest of the workload, which is edited in place", required = true }
local image = param.string { "image", "image of the new version", required = true, pattern = "[%w][%w./:@_-]*",
  placeholder = "postgres:16" }
local clients = param.list {
  "clients", "workloads that connect to the database: stopped meanwhile", required = true, placeholder = "<app>,<worker>",
}
local user_name = param.string { "user", "database user; default: the pod's $POSTGRES_USER", pattern = "[^%-].*" }
local database_name = param.string { "database", "database; default: the pod's $POSTGRES_DB", pattern = "[^%-].*" }
local data = param.string {
  "data", "where the volume is mounted", default = "/data", pattern = "/[%w_][%w_./-]*[%w_]",
  looks_like = "an absolute path other than /, without / at its end",
}

local container_name = param.string { "container", "container of the database; default: the one that mounts the volume" }
local major = param.integer { "major", "major version of the image, when its tag does not begin with it", min = 10, max = 99 }
local backup_check = param.string { "backup-check", "command that exits 0 when there is a recent backup; default: by hand" }
local others_anyway = param.boolean {
  "others-anyway", "go on although the server has databases or roles that the dump does not carry", default = false,
}
local drift_anyway = param.boolean {
  "drift-anyway", "go on although the cluster differs from the manifest: applying it then changes that, too", default = false,
}
local allowed = param.list {
  "allow", "errors of the restore that do not matter: SQLSTATE or SQLSTATE=TEXT in the message",
  changeable = true, default = { "42P06=schema \"public\"", "42710=extension \"plpgsql\"", "42501=extension plpgsql" },
}
local dump_limit = param.duration { "dump-timeout", "longest dump", default = "6h", changeable = true }
local restore_limit = param.duration { "restore-timeout", "longest restore, and longest reindex", default = "12h", changeable = true }
local start_limit = param.duration { "start-timeout", "longest wait for a server or a workload", default = "10m", changeable = true }
local stop_limit = param.duration { "stop-timeout", "longest wait for pods to go", default = "5m", changeable = true }
local budget = param.duration { "budget", "how long the clients may be stopped", default = "1h" }
local settle = param.duration { "settle", "how long to look for a change whose answer was lost", default = "10s" }

local workload = workload_name:find "/" and workload_name or "deployment/" .. workload_name
for i, name in ipairs(clients) do clients[i] = name:find "/" and name or "deployment/" .. name end

local k = kubectl { context = context, namespace = namespace, settle = settle }
local stopped = clock { "without service", budget = budget }
local DUMP = data .. "/dump"
local RECORDS = { "dump", "restore", "reindex" }
local function record(name) return ("%s/.pgsh-%s"):format(data, name) end

-- What is there ------------------------------------------------------------------------------------------------------------------

local function tag_major(name)
  return math.tointeger(tonumber((name:gsub("@.*$", ""):match "[^/]*$" or ""):match ":v?(%d+)"))
end
local new_major = major or tag_major(image)

local function container_of(object)
  local list = object.spec.template and object.spec.template.spec.containers or {}
  local found
  for _, one in ipairs(list) do
    if container_name and one.name == container_name then return one end
    for _, mount in ipairs(one.volumeMounts or {}) do
      if mount.mountPath == data and not container_name then found = found or one end
    end
  end
  return found or (not container_name and #list == 1 and list[1] or nil)
end

local LOOK = [[printf '%s\n' "$POSTGRES_USER" "$POSTGRES_DB" "$PGDATA"; cat "$PGDATA/PG_VERSION"]]

-- The server as it is in the beginning; a resumed run sees the same. `why`: it cannot be read.
local server = fact "server" (function()
  local object = k:get(workload)
  if not object then return { why = ("there is no %s in %s"):format(workload, tostring(k)) } end
  local container = container_of(object)
  if not container then return { why = ("%s has no container that mounts %s (--container)"):format(workload, data) } end
  local found = { kind = object.kind, name = object.metadata.name, container = container.name, image = container.image }
  local ok, result = pcall(k.read, k, workload, { "sh", "-c", LOOK }, { container = container.name, what = "its environment" })
  if not ok then return { why = tostring(result) } end
  local user, database, pgdata, version = result.out:match "^([^\n]*)\n([^\n]*)\n([^\n]*)\n%s*(%d+)"
  if not user then
    return { why = "the pod's POSTGRES_USER, POSTGRES_DB, PGDATA and PG_VERSION are not to be understood: " .. result.out }
  end
  found.user, found.pgdata, found.major = user, pgdata, math.tointeger(tonumber(version))
  found.database = database ~= "" and database or user
  return found
end)

local user, database = user_name or server.user, database_name or server.database
local db = postgres.remote(k, { pod = workload, user = user, database = database, container = server.container })
local in_pod = { container = server.container }

local function with(options)
  for key, value in pairs(in_pod) do options[key] = options[key] or value end
  return options
end

local CONNECTION = { "-X", "-w", "-U", user, "-d", database }

local function joined(...)
  local out = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

-- The directory of a major version. Nothing else is ever removed; the pod checks it again.
local function directory(of)
  if math.type(of) ~= "integer" or of < 8 or of > 99 then fail("%s is no major version of PostgreSQL", tostring(of)) end
  return ("%s/%d"):format(data, of)
end

-- Which of these are there.
local function present(...)
  local out = {}
  local result = k:read(workload, { "sh", "-c", 'for f; do [ ! -e "$f" ] || printf "%s\\n" "$f"; done', "look", ... }, with {
    what = "look for " .. table.concat({ ... }, ", ") })
  for path in result.out:gmatch "[^\n]+" do out[#out + 1] = path end
  return out
end

-- The major version that answers.
local function running()
  return db:value "select current_setting('server_version_num')::int / 10000"
end

-- Does the server accept connections, is it of this major version, are its data there? With what is seen instead. Over the network,
-- where the
-- temporary server does not listen by which the image initialises a new directory.
local function answers(of)
  local pod, why = k:pod(workload)
  if not pod then return false, why end
  local address = pod.status.podIP
  local ready = k:read(pod, { "pg_isready", "-q", "-h", address or "localhost" }, with { ok = { 0, 1, 2, 3 } })
  if ready.exit ~= 0 then
    local trouble = k:trouble("pod/" .. pod.metadata.name)
    return false, trouble ~= "" and trouble or "it does not accept connections"
  end
  local found = running()
  if found ~= of then return false, ("version %s runs"):format(tostring(found)) end
  local same = k:read(pod, { "sh", "-c", '[ "$(psql -XAtqw -U "$2" -d "$3" -c "show data_directory")" -ef "$1" ]', "look",
    directory(of), user,
    database }, with { ok = { 0, 1 } })
  return same.exit == 0, "its data directory is not " .. directory(of)
end

local function await_server(of)
  wait.upto(start_limit, ("PostgreSQL %d accepts connections"):format(of), function()
    local ok, good, why = pcall(answers, of)
    if ok then return good, why end
    if good.kind ~= "kubectl" and good.kind ~= "psql" and good.kind ~= "process" then error(good, 0) end
    return false, tostring(good)
  end)
end

-- The manifest ---------------------------------------------------------------------------------------------------------------------

local CHECKS = { "startupProbe", "livenessProbe", "readinessProbe" }

local function in_manifest(...)
  return { "spec", "template", "spec", "containers", { name = server.container }, ... }
end

local function document() return { document = { kind = server.kind, metadata = { name = server.name } } } end
local function image_path() return in_manifest "image" end
local function pgdata_path() return in_manifest("env", { name = "PGDATA" }, "value") end

local function upgraded(text)
  text = yaml.edit(text, image_path(), image, document())
  text = yaml.edit(text, pgdata_path(), directory(new_major), document())
  for _, check in ipairs(CHECKS) do
    if yaml.get(text, in_manifest(check), document()) ~= nil then text = yaml.comment(text, in_manifest(check), document()) end
  end
  return text
end

-- Byte for byte what it was, or not touched.
local function as_it_was(text, sha256)
  local old = yaml.uncomment(text, nil, document())
  old = yaml.edit(old, image_path(), server.image, document())
  old = yaml.edit(old, pgdata_path(), server.pgdata, document())
  if hash.sha256(old) ~= sha256 then
    fail("%s was changed otherwise since: put it back by hand (image %s, PGDATA %s, health checks), apply it, and undo again", manifest,
      server.image, server.pgdata)
  end
  return old
end

-- Passwords in the manifest are not to be seen where a difference is shown. What is also the name of something cannot be hidden.
local function hide_passwords(text)
  local env = yaml.get(text, in_manifest "env", document())
  for _, one in ipairs(type(env) == "table" and env or {}) do
    local name = tostring(one.name):upper()
    local telling = name:find "PASSWORD" or name:find "SECRET" or name:find "TOKEN"
    if telling and type(one.value) == "string" and one.value ~= user and one.value ~= database and not server.name:find(one.value, 1,
      true) then
      secret(one.value)
    end
  end
end

-- Before anything changes ----------------------------------------------------------------------------------------------------------

preflight "The cluster answers, and we may" (function()
  k:version()
  local rights = { { "create", "pods/exec" }, { "get", "pods" }, { "patch", "deployments.apps" }, { "patch", "deployments.apps/scale" } }
  for _, right in ipairs(rights) do
    if not k:can(right[1], right[2]) then problem("%s: no right to %s %s", tostring(k), right[1], right[2]) end
  end
  for _, name in ipairs(clients) do
    local object = k:get(name)
    if not object then
      problem("there is no %s", name)
    elseif not (object.spec and object.spec.replicas) then
      problem("%s has no replicas to set to 0", name)
    end
  end
end)

preflight "The database is as it is supposed to be" (function()
  if server.why then return problem("%s", server.why) end
  local object = k:get(workload)
  if object.spec.replicas ~= 1 then problem("%s has %s replicas and not 1", workload, tostring(object.spec.replicas)) end
  if object.kind == "Deployment" and (object.spec.strategy or {}).type ~= "Recreate" then
    problem("%s has the strategy %s: two servers could run on one data directory while it is replaced; it has to be Recreate", workload,
      tostring((object.spec.strategy or {}).type))
  end
  local mounted
  for _, mount in ipairs(container_of(object).volumeMounts or {}) do mounted = mounted or mount.mountPath == data and not mount.subPath end
  if not mounted then problem("no volume is mounted at %s (--data)", data) end
  if not user or user == "" then problem("the pod has no $POSTGRES_USER (--user)") end
  if server.pgdata ~= directory(server.major) then
    problem("$PGDATA is %s and not %s: a directory for each major version is assumed", server.pgdata, directory(server.major))
  end
  if not new_major then return problem("what major version %s is cannot be told from its tag (--major)", image) end
  if new_major <= server.major then problem("%s is not newer than version %d, which runs", image, server.major) end
  local good, why = answers(server.major)
  if not good then problem("%s", why) end
end)

preflight "The manifest is what runs" (function()
  if server.why then return end
  local text = file.read(manifest)
  local ok, found = pcall(yaml.get, text, image_path(), document())
  if not ok then return problem("%s: %s", manifest, tostring(found)) end
  hide_passwords(text)
  if found ~= server.image then problem("%s has the image %s, %s runs", manifest, tostring(found), server.image) end
  local pgdata = yaml.get(text, pgdata_path(), document())
  if pgdata ~= server.pgdata then problem("%s has PGDATA %s, the pod has %s", manifest, tostring(pgdata), server.pgdata) end
  local tried, edited = pcall(upgraded, text)
  if not tried then problem("%s cannot be edited: %s", manifest, tostring(edited)) end
  local differs = drift_anyway and "" or k:diff(manifest)
  if differs ~= "" then
    problem("the cluster is not as %s says: apply it first, or bring it up to date (--drift-anyway):\n%s", manifest, differs)
  end
end)

local ROOM = [[df -Pk "$1" | awk 'NR == 2 { print $4 * 1024 }']]

preflight "There is room, and nothing is in the way" (function()
  if server.why or not new_major then return end
  local size = db:value "select pg_database_size(current_database())"
  local free = math.tointeger(tonumber(k:read(workload, { "sh", "-c", ROOM, "df", data }, with {}).out)) or 0
  -- The dump is compressed, the new database is about as large as the old one.
  if free < 2 * size + (64 << 20) then
    problem("%s has %d MiB free: %d MiB are needed for the dump and the new database", data, free >> 20, (2 * size >> 20) + 64)
  end
  for _, path in ipairs(present(DUMP, directory(new_major))) do problem("%s is there, of an earlier try: remove it first", path) end
  for _, tool in ipairs { "pg_dump", "pg_restore", "psql", "sha512sum" } do
    if k:read(workload, { "sh", "-c", 'command -v "$1" >/dev/null', "look", tool }, with { ok = { 0, 1, 127 } }).exit ~= 0 then
      problem("there is no %s in the pod", tool)
    end
  end
end)

preflight "The dump carries everything" {
  when = { not others_anyway, "--others-anyway" },
  run = function()
    if server.why then return end
    for _, row in ipairs(db:rows([[select datname as name from pg_database where not datistemplate and datname not in ('postgres', $1)
      order by 1]], database)) do
      problem("the server has the database %s, too, which is not dumped (--others-anyway)", row.name)
    end
    for _, row in ipairs(db:rows("select rolname as name from pg_roles where oid >= 16384 and rolname <> $1 order by 1", user)) do
      problem("the server has the role %s, which a dump of one database does not carry (--others-anyway)", row.name)
    end
    for _, row in ipairs(db:rows [[select coalesce(r.rolname, d.datname) as name from pg_db_role_setting s
      left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase]]) do
      problem("settings are bound to %s by ALTER ROLE or ALTER DATABASE, which the dump does not carry (--others-anyway)", row.name)
    end
  end,
}

-- Prepare ------------------------------------------------------------------------------------------------------------------------

manual "There is a recent backup" {
  id = "backup",
  when = { backup_check == nil, "--backup-check looks" },
  text = "Check that a recent backup of the database has been made, and that it can be restored.",
}

step "There is a recent backup" {
  id = "backup-check",
  when = { backup_check ~= nil, "by hand" },
  run = function() sh.read(backup_check) end,
}

local CONNECTED = [[select coalesce(nullif(application_name, ''), usename, '?') as name, count(*)::int as count from pg_stat_activity
  where backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database() group by 1 order by 1]]

-- Nobody but us is connected. The health checks of the pod itself come and go.
local function nobody_connected()
  local who = {}
  for _, row in ipairs(db:rows(CONNECTED)) do who[#who + 1] = ("%s (%d)"):format(row.name, row.count) end
  return #who == 0, "connected: " .. table.concat(who, ", ")
end

local function scale_all(replicas)
  for _, name in ipairs(clients) do k:scale(name, replicas[name]) end
end

local function to_zero()
  local all = {}
  for _, name in ipairs(clients) do all[name] = 0 end
  scale_all(all)
  for _, name in ipairs(clients) do k:wait_gone("pods of " .. name, { timeout = stop_limit }) end
end

local stop = step "Stop the workloads that connect" {
  id = "stop-clients",
  opens = stopped,
  keep = function()
    local was = {}
    for _, name in ipairs(clients) do was[name] = k:get(name).spec.replicas end
    return { was = was }
  end,
  run = to_zero,
  verify = { "nobody is connected", nobody_connected },
  verify_within = "30s",
  undo = { "start them as they were", function(kept)
    scale_all(kept.was)
    for _, name in ipairs(clients) do k:wait_rollout(name, { timeout = start_limit }) end
  end },
}

local function take_stock() return postgres.inventory(db, { databases = { database }, timeout = restore_limit }) end

local stock = step "Take stock" {
  id = "inventory",
  run = function() return take_stock() end,
  note = function(_, result)
    local tables, rows = 0, 0
    for _, one in ipairs(result.databases) do
      for _, each in ipairs(one.content and one.content.tables or {}) do tables, rows = tables + 1, rows + (each.rows or 0) end
    end
    return ("%d tables, %d rows"):format(tables, rows)
  end,
  undo = { "nothing: it only read", function() end },
}

-- The dump -----------------------------------------------------------------------------------------------------------------------

-- $1: the dump, $2: under which name it is made; then pg_dump with its words.
local DUMPING = [[to=$1 part=$2; shift 2
"$@" -f "$part" && [ -s "$part" ] && pg_restore -f /dev/null "$part" && { sync "$part" 2>/dev/null || sync; } &&
  sha512sum <"$part" && wc -c <"$part" && mv -f "$part" "$to" ||
  { s=$?; rm -f "$part"; [ "$s" != 0 ] || s=1; exit "$s"; }]]

local function digest()
  local result = k:read(workload, { "sh", "-c", '[ ! -e "$1" ] || sha512sum <"$1"', "look", DUMP }, with { what = "sha512sum " .. DUMP })
  return result.out:match "^%x+"
end

local dump = step "Dump the database inside the pod" {
  id = "dump",
  run = function()
    local made = k:exec(workload, { "sh", "-c", DUMPING, "dump", DUMP, DUMP .. ".part", "pg_dump", "-w", "-U", user, "-d", database, "-c",
      "--if-exists", "-F", "c" }, with {
      record = record "dump", timeout = dump_limit, what = ("pg_dump -U %s -d %s -c --if-exists -F c > %s"):format(user, database, DUMP),
      progress = function()
        local size = k:read(workload, { "sh", "-c", 'wc -c <"$1" 2>/dev/null || echo 0', "look", DUMP .. ".part" }, with {}).out:match "%d+"
        return ("%d MiB so far"):format((tonumber(size) or 0) // (1 << 20))
      end,
    })
    return { sha512 = made.out:match "^%x+", bytes = made.out:match "(%d+)%s*$" }
  end,
  verify = { "it is there, and whole", function(_, result)
    if digest() ~= result.sha512 then return false, "its SHA-512 is another one" end
    return tonumber(result.bytes) > 0 and k:read(workload, { "pg_restore", "-l", DUMP }, with { limit = "256M" }).exit == 0
  end },
  note = function(_, result) return ("%s bytes, SHA-512 %s…"):format(result.bytes, result.sha512:sub(1, 16)) end,
  undo = { "remove the dump", function()
    for _, name in ipairs(RECORDS) do k:forget(workload, record(name), in_pod) end
    k:exec(workload, { "rm", "-f", "--", DUMP, DUMP .. ".part" }, with { resolve = function() return false end })
  end },
}

-- The new server -------------------------------------------------------------------------------------------------------------------

-- Removes the directory of one major version and nothing else: below the volume, a number, of that version, not what the server that
-- runs has
-- its data in, and no other server's either. Under another name first: what is half removed is no data directory any more.
-- $1: the directory, $2: the volume, $3: the version, $4: user, $5: database.
local REMOVING = [[d=$1
case $2 in /?*) ;; *) echo "'$2' is no place of a volume" >&2; exit 1 ;; esac
case $d in "$2"/*) n=${d#"$2"/} ;; *) echo "$d is not below $2" >&2; exit 1 ;; esac
case $n in ''|*[!0-9]*) echo "$d is not the directory of one major version" >&2; exit 1 ;; esac
[ "$n" = "$3" ] || { echo "$d is not the directory of version $3" >&2; exit 1; }
if [ -e "$d" ]; then
  [ -d "$d" ] && [ ! -L "$d" ] || { echo "$d is no directory" >&2; exit 1; }
  v=$(cat "$d/PG_VERSION") || exit 1
  [ "$v" = "$3" ] || { echo "$d holds version $v, not $3" >&2; exit 1; }
  now=$(psql -XAtqw -U "$4" -d "$5" -c "show data_directory") && [ -d "$now" ] || {
    echo "where the server has its data cannot be told" >&2
    exit 1
  }
  [ ! "$d" -ef "$now" ] || { echo "$d is where the server has its data" >&2; exit 1; }
  [ ! -e "$d/postmaster.pid" ] || { echo "$d/postmaster.pid says that a server uses it" >&2; exit 1; }
  mv -- "$d" "$d.removed" || [ ! -e "$d" ] || exit 1
fi
rm -rf -- "$d.removed"]]

local function remove_directory(of)
  local path = directory(of)
  if not path:find "^/.+/%d+$" or path ~= ("%s/%d"):format(data, of) then fail("%s is not to be removed", path) end
  return k:exec(workload, { "sh", "-c", REMOVING, "remove", path, data, tostring(of), user, database }, with {
    what = "rm -r " .. path, timeout = "30m",
    -- The same checks are made when it is asked for again.
    resolve = function() return false end,
  })
end

step "Change the manifest: image, PGDATA, no health checks" {
  id = "manifest",
  keep = function()
    local text = file.read(manifest)
    hide_passwords(text)
    return { sha256 = hash.sha256(text) }
  end,
  run = function()
    hide_passwords(file.read(manifest))
    file.edit(manifest, upgraded)
  end,
  verify = { "it has the new image, and no health checks", function()
    local text = file.read(manifest)
    for _, check in ipairs(CHECKS) do
      if yaml.get(text, in_manifest(check), document()) ~= nil then return false, check .. " is there" end
    end
    return yaml.get(text, image_path(), document()) == image and yaml.get(text, pgdata_path(), document()) == directory(new_major)
  end },
  undo = { ("roll back: the manifest as it was, the old server on its old data; the new data directory is removed"), function(kept)
    hide_passwords(file.read(manifest))
    file.edit(manifest, function(text)
      if hash.sha256(text) == kept.sha256 then return nil end
      return as_it_was(text, kept.sha256)
    end)
    k:apply(manifest)
    await_server(server.major)
    k:wait_rollout(workload, { timeout = start_limit })
    remove_directory(new_major)
  end },
  doc = "The health checks stay in the file as comments, and come back byte for byte. They would fail until the data are restored.",
}

local EMPTY = [[select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema']]

step "Start the new server" {
  id = "start-new",
  run = function()
    k:apply(manifest)
    await_server(new_major)
  end,
  verify = { "the new version runs on its own directory, and the database is empty", function()
    local good, why = answers(new_major)
    if not good then return false, why end
    return db:value(EMPTY) == 0, "the database is not empty"
  end },
  undo = { "nothing: it is rolled back where the manifest was changed", function() end },
}

-- The data -------------------------------------------------------------------------------------------------------------------------

-- $1: the dump, $2: its SHA-512, $3: what counts what is there; then psql's words for the connection. psql tells the SQLSTATE of errors.
local RESTORING = [[dump=$1 digest=$2 count=$3; shift 3
now=$(sha512sum <"$dump") || exit 1
[ "${now%% *}" = "$digest" ] || { echo "$dump has the SHA-512 ${now%% *}, not $digest" >&2; exit 9; }
n=$(psql "$@" -Atq -c "$count") || exit 1
[ "$n" = 0 ] || { echo "the database is not empty: undo, and begin again" >&2; exit 9; }
{ pg_restore -f - "$dump"; echo $? >"$dump.status"; } | psql "$@" -q -v VERBOSITY=verbose -v SHOW_CONTEXT=never -o /dev/null -f -
s=$?; r=$(cat "$dump.status"); rm -f "$dump.status"
[ "$r" = 0 ] || { echo "pg_restore exited with $r" >&2; exit 9; }
exit "$s"]]

local function is_allowed(sqlstate, message)
  for _, entry in ipairs(allowed) do
    local state, text = entry:match "^(%w+)=?(.*)$"
    if state == sqlstate and message:find(text, 1, true) then return true end
  end
  return false
end

-- Errors that matter, and how many do not.
local function errors_of(said)
  local real, fine = {}, 0
  for line in said:gmatch "[^\n]+" do
    local sqlstate, message = line:match "ERROR:  (%w%w%w%w%w): (.*)"
    if sqlstate and is_allowed(sqlstate, message) then
      fine = fine + 1
    elseif sqlstate or line:find "FATAL:  " or line:find "PANIC:  " or line:find "^pg_restore: error" or line:find "^psql: error" then
      real[#real + 1] = sqlstate and ("%s: %s"):format(sqlstate, message) or line
    end
  end
  return real, fine
end

step "Restore the dump" {
  id = "restore",
  timeout = restore_limit,
  run = function()
    local result = k:exec(workload, joined({ "sh", "-c", RESTORING, "restore", DUMP, dump.result.sha512, EMPTY }, CONNECTION), with {
      record = record "restore", timeout = restore_limit, what = ("pg_restore %s -U %s -d %s"):format(DUMP, user, database),
      progress = function() return ("%d MiB in the new database"):format(db:value "select pg_database_size(current_database())" >> 20) end,
    })
    local said = tostring(result.err) -- of a plan: known after the run
    local real, fine = errors_of(said)
    if #said >= 65536 then table.insert(real, 1, "so many that not all are kept") end
    if #real > 0 then fail("the restore had errors:\n%s", table.concat(real, "\n", 1, math.min(#real, 10))) end
    return { allowed = fine }
  end,
  note = function(_, result) return result.allowed > 0 and ("%d errors that do not matter"):format(result.allowed) or "no errors" end,
  undo = { "nothing: the new data directory is removed where the manifest was changed", function() end },
}

local BUILDING = [[select coalesce(p.index_relid::regclass::text, p.relid::regclass::text) as name, p.phase,
  case when p.blocks_total > 0 then 100 * p.blocks_done / p.blocks_total end as percent from pg_stat_progress_create_index p limit 1]]

step "Refresh the collation version, and build all indexes anew" {
  id = "collation",
  timeout = restore_limit,
  run = function()
    local name = postgres.identifier(database)
    if new_major >= 15 then
      k:exec(workload, joined({ "psql" }, CONNECTION, { "-c", ("alter database %s refresh collation version"):format(name) }), with {
        resolve = function() return false end })
    end
    k:exec(workload, joined({ "psql" }, CONNECTION, { "-v", "ON_ERROR_STOP=1", "-c", ("reindex database %s"):format(name), "-c",
      "analyze" }), with {
      record = record "reindex", timeout = restore_limit,
      progress = function()
        local row = db:row(BUILDING)
        if not row then return "between two indexes" end
        return ("%s: %s%s"):format(row.name, row.phase, row.percent and (", %d %%"):format(row.percent) or "")
      end,
    })
  end,
  verify = { "no index is invalid", function() return db:value "select count(*) from pg_index where not indisvalid" == 0 end },
  undo = { "nothing: it is in the new data directory", function() end },
}

-- Check ----------------------------------------------------------------------------------------------------------------------------

step "Compare with what there was" {
  id = "compare",
  run = take_stock,
  verify = { "the new database is what the old one was", function(_, now)
    local difference = postgres.compare(stock.result, now)
    return difference.same, difference.text
  end },
  verify_within = "1s",
  undo = { "nothing: it only read", function() end },
}

step "Start the workloads" {
  id = "start-clients",
  closes = stopped,
  run = function()
    scale_all(stop.kept.was)
    for _, name in ipairs(clients) do k:wait_rollout(name, { timeout = start_limit }) end
  end,
  undo = { "stop them: what they wrote since is in the new database only, and is lost by rolling back", to_zero },
}

manual "Check everything" {
  id = "check",
  text = ("Look around in the database of %s, by psql in its pod: are the tables there that you expect? Does everything that uses it still "
    .. "work? If not: stop here, and roll back with pgsh undo; what was written since the workloads were started is then lost.")
    :format(workload),
}

-- Clean up -------------------------------------------------------------------------------------------------------------------------

step "Bring the health checks back" {
  id = "health-checks",
  run = function()
    hide_passwords(file.read(manifest))
    file.edit(manifest, function(text) return yaml.uncomment(text, nil, document()) end)
    k:apply(manifest)
    k:wait_rollout(workload, { timeout = start_limit })
  end,
  verify = { "the health checks succeed", function()
    local pod, why = k:pod(workload, { ready = true })
    if not pod then return false, why end
    return answers(new_major)
  end },
  verify_within = "2m",
  undo = { "nothing: the manifest is put back where it was changed", function() end },
  doc = "The server is restarted once more by this.",
}

step "Remove the dump and the old data" {
  id = "clean-up",
  confirm = function()
    return directory(server.major), "there is no way back behind this. Does everything work, backups of the new version included?"
  end,
  run = function()
    for _, name in ipairs(RECORDS) do k:forget(workload, record(name), in_pod) end
    k:exec(workload, { "rm", "-f", "--", DUMP }, with { resolve = function() return false end })
    remove_directory(server.major)
  end,
  verify = { "they are gone", function()
    local left = present(DUMP, directory(server.major))
    return #left == 0, "there is " .. table.concat(left, ", ")
  end },
  undo = { "only while the old data are there", function()
    if #present(directory(server.major)) == 0 then
      fail("%s is gone: there is no way back to version %d", directory(server.major), server.major)
    end
  end },
}
