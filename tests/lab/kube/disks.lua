-- The volumes of the cloud, as directories. This layout is the contract between the cluster and the simulated Linode API:
--
--   DIR/volumes/<id>/volume.json   { id, label, size (GiB), status, region, created, linode_id or null, linode_label, tags }
--   DIR/volumes/<id>/data/         what is on the disk; a pod sees it at its mountPath
--
-- The id is decimal; the label is at most 32 characters. volume.json is replaced by rename, so that a reader sees a whole one; whoever
-- changes it reads it first. status is Linode's: creating, active, resizing. While a pod on a node uses the volume, linode_id is that
-- node's, otherwise null. A clone is a new directory with a copy of data/ (status creating until the copy is whole). The cluster makes a
-- volume for a claim and removes it when its PersistentVolume with the policy Delete goes; a Retain volume stays until the API deletes it.
local json = require "core.json"
local lfs = require "lfs"
local proc = require "core.proc"

local disks = {}

disks.REGION, disks.LINODE_ID, disks.LINODE_LABEL = "eu-central", 41234567, "lke-node-1"

function disks.path(dir, id) return ("%s/volumes/%d"):format(dir, id) end

function disks.read(dir, id)
  local file = io.open(disks.path(dir, id) .. "/volume.json")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return json.decode(text)
end

function disks.write(dir, volume)
  local path = disks.path(dir, volume.id) .. "/volume.json"
  local file = assert(io.open(path .. ".new", "w"))
  file:write(json.encode(volume), "\n")
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

-- All volumes, by id.
function disks.list(dir)
  local out = {}
  if not lfs.attributes(dir .. "/volumes") then return out end
  for name in lfs.dir(dir .. "/volumes") do
    if name:match "^%d+$" then out[#out + 1] = disks.read(dir, tonumber(name)) end
  end
  table.sort(out, function(a, b) return a.id < b.id end)
  return out
end

local function new_id(dir)
  repeat
    local id = math.random(100000, 9999999)
    if not lfs.attributes(disks.path(dir, id)) then return id end
  until false
end

-- A new empty volume; from: a directory whose contents it gets. Waits (in a coroutine) for the copy.
function disks.create(dir, label, size, from, id)
  local volume = {
    id = id or new_id(dir), label = label, size = size, status = "creating", region = disks.REGION, created = os.date "!%Y-%m-%dT%H:%M:%S",
    linode_id = json.null, linode_label = json.null, tags = json.array(),
  }
  local path = disks.path(dir, volume.id)
  proc.must(("mkdir -p %s/data && chmod 755 %s"):format(proc.quote(path), proc.quote(path)))
  disks.write(dir, volume)
  if from then proc.must(("cp -a %s/. %s/data/"):format(proc.quote(from), proc.quote(path))) end
  volume.status = "active"
  disks.write(dir, volume)
  return volume
end

function disks.remove(dir, id)
  proc.run("rm -rf " .. proc.quote(disks.path(dir, id)))
end

-- Attached to the node, or not.
function disks.attach(dir, id, attached)
  local volume = disks.read(dir, id)
  if not volume then return false end
  volume.linode_id = attached and disks.LINODE_ID or json.null
  volume.linode_label = attached and disks.LINODE_LABEL or json.null
  disks.write(dir, volume)
  return true
end

-- The id in a volumeHandle "<id>-<label>".
function disks.id_of(handle)
  return math.tointeger(tonumber(tostring(handle):match "^(%d+)%-"))
end

return disks
