-- What the specs of kubernetes-dump-restore have in common: how it is called, and what must hold afterwards.
--
--   local upgrade = require("tests.spec.support.dump_restore").new()   starts the lab; .lab, .box; upgrade:stop()
--   upgrade:reset()                                                    the first day, no runs
--   upgrade:go({ "--start-timeout", "5s" }, { env = … })               pgsh procedures/kubernetes-dump-restore.lua, all answers given
--   upgrade:again("resume", …)                                         pgsh resume last
--   upgrade:is_whole(result)                                           exit 0, the new version, everything there, the old gone
--   upgrade:is_back(result)                                            as before the first change
local assert = require "luassert"
local http = require "socket.http"
local json = require "cjson"
local ltn12 = require "ltn12"
local run = require "tests.spec.support.run"
local socket = require "socket"

local support = {}
local Upgrade = {}
Upgrade.__index = Upgrade

local FILE = "procedures/kubernetes-dump-restore.lua"
local LIMIT_S, START_LIMIT_S = 200, 90

-- The lab: a process that ends when its standard input does.
local function start_lab()
  local place = os.tmpname()
  local lab = { place = place }
  lab.input = assert(io.popen(("exec lua5.4 tests/lab/kube/lab.lua --world restore >%s.out 2>%s.err"):format(place, place), "w"))
  local deadline = socket.gettime() + START_LIMIT_S
  repeat
    socket.sleep(0.05)
    local line = run.read_file(place .. ".out"):match "^([^\n]*)\n"
    if line then
      for name, value in pairs(json.decode(line)) do lab[name] = value end
      return lab
    end
  until socket.gettime() > deadline
  error("the lab did not start: " .. run.read_file(place .. ".err"))
end

function support.new()
  local self = setmetatable({ lab = start_lab() }, Upgrade)
  self.box = run.box(self.lab.env)
  self.old, self.new = self.lab.majors.old.major, self.lab.majors.new.major
  self.manifest = self.lab.work .. "/selfhosted/database.yaml"
  return self
end

function Upgrade:stop()
  self.box:remove()
  self.lab.input:close()
  for _, suffix in ipairs { "", ".out", ".err" } do os.remove(self.lab.place .. suffix) end
end

function Upgrade:call(method, path, body)
  local text, parts = body and json.encode(body), {}
  local ok, status = http.request {
    url = self.lab.control .. "/_lab" .. path, method = method, sink = ltn12.sink.table(parts),
    source = text and ltn12.source.string(text) or nil,
    headers = { ["Content-Type"] = text and "application/json" or nil, ["Content-Length"] = text and #text or 0 },
  }
  local reply = table.concat(parts)
  if not ok or status ~= 200 then error(("lab: %s %s: %s %s"):format(method, path, tostring(status), reply)) end
  return json.decode(reply)
end

function Upgrade:faults(...) return self:call("POST", "/faults", { ... }) end

function Upgrade:kubectl(words)
  local place = os.tmpname()
  os.execute(("KUBECONFIG=%s PATH=%s kubectl -n selfhosted %s >%s 2>&1"):format(run.quote(self.lab.env.KUBECONFIG),
    run.quote(self.lab.env.PATH), words, place))
  local text = run.read_file(place)
  os.remove(place)
  return text
end

function Upgrade:pod(script)
  return self:kubectl(("exec deploy/miniflux-db -- sh -c %s"):format(run.quote(script)))
end

function Upgrade:sql(text)
  return (self:pod(("psql -XAtqU miniflux -c %s"):format(run.quote(text))):gsub("%s+$", ""))
end

function Upgrade:reset()
  self:call("DELETE", "/faults")
  self:call("POST", "/reset", { world = "restore" })
  os.execute(("rm -rf %s/state/pgsh"):format(self.box.dir))
  self.before = run.read_file(self.manifest)
  -- Beside what the procedure checks by itself: something that nobody counts.
  self:sql "create table kept (n int); insert into kept select generate_series(1, 77)"
end

local function joined(...)
  local out = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

function Upgrade:answers()
  return { "-y", "--confirm", "backup", "--confirm", "check", "--confirm", ("/data/%d"):format(self.old), "--no-input", "--on-failure", "stop" }
end

function Upgrade:words(more)
  return joined({ FILE, "--context", "lab", "--namespace", "selfhosted", "--workload", "miniflux-db", "--manifest", self.manifest, "--image",
    ("postgres:%d"):format(self.new), "--clients", "miniflux", "--settle", "1s" }, self:answers(), more or {})
end

function Upgrade:go(more, options)
  options = options or {}
  options.limit = options.limit or LIMIT_S
  return self.box:pgsh(self:words(more), options)
end

function Upgrade:again(command, more, options)
  options = options or {}
  options.limit = options.limit or LIMIT_S
  return self.box:pgsh(joined({ command, "last" }, self:answers(), more or {}), options)
end

function Upgrade:replicas(name) return self:call("GET", "/state").deployments["selfhosted/" .. name].replicas end

function Upgrade:ready(where)
  for _ = 1, 200 do
    local one = self:call("GET", "/state").deployments["selfhosted/miniflux-db"]
    if one.ready == 1 then return end
    socket.sleep(0.05)
  end
  error(where .. ": the database is not ready")
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
  self:ready(where)
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
  self:ready(where)
  assert.equal(tostring(self.old), self:sql("show server_version"):match "^%d+", where)
  assert.equal(tostring(self.old), self:data(), where)
  assert.equal(self.before, run.read_file(self.manifest), where)
  assert.equal(1, self:replicas "miniflux", where)
  self:holds(where)
end

return support
