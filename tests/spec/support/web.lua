-- The script of support/httpd.lua that http_spec talks to: a path says what is to happen.
local cjson = require "cjson"
local steps = {}
local seen = {} -- connection → requests on it

local function json(conn, status, text, headers)
  headers = headers or {}
  headers["Content-Type"] = headers["Content-Type"] or "application/json; charset=utf-8"
  conn:reply(status, headers, text)
end

local routes = {}

function routes.hello(_, conn) json(conn, 200, '{"hello":"world","list":[1,2],"nothing":null}', { ["X-Mixed-Case"] = "Yes" }) end
function routes.echo(req, conn) json(conn, 200, cjson.encode(req)) end
function routes.text(_, conn) conn:reply(200, { ["Content-Type"] = "text/plain" }, "just text") end
function routes.twice(_, conn) conn:send "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n" end
function routes.chunked(_, conn) conn:chunked(200, { ["Content-Type"] = "application/json" }, { '{"a":', "1", "}" }) end
function routes.interim(_, conn)
  conn:send "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
  json(conn, 200, "{}")
end
function routes.empty(_, conn) conn:send "HTTP/1.1 204 No Content\r\n\r\n" end
function routes.incident(_, conn)
  json(conn, 201, '{"incident":{"id":"i1","name":"n","deep":{"x":1,"y":2}},"id":7,"secret":"hunter2-hunter2"}')
end
function routes.badjson(_, conn) json(conn, 200, '{"a": nonsense}') end
function routes.badpost(_, conn) json(conn, 201, "<html>not json</html>") end

-- /error/STATUS/BODY…: the rest of the path (decoded) is the body
function routes.error(req, conn)
  local status, body = req.path:match "^/error/(%d+)/?(.*)$"
  body = body:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  json(conn, tonumber(status), body, { ["Content-Type"] = body:find "^[{[\"]" and "application/json" or "text/html" })
end

-- /seq/NAME/429:1,503,200: each request takes the next; STATUS[:RETRY-AFTER]; the last stays
function routes.seq(req, conn)
  local name, list = req.path:match "^/seq/([^/]+)/(.*)$"
  local at = (steps[name] or 0) + 1
  steps[name] = at
  local all = {}
  for item in list:gmatch "[^,]+" do all[#all + 1] = item end
  local status, after = all[math.min(at, #all)]:match "^(%d+):?(.*)$"
  local headers = {}
  if after == "date" then
    headers["Retry-After"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 1)
  elseif after ~= "" then
    headers["Retry-After"] = after
  end
  json(conn, tonumber(status), ('{"message":"step %d"}'):format(at), headers)
end

function routes.reset(_, conn) conn:reset() end
function routes.close(_, conn) conn:close() end
function routes.garbage(_, conn)
  conn:send "this is not HTTP at all\r\n\r\n"
  conn:close()
end
function routes.cut(req, conn) -- /cut/STATUS
  conn:send(("HTTP/1.1 %s X\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":"):format(req.path:match "%d+"))
  conn:close()
end
function routes.cutchunk(_, conn)
  conn:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
  conn:reset()
end
function routes.once(req, conn) -- /once/NAME: reset the first time
  local name = req.path:match "^/once/(.*)$"
  steps[name] = (steps[name] or 0) + 1
  if steps[name] == 1 then conn:reset() else json(conn, 200, '{"id":1}') end
end
function routes.slow(_, conn)
  conn:sleep(1)
  json(conn, 200, "{}")
end
function routes.big(_, conn) conn:reply(200, {}, ("x"):rep(3 * 1024 * 1024)) end
-- a kept connection that dies at its second request, before any answer
function routes.stale(_, conn)
  seen[conn.n] = (seen[conn.n] or 0) + 1
  if seen[conn.n] > 1 then conn:close() else json(conn, 200, ('{"n":%d}'):format(conn.n)) end
end
-- an answer, and the connection closed without having said so
function routes.lastword(_, conn)
  json(conn, 200, "{}")
  conn:close()
end
function routes.to(req, conn) -- /to/STATUS/LOCATION
  local status, location = req.path:match "^/to/(%d+)/(.*)$"
  location = location:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  conn:reply(tonumber(status), { Location = location }, "moved")
end
function routes.loop(_, conn) conn:reply(302, { Location = "/loop" }, "") end

return {
  request = function(req, conn)
    local name = req.path:match "^/?([%w]*)" or req.path:match "^https?://[^/]*/(%w*)"
    if req.path:find "^http" then name = req.path:match "^https?://[^/]*/(%w*)" end -- we are the proxy
    local route = routes[name]
    if route then route(req, conn) else json(conn, 404, '{"message":"no such thing"}') end
  end,
}
