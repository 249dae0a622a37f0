-- Answers of the API server that are not a success, as it words them.
local kinds = require "kube.kinds"
local refusal = require "core.refusal"

local refuse = {}

-- message: without "Error from server (Reason): ", which kubectl puts in front.
local function raise(status, reason, message, extra)
  refusal.raise(status, reason, message, extra)
end
refuse.raise = raise

function refuse.not_found(kind, name)
  raise(404, "NotFound", ('%s "%s" not found'):format(kinds.of(kind).resource, name), { kind = kind, name = name })
end

function refuse.exists(kind, name)
  raise(409, "AlreadyExists", ('%s "%s" already exists'):format(kinds.of(kind).resource, name))
end

function refuse.conflict(kind, name)
  raise(409, "Conflict", ('Operation cannot be fulfilled on %s "%s": the object has been modified; please apply your changes to the latest '
    .. "version and try again"):format(kinds.of(kind).resource, name))
end

-- causes: texts such as "spec.selector: Required value".
function refuse.invalid(kind, name, causes)
  local text = #causes == 1 and causes[1] or "[" .. table.concat(causes, ", ") .. "]"
  raise(422, "Invalid", ('%s "%s" is invalid: %s'):format(kind, name, text), { kind = kind, name = name })
end

function refuse.bad_request(message) raise(400, "BadRequest", message) end

function refuse.forbidden(user, verb, kind, sub, namespace, name)
  local entry = kinds.of(kind)
  local resource = sub and entry.plural .. "/" .. sub or entry.plural
  local what = name and ('%s "%s" is'):format(entry.resource, name) or entry.resource .. " is"
  raise(403, "Forbidden", ('%s forbidden: User "%s" cannot %s resource "%s" in API group "%s" %s'):format(what, user, verb, resource,
    entry.group, namespace and ('in the namespace "%s"'):format(namespace) or "at the cluster scope"))
end

return refuse
