-- Linode's API v4 as far as volumes go, as strict as the service: its errors, its rules for labels, its states. The volumes are those of
-- kube/disks.lua, directories which a cluster may share; beside what is written there, a volume in the making has ends_at and ends.
local check = require "core.check"
local disks = require "kube.disks"
local json = require "core.json"
local refusal = require "core.refusal"

local linode = {}

local CLONE = check.record({ label = check.string }, { "label" })
local ATTACH = check.record({ linode_id = check.natural, config_id = check.natural, persist_across_boots = check.boolean }, { "linode_id" })
local PREFIX = "/v4"

-- world needs options (linode_*, see kube/clouds.lua), now(), linode_token and dir, below which the volumes are.
function linode.new(world)
  return { world = world, requests = {}, lists = {} }
end

local function refuse(status, reason, field, headers)
  refusal.raise(status, field or "linode", reason, { field = field, headers = headers })
end

-- ---- who may, and how often ----

local function check_token(world, request)
  if request.headers.authorization ~= "Bearer " .. world.linode_token then refuse(401, "Invalid Token") end
  if request.method ~= "GET" and world.options.linode_read_only then
    refuse(401, "Your OAuth token is not authorized to use this endpoint.")
  end
end

-- Lists have a limit of their own.
local function take_slot(self, request)
  local options, now = self.world.options, self.world.now()
  local is_list = request.path == PREFIX .. "/volumes"
  local times, limit = is_list and self.lists or self.requests, is_list and options.linode_list_limit or options.linode_limit
  while times[1] and times[1] <= now - options.linode_window_s do table.remove(times, 1) end
  if #times >= limit then
    local seconds = times[1] and math.max(1, math.ceil(times[1] + options.linode_window_s - now)) or options.linode_window_s
    refuse(429, "Too many requests", nil, { ["Retry-After"] = tostring(seconds), ["X-Ratelimit-Limit"] = tostring(limit) })
  end
  times[#times + 1] = now
end

-- ---- volumes ----

-- The volumes; what was being made is made by now.
local function volumes_of(self)
  local world, list = self.world, disks.list(self.world.dir)
  for _, volume in ipairs(list) do
    if type(volume.ends_at) == "number" and world.now() >= volume.ends_at then
      volume.status, volume.ends_at, volume.ends = volume.ends, nil, nil
      disks.write(world.dir, volume)
    end
  end
  return list
end

local function view(volume)
  return {
    id = volume.id, label = volume.label, status = volume.status, size = volume.size, region = volume.region, linode_id = volume.linode_id,
    linode_label = volume.linode_label, created = volume.created, updated = volume.created, hardware_type = "nvme", encryption = "enabled",
    filesystem_path = "/dev/disk/by-id/scsi-0Linode_Volume_" .. volume.label, io_ready = volume.linode_id ~= json.null,
    tags = json.array(volume.tags), locks = json.array(),
  }
end

local function volume_of(self, captures)
  for _, volume in ipairs(volumes_of(self)) do
    if tostring(volume.id) == captures.id then return volume end
  end
  refuse(404, "Not found")
end

local FILTERS = { label = true, tags = true }

local function filter_of(request)
  local text = request.headers["x-filter"]
  if not text then return {} end
  local filter = json.decode(text)
  if not json.is_object(filter) then refuse(400, "Cannot filter on " .. text, "X-Filter") end
  for key in pairs(filter) do
    if not FILTERS[key] then refuse(400, "Cannot filter on " .. key, key) end
  end
  return filter
end

local function passes(volume, filter)
  if filter.label and volume.label ~= filter.label then return false end
  if filter.tags then
    for _, tag in ipairs(volume.tags) do
      if tag == filter.tags then return true end
    end
    return false
  end
  return true
end

local function list(self, request)
  local params, all = request.params, {}
  local page, size = math.tointeger(tonumber(params.page or 1)), math.tointeger(tonumber(params.page_size or 100))
  if not size or size < 25 or size > 500 then refuse(400, "Must be 25-500", "page_size") end
  if not page or page < 1 then refuse(400, "Must be 1 or greater", "page") end
  local filter = filter_of(request)
  for _, volume in ipairs(volumes_of(self)) do
    if passes(volume, filter) then all[#all + 1] = view(volume) end
  end
  local pages = math.max(1, math.ceil(#all / size))
  if page > pages then refuse(404, "Not found") end
  local data = table.move(all, (page - 1) * size + 1, math.min(page * size, #all), 1, json.array())
  return 200, { data = data, page = page, pages = pages, results = #all }
end

local function check_label(self, label)
  if #label < 1 or #label > 32 then refuse(400, "Length must be 1-32 characters", "label") end
  if not label:match "^%a" or label:match "[^%w_-]" or label:find("--", 1, true) or label:find("__", 1, true) then
    refuse(400, "Must only use ASCII letters, numbers, underscores, and dashes. May not contain -- or __ and must begin with a letter.",
      "label")
  end
  if not self.world.options.linode_unique_labels then return end
  for _, volume in ipairs(volumes_of(self)) do
    if volume.label == label then refuse(400, "Label must be unique among your volumes", "label") end
  end
end

local function body_of(request, schema)
  if request.json == nil then refuse(400, "A JSON body is required") end
  local why = schema(request.json, "body")
  if why then refuse(400, why) end
  return request.json
end

-- What is copied is what is there when it begins.
local function clone(self, source, request)
  local world = self.world
  local given = body_of(request, CLONE)
  check_label(self, given.label)
  if source.status ~= "active" then refuse(400, "Only volumes with the status active can be cloned") end
  local made = disks.create(world.dir, given.label, source.size, disks.path(world.dir, source.id) .. "/data")
  made.status, made.source = "creating", source.id
  made.ends_at, made.ends = world.now() + world.options.linode_clone_ms / 1000, world.options.linode_clone_ends
  disks.write(world.dir, made)
  return 200, view(made)
end

local function attach(self, volume, request)
  local given = body_of(request, ATTACH)
  if volume.linode_id ~= json.null then refuse(400, "Volume is already attached", "linode_id") end
  volume.linode_id, volume.linode_label = given.linode_id, "lke-" .. given.linode_id
  disks.write(self.world.dir, volume)
  return 200, view(volume)
end

local function detach(self, volume)
  volume.linode_id, volume.linode_label = json.null, json.null
  disks.write(self.world.dir, volume)
  return 200, {}
end

local function remove(self, volume)
  if volume.linode_id ~= json.null then refuse(400, "Volume must be detached before it can be deleted") end
  disks.remove(self.world.dir, volume.id)
  return 200, {}
end

-- The definition for core.service.
function linode.definition(world)
  local function self() return world.linode end
  local function on(handler)
    return function(request, captures) return handler(self(), volume_of(self(), captures), request) end
  end
  local one = PREFIX .. "/volumes/:id"
  return {
    name = "linode", world = world,
    routes = {
      { "GET", PREFIX .. "/volumes", function(request) return list(self(), request) end },
      { "GET", one, on(function(_, volume) return 200, view(volume) end) },
      { "POST", one .. "/clone", on(clone) },
      { "POST", one .. "/attach", on(attach) },
      { "POST", one .. "/detach", on(detach) },
      { "DELETE", one, on(remove) },
    },
    admit = function(request)
      check_token(world, request)
      take_slot(self(), request)
    end,
    error_body = function(failure)
      local reason = failure.id == "not_found" and "Not found" or failure.message
      return { errors = json.array { { reason = reason, field = failure.extra.field } } }
    end,
    refuse_body = function(status, why) refuse(status, why) end,
    decorate = function(response)
      response.headers["X-OAuth-Scopes"] = world.options.linode_read_only and "volumes:read_only" or "volumes:read_write"
    end,
  }
end

-- For specs: the volumes; source: of which it is a clone.
function linode.state(world)
  local out = json.array()
  for i, volume in ipairs(volumes_of(world.linode)) do
    out[i] = view(volume)
    out[i].source = volume.source or json.null
  end
  return out
end

return linode
