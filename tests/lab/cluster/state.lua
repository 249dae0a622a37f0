-- What the cluster is right now, asked of every node over SQL.
local json = require "core.json"
local nodes = require "cluster.nodes"

local state = {}

local QUERY = [[
select json_build_object(
  'writable', not pg_is_in_recovery(),
  'upstream', (select sender_port from pg_stat_wal_receiver where status = 'streaming'),
  'replay_paused', case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end,
  'standbys', (select coalesce(json_agg(application_name order by application_name), '[]') from pg_stat_replication
      where state = 'streaming'),
  'slots', (select coalesce(json_agg(json_build_object('name', slot_name, 'active', active) order by slot_name), '[]')
      from pg_replication_slots),
  'registered', (select coalesce(json_agg(json_build_object('name', node_name, 'type', type, 'active', active,
      'upstream', upstream_node_id) order by node_id), '[]') from repmgr.nodes),
  'settings', (select json_object_agg(name, setting) from pg_settings where name in ('max_connections', 'work_mem', 'shared_buffers')))
]]

local function of_node(node)
  local ok, output = node:sql(QUERY)
  local seen = ok and json.decode(output) or { writable = false }
  seen.up = ok
  seen.repmgrd = node:pid "repmgrd" ~= nil
  seen.chef = node:pid "chef-client" ~= nil
  for _, other in ipairs(node.cluster) do
    if seen.upstream == other.port then seen.upstream = other.name end
  end
  return seen
end

-- { nodes = { db1 = { up, writable, upstream, standbys, slots, registered, settings, repmgrd, chef } }, primary = its name or null }
function state.of(cluster)
  local out, work = { nodes = {}, primary = json.null }, {}
  for i, node in ipairs(cluster) do
    work[i] = function() out.nodes[node.name] = of_node(node) end
  end
  nodes.together(table.unpack(work))
  for _, node in ipairs(cluster) do
    if out.nodes[node.name].writable then out.primary = node.name end
  end
  return out
end

return state
