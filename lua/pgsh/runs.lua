-- runs: the commands that look at recorded runs: runs, show, status, report. All of them are folds of the journal.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local fold = require "pgsh.fold"

local runs = {}

local function output(text)
  host.emit("output", { text = text })
end

local function output_json(value)
  output(require("pgsh.json").encode(value) .. "\n")
end

local function wants_json(invocation)
  local format = invocation.options and invocation.options.output
  return format == "json" or format == "jsonl"
end

---What a run is up to, in a word.
---@param state pgsh.State
---@param info table
---@return string
function runs.status(state, info)
  if info.live then return "running" end
  if state.ended then return state.ended.undone and "undone" or state.ended.status or "ended" end
  return "cut off"
end

local function targets_text(state)
  local names = {}
  for i, target in ipairs(state.targets or {}) do names[i] = target.name end
  return table.concat(names, ", ")
end

local function current_step(state)
  for _, step in ipairs(state.steps) do
    if step.id == state.current then return step end
  end
end

local function row_of(info)
  local ok, events = errors.try(host.run_read, info.id)
  if not ok then return { id = info.id, procedure = "?", status = "unreadable", error = errors.line(events) } end
  local state = fold.all(events)
  local step = current_step(state)
  return {
    id = info.id, started = state.started, procedure = state.procedure, targets = targets_text(state), status = runs.status(state, info),
    step = step and ("%s/%d %s"):format(step.number or "?", #state.steps, step.title) or nil, holder = info.holder,
  }
end

local COLUMNS = {
  { "id", "run" }, { "started", "started" }, { "procedure", "procedure" }, { "targets", "targets" }, { "status", "status" },
  { "step", "step" },
}

local function width(text)
  return utf8.len(text) or #text
end

-- Columns as wide as their widest cell.
local function table_text(rows)
  local widths = {}
  for c, column in ipairs(COLUMNS) do
    widths[c] = width(column[2])
    for _, row in ipairs(rows) do widths[c] = math.max(widths[c], width(row[column[1]] or "")) end
  end
  local lines = {}
  local function add(cells)
    local parts = {}
    for c, text in ipairs(cells) do parts[c] = c == #cells and text or text .. (" "):rep(widths[c] - width(text)) end
    lines[#lines + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  local head = {}
  for c, column in ipairs(COLUMNS) do head[c] = column[2] end
  add(head)
  for _, row in ipairs(rows) do
    local cells = {}
    for c, column in ipairs(COLUMNS) do cells[c] = row[column[1]] or "" end
    add(cells)
  end
  return table.concat(lines, "\n") .. "\n"
end

---`pgsh runs`
---@param invocation table
function runs.list(invocation)
  local rows = {}
  for _, info in ipairs(host.runs()) do
    local row = row_of(info)
    if not wants_json(invocation) and row.started then row.started = row.started:sub(1, 19):gsub("T", " ") end
    rows[#rows + 1] = row
  end
  if wants_json(invocation) then return output_json(require("pgsh.json").array(rows)) end
  if #rows == 0 then
    host.emit("log", { level = "info", text = "no run is recorded here" })
    return
  end
  output(table_text(rows))
end

local function read(invocation)
  local id = invocation.words and invocation.words[1]
  if not id then errors.raise("usage", "which run? pgsh %s ID, or last (pgsh runs lists them)", invocation.command) end
  local events, info = host.run_read(id)
  return events, info, fold.all(events)
end

---`pgsh show ID`
---@param invocation table
function runs.show(invocation)
  local events, info, state = read(invocation)
  if wants_json(invocation) then
    if invocation.options.output == "json" then return output_json(require("pgsh.json").array(events)) end
    for _, event in ipairs(events) do output_json(event) end
    return
  end
  output(require("pgsh.report").text(events, state, info))
end

---`pgsh report ID`
---@param invocation table
function runs.report(invocation)
  local events, info, state = read(invocation)
  output(require("pgsh.report").markdown(events, state, info))
end

local function waiting_for(events)
  for i = #events, 1, -1 do
    local event = events[i]
    if event.type == "wait.seen" then return ("%s: %s (%s)"):format(event.what, event.text, event.at:sub(12, 19)) end
    if event.type == "wait.started" then return event.what end
    if event.type == "asked" then return "an answer: " .. (event.question or "?"):gsub("\n.*", "") end
    if event.type == "effect.intent" then return "the outcome of " .. (event.show or "a change") end
    if event.type == "step.started" or event.type == "step.kept" then return "step " .. event.step end
    if event.type ~= "effect.read" and event.type ~= "effect.noted" and event.type ~= "log" then return nil end
  end
end

---`pgsh status ID`: one paragraph: where it is, what it waits for, whether users are affected, who is at it.
---@param invocation table
function runs.one(invocation)
  local events, info, state = read(invocation)
  local status, step = runs.status(state, info), current_step(state)
  local alarms = require("pgsh.clocks").alarm(state)
  if wants_json(invocation) then
    return output_json {
      run = info.id, status = status, procedure = state.procedure, step = step, waiting_for = info.live and waiting_for(events) or nil,
      affected = require("pgsh.json").array(alarms), holder = info.holder, started = state.started, last_at = state.last_at,
      changes = fold.changes(state), targets = state.targets,
    }
  end
  local parts = { ("Run %s, %s on %s, is %s"):format(info.id, state.procedure or "?", targets_text(state), status) }
  local function add(text) parts[#parts + 1] = text end
  if step then add(("at step %s of %d, %s"):format(step.number or "?", #state.steps, step.title)) end
  local wait = info.live and waiting_for(events)
  if wait then add("waiting for " .. wait) end
  add(("%d changes in effect"):format(fold.changes(state)))
  for _, alarm in ipairs(alarms) do add(alarm) end
  if info.live then
    add("held by " .. (info.holder or "another process"))
  else
    add(("last by %s@%s at %s"):format(state.user or "?", state.host or "?", (state.last_at or "?"):sub(1, 19)))
  end
  output(table.concat(parts, "; ") .. ".\n")
  if status == "cut off" then host.emit("log", { level = "info", text = "go on: pgsh resume " .. info.id }) end
end

return runs
