-- What the specs of kubernetes-dump-restore have in common: how it is called, and what must hold afterwards.
--
--   local upgrade = require("tests.spec.support.dump_restore").new()   starts the lab; .lab, .box; upgrade:stop()
--   upgrade:reset()                                                    the first day, no runs
--   upgrade:go({ "--start-timeout", "5s" }, { env = … })               pgsh procedures/kubernetes-dump-restore.lua, all answers given
--   upgrade:again("resume", …)                                         pgsh resume last
--   upgrade:is_whole(result)                                           exit 0, the new version, everything there, the old gone
--   upgrade:is_back(result)                                            as before the first change
local assert = require "luassert"
local kube = require "tests.spec.support.kube"
local procedure = require "tests.spec.support.procedure"
local run = require "tests.spec.support.run"

local support = {}
local Upgrade = procedure.derive { limit_s = 200 }

local FILE = "procedures/kubernetes-dump-restore.lua"

function support.new()
  local self = setmetatable({ lab = kube.start { world = "restore" } }, Upgrade)
  self.box = run.box(self.lab.env)
  self.old, self.new = math.tointeger(self.lab.majors.old.major), math.tointeger(self.lab.majors.new.major)
  self.manifest = self.lab.work .. "/selfhosted/database.yaml"
  return self
end

function Upgrade:stop()
  self.box:remove()
  self.lab:stop()
end

function Upgrade:faults(...) self.lab:faults { ... } end

function Upgrade:kubectl(words)
  local _, text = self.lab:kubectl("-n selfhosted " .. words)
  return text
end

function Upgrade:pod(script)
  return self:kubectl(("exec deploy/miniflux-db -- sh -c %s"):format(run.quote(script)))
end

function Upgrade:sql(text)
  return (self.lab:sql("miniflux-db", text, { namespace = "selfhosted", dbname = "miniflux" }):gsub("%s+$", ""))
end

function Upgrade:reset()
  self.lab:faults(false)
  self.lab:reset { world = "restore" }
  self:forget()
  self.before = run.read_file(self.manifest)
  -- Beside what the procedure checks by itself: something that nobody counts.
  self:sql "create table kept (n int); insert into kept select generate_series(1, 77)"
end

function Upgrade:answers()
  return {
    "-y", "--confirm", "backup", "--confirm", "check", "--confirm", ("/data/%d"):format(self.old), "--no-input", "--on-failure", "stop" }
end

-- What is given takes the place of what is usual.
function Upgrade:words(more)
  local usual = {
    "--context", "lab", "--namespace", "selfhosted", "--workload", "miniflux-db", "--manifest", self.manifest, "--image",
    ("postgres:%d"):format(self.new), "--clients", "miniflux", "--settle", "1s" }
  local given, words = {}, { FILE }
  for _, word in ipairs(more or {}) do given[word] = true end
  for i = 1, #usual, 2 do
    if not given[usual[i]] then table.move(usual, i, i + 1, #words + 1, words) end
  end
  return procedure.joined(words, self:answers(), more or {})
end

function Upgrade:plan(more) return self.box:pgsh(procedure.joined({ "plan" }, self:words(more)), { limit = self.limit_s }) end

function Upgrade:replicas(name) return self.lab:state().deployments["selfhosted/" .. name].replicas end

function Upgrade:ready()
  self.lab:wait_until(function() return self.lab:state().deployments["selfhosted/miniflux-db"].ready == 1 end, 20)
end

-- What is below /data, dotfiles and leftovers too.
function Upgrade:data()
  local out = {}
  for name in self:pod("ls -A /data"):gmatch "%S+" do out[#out + 1] = name end
  return table.concat(out, " ")
end

-- The manifest with another image and PGDATA, and nothing else different.
function Upgrade:upgraded_manifest()
  return (self.before:gsub(("postgres:%d"):format(self.old), ("postgres:%d"):format(self.new))
    :gsub(("value: /data/%d"):format(self.old), ("value: /data/%d"):format(self.new)))
end

function Upgrade:holds(where)
  assert.equal("77", self:sql "select count(*) from kept", where)
  assert.equal("300", self:sql "select count(*) from feeds", where)
  assert.equal("4000", self:sql "select count(*) from entries", where)
  assert.equal("theme=>dark", self:sql("select extra from users where username = 'admin'"):gsub('"', ""), where)
end

function Upgrade:is_whole(result, where)
  where = where or "the run"
  assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  self:ready()
  assert.equal(tostring(self.new), self:sql("show server_version"):match "^%d+", where)
  assert.equal(tostring(self.new), self:data(), where)
  assert.equal(self:upgraded_manifest(), run.read_file(self.manifest), where)
  assert.equal(1, self:replicas "miniflux", where)
  assert.equal("0", self:sql "select count(*) from pg_index where not indisvalid", where)
  self:holds(where)
end

function Upgrade:is_back(result, where)
  where = where or "the way back"
  assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  self:ready()
  assert.equal(tostring(self.old), self:sql("show server_version"):match "^%d+", where)
  assert.equal(tostring(self.old), self:data(), where)
  assert.equal(self.before, run.read_file(self.manifest), where)
  assert.equal(1, self:replicas "miniflux", where)
  self:holds(where)
end

return support
