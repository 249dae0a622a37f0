-- The objects of the cluster, in memory: one process owns them, so that any number of kubectl at once see one order of changes.
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local json = require "core.json"
local kinds = require "kube.kinds"
local objects = require "kube.objects"
local luasocket = require "socket"

local store = {}
local Store = {}
Store.__index = Store

function store.new()
  return setmetatable({ tables = {}, version = 1000, changed = condition.new(), changes = 0, audit = {}, order = 0 }, Store)
end

function Store:table_of(kind)
  local found = self.tables[kind]
  if not found then
    found = {}
    self.tables[kind] = found
  end
  return found
end

local function key_of(kind, namespace, name)
  return kinds.of(kind).namespaced and namespace .. "/" .. name or name
end

function Store:get(kind, namespace, name)
  return self:table_of(kind)[key_of(kind, namespace, name)]
end

-- All of a kind, of one namespace or of all (nil), by name; events by age.
function Store:list(kind, namespace, test)
  local out = {}
  for _, object in pairs(self:table_of(kind)) do
    if (not namespace or object.metadata.namespace == namespace) and (not test or test(object)) then out[#out + 1] = object end
  end
  table.sort(out, function(a, b)
    if kind == "Event" then return (a.order or 0) < (b.order or 0) end
    if a.metadata.namespace ~= b.metadata.namespace then return (a.metadata.namespace or "") < (b.metadata.namespace or "") end
    return a.metadata.name < b.metadata.name
  end)
  return out
end

local function bump(self, object)
  self.version = self.version + 1
  object.metadata.resourceVersion = tostring(self.version)
  self.changes = self.changes + 1
  self.changed:signal()
end

-- A new object; it must not be there.
function Store:insert(object)
  local meta = object.metadata
  meta.uid = meta.uid or objects.uid()
  meta.creationTimestamp = meta.creationTimestamp or objects.now()
  if object.spec and object.kind ~= "PersistentVolumeClaim" and object.kind ~= "PersistentVolume" and object.kind ~= "Pod"
    and object.kind ~= "Service" then meta.generation = 1 end
  self:table_of(object.kind)[key_of(object.kind, meta.namespace, meta.name)] = object
  bump(self, object)
  if object.kind ~= "Event" then self:note("created", object) end
  return object
end

-- What a controller or a user altered in place. spec = true: the desired state, which counts generations.
function Store:touch(object, spec)
  if spec and object.metadata.generation then object.metadata.generation = object.metadata.generation + 1 end
  bump(self, object)
end

-- A controller's write of a status: nothing happens when nothing differs.
function Store:set_status(object, status)
  if objects.equal(object.status, status) then return end
  object.status = status
  self:touch(object)
end

function Store:remove(object)
  local meta = object.metadata
  local all, key = self:table_of(object.kind), key_of(object.kind, meta.namespace, meta.name)
  if all[key] ~= object then return end
  all[key] = nil
  self.version, self.changes = self.version + 1, self.changes + 1
  self.changed:signal()
  if object.kind ~= "Event" then self:note("removed", object) end
end

-- The audit log of changes, beside that of the calls.
function Store:note(what, object, detail)
  self.audit[#self.audit + 1] = {
    time = luasocket.gettime(), what = what, kind = object.kind, name = object.metadata.name, namespace = object.metadata.namespace,
    detail = detail,
  }
end

-- An event; the same one again counts up.
function Store:event(object, kind, reason, message, component)
  local now = objects.now()
  local namespace = object.metadata.namespace or "default"
  for _, event in pairs(self:table_of "Event") do
    if event.involvedObject.uid == object.metadata.uid and event.reason == reason and event.message == message then
      event.count, event.lastTimestamp = event.count + 1, now
      bump(self, event)
      return
    end
  end
  self.order = self.order + 1
  self:insert {
    apiVersion = "v1", kind = "Event", type = kind, reason = reason, message = message, count = 1, firstTimestamp = now,
      lastTimestamp = now,
    order = self.order, source = { component = component },
    metadata = { name = ("%s.%012x"):format(object.metadata.name, math.random(0, 0xffffffffff)), namespace = namespace },
    involvedObject = {
      apiVersion = object.apiVersion, kind = object.kind, name = object.metadata.name, namespace = object.metadata.namespace,
      uid = object.metadata.uid,
    },
  }
end

-- Waits for the next change, at most so long.
function Store:wait(seconds)
  cqueues.poll(self.changed, seconds)
end

function Store:reset()
  self.tables, self.audit = {}, {}
end

store.null = json.null

return store
