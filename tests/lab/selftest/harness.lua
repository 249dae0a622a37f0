-- What the self-test needs: a lab to talk to, HTTP requests, and a count of checks.
local ltn12 = require "ltn12"
local luasocket = require "socket"
local socket_http = require "socket.http"
local json = require "core.json"

local harness = { passed = 0, failed = 0 }

local ACCEPT = "application/vnd.heroku+json; version=3"

function harness.check(condition, what, seen)
  if condition then
    harness.passed = harness.passed + 1
  else
    harness.failed = harness.failed + 1
    local where = debug.getinfo(2, "l").currentline
    print(("FAILED (line %d): %s%s"):format(where, what, seen ~= nil and "; seen " .. tostring(seen) or ""))
  end
end

function harness.equal(seen, wanted, what)
  local same = seen == wanted
  if same then
    harness.passed = harness.passed + 1
  else
    harness.failed = harness.failed + 1
    local where = debug.getinfo(2, "l").currentline
    print(("FAILED (line %d): %s; wanted %s, seen %s"):format(where, what, tostring(wanted), tostring(seen)))
  end
end

-- Starts a lab whose stdin is a pipe of ours; returns { ready, finish() }.
function harness.start(here, arguments)
  local name = os.tmpname()
  local command = ("exec lua5.4 '%s/lab.lua' %s >'%s' 2>'%s.err'"):format(here, arguments or "", name, name)
  local pipe = assert(io.popen(command, "w"))
  local lab = { output = name, errors = name .. ".err" }
  function lab.complaints()
    local file = assert(io.open(lab.errors))
    local text = file:read("a")
    file:close()
    return text
  end
  function lab.finish()
    local _, how, code = pipe:close()
    os.remove(name)
    local text = lab.complaints()
    os.remove(lab.errors)
    return how, code, text
  end
  local deadline = luasocket.gettime() + 40
  repeat
    luasocket.sleep(0.02)
    local file = assert(io.open(name))
    local line = file:read("L")
    file:close()
    if line and line:match("\n$") then
      lab.ready = assert(json.decode(line))
      return lab
    end
  until luasocket.gettime() > deadline
  error("the lab did not start: " .. select(3, lab.finish()))
end

-- One request. headers are added to; body is a table (sent as JSON) or a string. Returns status, body, headers.
function harness.request(method, url, headers, body)
  local sent, parts = {}, {}
  for key, value in pairs(headers or {}) do sent[key] = value or nil end
  if type(body) == "table" then
    body = json.encode(body)
    sent["content-type"] = sent["content-type"] or "application/json"
  end
  if body or method == "POST" or method == "PUT" then sent["content-length"] = #(body or "") end
  local ok, status, received = socket_http.request {
    method = method, url = url, headers = sent, source = body and ltn12.source.string(body),
    sink = ltn12.sink.table(parts), redirect = false,
  }
  local text = table.concat(parts)
  if not ok then return nil, status end
  local decoded = json.decode(text)
  return status, decoded == nil and text or decoded, received
end

-- Callers bound to a lab: heroku(), statuspage(), control(), and short cuts.
function harness.clients(ready)
  local env, client = ready.env, {}

  function client.heroku(method, path, body, headers)
    local sent = { accept = ACCEPT, authorization = "Bearer " .. env.HEROKU_API_KEY }
    for key, value in pairs(headers or {}) do sent[key] = value end
    return harness.request(method, env.HEROKU_HOST .. path, sent, body)
  end

  function client.statuspage(method, path, body, headers)
    local sent = { authorization = "OAuth " .. env.STATUSPAGE_API_KEY }
    for key, value in pairs(headers or {}) do sent[key] = value end
    return harness.request(method, ("%s/pages/%s%s"):format(env.PGSH_STATUSPAGE_URL, ready.page, path), sent, body)
  end

  function client.control(method, path, body)
    local status, decoded = harness.request(method, ready.control .. "/_lab/" .. path, nil, body)
    if status ~= 200 then error(("control %s %s: %s"):format(method, path, json.encode(decoded)), 2) end
    return decoded
  end

  function client.reset(options)
    client.control("POST", "reset")
    if options then client.control("POST", "options", options) end
  end

  function client.state() return client.control("GET", "state") end
  function client.fault(fault) client.control("POST", "faults", json.array { fault }) end
  return client
end

-- Polls until test() gives something true, which is returned; nil after the seconds.
function harness.wait(seconds, test)
  local deadline = luasocket.gettime() + seconds
  repeat
    local seen = test()
    if seen then return seen end
    luasocket.sleep(0.01)
  until luasocket.gettime() > deadline
end

-- Asks a database as its application would; the output, or nil.
function harness.psql(url, sql)
  local pipe = io.popen(("PGCONNECT_TIMEOUT=2 PGSSLMODE=disable psql -XAtqc \"%s\" '%s' 2>/dev/null"):format(sql, url))
  local text = pipe:read("a")
  return pipe:close() and text:gsub("\n$", "") or nil
end

function harness.report()
  print(("%d passed, %d failed"):format(harness.passed, harness.failed))
  return harness.failed == 0
end

return harness
