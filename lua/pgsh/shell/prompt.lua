-- prompt: what stands in front of the line: where one is, in which role, and what may be changed.

local host = require "pgsh.host"

local prompt = {}

local function coloured(on, code, text)
  return on and ("\1\27[%sm\2%s\1\27[0m\2"):format(code, text) or text
end

-- How long users have been affected.
local function clock_text(name, open)
  local function span(ms) return ("%d:%02d"):format(ms // 60000, ms // 1000 % 60) end
  local text = ("%s %s"):format(require("pgsh.clocks").capitals(name), span(math.max(0, host.now() - (open.at_ms or host.now()))))
  return open.budget_ms and ("%s of %s"):format(text, span(open.budget_ms)) or text
end

---@param shell pgsh.Shell
---@return string
function prompt.text(shell)
  local colour, parts = host.terminal().colour, {}
  local target = shell:target()
  local window = target and shell.gate.windows[target]
  if not require("pgsh.shell.gate").covers(window, shell.vars.db) then window = nil end
  if shell.inside then parts[#parts + 1] = coloured(colour, "1;33", "in " .. shell.inside.step.id) end
  if target and shell.gate:is_production(target) then parts[#parts + 1] = coloured(colour, "1;41;97", " PROD ") end
  local label, role = "pgsh", nil
  if target then label, role = require("pgsh.shell.catalog").label(shell.vars.db) end
  parts[#parts + 1] = label
  if role then parts[#parts + 1] = "(" .. role .. ")" end
  for name, open in pairs(shell.current.state.clocks) do
    local text = clock_text(name, open)
    parts[#parts + 1] = coloured(colour, "1;33", text)
  end
  local running = shell.jobs:running()
  if running > 0 then parts[#parts + 1] = ("%d job%s"):format(running, running == 1 and "" or "s") end
  if shell.dry then
    parts[#parts + 1] = coloured(colour, "1;36", "DRY")
  elseif window then
    local left = math.max(0, window.until_ms - host.mono()) // 1000
    parts[#parts + 1] = coloured(colour, "1;31", ("RW %d:%02d"):format(left // 60, left % 60))
  else
    parts[#parts + 1] = coloured(colour, "32", "RO")
  end
  return table.concat(parts, " ") .. "> "
end

return prompt
