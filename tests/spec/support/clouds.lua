-- The simulators of Cloudflare and Linode by themselves, for specs.
--
--   local lab = require("tests.spec.support.clouds").start()      lab.env; lab:stop()
--   lab:reset { linode_clone_ms = 0 }                             options as tests/lab/kube/clouds.lua lists them
--   lab:faults { { service = "linode", path = "/clone", action = "reset_after" } }
--   lab:options { linode_clone_ends = "contact_support" }         the same, in the middle of things
--   lab:status(id, "active")                                      of a volume
--   lab:volume { label = "pvc1a2b" }                              .id, .dir
local labs = require "tests.spec.support.lab"

local clouds = {}
local Clouds = labs.derive()

-- of: the directory of a cluster's lab, whose volumes are served.
function clouds.start(of) return labs.launch("tests/lab/kube/cloud_lab.lua" .. (of and " --of " .. of or ""), Clouds) end

function Clouds:reset(options) return self:call("POST", "/reset", next(options or {}) and options or nil) end
function Clouds:options(options) return self:call("POST", "/options", options) end
function Clouds:status(id, status) return self:call("POST", "/status", { id = id, status = status }) end
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
