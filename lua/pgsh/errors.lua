-- errors: catching, wrapping and wording errors. Whatever is raised leaves the engine as an error object of the host.

local host = require "pgsh.host"

local errors = {}

---Is it an error object of the host?
---@param e any
---@return boolean
function errors.is(e)
  return type(e) == "table" and type(e.kind) == "string" and type(e.message) == "string"
end

-- Message handler: wraps what scripts raise (strings, other tables). It runs on the stack of the error and must not wait.
local function handler(e)
  if errors.is(e) then return e end
  local meta = type(e) == "table" and debug.getmetatable(e)
  local text = type(e) == "table" and not (type(meta) == "table" and meta.__tostring) and require("pgsh.inspect").text(e) or tostring(e)
  return host.error("script", { message = text, traceback = debug.traceback("", 2) })
end

---Call f(...). True and its results, or false and an error object.
---@param f function
---@return boolean ok
---@return any ...
function errors.try(f, ...)
  return xpcall(f, handler, ...)
end

---Raise an error of kind usage that names the script's line.
---@param format string
function errors.usage(format, ...)
  local where = require("pgsh.place").text()
  local text = select("#", ...) > 0 and format:format(...) or format
  error(host.error("usage", { message = where and where .. ": " .. text or text }), 0)
end

---Raise an error of the catalogue.
---@param code string
---@param format string|table       # or its fields: message, target, hint, detail, …
function errors.raise(code, format, ...)
  local fields = type(format) == "table" and format or { message = select("#", ...) > 0 and format:format(...) or format }
  error(host.error(code, fields), 0)
end

---May a further attempt help, so that a wait goes on? A cancel or an interrupt is not to be swallowed.
---@param e table
---@return boolean
function errors.passing(e)
  return e.retryable and e.kind ~= "interrupted" and e.kind ~= "cancelled" and e.kind ~= "locked" or false
end

---One line.
---@param e any
---@return string
function errors.line(e)
  return (tostring(e):gsub("%s*\n.*$", ""))
end

---The script line an error comes from: "file.lua:12", or nil when its message says it already or nobody knows.
---@param e table
---@return string?
function errors.place(e)
  local where = require("pgsh.place").of_traceback(e.traceback)
  if where and tostring(e):find(where, 1, true) then return nil end
  return where
end

---An error as events carry it.
---@param e table
---@return table
function errors.body(e)
  local where = errors.place(e)
  local detail = e.detail
  if where then detail = (detail and detail .. "\n" or "") .. "at " .. where end
  return {
    kind = e.kind, code = e.code, message = e.message, target = e.target, sqlstate = e.sqlstate, status = e.status, exit = e.exit,
    signal = e.signal, hint = e.hint, detail = detail, place = where, traceback = e.traceback,
  }
end

return errors
