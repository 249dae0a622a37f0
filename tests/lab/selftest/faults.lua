-- Faults on demand, and how HTTP behaves at its edges.
local harness = require "selftest.harness"
local luasocket = require "socket"

local check, equal = harness.check, harness.equal

local CONFIG = "/apps/crates-io/config-vars"

local function patch(client)
  return client.heroku("PATCH", CONFIG, { A = "1" })
end

local function actions(client)
  client.reset()
  client.fault { action = "status", code = 503, headers = { ["Retry-After"] = "1" }, body = "<html>", method = "PATCH",
    times = 2 }
  equal(client.heroku("GET", CONFIG), 200, "another method is not hit")
  local status, body, headers = patch(client)
  equal(status .. body .. headers["retry-after"], "503<html>1", "a status with headers and body")
  equal(patch(client), 503, "twice")
  equal(client.state().config.A, nil, "not processed")
  equal(patch(client), 200, "then no more")
  client.reset()
  client.fault { action = "reset_before", path = "config%-vars$" }
  equal(patch(client), nil, "a reset")
  equal(client.state().config.A, nil, "before processing")
  client.fault { action = "reset_after", service = "heroku" }
  local _, why = patch(client)
  check(why and why:match("reset") or why == "closed", "a reset", why)
  equal(client.state().config.A, "1", "after processing")
  client.fault { action = "garbage" }
  status, body = patch(client)
  equal(status .. type(body), "200string", "invalid JSON")
  client.fault { action = "truncate" }
  equal(patch(client), nil, "a body cut short")
  client.fault { action = "delay", ms = 300 }
  local start = luasocket.gettime()
  equal(patch(client), 200, "a delay")
  check(luasocket.gettime() - start >= 0.3, "takes its time")
  client.fault { action = "status", code = 500, skip = 1 }
  equal(patch(client), 200, "the first one passes")
  equal(patch(client), 500, "the second is hit")
  client.control("POST", "options", { service_time = 100 })
  start = luasocket.gettime()
  client.heroku("GET", CONFIG)
  check(luasocket.gettime() - start >= 0.1, "service time")
end

local function the_log(client)
  client.reset()
  client.fault { action = "reset_after", method = "PATCH" }
  patch(client)
  client.heroku("GET", CONFIG)
  local log = client.control("GET", "log")
  equal(#log, 2, "every request is logged")
  equal(log[1].method .. log[1].path .. log[1].body.A, "PATCH" .. CONFIG .. "1", "as it was")
  equal(log[1].fault, "reset_after", "with its fault")
  equal(tostring(log[1].effect) .. tostring(log[2].effect), "truefalse", "and whether it changes")
  equal(log[2].status, 200, "and its status")
  equal(log[1].headers.authorization, "(hidden)", "without its token")
  client.control("DELETE", "log")
  equal(#client.control("GET", "log"), 0, "cleared")
end

-- Sends raw bytes and returns everything that comes back until the server closes.
local function raw(ready, text)
  local port = tonumber(ready.env.HEROKU_HOST:match(":(%d+)$"))
  local con = assert(luasocket.connect("127.0.0.1", port))
  con:settimeout(2)
  con:send(text)
  local data, _, partial = con:receive("*a")
  con:close()
  return data or partial
end

local function wire(client, ready)
  client.reset()
  local common = ("Host: x\r\nAccept: application/vnd.heroku+json; version=3\r\nAuthorization: Bearer %s\r\n")
    :format(ready.env.HEROKU_API_KEY)
  local answer = raw(ready, "GET /apps HTTP/1.1\r\n" .. common .. "\r\nGET /account HTTP/1.1\r\nConnection: close\r\n"
    .. common .. "\r\n")
  equal(select(2, answer:gsub("HTTP/1.1 200 OK", "")), 2, "keep-alive and pipelining")
  answer = raw(ready, "PATCH " .. CONFIG .. " HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    .. common .. "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"B\"\r\n5\r\n:\"2\"}\r\n0\r\n\r\n")
  check(answer:match("^HTTP/1.1 200"), "a chunked body", answer)
  equal(client.state().config.B, "2", "is read")
  check(raw(ready, "GARBAGE\r\n\r\n"):match("^HTTP/1.1 400"), "a malformed request line")
  check(raw(ready, "GET / HTTP/1.1\r\n\r\n"):match("^HTTP/1.1 400"), "no Host")
  answer = raw(ready, "POST /addon-attachments HTTP/1.1\r\nConnection: close\r\n" .. common .. "\r\n")
  check(answer:match("^HTTP/1.1 411"), "a POST without Content-Length")
  client.fault { action = "hang" }
  local con = assert(luasocket.connect("127.0.0.1", tonumber(ready.env.HEROKU_HOST:match(":(%d+)$"))))
  con:settimeout(0.3)
  con:send("GET /apps HTTP/1.1\r\n" .. common .. "\r\n")
  equal(select(2, con:receive()), "timeout", "a server that says nothing")
  con:close()
  equal(client.heroku("GET", "/apps"), 200, "others are served")
end

return function(client, ready)
  actions(client)
  the_log(client)
  wire(client, ready)
end
