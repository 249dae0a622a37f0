-- What words such as "deploy site metricity", "deploy/site sts/cache", "pods -l app=site" mean.
local fail = require "kube.client.fail"
local kinds = require "kube.kinds"
local rpc = require "kube.client.rpc"

local resources = {}

local function kind_of(word)
  local kind = kinds.named(word)
  if not kind then fail.raise(('the server doesn\'t have a resource type "%s"'):format(word:match "^[^.]+" or word)) end
  return kind
end

-- { { kind, name? } }: name is nil where a whole kind is meant.
function resources.parse(words)
  local out = {}
  if #words == 0 then return out end
  local slashes = 0
  for _, word in ipairs(words) do if word:find("/", 1, true) then slashes = slashes + 1 end end
  if slashes > 0 then
    if slashes < #words then
      fail.raise("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. "
        .. "'kubectl get "
        .. "resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'")
    end
    for _, word in ipairs(words) do
      local kind, name = word:match "^([^/]*)/(.*)$"
      if name == "" or kind == "" or name:find("/", 1, true) then
        fail.raise(("arguments in resource/name form may not have more than one slash"))
      end
      out[#out + 1] = { kind = kind_of(kind), name = name }
    end
    return out
  end
  local types = {}
  for word in words[1]:gmatch "[^,]+" do types[#types + 1] = kind_of(word) end
  if #words == 1 then
    for _, kind in ipairs(types) do out[#out + 1] = { kind = kind } end
  else
    for _, kind in ipairs(types) do
      for i = 2, #words do out[#out + 1] = { kind = kind, name = words[i] } end
    end
  end
  return out
end

-- The objects; those that are missing are told through problems (texts). options: selector, field_selector, all (namespaces), verb.
function resources.find(client, wanted, namespace, options)
  options = options or {}
  local found, problems = {}, {}
  for _, one in ipairs(wanted) do
    if one.name then
      if options.selector then fail.raise "name cannot be provided when a selector is specified" end
      local object, problem = client:try(rpc.request("get", one.kind.kind, namespace, one.name))
      if object then
        found[#found + 1] = { kind = one.kind, object = object }
      elseif problem.status ~= 404 or not options.ignore_not_found then
        problems[#problems + 1] = { text = rpc.text(problem), problem = problem }
      end
    else
      local items, problem = client:try(rpc.request("list", one.kind.kind, not options.all and namespace or nil, nil, {
        selector = options.selector, field_selector = options.field_selector,
      }))
      if not items then
        problems[#problems + 1] = { text = rpc.text(problem), problem = problem }
      else
        for _, object in ipairs(items) do found[#found + 1] = { kind = one.kind, object = object } end
      end
    end
  end
  return found, problems
end

-- Prints the problems; returns whether there were any.
function resources.tell(problems)
  for _, problem in ipairs(problems) do io.stderr:write(problem.text, "\n") end
  return #problems > 0
end

function resources.id(kind, name) return kind.prefix .. "/" .. name end

return resources
