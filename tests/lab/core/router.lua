-- Finds the handler of a request. A route is { method, "/apps/:app/dynos", handler, read = true? };
-- read marks a POST that changes nothing (the resolvers).
local refusal = require "core.refusal"

local router = {}

local function split(path)
  local out = {}
  for segment in (path:gsub("/$", "")):gmatch("/([^/]*)") do out[#out + 1] = segment end
  return out
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function match(pattern, segments)
  if #pattern ~= #segments then return nil end
  local captures = {}
  for i, part in ipairs(pattern) do
    local name = part:match("^:(.+)$")
    if name then
      if segments[i] == "" then return nil end
      captures[name] = unescape(segments[i])
    elseif part ~= segments[i] then
      return nil
    end
  end
  return captures
end

function router.new(routes)
  local compiled = {}
  for i, route in ipairs(routes) do
    compiled[i] = { method = route[1], pattern = split(route[2]), handler = route[3], read = route.read }
  end
  return compiled
end

-- Returns the route and its captures, or nil and the methods that the path would take (nil: no such path).
function router.find(compiled, method, path)
  local segments, allowed = split(path), {}
  for _, route in ipairs(compiled) do
    local captures = match(route.pattern, segments)
    if captures then
      if route.method == method then return route, captures end
      allowed[#allowed + 1] = route.method
    end
  end
  return nil, #allowed > 0 and table.concat(allowed, ", ") or nil
end

function router.changes(route, method)
  if method == "GET" or method == "HEAD" then return false end
  return not (route and route.read)
end

-- name=value&name=value, decoded; a name that comes twice is refused, as no interface here has one.
function router.query(text)
  local out = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name = unescape((name:gsub("%+", " ")))
    if out[name] then refusal.raise(400, "bad_request", "query parameter given twice: " .. name) end
    out[name] = unescape((value:gsub("%+", " ")))
  end
  return out
end

return router
