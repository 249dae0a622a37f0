-- Who was writable when, and which rows were acknowledged: watch.sh's processes and what they wrote.
local proc = require "core.proc"

local watch = {}

local function dir_of(cluster) return cluster.dir .. "/watch" end

local function spawn(cluster, what, name, conninfo)
  local dir = dir_of(cluster)
  local command = proc.command { "setsid", "sh", cluster.commands .. "/../watch.sh", what, dir, name, cluster.bin .. "/psql", conninfo }
  proc.must(("%s </dev/null >/dev/null 2>&1 & echo $! >>%s/pids"):format(command, dir))
end

-- Hosts and ports of all nodes: libpq goes to whichever takes writes.
function watch.conninfo(cluster, dbname, user)
  local addresses, ports = {}, {}
  for i, node in ipairs(cluster) do addresses[i], ports[i] = node.address, node.port end
  return ("host=%s port=%s dbname=%s user=%s target_session_attrs=read-write connect_timeout=2"):format(table.concat(addresses, ","),
    table.concat(ports, ","), dbname or "gitlabhq_production", user or "gitlab")
end

-- Stop what watches. Their children (psql) go with their process groups.
function watch.stop(cluster)
  -- "kill -KILL -- -PID" is refused by dash.
  local pids = dir_of(cluster) .. "/pids"
  proc.run(("for pid in $(cat %s 2>/dev/null); do kill -s KILL -- -$pid; done; rm -f %s"):format(pids, pids))
end

-- options: writer = false leaves the writing client out.
function watch.start(cluster, options)
  watch.stop(cluster)
  local dir = dir_of(cluster)
  proc.must(("rm -rf %s && mkdir -p %s"):format(dir, dir))
  for _, node in ipairs(cluster) do spawn(cluster, "node", node.name, node:conninfo("postgres", "gitlab")) end
  if not options or options.writer ~= false then spawn(cluster, "writer", "writer", watch.conninfo(cluster)) end
end

local function lines_of(path)
  local out, file = {}, io.open(path)
  for line in (file and file:lines() or function() end) do out[#out + 1] = line end
  if file then file:close() end
  return out
end

-- The spans of time in which a node was writable: from one sample to the last that followed without a gap.
local function spans_of(path)
  local spans, open, samples = {}, nil, 0
  for _, line in ipairs(lines_of(path)) do
    local at, state = line:match "^([%d.]+) ([wr-])$"
    if at then
      samples = samples + 1
      if state == "w" then
        if open then open.to = tonumber(at) else open = { from = tonumber(at), to = tonumber(at) } end
      elseif open then
        spans[#spans + 1], open = open, nil
      end
    end
  end
  spans[#spans + 1] = open
  return spans, samples
end

-- Every moment with more than one writable node (should be empty), the spans, how often each node was looked at, the rows.
function watch.result(cluster)
  local dir, writable, overlaps, samples = dir_of(cluster), {}, {}, {}
  for _, node in ipairs(cluster) do writable[node.name], samples[node.name] = spans_of(dir .. "/" .. node.name) end
  for i = 1, #cluster do
    for k = i + 1, #cluster do
      for _, a in ipairs(writable[cluster[i].name]) do
        for _, b in ipairs(writable[cluster[k].name]) do
          if a.from <= b.to and b.from <= a.to then
            overlaps[#overlaps + 1] = {
              nodes = { cluster[i].name, cluster[k].name }, from = math.max(a.from, b.from), to = math.min(a.to, b.to),
            }
          end
        end
      end
    end
  end
  local rows, gap, last = {}, 0, nil
  for _, line in ipairs(lines_of(dir .. "/writer")) do
    local id, at = line:match "^(%x+%-%x+%-%x+%-%x+%-%x+) ([%d.]+)$"
    if id then
      rows[#rows + 1] = id
      if last then gap = math.max(gap, tonumber(at) - last) end
      last = tonumber(at)
    end
  end
  return { writable = writable, overlaps = overlaps, samples = samples, rows = rows, gap = gap }
end

-- How many of the acknowledged rows are on a node.
function watch.found(cluster, node, rows)
  if #rows == 0 then return 0 end
  local listed = proc.must(proc.command { cluster.bin .. "/psql", "-XAtq", "-d", node:conninfo "gitlabhq_production", "-c",
    "select id from ledger" }, "reading the ledger of " .. node.name)
  local known, found = {}, 0
  for id in listed:gmatch "%S+" do known[id] = true end
  for _, id in ipairs(rows) do found = found + (known[id] and 1 or 0) end
  return found
end

return watch
