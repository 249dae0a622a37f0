-- linode: the Block Storage volumes of an account: looked at, found by what a Kubernetes PersistentVolume says, cloned.
--
-- The service knows no idempotency key. When the answer to a clone is lost, the account decides: a volume with that label and the
-- source's size, which was not there before, is ours.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local json = require "pgsh.json"
local plain = require "pgsh.plain"
local polling = require "pgsh.polling"
local session = require "pgsh.session"
local settle = require "pgsh.settle"
local token_api = require "pgsh.token_api"
local unknown = require "pgsh.unknown"

local linode = {}

local Account = {}
Account.__index = Account
Account.__name = "linode.account"

local SERVICE = {
  title = "Linode", kind = "linode", address = "https://api.linode.com/v4", redirect = "PGSH_LINODE_URL", variable = "LINODE_TOKEN",
  scheme = "Bearer", hint = "a personal access token with the scope volumes:read_write, made under API Tokens of the user's profile",
}
local PAGE = 500 -- the most that a page may have
local LABEL_MAX = 32

function Account.__tostring() return "linode volumes" end

local function refused(hint, format, ...)
  error(host.error("refused", { message = format:format(...), hint = hint }), 0)
end

local function connect(self) return token_api.connect(self, SERVICE, "volumes") end

-- The volumes, all pages; options: label (exactly this one).
function Account:volumes(options)
  options = options or {}
  for key in pairs(options) do
    if key ~= "label" then errors.usage("linode volumes: unknown option %s", tostring(key)) end
  end
  local headers = options.label and { ["X-Filter"] = json.encode { label = options.label } } or nil
  local out, page, pages = {}, 1, 1
  while page <= pages do
    local list = connect(self):get_json("/volumes", { query = { page = page, page_size = PAGE }, headers = headers })
    for _, raw in ipairs(list.data) do
      -- The filter is the service's business; that the label is the one asked for is ours.
      if not options.label or raw.label == options.label then out[#out + 1] = plain.value(raw) end
    end
    page, pages = page + 1, list.pages
  end
  return out
end

-- Raises what would make the first request fail: no credential, or one that may not read the volumes.
function Account:check()
  connect(self):get("/volumes", { query = { page = 1, page_size = 25 } })
end

local function id_of(id, call)
  local number = math.tointeger(tonumber(id))
  if not number or number < 1 then errors.usage("linode %s: %s is no volume's id", call, tostring(id)) end
  return number
end

-- A volume by its id: id, label, status, size, region, linode_id …; nil when there is none.
function Account:volume(id)
  if unknown.is(id) then return unknown.new "volume" end
  local reply = connect(self):get(("/volumes/%d"):format(id_of(id, "volume")), { expect = { 200, 404 } })
  if reply.status == 404 then return nil end
  return plain.value(reply.json)
end

-- What a PersistentVolume's spec.csi.volumeHandle says: "516140-pvc1a2b" is the volume 516140, labelled pvc1a2b. The label may hold
-- further dashes.
function linode.parse_handle(handle)
  local id, label = tostring(handle):match "^(%d+)%-(.+)$"
  if not id then return nil end
  return math.tointeger(tonumber(id)), label
end

-- The volume behind a PersistentVolume's handle; nil when it is gone.
function Account:find(handle)
  if unknown.is(handle) then return unknown.new "volume" end
  local id, label = linode.parse_handle(handle)
  if not id then
    errors.usage("linode find: %s is no handle of the Linode driver: ID-LABEL (spec.csi.volumeHandle of the PersistentVolume)",
      tostring(handle))
  end
  local volume = self:volume(id)
  if volume and volume.label ~= label then
    refused("is it the right account?", "the volume %d is called %s, and not %s", id, volume.label, label)
  end
  return volume
end

-- Is this a label that the service takes? Else why not.
function linode.check_label(label)
  if type(label) ~= "string" or #label < 1 or #label > LABEL_MAX then return false, "a label has 1 to 32 characters" end
  if not label:match "^%a" then return false, "a label begins with a letter" end
  if label:match "[^%w_-]" then return false, "a label has letters, digits, - and _" end
  if label:find("--", 1, true) or label:find("__", 1, true) then return false, "a label has no -- and no __" end
  return true
end

local CLONE = { label = true, known = true }

-- Change: a copy of a volume, under a label. The result's json.id is its id; it is being made for a while (wait_active). known: ids
-- that had the label before, from keep.
function Account:clone(id, given)
  for key in pairs(given) do
    if not CLONE[key] then errors.usage("linode clone: unknown option %s", tostring(key)) end
  end
  local source = unknown.is(id) and id or id_of(id, "clone")
  local good, why = linode.check_label(given.label)
  if not good then errors.usage("linode clone: %s: %s", tostring(given.label), why) end
  local known = {}
  for _, one in ipairs(given.known or {}) do known[one] = true end
  local shown = unknown.is(source) and unknown.text(source) or ("%d"):format(source)
  local function made()
    local from = self:volume(source)
    for _, volume in ipairs(self:volumes { label = given.label }) do
      if volume.id ~= source and not known[volume.id] and (not from or volume.size == from.size) then return volume.id end
    end
  end
  return connect(self):post(("/volumes/%s/clone"):format(tostring(source)), {
    json = { label = given.label }, pick = { "id", "label", "size", "status" },
    what = ("clone the volume %s as %s"):format(shown, given.label),
    resolve = function()
      local happened, found = settle.look(self.settle, made)
      return happened, happened and { status = 200, json = { id = found, label = given.label } } or nil
    end,
  })
end

local function look_active(self, id)
  local volume = self:volume(id)
  if not volume then refused(nil, "there is no volume %d any more", id) end
  if volume.status == "contact_support" then
    refused("open a ticket with Linode", "the volume %d (%s) is in the state contact_support", id, volume.label)
  end
  if volume.status == "active" then return volume end
  return nil, volume.status
end

local DEFAULT_WAIT = "30m"

-- Wait until a volume is active; raises when it cannot become so. Returns the volume. options: timeout ("30m").
function Account:wait_active(id, options)
  options = options or {}
  for key in pairs(options) do
    if key ~= "timeout" then errors.usage("linode wait_active: unknown option %s", tostring(key)) end
  end
  local limit = host.duration(options.timeout or DEFAULT_WAIT)
  if not limit then errors.usage("linode wait_active: timeout = %s is no duration", tostring(options.timeout)) end
  if unknown.is(id) then
    polling.note(("the volume %s is active (limit %s)"):format(unknown.text(id), host.span(limit)))
    return unknown.new "volume"
  end
  local number = id_of(id, "wait_active")
  local what = ("the volume %d is active"):format(number)
  local function look() return look_active(self, number) end
  if session.shows() then return polling.once(what, limit, look) end
  return polling.poll(limit, what, look, {})
end

-- The account whose token LINODE_TOKEN is. Named as a target at once; nothing is asked before the first use. options: settle ("20s": how
-- long the account is asked for a change whose answer was lost).
function linode.account(options)
  options = options or {}
  for key in pairs(options) do
    if key ~= "settle" then errors.usage("linode.account: unknown option %s", tostring(key)) end
  end
  host.target("linode", "volumes", token_api.redirected(SERVICE))
  return setmetatable({ settle = options.settle }, Account)
end

return linode
