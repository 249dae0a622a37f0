-- The lab of AWS for specs: one process for a spec file, put back to its first day before each test.
--
--   local lab = require("tests.spec.support.aws").start()
--   lab:reset { page_size = 1 }      options as tests/lab/aws/lab.lua lists them
--   lab:faults { { path = "SuspendProcesses", action = "reset_after" } }
--   lab:changes()                    "SuspendProcesses production-2-workers-org Terminate", …
--   lab:stop()
local labs = require "tests.spec.support.lab"

local aws = {}
local Lab = labs.derive()

function aws.start()
  return labs.launch("tests/lab/aws/lab.lua", Lab)
end

function Lab:reset(options)
  self:call("POST", "/reset")
  if options then self:options(options) end
end

local function form(text)
  local out = {}
  for name, value in tostring(text):gmatch "([^&=]+)=([^&]*)" do
    out[name] = value:gsub("%%(%x%x)", function(two) return string.char(tonumber(two, 16)) end)
  end
  return out
end

-- The changes that reached the service, in order; those that were refused or lost before too, with all = true.
function Lab:changes(all)
  local out = {}
  for _, entry in ipairs(self:log { effect = 1 }) do
    if all or entry.processed then
      local given, names = form(entry.body), {}
      for name, value in pairs(given) do
        if name:find "^ScalingProcesses" then names[#names + 1] = value end
      end
      table.sort(names)
      out[#out + 1] = ("%s %s %s"):format(given.Action, given.AutoScalingGroupName, table.concat(names, ","))
    end
  end
  return out
end

-- Which processes of a group are suspended: "Launch,Terminate".
function Lab:suspended(group)
  return table.concat(self:state().groups[group].suspended, ",")
end

function Lab:group(name, action)
  return self:call("POST", "/group", { name = name, action = action })
end

function Lab:expire(key, expired)
  return self:call("POST", "/credential", { key = key, expired = expired ~= false })
end

return aws
