-- kubectl set image and patch.
local fail = require "kube.client.fail"
local json = require "core.json"
local resources = require "kube.client.resources"
local rpc = require "kube.client.rpc"
local scale = require "kube.client.verbs.scale"
local yamlin = require "kube.yamlin"

local verbs = {}

local function set_image(ctx)
  local words, images = {}, {}
  for _, word in ipairs(ctx.words) do
    local name, image = word:match "^([^=/]+)=(.+)$"
    if name then images[name] = image else words[#words + 1] = word end
  end
  if #words == 0 then
    fail.raise("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f "
      .. "rsrc.yaml'\n   "
      .. "'--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'")
  elseif not next(images) then
    fail.raise "at least one image update is required"
  end
  ctx.words = words
  local found, problems = scale.targets(ctx)
  for _, one in ipairs(found) do
    local meta = one.object.metadata
    local dry = ctx.values["dry-run"]
    local result, problem = ctx.client:try(rpc.request("set_image", one.kind.kind, meta.namespace, meta.name, { images = images,
      dry = dry ~= nil }))
    if problem then
      problems[#problems + 1] = { text = rpc.text(problem) }
    elseif result.changed then
      io.stdout:write(resources.id(one.kind, meta.name), " image updated", dry and (" (%sdry run)"):format(dry == "server" and "server "
        or "") or "", "\n")
    end
  end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

local function patch(ctx)
  local text = ctx.values.patch
  if ctx.values["patch-file"] then
    local file = io.open(ctx.values["patch-file"]) or fail.raise(("unable to read patch file: open %s: no such file or directory"):format(
      ctx.values["patch-file"]))
    text = file:read "a"
    file:close()
  end
  if not text then fail.raise "must specify --patch or --patch-file containing the contents of the patch" end
  local documents, why = yamlin.documents(text)
  if not documents then fail.raise(('unable to parse "%s": %s'):format(text, why)) end
  local found, problems = scale.targets(ctx)
  for _, one in ipairs(found) do
    local meta = one.object.metadata
    local result, problem = ctx.client:try(rpc.request("patch", one.kind.kind, meta.namespace, meta.name, {
      patch = documents[1] or json.null, type = ctx.values.type or "strategic", dry = ctx.values["dry-run"] ~= nil,
    }))
    if problem then
      problems[#problems + 1] = { text = rpc.text(problem) }
    else
      io.stdout:write(resources.id(one.kind, meta.name), " patched", result.changed and "" or " (no change)", "\n")
    end
  end
  io.stdout:flush()
  return resources.tell(problems) and 1 or 0
end

verbs.set = { sub = { image = { run = set_image, flags = {
  all = { type = "bool" }, ["dry-run"] = { type = "string", bare = "unchanged" }, selector = { type = "string", short = "l" },
  output = { type = "string", short = "o" }, ["local"] = { type = "bool" }, record = { type = "bool" },
} } } }
verbs.patch = { run = patch, flags = {
  patch = { type = "string", short = "p" }, ["patch-file"] = { type = "string" }, type = { type = "string" },
  ["dry-run"] = { type = "string", bare = "unchanged" }, output = { type = "string", short = "o" },
} }

return verbs
