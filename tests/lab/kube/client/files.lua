-- The manifests that -f names: files, folders, standard input; parsed, checked, with their namespace.
local fail = require "kube.client.fail"
local json = require "core.json"
local kinds = require "kube.kinds"
local lfs = require "lfs"
local schema = require "kube.schema"
local yamlin = require "kube.yamlin"

local files = {}

local function expand(path, recursive, out)
  if path == "-" then
    out[#out + 1] = { name = "STDIN", text = io.stdin:read "a" }
    return
  end
  local mode = lfs.attributes(path, "mode")
  if not mode then fail.raise(('the path "%s" does not exist'):format(path), files.failure) end
  if mode == "directory" then
    local names = {}
    for name in lfs.dir(path) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local below = path:gsub("/$", "") .. "/" .. name
      local kind = lfs.attributes(below, "mode")
      if kind == "file" and (name:match "%.ya?ml$" or name:match "%.json$") then
        expand(below, recursive, out)
      elseif kind == "directory" and recursive and name ~= "." and name ~= ".." then
        expand(below, recursive, out)
      end
    end
    return
  end
  local file = io.open(path)
  if not file then fail.raise(("open %s: permission denied"):format(path), files.failure) end
  out[#out + 1] = { name = path, text = file:read "a" }
  file:close()
end

local function flatten(object, file, out)
  if object.kind == "List" and json.is_array(object.items) then
    for _, item in ipairs(object.items) do flatten(item, file, out) end
  else
    out[#out + 1] = { file = file, object = object }
  end
end

-- { { file, object } or { file, problem } }: what cannot be read at all ends the command; what only does not validate is a problem of its
-- object.
-- status: of the failure (diff ends with more than 1). options: validate = false.
function files.load(ctx, status, options)
  files.failure = status
  local texts, out = {}, {}
  for _, path in ipairs(ctx.values.filename or {}) do expand(path, ctx.values.recursive, texts) end
  for _, text in ipairs(texts) do
    local documents, why = yamlin.documents(text.text)
    if not documents then
      fail.raise(("error parsing %s: error converting YAML to JSON: %s"):format(text.name, why), status)
    end
    for _, document in ipairs(documents) do
      if document ~= json.null then
        if not json.is_object(document) then
          fail.raise(('error validating "%s": error validating data: invalid object to validate'):format(text.name), status)
        end
        flatten(document, text.name, out)
      end
    end
  end
  for _, one in ipairs(out) do
    local object = one.object
    local problem = (options or {}).validate ~= false and schema.problem(object)
    if problem then
      one.problem = ('error validating "%s": error validating data: %s; if you choose to ignore these errors, turn validation off with '
        .. '--validate=false')
        :format(one.file, problem)
    else
      one.kind = object.apiVersion and object.kind and kinds.of_manifest(object.apiVersion, object.kind)
      if not one.kind then
        local name, namespace = object.metadata and object.metadata.name or "", object.metadata and object.metadata.namespace or ""
        one.problem = fail.old
          and ('unable to recognize "%s": no matches for kind "%s" in version "%s"'):format(one.file, tostring(object.kind),
          tostring(object.apiVersion))
          or ('resource mapping not found for name: "%s" namespace: "%s" from "%s": no matches for kind "%s" in version "%s"\nensure '
          .. 'CRDs are installed first')
            :format(name, namespace, one.file, tostring(object.kind), tostring(object.apiVersion))
      end
    end
    if one.kind and one.kind.namespaced then
      object.metadata = object.metadata or {}
      local given = object.metadata.namespace
      if given and ctx.context.explicit and given ~= ctx.namespace then
        one.problem = ('the namespace from the provided object "%s" does not match the namespace "%s". You must pass \'--namespace=%s\' '
          .. 'to perform this '
          .. "operation."):format(given, ctx.namespace, given)
      end
      object.metadata.namespace = given or ctx.namespace
    elseif one.kind then
      object.metadata = object.metadata or {}
    end
  end
  return out
end

-- For get, delete and the like: what the files name.
function files.wanted(ctx)
  local out = {}
  for _, one in ipairs(files.load(ctx, 1, { validate = false })) do
    if one.problem then fail.raise(one.problem) end
    out[#out + 1] = { kind = one.kind, name = one.object.metadata.name, namespace = one.object.metadata.namespace, file = one.file }
  end
  return out
end

return files
