-- How a dump looks at its beginning and at its end.
local marker = {}

marker.CLUSTER = "-- PostgreSQL database cluster dump complete"
marker.PLAIN = "-- PostgreSQL database dump complete"
marker.CUSTOM = "PGDMP"
marker.GZIP = "\31\139"

-- Bytes at the end of a dump that hold its marker and what may stand behind it.
marker.TAIL = 512

local TEXT = { cluster = marker.CLUSTER, plain = marker.PLAIN }

---What must be at the end of a dump of a format; nil: it has no such text.
function marker.of(format)
  return TEXT[format] and "\n" .. TEXT[format] .. "\n--\n"
end

---Is this the end of a whole dump? Behind the marker stand at most comments and, in newer minor releases, \unrestrict.
---@param tail string
---@param format string              # "cluster", "plain"
function marker.is_whole(tail, format)
  local at, from = nil, 1
  repeat
    local found = tail:find(marker.of(format), from, true)
    at, from = found or at, (found or 0) + 1
  until not found
  if not at then return false end
  for line in tail:sub(at + 1 + #TEXT[format]):gmatch "[^\n]+" do
    if line ~= "--" and not line:find "^\\unrestrict %w+$" then return false end
  end
  return true
end

---The format of a text dump that has an end.
function marker.format_of(tail)
  if marker.is_whole(tail, "cluster") then return "cluster" end
  if marker.is_whole(tail, "plain") then return "plain" end
end

return marker
