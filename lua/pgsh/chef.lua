-- chef: chef-client on a host (over an ssh handle), and roles, by knife in the directory of the chef repository.
local errors = require "pgsh.errors"
local file = require "pgsh.file"
local json = require "pgsh.json"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local settle = require "pgsh.settle"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local chef = {}

local Client, Roles = {}, {}
Client.__index, Roles.__index = Client, Roles
Client.__name, Roles.__name = "chef.client", "chef.roles"

-- chef-client ------------------------------------------------------------------------------------------------------------------

function Client:__tostring() return "chef-client " .. self.name end

local function argv_of(words, ...)
  local out = { table.unpack(words) }
  for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end
  return out
end

-- Does the daemon run? With what was said.
function Client:runs()
  local result = self.host:read(argv_of(self.service, "chef-client", "status"), { ok = { 0, 1, 2, 3, 4, 5 } })
  local said = plain.trim(result.out .. result.err):match "[^\n]*$"
  if result.exit == 0 then return true, said end
  if result.exit == 3 or result.exit == 1 then return false, said end
  errors.raise("script", {
    message = ("service chef-client status ends with %d on %s: is there such a service?"):format(result.exit, self.name), hint = said,
  })
end

local function to(self, action, wanted)
  return self.host:run(argv_of(self.service, "chef-client", action), {
    resolve = function()
      return settle.look(self.settle, function() return self:runs() == wanted end), { exit = 0, out = "", err = "" }
    end,
  })
end

-- Stop and start the daemon. Both succeed when there is nothing to do.
function Client:stop() return to(self, "stop", false) end
function Client:start() return to(self, "start", true) end

-- chef-client once. Made again when its answer was lost: it only makes things as the roles say, and waits for one that runs.
function Client:run(options)
  local result = self.host:run(self.command, { timeout = options and options.timeout, resolve = function() return false end })
  if unknown.is(result) then return result end
  return { updated = math.tointeger(tonumber((result.out:match "finished, (%d+)/%d+ resources"))) }
end

-- options: name, service ({ "sudo", "service" }), command ({ "chef-client" }), settle.
function chef.client(handle, options)
  options = options_of.check("chef.client", options, { name = true, service = true, command = true, settle = true })
  local name = options.name or tostring(handle):gsub("^ssh ", "")
  return setmetatable({
    host = handle, name = name, service = options.service or { "service" }, command = options.command or { "chef-client" },
    settle = options.settle,
  }, Client)
end

-- Roles ------------------------------------------------------------------------------------------------------------------------

function Roles:__tostring() return "chef roles " .. self.dir end

-- What the server keeps of a role, and what it takes a missing key for.
local KEYS = {
  name = "", description = "", json_class = "Chef::Role", chef_type = "role", default_attributes = {}, override_attributes = {},
  run_list = {}, env_run_lists = {},
}

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Are two roles the same to the server?
local function same_role(a, b)
  for key, default in pairs(KEYS) do
    local left, right = a[key], b[key]
    if left == nil then left = default end
    if right == nil then right = default end
    if not same(left, right) then return false end
  end
  return true
end

local function check_name(name)
  if type(name) ~= "string" or not name:match "^[%w_-]+$" or name:match "^%-" then
    errors.usage("chef: %s is no role's name", tostring(name))
  end
  return name
end

-- The role as the server has it: its text, and the same decoded; nil when there is none.
function Roles:show(name)
  local result = sh.read({ "knife", "role", "show", check_name(name), "-F", "json" }, { cwd = self.dir, ok = { 0, 100 } })
  if result.exit == 0 then return result.out, json.decode(result.out) end
  local said = plain.trim(result.err .. result.out)
  if said:find "Cannot load role" or said:find "could not be found" or said:find "404" then return nil end
  errors.raise("process", { message = "knife role show " .. name .. " ended with status 100", detail = said })
end

-- The role as the file says it, decoded. Raises when it is no JSON, or no role.
function Roles:file(path)
  local full = path:match "^/" and path or self.dir .. "/" .. path
  local text = file.read(full)
  local ok, role = pcall(json.decode, text)
  if not ok then
    errors.raise("json", "%s is not valid JSON: %s", path, role.message or tostring(role))
  end
  if type(role) ~= "table" or type(role.name) ~= "string" then
    errors.raise("script", "%s is no role: it has no name", path)
  end
  return role, text
end

-- Does the server have what the file says?
function Roles:matches(path)
  local role = self:file(path)
  local _, there = self:show(role.name)
  return there ~= nil and same_role(role, there)
end

-- knife fails also after it has done its work: what the server has then decides.
local function upload(self, role, command, options)
  local function done()
    local _, there = self:show(role.name)
    return there ~= nil and same_role(role, there)
  end
  options.cwd = self.dir
  options.resolve = function() return settle.look(self.settle, done), { exit = 0, out = "", err = "" } end
  local what = ("knife failed, but the server has the role %s as it should be"):format(role.name)
  return settle.despite(what, done, sh.run, command, options)
end

-- The server's role is replaced, the whole of it, by what the file says. For undo keep what roles:show gives before.
function Roles:from_file(path)
  return upload(self, (self:file(path)), { "knife", "role", "from", "file", path }, {})
end

-- knife wants a file whose name says what is in it.
local FROM_TEXT = [[
f=$(mktemp --suffix=.json) && cat >"$f" && knife role from file "$f"
s=$?
rm -f "$f"
exit $s]]

-- Put back a role as roles:show gave it; with nil, take away one that was not there.
function Roles:put_back(name, text)
  check_name(name)
  if not text then
    return sh.run({ "knife", "role", "delete", name, "--yes" }, {
      cwd = self.dir, resolve = function() return settle.look(self.settle, function() return self:show(name) == nil end) end,
    })
  end
  return upload(self, json.decode(text), FROM_TEXT, { input = text, what = ("knife role from file (%s, as it was)"):format(name) })
end

-- options: dir (of the chef repository: knife finds its configuration there), settle.
function chef.roles(options)
  if type(options) ~= "table" or type(options.dir) ~= "string" then errors.usage "chef.roles { dir = \"…\" }: dir is missing" end
  options_of.check("chef.roles", options, { dir = true, settle = true })
  return setmetatable({ dir = options.dir, settle = options.settle }, Roles)
end

return chef
