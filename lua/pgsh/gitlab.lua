-- gitlab: the database hosts of a GitLab Omnibus cluster, by gitlab-ctl over an ssh handle (host:read, host:run).
--
-- gitlab-ctl succeeds silently when the service's name is not an enabled one. So a service is looked up before it is started or
-- stopped, and what happened is believed only when runit says so in a line "ok: run: NAME" or "ok: down: NAME".
local errors = require "pgsh.errors"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local remake = require "pgsh.remake"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"

local gitlab = {}

local Node = {}
Node.__index = Node
Node.__name = "gitlab.node"

-- `repmgr cluster show` ------------------------------------------------------------------------------------------------------

-- Titles of all versions → our names.
local TITLES = {
  id = "id", role = "role", name = "name", status = "status", upstream = "upstream", location = "location", priority = "priority",
  ["prio."] = "priority", timeline = "timeline", tli = "timeline", ["connection string"] = "conninfo",
}

local function cells_of(line, count)
  local cells, at = {}, 1
  for i = 1, count - 1 do
    local bar = line:find("|", at, true)
    if not bar then return nil end
    cells[i] = plain.trim(line:sub(at, bar - 1))
    at = bar + 1
  end
  cells[count] = plain.trim(line:sub(at))
  return cells
end

-- The columns that a line names, if it is a header.
local function header_of(line)
  if not line:find("|", 1, true) then return nil end
  local columns, role = {}, false
  for title in (line .. "|"):gmatch "(.-)|" do
    local name = TITLES[plain.trim(title):lower()]
    if not name then return nil end
    columns[#columns + 1] = name
    role = role or name == "role"
  end
  return role and columns or nil
end

local function is_rule(line) return line:match "^[%s%-+|]*$" ~= nil and line:find("-", 1, true) ~= nil end

-- 3.x: the role is what a probe found, "* master", "standby", "witness", "FAILED".
local function read_old_role(row)
  local word = row.role:match "([%w]+)$" or ""
  if word:upper() == "FAILED" then
    row.role, row.up, row.status = nil, false, "FAILED"
  else
    row.up, row.status = true, row.role
    row.role = word == "master" and "primary" or word
    row.is = row.role ~= "witness" and row.role or nil
  end
end

-- 4.x, 5.x: a role that is recorded, and a status with a mark: * and blank are good, ? ! - are not.
local function read_status(row)
  local mark, text = row.status:match "^([*?!%-]?)%s*(.-)$"
  if row.role == "master" then row.role = "primary" end
  row.up = text:find "^running" ~= nil and mark ~= "?"
  if row.up then row.is = text:match "^running as (%a+)" or (row.role ~= "witness" and row.role) or nil end
  if row.is == "master" then row.is = "primary" end
  if mark ~= "" and mark ~= "*" then row.problem = row.status end
end

local function read_upstream(row)
  local mark, name = row.upstream:match "^([?!]?)%s*(.-)$"
  row.upstream = name ~= "" and name or nil
  if mark ~= "" and row.up then row.problem = row.problem or ("upstream " .. mark .. " " .. name) end
end

local function parsed(columns, cells)
  local row = {}
  for i, name in ipairs(columns) do row[name] = cells[i] end
  if row.status then read_status(row) else read_old_role(row) end
  if row.upstream then read_upstream(row) end
  row.id, row.priority, row.timeline = math.tointeger(row.id), math.tointeger(row.priority), math.tointeger(row.timeline)
  if row.conninfo == "" then row.conninfo = nil end
  row.host = row.conninfo and (row.conninfo:match "host='([^']*)'" or row.conninfo:match "host=(%S+)")
  row.port = row.conninfo and math.tointeger(tonumber((row.conninfo:match "port='?(%d+)")))
  row.name = row.name or row.host -- 3.0 has two columns only
  if not row.up then row.problem = row.problem or row.status end
  return row
end

-- The nodes that `repmgr cluster show` lists, whatever its version, by its header.
function gitlab.parse_cluster(text)
  local columns, rows = nil, {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("\r$", "")
    if not columns then
      columns = header_of(line)
    elseif not is_rule(line) then
      local cells = cells_of(line, #columns)
      if not cells then break end
      rows[#rows + 1] = parsed(columns, cells)
    end
  end
  if not columns then return nil, "there is no table with a column Role in what repmgr printed" end
  return rows
end

-- What is wrong with a cluster, as texts; none: one primary and everything else a standby that runs.
function gitlab.problems(rows)
  local out, primaries = {}, {}
  for _, row in ipairs(rows) do
    if row.problem then out[#out + 1] = ("%s: %s"):format(row.name, row.problem) end
    if row.is == "primary" then primaries[#primaries + 1] = row.name end
  end
  if #primaries == 0 then out[#out + 1] = "no primary runs" end
  if #primaries > 1 then out[#out + 1] = "more than one primary runs: " .. table.concat(primaries, ", ") end
  return out
end

-- Services -------------------------------------------------------------------------------------------------------------------

-- "run: postgresql: (pid 4711) 12s; run: log: …", "down: postgresql: 3s, normally up"
local function service_line(line)
  local said, status = line:match "^(%l+): (.*)$"
  if said == "run" or said == "down" then said, status = "", line end
  local state, name, rest = (status or ""):match "^(%l+): ([%w_.-]+): (.*)$"
  if not name or (state ~= "run" and state ~= "down") then return nil end
  return {
    name = name, said = said, state = state, pid = math.tointeger(tonumber((rest:match "%(pid (%d+)%)"))),
    seconds = math.tointeger(tonumber((rest:match "(%d+)s"))), text = line,
  }
end

local function lines_of(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do out[#out + 1] = line end
  return out
end

function gitlab.parse_status(text)
  local out = {}
  for _, line in ipairs(lines_of(text)) do
    local found = service_line(line)
    if found then out[found.name] = found end
  end
  return out
end

function Node:__tostring() return "gitlab " .. self.name end

local function argv_of(self, ...)
  local out = { table.unpack(self.ctl) }
  for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end
  return out
end

-- Every enabled service, or one → { state = "run" or "down", pid, seconds }; nil for one that is not enabled.
function Node:status(service)
  local result = self.host:read(argv_of(self, "status", service), { ok = { 0, 1, 2, 3, 4, 5, 6 } })
  local all = gitlab.parse_status(result.out)
  if service then return all[service] end
  return all
end

local function names_of(all)
  local names = {}
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

-- Nothing is changed for a name that gitlab-ctl would ignore.
local function must_be_enabled(self, service)
  if self:status(service) then return end
  errors.raise("refused", {
    message = ("no service %s is enabled on %s"):format(service, self.name), target = tostring(self),
    hint = "enabled are: " .. names_of(self:status()),
  })
end

local WANTED = { start = "run", stop = "down", restart = "run" }

local function said_ok(text, service, state)
  for _, line in ipairs(lines_of(text)) do
    local found = service_line(line)
    if found and found.said == "ok" and found.name == service and found.state == state then return found end
  end
end

-- Was the answer lost? The state decides; restarting once more is harmless.
local function resolver(self, action, service)
  if action == "restart" then return function() return false end end
  return function()
    return settle.look(self.settle, function()
      local seen = self:status(service)
      return seen and seen.state == WANTED[action]
    end), { exit = 0, out = ("ok: %s: %s: by status\n"):format(WANTED[action], service), err = "" }
  end
end

local function act(self, action, service, options)
  if type(service) ~= "string" or not service:match "^[%w_.-]+$" then errors.usage("gitlab %s: which service?", action) end
  must_be_enabled(self, service)
  options = options or {}
  local result = remake(function()
    return self.host:run(argv_of(self, action, service), { timeout = options.timeout, resolve = resolver(self, action, service) })
  end, function(result, replayed)
    if not said_ok(result.out, service, WANTED[action]) then return false end
    if not (replayed and options.anew) then return true end
    local seen = self:status(service)
    return seen and seen.state == WANTED[action]
  end)
  if unknown.is(result) then return result end
  local found = said_ok(result.out, service, WANTED[action])
  if not found then
    errors.raise("not_done", {
      message = ("gitlab-ctl %s %s did not say \"ok: %s: %s\" on %s"):format(action, service, WANTED[action], service, self.name),
      target = tostring(self), hint = "it said: " .. plain.trim(result.out .. result.err):sub(1, 500),
    })
  end
  return found
end

-- options: timeout; anew (start only): one that a former attempt started, and that is down by now, is started anew.
function Node:start(service, options) return act(self, "start", service, options) end
function Node:stop(service, options) return act(self, "stop", service, options) end
function Node:restart(service, options) return act(self, "restart", service, options) end

-- gitlab-ctl reconfigure. Made again when its answer was lost: it only makes things as the configuration says, one at a time.
function Node:reconfigure(options)
  local result = remake(function()
    return self.host:run(argv_of(self, "reconfigure"), { timeout = options and options.timeout, resolve = function() return false end })
  end, function(result) return result.out:find("Reconfigured!", 1, true) end)
  if unknown.is(result) then return result end
  if not result.out:find("Reconfigured!", 1, true) then
    errors.raise("not_done", {
      message = "gitlab-ctl reconfigure did not end with \"Reconfigured!\" on " .. self.name, target = tostring(self),
      hint = "it ended: " .. plain.trim(result.out):sub(-300),
    })
  end
  return { updated = math.tointeger(tonumber((result.out:match "finished, (%d+)/%d+ resources"))) }
end

-- repmgr ---------------------------------------------------------------------------------------------------------------------

-- The nodes as this host's repmgr shows them; and its exit status: 0, or 25 when it found something wrong.
function Node:cluster()
  local result = self.host:read(argv_of(self, "repmgr", "cluster", "show"), { ok = { 0, 1, 25 } })
  local rows, why = gitlab.parse_cluster(result.out)
  if not rows then rows = gitlab.parse_cluster(result.err) end
  if not rows then
    errors.raise("script", {
      message = ("repmgr cluster show on %s: %s"):format(self.name, why), target = tostring(self),
      hint = "it said: " .. plain.trim(result.out .. result.err):sub(1, 500),
    })
  end
  return rows, result.exit
end

-- Is the cluster in order, as this host's repmgr sees it? With what it says otherwise.
function Node:cluster_ok()
  local rows, status = self:cluster()
  local problems = gitlab.problems(rows)
  if status ~= 0 then problems[#problems + 1] = ("repmgr cluster show ends with status %d"):format(status) end
  return #problems == 0, table.concat(problems, "; ")
end

-- Follow another primary. options: timeout; done: does it follow? Asked for a while when the answer was lost: the command may still be
-- at work there, and repmgr may refuse a second one. Without it the operator decides.
function Node:follow(name, options)
  if not unknown.is(name) and (type(name) ~= "string" or not name:match "^[%w_][%w_.:-]*$") then
    errors.usage("gitlab follow: %s is no name of a node", tostring(name))
  end
  options = options or {}
  local function resolve()
    return settle.look(self.settle, options.done), { exit = 0, out = "", err = "" }
  end
  return self.host:run(argv_of(self, "repmgr", "standby", "follow", name), {
    timeout = options.timeout, resolve = options.done and resolve,
  })
end

-- A node, over an ssh handle. options: name (how errors call it), ctl ({ "sudo", "gitlab-ctl" }), settle ("20s").
function gitlab.node(handle, options)
  options = options_of.check("gitlab.node", options, { name = true, ctl = true, settle = true })
  local kind = type(handle)
  if kind ~= "table" and kind ~= "userdata" then errors.usage "gitlab.node: a handle is needed: gitlab.node(ssh \"db1\")" end
  local name = options.name or tostring(handle):gsub("^ssh ", "")
  return setmetatable({ host = handle, name = name, ctl = options.ctl or { "gitlab-ctl" }, settle = options.settle }, Node)
end

return gitlab
