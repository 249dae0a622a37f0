-- What the specs of kubernetes-major-upgrade have in common: the lab's cluster with the simulators of Cloudflare and Linode, how the
-- procedure is called, and what must hold afterwards.
--
--   local upgrade = require("tests.spec.support.upgrade").new()       starts everything; .lab, .clouds, .box; upgrade:stop()
--   upgrade:reset { lab = {…}, clouds = {…} }                         the first day, no runs
--   upgrade:go({ "--readers", "x" }, { env = … })                     pgsh procedures/kubernetes-major-upgrade.lua, all answers given
--   upgrade:again("resume", …)                                        pgsh resume last
--   upgrade:is_whole(result)                                          exit 0, and all that must hold at the end
--   upgrade:is_back(result)                                           everything is what it was: the old version with the old data
local assert = require "luassert"
local clouds = require "tests.spec.support.clouds"
local json = require "cjson"
local kube = require "tests.spec.support.kube"
local procedure = require "tests.spec.support.procedure"
local run = require "tests.spec.support.run"
local socket = require "socket"

local upgrade = {}
local Upgrade = procedure.derive { limit_s = 150 }

local FILE = "procedures/kubernetes-major-upgrade.lua"
local SERVICES = { "site", "metricity", "metabase", "bitwarden" }
local ROUTE = "pythondiscord.com/*"

-- The procedure --------------------------------------------------------------------------------------------------------------

function upgrade.new()
  local self = setmetatable({ lab = kube.start { world = "upgrade" } }, Upgrade)
  self.clouds = clouds.start(self.lab.dir)
  local env = {}
  for _, list in ipairs { self.lab.env, self.clouds.env } do
    for name, value in pairs(list) do env[name] = value end
  end
  self.box = run.box(env)
  self.image = ("postgres:%d"):format(self.lab.majors.new.major)
  self.old_image = ("postgres:%d"):format(self.lab.majors.old.major)
  return self
end

function Upgrade:stop()
  self.box:remove()
  self.clouds:stop()
  self.lab:stop()
end

local TABLES = {
  site = { "users", "infractions", "access_log" }, metricity = { "messages", "authors" }, bitwarden = { "ciphers" },
  metabase = { "report_card" },
}

-- What psql prints in the database's pod.
function Upgrade:sql(text, dbname)
  return (self.lab:sql("postgres", text, { dbname = dbname }):gsub("%s+$", ""))
end

-- The data, in a few words: a digest of every table that nobody writes to, and the roles.
function Upgrade:data()
  local out = {}
  for database, tables in pairs(TABLES) do
    local words = {}
    for i, name in ipairs(tables) do
      words[i] = ("select '%s ' || count(*) || ' ' || md5(string_agg(t::text, ',' order by t::text)) from %s t"):format(name, name)
    end
    out[database] = self:sql(table.concat(words, " union all "), database)
  end
  out.roles = self:sql "select string_agg(rolname || rolcanlogin, ',' order by rolname) from pg_roles where rolname !~ '^pg_'"
  return out
end

function Upgrade:reset(options)
  options = options or {}
  self.lab:reset(options.lab)
  self.clouds:reset(options.clouds)
  self:forget()
  os.execute(("rm -rf %s/dump && mkdir -p %s/dump"):format(self.box.dir, self.box.dir))
  local state = self.lab:state()
  self.before = state
  self.pv = state.claims["default/postgres-data"].volume
  self.handle = state.volumes[self.pv].handle
  self.volume = tonumber(self.handle:match "^%d+")
  self.manifest = self:manifest_text()
  self.data_before = self:data()
end

function Upgrade:manifest_text() return run.read_file(self.lab.work .. "/postgresql/deployment.yaml") end
function Upgrade:dump() return self.box.dir .. "/dump/backup.sql.gz" end

function Upgrade:answers()
  return { "-y", "--confirm", ("pvc/postgres-data pv/%s"):format(self.pv), "--no-input", "--on-failure", "stop" }
end

function Upgrade:parameters()
  return {
    "--manifest", self.lab.work .. "/postgresql/deployment.yaml", "--volume-manifest", self.lab.work .. "/postgresql/volume.yaml",
    "--scale-down", table.concat(SERVICES, ","), "--image", self.image, "--zone", "pythondiscord.com", "--readers", "grafana",
    "--dump", self:dump(), "--log-time", "1s", "--settle", "2s", "--pod-timeout", "60s",
  }
end

-- options.without: a flag that is left out, with its value.
function Upgrade:words(more, options)
  local words = procedure.joined({ FILE }, self:parameters())
  local without = options and options.without
  for i = #words, 1, -1 do
    if words[i] == without then
      table.remove(words, i)
      table.remove(words, i)
    end
  end
  return procedure.joined(words, self:answers(), more or {})
end

-- What must hold ---------------------------------------------------------------------------------------------------------------

function Upgrade:services_are_up(where)
  local deadline = socket.gettime() + 20
  local state
  repeat
    state = self.lab:state()
    local up = true
    for _, name in ipairs(SERVICES) do
      local now, then_ = state.deployments["default/" .. name], self.before.deployments["default/" .. name]
      up = up and now.replicas == then_.replicas and now.ready == then_.replicas
    end
    if up then return state end
    socket.sleep(0.1)
  until socket.gettime() > deadline
  error(where .. ": the services are not what they were: " .. json.encode(state.deployments))
end

function Upgrade:route()
  for _, route in ipairs(self.clouds:state().zones["pythondiscord.com"].routes) do
    if route.pattern == ROUTE then return route end
  end
end

function Upgrade:volumes()
  local out = { clones = {} }
  for _, volume in ipairs(self.clouds:state().volumes) do
    if volume.id == self.volume then out.old = volume end
    if volume.source == self.volume then out.clones[#out.clones + 1] = volume end
    out[volume.id] = volume
  end
  return out
end

-- Everything that a dump must not leave beside it.
function Upgrade:nothing_uncompressed(where)
  local found = run.shell(("find %s/dump -type f ! -name '*.gz' ! -name '*.sha512' ! -name '*.volume.json'"):format(self.box.dir))
  assert.equal("", found, where)
end

function Upgrade:is_whole(result, where)
  where = where or "the run"
  assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  local state = self:services_are_up(where)
  assert.equal(self.image, state.deployments["default/postgres"].image, where)
  assert.equal(("%d"):format(self.lab.majors.new.major), (self:sql "show server_version"):match "^%d+", where)
  assert.same(self.data_before, self:data(), where)
  assert.is_nil(self:route(), where)
  local volumes = self:volumes()
  assert.equal(1, #volumes.clones, where .. ": clones")
  assert.equal("active", volumes.clones[1].status, where)
  local pv = state.claims["default/postgres-data"].volume
  assert.not_equal(self.pv, pv, where)
  assert.is_nil(state.volumes[self.pv], where)
  assert.equal((self.manifest:gsub("image: postgres:%d+", "image: " .. self.image)), self:manifest_text(), where)
  self:nothing_uncompressed(where)
  local path = self:dump()
  assert.equal("OK", run.shell(("cd %s/dump && sha512sum -c backup.sql.gz.sha512 | sed 's/.*: //'"):format(self.box.dir)), where)
  assert.equal("OK", run.shell(("cd %s/dump && gzip -dc %s >b.sql && sed 's/backup.sql$/b.sql/' backup.sql.sha512 | sha512sum -c "
    .. "| sed 's/.*: //'; rm -f b.sql"):format(self.box.dir, path)), where)
  assert.equal("", self:sql "select string_agg(application_name, ',') from pg_stat_activity where application_name like 'pgsh%'", where)
end

-- The old version, the old data, the services as they were; no maintenance page.
function Upgrade:is_back(where)
  local state = self:services_are_up(where)
  assert.equal(self.old_image, state.deployments["default/postgres"].image, where)
  assert.equal(self.manifest, self:manifest_text(), where)
  assert.equal(("%d"):format(self.lab.majors.old.major), (self:sql "show server_version"):match "^%d+", where)
  assert.same(self.data_before, self:data(), where)
  assert.is_nil(self:route(), where)
end

-- Nothing has been changed.
function Upgrade:is_untouched(result, exit, ...)
  self:says(result, ...)
  assert.equal(exit, result.exit, result.stderr)
  local state = self.lab:state()
  assert.same(self.before.claims, state.claims)
  assert.same(self.before.volumes, state.volumes)
  for name, before in pairs(self.before.deployments) do
    assert.equal(before.replicas, state.deployments[name].replicas, name)
    assert.equal(before.generation, state.deployments[name].generation, name)
  end
  assert.is_nil(self:route())
  assert.same({}, self:volumes().clones)
  assert.equal(self.manifest, self:manifest_text())
end

-- What becomes of the old volume at the cloud when its claim is gone.
function Upgrade:reclaims(policy)
  local status, said = self.lab:kubectl(([[patch pv %s -p '{"spec":{"persistentVolumeReclaimPolicy":"%s"}}']]):format(self.pv, policy))
  assert.equal(0, status, said)
end

-- The old volume is where it was, with its claim.
function Upgrade:volume_is_there(where)
  local state = self.lab:state()
  assert.equal(self.pv, state.claims["default/postgres-data"].volume, where)
  assert.equal(self.handle, state.volumes[self.pv].handle, where)
  assert.is_truthy(self:volumes().old, where)
end

return upgrade
