-- How the Heroku modules say that something is wrong.
local host = require "pgsh.host"

local fail = {}

-- The caller, a parameter or the environment is wrong.
function fail.usage(format, ...)
  error(host.error("usage", { message = format:format(...) }), 0)
end

-- Something about the app that cannot go on as it is. details: hint; code ("script" unless given).
function fail.app(app, message, details)
  details = details or {}
  error(host.error(details.code or "script", { message = message, target = "heroku " .. app, hint = details.hint }), 0)
end

-- A duration in milliseconds, or an error that names the option.
function fail.unless_duration(value, option)
  return host.duration(value) or fail.usage("%s: %s is not a duration", option, tostring(value))
end

return fail
