-- The kubeconfig: contexts, namespace, server.
local fail = require "kube.client.fail"
local json = require "core.json"
local yamlin = require "kube.yamlin"

local config = {}

local function read_all(path)
  local out = { clusters = {}, contexts = {}, users = {}, list = {} }
  for file_path in path:gmatch "[^:]+" do
    local file = io.open(file_path)
    if file then
      local documents, why = yamlin.documents(file:read "a")
      file:close()
      if not documents then fail.raise(("error loading config file \"%s\": %s"):format(file_path, why)) end
      local given = documents[1] or json.null
      if given ~= json.null then
        for _, kind in ipairs { "clusters", "contexts", "users" } do
          for _, entry in ipairs(given[kind] or {}) do
            if not out[kind][entry.name] then
              out[kind][entry.name] = entry[kind:sub(1, -2)]
              if kind == "contexts" then out.list[#out.list + 1] = entry.name end
            end
          end
        end
        out.current = out.current or (given["current-context"] ~= "" and given["current-context"]) or nil
        out.raw = out.raw or given
      end
    end
  end
  table.sort(out.list)
  return out
end

function config.load(values)
  local home = os.getenv "HOME" or "/root"
  return read_all(values.kubeconfig or os.getenv "KUBECONFIG" or home .. "/.kube/config")
end

-- { server, namespace, explicit } for a command.
function config.resolve(values)
  local all = config.load(values)
  local name = values.context or all.current
  local context = name and all.contexts[name]
  if values.context and not context then
    -- As 1.32 words it; 1.20 does the same.
    fail.raise(('context "%s" does not exist'):format(values.context))
  end
  context = context or {}
  local cluster = all.clusters[values.cluster or context.cluster or ""] or {}
  return {
    server = values.server or cluster.server or "http://localhost:8080", namespace = values.namespace or context.namespace or "default",
    explicit = values.namespace ~= nil, user = context.user,
  }
end

return config
