-- place: where in a script something is said, for messages: the nearest stack frame that is not pgsh's own.

local place = {}

-- Sources of the engine share the directory of this file, be it embedded ("@pgsh:/pgsh/") or in the source tree.
local own = debug.getinfo(1, "S").source:match("^(.*/)[^/]*$") or "@pgsh:/pgsh/"

---Does a chunk name belong to pgsh itself?
---@param source string
---@return boolean
function place.is_own(source)
  return source:sub(1, #own) == own or source:sub(1, 2) == "=["
end

---The script's frame nearest to the caller: file and line; nil when no script is running.
---@return string? file
---@return integer? line
function place.find()
  local level = 2
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return nil end
    if frame.currentline > 0 and not place.is_own(frame.source) then
      return (frame.source:gsub("^[@=]", "")), frame.currentline
    end
    level = level + 1
  end
end

---"file.lua:12", or nil.
---@return string?
function place.text()
  local file, line = place.find()
  return file and file .. ":" .. line
end

---The script's lines of a traceback, innermost first: "file.lua:12: in function …".
---@param traceback string?
---@return string[]
function place.script_lines(traceback)
  local lines = {}
  for line in (traceback or ""):gmatch("[^\n]+") do
    local text = line:match("^%s+(.-:%d+: in .*)$")
    if text and not text:find("^pgsh:/pgsh/") and not text:find("lua/pgsh/", 1, true) then lines[#lines + 1] = text end
  end
  return lines
end

---The first script line of a traceback: "file.lua:12", or nil.
---@param traceback string?
---@return string?
function place.of_traceback(traceback)
  local first = place.script_lines(traceback)[1]
  return first and first:match("^(.-:%d+): in ")
end

return place
