-- watch: the same look again and again, in place, what is new in it marked. A failure is shown and survived; any key ends it.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local show = require "pgsh.shell.show"

local watch = {}

local USAGE = "watch(seconds, function or \"SQL\")"

-- What changed ----------------------------------------------------------------------------------------------------------------

-- What a wider column does not change.
local function essence(line) return (line:gsub("%-%-+", "-"):gsub("%s+", " ")) end

local function cells_of(line)
  local cells = {}
  for cell in (line .. " | "):gmatch("(.-) | ") do cells[#cells + 1] = cell end
  return cells
end

-- The row it was the last time: the one that begins alike, else the one that stood there.
local function former_row(former, line, i)
  return former.by_key[essence(line:match("^(.-) | ") or line)] or former.lines[i]
end

local function emphasise(line, former)
  local cells, old = cells_of(line), former and cells_of(former) or {}
  local same = #cells == #old and #cells > 1
  for i, cell in ipairs(cells) do
    local text = cell:match("^%s*(.-)%s*$")
    if text ~= "" and not (same and text == old[i]:match("^%s*(.-)%s*$")) then
      local from, to = cell:find(text, 1, true)
      cells[i] = cell:sub(1, from - 1) .. "\1" .. text .. "\2" .. cell:sub(to + 1)
    end
  end
  return table.concat(cells, " | ")
end

---A look with what is new in it marked: rows that were not there the last time begin with '>', and what differs in them stands between
---\1 and \2.
---@param text string
---@param former? table             # what the last call returned
---@return string marked
---@return table look
function watch.marked(text, former)
  local look, shown = { lines = {}, there = {}, by_key = {} }, {}
  for line in text:gsub("[\1\2]", "?"):gmatch("([^\n]*)\n") do
    local i = #look.lines + 1
    look.lines[i], look.there[essence(line)] = line, true
    local key = line:match("^(.-) | ")
    if key then
      key = essence(key)
      look.by_key[key] = look.by_key[key] == nil and line -- of two that begin alike, neither
    end
    if former and not former.there[essence(line)] then
      local marked = emphasise(line, former_row(former, line, i))
      line = marked:sub(1, 1) == " " and ">" .. marked:sub(2) or marked
    end
    shown[i] = line
  end
  return table.concat(shown, "\n") .. "\n", look
end

-- Looking ---------------------------------------------------------------------------------------------------------------------

local STOPS = { interrupted = true, cancelled = true, refused = true, answer = true, locked = true }

-- Once: its text. What may be over the next time is part of it; what is wrong with the call itself shows at the first look, and ends it.
local function look_once(shell, what, first)
  local results = table.pack(errors.try(what))
  if not results[1] then
    local problem = results[2]
    local passes = errors.passing(problem) or problem.kind == "psql" or not first and not STOPS[problem.kind]
    if not passes then error(problem, 0) end
    return show.error(problem) .. "\n"
  end
  local pieces = {}
  for i = 2, results.n do
    show.value(results[i], shell.format, nil, function(text) pieces[#pieces + 1] = text end)
  end
  return table.concat(pieces)
end

local function looking(shell, every, what, ends, put, count)
  local former, text
  for look = 1, count or math.huge do
    local begun = host.mono()
    local head = ("%s, every %g s, %s ends it"):format(host.iso(host.now()):sub(12, 19), every / 1000, ends)
    text, former = watch.marked(look_once(shell, what, former == nil), former)
    put(head, text)
    if look == count then return end
    host.sleep(math.max(every - (host.mono() - begun), 100) / 1000)
  end
end

-- Without a terminal that can be redrawn.
local function scrolling(shell, every, what, count)
  looking(shell, every, what, "Ctrl-C", function(head, text)
    host.emit("output", { text = ("-- %s\n%s"):format(head, (text:gsub("[\1\2]", ""))) })
  end, count)
end

local function in_place(shell, every, what, count)
  local pressed = false
  local task = host.spawn("watch", looking, shell, every, what, "any key", function(head, text) host.frame(head .. "\n" .. text) end,
    count)
  local keys = host.spawn("key", function()
    host.key()
    pressed = true
    task:cancel()
  end)
  local guard <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    keys:cancel()
    task:cancel()
  end })
  local ok, problem = errors.try(task.join, task)
  if not ok and not pressed then error(problem, 0) end
end

---@param shell pgsh.Shell
---@param seconds number|string
---@param what function|string      # a function, or SQL
---@param count? integer            # so many looks; default: until it is ended
function watch.run(shell, seconds, what, count)
  local every = host.duration(seconds)
  if not every or every < 100 then errors.usage(USAGE) end
  if type(what) == "string" then
    local db, sql = shell:database(), what:gsub("%s*;%s*$", "")
    what = function() return db:rows(sql) end
  end
  if type(what) ~= "function" then errors.usage(USAGE) end
  shell.watching = true
  local guard <close> = setmetatable({}, { __close = function() shell.watching = nil end }) -- luacheck: ignore
  local alone = shell.jobs:here() or not host.interactive() or not host.terminal().redraws
  return (alone and scrolling or in_place)(shell, every, what, count)
end

return watch
