-- Changes of objects. When the answer was lost the object itself is asked: it says how many replicas it is to have, which image, when
-- it was
-- restarted, whether it is on its way out.
local client = require "pgsh.kubectl.client"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"

local objects = {}

-- The effect's result is the same whichever way it was found out.
local DONE = { exit = 0, out = "", err = "" }

local function resolve(self, look)
  return function() return settle.look(self.options.settle, look), DONE end
end

local function not_found(self, name)
  return host.error("kubectl", { message = name .. " does not exist", target = tostring(self), reason = "NotFound" })
end

-- ---- scale ----

-- What a resumed run is matched by does not say how many there were: that may have changed by the very change.
function objects.scale(self, name, replicas)
  client.check_name("k:scale", name)
  if not unknown.is(replicas) and (math.type(replicas) ~= "integer" or replicas < 0) then
    errors.usage("k:scale: a number of replicas expected, got %s", tostring(replicas))
  end
  local object = self:get(name)
  if unknown.is(object) or unknown.is(replicas) or unknown.is(name) then
    local result = client.change(self, { "scale", name, "--replicas=" .. replicas }, {})
    return unknown.is(result) and result or { was = 0, replicas = replicas }
  end
  if not object then error(not_found(self, name), 0) end
  local was = object.spec and object.spec.replicas
  if not was then errors.usage("k:scale: a %s has no replicas", tostring(object.kind)) end
  local function look()
    local now = self:get(name)
    return now and now.spec.replicas == replicas
  end
  local result = client.change(self, { "scale", name, "--replicas=" .. replicas, "--current-replicas=" .. was }, {
    what = ("kubectl scale %s --replicas=%d"):format(name, replicas), detail = ("%s: %d to %d replicas"):format(name, was, replicas),
    resolve = resolve(self, look) })
  return unknown.is(result) and result or { was = was, replicas = replicas }
end

-- ---- apply ----

local function check_path(what, path)
  if type(path) ~= "string" or path == "" or path:find "^%-" then
    errors.usage("%s: the path of a manifest expected, got %s", what, tostring(path))
  end
end

-- The names of kubectl's temporary directories, and their times, are of no use to anybody; the annotation with the whole of the former
-- manifest hides what matters.
local function readable(diff)
  diff = diff:gsub("diff %-u %-N [^\n]*\n", ""):gsub('\n([ +-]%s*){"apiVersion":[^\n]*', "\n%1…")
  return (diff:gsub("([-+][-+][-+] )/[^\n]-/(%u+)%-%d+/([^\t\n]+)[^\n]*", function(sign, side, file)
    return ("%s%s/%s"):format(sign, side:lower(), file)
  end))
end

-- diff ends with 1 when there are differences, above when it failed; apply can then still say what is wrong.
function objects.diff(self, path)
  check_path("k:diff", path)
  local result = client.again(function()
    local result = client.read(self, { "diff", "-f", path }, { ok = { 0, 1 }, what = "kubectl diff -f " .. path })
    if unknown.is(result) or result.exit == 0 or result.out ~= "" or result.err == "" then return result end
    error(client.failure(self, "diff", host.error("process", { message = "kubectl exited with 1", exit = 1, detail = result.err })), 0)
  end)
  if unknown.is(result) then return result end
  return readable(result.out)
end

local DETAIL_BYTES = 16384

local function applied(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    local name, became = line:match "^(%S+/%S+) (%a+)"
    if name then out[#out + 1] = { name = name, became = became } end
  end
  return out
end

function objects.apply(self, path, options)
  check_path("k:apply", path)
  options = client.check_options("k:apply", options, { server_side = true, timeout = true })
  local ok, detail = pcall(objects.diff, self, path)
  if not ok and (type(detail) ~= "table" or detail.kind ~= "kubectl" or detail.code == "kubectl_connect") then error(detail, 0) end
  if ok and detail == "" then -- in a plan the files are as they were before the steps that edit them
    detail = host.mode() ~= "plan" and "the cluster is as the manifest says" or nil
  elseif #tostring(detail) > DETAIL_BYTES then
    detail = detail:sub(1, DETAIL_BYTES):gsub("[^\n]*$", "") .. "…"
  end
  local words = { "apply", "-f", path }
  if options.server_side then words[#words + 1] = "--server-side" end
  -- Applied again it makes the same of the cluster: not done is what still differs.
  local result = client.change(self, words, {
    what = "kubectl apply -f " .. path, timeout = options.timeout,
    detail = detail and tostring(detail),
    resolve = resolve(self, function() return objects.diff(self, path) == "" end) })
  if unknown.is(result) then return result end
  return { objects = applied(result.out) }
end

-- ---- delete ----

function objects.delete(self, name, options)
  client.check_name("k:delete", name)
  options = client.check_options("k:delete", options, { uid = true, grace = true })
  local object = self:get(name)
  local shown = "kubectl delete " .. tostring(name)
  if unknown.is(object) or unknown.is(options.uid) then
    return client.change(self, { "delete", name, "--wait=false", "--ignore-not-found" }, { what = shown })
  end
  local uid = options.uid or object and object.metadata.uid
  if object and options.uid and object.metadata.uid ~= options.uid then
    error(host.error("kubectl", {
      message = ("%s is another one than it was: somebody has made it anew"):format(name), target = tostring(self), reason = "Conflict",
    }), 0)
  end
  local words = { "delete", name, "--wait=false", "--ignore-not-found" }
  if options.grace then
    local ms = host.duration(options.grace)
    if not ms then errors.usage("k:delete: grace: %s is not a duration", tostring(options.grace)) end
    words[#words + 1] = ("--grace-period=%d"):format(ms // 1000)
  end
  local result = client.change(self, words, {
    what = shown, detail = object and ("%s, uid %s"):format(name, uid) or name .. " is not there",
    resolve = resolve(self, function()
      local now = self:get(name)
      return not now or now.metadata.uid ~= uid or now.metadata.deletionTimestamp ~= nil
    end) })
  if unknown.is(result) then return result end
  return { existed = object ~= nil, uid = uid }
end

-- ---- patches ----

-- Patched again with the same it makes no difference.
local function patch(self, name, body, what, look)
  local json = require "pgsh.json"
  return client.change(self, { "patch", name, "--type=strategic", "-p", json.encode(body) }, { what = what, resolve = resolve(self, look) })
end

local RESTARTED = "kubectl.kubernetes.io/restartedAt"

-- What `kubectl rollout restart` does, with a time that we know: so it can be seen whether it was this one.
function objects.restart(self, name)
  client.check_name("k:restart", name)
  local at = host.iso(host.now()):sub(1, 19) .. "Z"
  local object = self:get(name)
  if object == nil then error(not_found(self, name), 0) end
  if not unknown.is(object) and object.spec and object.spec.paused then
    error(host.error("kubectl", { message = name .. " is paused: resume its rollout first", target = tostring(self) }), 0)
  end
  local function stamp(one)
    local template = one and one.spec and one.spec.template
    return template and template.metadata and (template.metadata.annotations or {})[RESTARTED]
  end
  local before = not unknown.is(object) and stamp(object) or nil
  local result = patch(self, name, { spec = { template = { metadata = { annotations = { [RESTARTED] = at } } } } },
    "kubectl rollout restart " .. name, function()
      local now = stamp(self:get(name))
      return now ~= nil and now ~= before
    end)
  return unknown.is(result) and result or { at = at }
end

local function container_of(object, container)
  local template = object.spec and object.spec.template
  for _, key in ipairs { "containers", "initContainers" } do
    for _, one in ipairs(template and template.spec and template.spec[key] or {}) do
      if one.name == container then return one, key end
    end
  end
end

function objects.set_image(self, name, container, image)
  client.check_name("k:set_image", name)
  if not unknown.is(image) and (type(image) ~= "string" or not image:find "^[%w][%w./:@_-]*$") then
    errors.usage("k:set_image: an image expected, got %s", tostring(image))
  end
  local object = self:get(name)
  if object == nil then error(not_found(self, name), 0) end
  if unknown.is(object) then return object end
  local found, key = container_of(object, container)
  if not found then errors.usage("k:set_image: %s has no container %s", name, tostring(container)) end
  local was = found.image
  local result = patch(self, name, { spec = { template = { spec = { [key] = { { name = container, image = image } } } } } },
    ("kubectl set image %s %s=%s"):format(name, container, tostring(image)), function()
      local now = self:get(name)
      return now and container_of(now, container).image == image
    end)
  return unknown.is(result) and result or { was = was, image = image }
end

return objects
