-- The lab for specs: one process for a spec file, put back to its first day before each test.
--
--   local lab = require("tests.spec.support.lab").start()
--   lab:reset { followers = 0 }      options as tests/lab/world.lua lists them
--   lab:faults { { service = "heroku", path = "config%-vars", action = "status", code = 503 } }
--   lab:log { effect = true }        the requests so far
--   lab:stop()
local json = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

local lab = {}
local Lab = { patience_s = 10, poll_s = 0.02 } -- of wait_until
Lab.__index = Lab

local START_LIMIT_S = 90

-- A word of a shell's command.
function lab.quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function read_file(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

-- Durations that let a run be over soon.
local QUICK = { dyno_restart_ms = 20, dyno_stop_ms = 10, maintenance_ms = 20 }

-- Start a lab's program, and wait until it has said where it is. class: of the result.
function lab.launch(program, class)
  local place = os.tmpname()
  -- The lab ends when its standard input does: with this process, whatever becomes of it. What it said is then
  -- of no use.
  local command = ("trap '' HUP INT TERM; (trap - HUP INT TERM; exec lua5.4 %s) >%s.out 2>%s.err; s=$?; kill -0 $PPID 2>/dev/null || "
    .. "rm -f %s %s.out %s.err; exit $s"):format(program, place, place, place, place, place)
  local self = setmetatable({ input = assert(io.popen(command, "w")), place = place }, class)
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

-- Start the lab. options: postgres = false leaves the real servers out.
function lab.start(options)
  return lab.launch("tests/lab/lab.lua" .. (options and options.postgres == false and " --no-postgres" or ""), Lab)
end

-- A class with the methods of a lab, for other labs. fields: what it has otherwise.
function lab.derive(fields)
  local class = setmetatable(fields or {}, { __index = Lab })
  class.__index = class
  return class
end

function Lab:stop()
  if not self.input then return end
  self.input:close()
  self.input = nil
  for _, suffix in ipairs { "", ".out", ".err" } do os.remove(self.place .. suffix) end
end

-- What the lab complained about.
function Lab:errors()
  return read_file(self.place .. ".err")
end

function Lab:call(method, path, body)
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

-- As on the first day, then with these options; what takes time takes little of it unless they say otherwise.
function Lab:reset(options)
  self:call("POST", "/reset")
  local all = {}
  for _, list in ipairs { QUICK, options or {} } do
    for name, value in pairs(list) do all[name] = value end
  end
  self:options(all)
end

function Lab:options(options)
  return self:call("POST", "/options", options)
end

function Lab:faults(list)
  return self:call("POST", "/faults", list)
end

-- The requests so far; { effect = true }: those that change something; service: "heroku" or "statuspage".
function Lab:log(filter)
  local query = {}
  for name, value in pairs(filter or {}) do query[#query + 1] = name .. "=" .. tostring(value) end
  return self:call("GET", "/log" .. (#query > 0 and "?" .. table.concat(query, "&") or ""))
end

function Lab:state()
  return self:call("GET", "/state")
end

function Lab:sql(server, text)
  return self:call("POST", "/sql", { server = server, sql = text }).rows
end

function Lab:postgres(server, action)
  return self:call("POST", "/postgres", { server = server, action = action })
end

local function words_of(map, render)
  local words = {}
  for name, value in pairs(map) do words[#words + 1] = render(name, value) end
  table.sort(words)
  return table.concat(words, " ")
end

local function scaled(update)
  return ("%s=%d%s"):format(update.type, update.quantity, update.size and ":" .. update.size or "")
end

-- One change in a few words: "scale background_worker=0", "config A=1 B-", "run current", "upgrade run 15", "attach app addon NAME",
-- "incident in_progress".
local function words_of_change(entry)
  local body = entry.body ~= json.null and entry.body or {}
  if entry.path:find "/formation" then
    return "scale " .. words_of(body.updates, function(_, update) return scaled(update) end)
  elseif entry.path:find "/config%-vars" then
    return "config " .. words_of(body, function(name, value) return value == json.null and name .. "-" or name .. "=" .. value end)
  elseif entry.path:find "/data/maintenances/" then
    return "run current"
  elseif entry.path:find "/client/v11/databases/.*/maintenance$" then
    return "run older"
  elseif entry.path:find "/upgrade" then
    return "upgrade " .. (entry.path:match "/upgrade/(.*)" or "older") .. (body.version and " " .. body.version or "")
  elseif entry.path == "/addon-attachments" then
    return ("attach %s %s %s"):format(body.app.name, body.addon.name, body.name or "-")
  elseif entry.method == "DELETE" and entry.path:find "^/addon%-attachments/" then
    return "detach"
  elseif entry.path:find "/addons$" then
    return "create " .. body.plan.name
  elseif body.incident then
    return (entry.method == "POST" and "incident " or "update ") .. tostring(body.incident.status)
  end
  return entry.method .. " " .. entry.path
end

-- The changes that reached the services, in order; those that were refused or lost before too, with all = true.
function Lab:changes(all)
  local out = {}
  for _, entry in ipairs(self:log { effect = true }) do
    if all or entry.processed then out[#out + 1] = words_of_change(entry) end
  end
  return out
end

-- What a maintenance must leave as it was, and what it must have done, in a few words.
function Lab:outcome()
  local state = self:state()
  local worker = state.formation.background_worker
  local out = {
    worker = ("%d:%s"):format(worker.quantity, worker.size), read_only = state.config.READ_ONLY_MODE, offline = state.config.DB_OFFLINE,
    starts = {}, incidents = {},
  }
  for name, record in pairs(state.maintenance) do out.starts[name] = record.starts end
  for i, incident in ipairs(state.incidents) do
    local updates = {}
    for k, update in ipairs(incident.incident_updates) do updates[k] = update.status end
    out.incidents[i] = table.concat(updates, " < ")
  end
  return out
end

-- A shell command with the environment that pgsh gets; its exit status and both outputs together.
function Lab:shell(command)
  local words = {}
  for name, value in pairs(self.env) do words[#words + 1] = ("export %s=%s\n"):format(name, lab.quote(value)) end
  local pipe = assert(io.popen(table.concat(words) .. "{ " .. command .. "\n} 2>&1 </dev/null; printf '\\n%d' $?"))
  local output = pipe:read "a"
  pipe:close()
  local text, status = output:match "^(.*)\n(%d+)$"
  return tonumber(status), text
end

-- Wait until test(state) holds; returns that state.
function Lab:wait_until(test, seconds)
  local deadline = socket.gettime() + (seconds or self.patience_s)
  repeat
    local seen = self:state()
    if test(seen) then return seen end
    socket.sleep(self.poll_s)
  until socket.gettime() > deadline
  error "wait_until: it did not happen"
end

return lab
