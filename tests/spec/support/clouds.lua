-- The simulators of Cloudflare and Linode by themselves, for specs.
--
--   local lab = require("tests.spec.support.clouds").start()      lab.env; lab:stop()
--   lab:reset { linode_clone_ms = 0 }                             options as tests/lab/kube/clouds.lua lists them
--   lab:faults { { service = "linode", path = "/clone", action = "reset_after" } }
--   lab:volume { label = "pvc1a2b" }                              .id, .dir
local json = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

local clouds = {}
local Clouds = {}
Clouds.__index = Clouds

local START_LIMIT_S = 30

local function read_file(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

function clouds.start()
  local place = os.tmpname()
  -- The lab ends when its standard input does: with this process, whatever becomes of it.
  local command = ("exec lua5.4 tests/lab/kube/cloud_lab.lua >%s.out 2>%s.err"):format(place, place)
  local self = setmetatable({ input = assert(io.popen(command, "w")), place = place }, Clouds)
  local deadline = socket.gettime() + START_LIMIT_S
  repeat
    socket.sleep(0.02)
    local line = read_file(place .. ".out"):match "^([^\n]*)\n"
    if line then
      for name, value in pairs(json.decode(line)) do self[name] = value end
      return self
    end
  until socket.gettime() > deadline
  error("the lab did not start: " .. read_file(place .. ".err"))
end

function Clouds:stop()
  self.input:close()
  for _, suffix in ipairs { "", ".out", ".err" } do os.remove(self.place .. suffix) end
end

function Clouds:call(method, path, body)
  local text = body and json.encode(body)
  local parts = {}
  local ok, status = http.request {
    url = self.control .. "/_lab" .. path, method = method, sink = ltn12.sink.table(parts),
    source = text and ltn12.source.string(text) or nil,
    headers = { ["Content-Type"] = text and "application/json" or nil, ["Content-Length"] = text and #text or 0 },
  }
  local reply = table.concat(parts)
  if not ok or status ~= 200 then error(("lab: %s %s: %s %s"):format(method, path, tostring(status), reply)) end
  return json.decode(reply)
end

function Clouds:reset(options) return self:call("POST", "/reset", next(options or {}) and options or nil) end
function Clouds:faults(list) return self:call("POST", "/faults", list) end
function Clouds:volume(given) return self:call("POST", "/volume", given) end
function Clouds:state() return self:call("GET", "/state") end

-- The requests that reached a service and were processed: "POST /v4/volumes/1/clone".
function Clouds:requests(service, method)
  local out = {}
  for _, entry in ipairs(self:call("GET", "/log")) do
    if entry.service == service and entry.processed and (not method or entry.method == method) then
      out[#out + 1] = entry.method .. " " .. entry.path
    end
  end
  return out
end

return clouds
