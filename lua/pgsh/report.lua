-- report: a recorded run as text (`pgsh show`) and as Markdown for the post-mortem (`pgsh report`).

local host = require "pgsh.host"

local report = {}

local function time_of(event)
  return (event.at or ""):sub(12, 19)
end

local function line_of_error(error_body)
  if type(error_body) == "table" then return (error_body.target and error_body.target .. ": " or "") .. (error_body.message or "?") end
  return tostring(error_body)
end

-- One line for each event that says something to a reader; the others are left out.
local LINES = {}

LINES["run.started"] = function(e) return ("run %s begins: %s by %s@%s"):format(e.run, e.procedure, e.user, e.host) end
LINES["run.resumed"] = function(e) return ("resumed by %s@%s"):format(e.user, e.host) end
LINES["run.changed"] = function(e) return "the procedure was edited: " .. table.concat(e.changes, "; ") end
LINES["run.ended"] = function(e) return e.message end
LINES["setting"] = function(e) return "setting: " .. e.text end
LINES["fact"] = function(e) return ("fact %s = %s"):format(e.name, require("pgsh.json").encode(e.value)) end
LINES["step.started"] = function(e)
  return ("%d  %s%s"):format(e.number, e.title, (e.attempt or 1) > 1 and (", attempt %d"):format(e.attempt) or "")
end
LINES["step.done"] = function(e)
  return ("   done in %.1f s%s"):format((e.ms or 0) / 1000, e.note and ": " .. e.note or "")
end
LINES["step.failed"] = function(e)
  local word = e.outcome == "unknown" and "OUTCOME UNKNOWN" or "failed"
  return ("   %s%s: %s"):format(e.phase == "undo" and "undo " or "", word, line_of_error(e.error))
end
LINES["step.skipped"] = function(e) return ("%d  skipped: %s"):format(e.number, e.why or "") end
LINES["step.undone"] = function(e) return ("%d  %s"):format(e.number, e.why or "undone") end
LINES["effect.intent"] = function(e) return ("     change  %s  %s"):format(e.target or "", e.show or "") end
LINES["effect.outcome"] = function(e)
  if e.outcome == "ok" and not e.how then return nil end
  return ("     %s%s%s"):format(e.outcome, e.how and " by " .. e.how or "", e.error and ": " .. line_of_error(e.error) or "")
end
LINES["wait.ended"] = function(e)
  return ("     waited %s for %s%s"):format(host.span(e.ms or 0), e.what, e.ok and "" or ", in vain")
end
LINES["clock.opened"] = function(e) return ("     %s begins"):format(require("pgsh.clocks").capitals(e.clock)) end
LINES["clock.closed"] = function(e)
  return ("     %s lasted %s%s"):format(require("pgsh.clocks").capitals(e.clock), host.span(e.ms or 0),
    e.over and ", OVER ITS BUDGET OF " .. host.span(e.budget_ms) or "")
end
LINES["answered"] = function(e)
  return ("     %s  → %s (%s%s)"):format((e.question or "?"):match("^[^\n]*"), e.answer or "", e.by or "", e.user and ", " .. e.user or "")
end
LINES["log"] = function(e)
  if e.level ~= "debug" then return ("     %s%s"):format(e.level ~= "info" and e.level .. ": " or "", e.text) end
end

LINES["shell.line"] = function(e) return ("%d> %s"):format(e.line, (e.text:gsub("\n", "\n" .. (" "):rep(12 + #tostring(e.line))))) end
LINES["shell.done"] = function(e)
  if e.error then return "     " .. line_of_error(e.error) end
  if e.rows then return ("     %d row%s in %.1f s"):format(e.rows, e.rows == 1 and "" or "s", (e.ms or 0) / 1000) end
end
LINES["shell.window"] = function(e)
  if not e.open then return ("     read-only again: %s"):format(e.target) end
  return ("     CHANGES WITHOUT ASKING to %s for %g minute%s: %s"):format(e.target, e.minutes, e.minutes == 1 and "" or "s", e.reason)
end

local function line_of(event)
  local f = LINES[event.type]
  return f and f(event)
end

---The run, a line an event.
---@param events table[]
---@return string
function report.text(events)
  local lines = {}
  for _, event in ipairs(events) do
    local text = line_of(event)
    if text then lines[#lines + 1] = time_of(event) .. "  " .. text end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function escaped(text)
  return (tostring(text):gsub("[|\n]", { ["|"] = "\\|", ["\n"] = " " }))
end

local function head(state, info)
  local lines = {
    ("# Run %s: %s"):format(info.id, state.summary ~= "" and state.summary or state.procedure or "?"), "",
    ("- procedure: `%s` (`%s`)"):format(state.procedure or "?", state.file or "?"),
    ("- begun: %s by %s@%s"):format(state.started or "?", state.user or "?", state.host or "?"),
    ("- ended: %s"):format(state.ended and ("%s, %s"):format(state.ended.at or state.last_at, state.ended.message) or "not yet"),
  }
  local names = {}
  for name in pairs(state.params) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = state.params[name]
    if type(value) == "table" then value = table.concat(value, ", ") end
    lines[#lines + 1] = ("- %s: `%s`"):format(name, tostring(value):gsub("\n", " "))
  end
  for _, target in ipairs(state.targets or {}) do lines[#lines + 1] = ("- target: %s %s"):format(target.kind, target.name) end
  return lines
end

-- The last word on every step.
local function step_rows(events, state)
  local last = {}
  for _, event in ipairs(events) do
    if event.step and event.type:find("^step%.%a+") and event.type ~= "step.kept" and event.type ~= "step.note" then
      last[event.step] = event
    end
  end
  local lines = { "", "## Steps", "", "| | step | ended | took | |", "|---|---|---|---|---|" }
  for _, step in ipairs(state.steps) do
    local event = last[step.id]
    local word = event and event.type:match("%.(.*)$") or "not reached"
    local note = event and (event.note or event.why or event.error and line_of_error(event.error)) or ""
    local took = event and event.ms and ("%.1f s"):format(event.ms / 1000) or ""
    word = word == "done" and "" or word .. (note ~= "" and ": " or "")
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s%s |"):format(step.number or "", escaped(step.title), event and time_of(event) or "",
      took, word, escaped(note))
  end
  return lines
end

local function section(lines, title, events, wanted)
  local found = {}
  for _, event in ipairs(events) do
    if wanted(event) then
      local text = line_of(event)
      if text then found[#found + 1] = ("- %s %s"):format(time_of(event), text:match("^%s*(.*)$")) end
    end
  end
  if #found == 0 then return end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "## " .. title
  lines[#lines + 1] = ""
  table.move(found, 1, #found, #lines + 1, lines)
end

---The run as Markdown.
---@param events table[]
---@param state pgsh.State
---@param info table
---@return string
function report.markdown(events, state, info)
  local lines = head(state, info)
  local rows = step_rows(events, state)
  table.move(rows, 1, #rows, #lines + 1, lines)
  section(lines, "Users affected", events, function(e) return e.type:find("^clock%.") end)
  section(lines, "Changes", events, function(e) return e.type == "effect.intent" or e.type == "effect.outcome" end)
  section(lines, "Decisions", events, function(e) return e.type == "answered" or e.type == "setting" or e.type == "run.changed" end)
  section(lines, "Failures", events, function(e) return e.type == "step.failed" end)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "## Timeline"
  lines[#lines + 1] = ""
  lines[#lines + 1] = "```"
  lines[#lines + 1] = report.text(events) .. "```"
  return table.concat(lines, "\n") .. "\n"
end

return report
