-- log: messages to the operator, as events; the views decide what is shown. Callable: log "text" is log.info "text".

local host = require "pgsh.host"
local strict = require "pgsh.strict"

local log = {}

local function say(level, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  host.emit("log", { level = level, text = tostring(text) })
end

function log.debug(text, ...) say("debug", text, ...) end
function log.info(text, ...) say("info", text, ...) end
function log.warn(text, ...) say("warn", text, ...) end
function log.error(text, ...) say("error", text, ...) end

return strict.module("log", log, log.info)
