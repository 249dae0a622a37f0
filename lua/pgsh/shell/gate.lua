-- gate: what stands between an entry at the prompt and a change: it is shown, and asked about, unless a window for its target is open.
-- What cannot be taken back on a production target is confirmed by typing the target's name, always.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local questions = require "pgsh.questions"

local gate = {}

-- A production target is told by its name or address, unless the start-up file or PGSH_PRODUCTION say better.
local PRODUCTION = { "prod%f[%A]", "%f[%a]prod[^ui%A]", "%f[%a]production", "prd%f[%A]", "%f[%a]live%f[%A]" }
-- What only sounds like it.
local ELSEWHERE = { "%f[%a]non[-_.]?prod%a*", "%f[%a]pre[-_.]?prod%a*" }
local MOST_MINUTES = 120
local IDLE_MS = 600000 -- a window closes when nothing was entered for so long
local MANY_ROWS = 10000 -- that an UPDATE or DELETE touches: asked about in a window too
local FEW_ROWS = 100    -- and so is most of a table, unless it is as small as that

---@class pgsh.Gate
---@field shell table
---@field windows table<string, {until_ms: integer, reason: string, user: string?}>
local Gate = {}
Gate.__index = Gate

---@param shell table
---@return pgsh.Gate
function gate.new(shell)
  local self = setmetatable({ shell = shell, windows = {}, patterns = {}, locked = {}, tried = {},
    idle_ms = IDLE_MS }, Gate)
  for pattern in (host.getenv "PGSH_PRODUCTION" or ""):gmatch("[^%s,]+") do self.patterns[#self.patterns + 1] = pattern end
  return self
end

local function address_of(target)
  for _, known in ipairs(host.targets()) do
    if known.kind .. " " .. known.name == target then return known.detail end
  end
end

local function matches(text, pattern)
  local ok, hit = pcall(string.find, text, pattern)
  return ok and hit or not ok and text:find(pattern, 1, true)
end

---Is it a production target? By the patterns that were given, or by its name: prod or prd as words or at a word's end
---(shopprod), production at a word's beginning, live as a word; not in others (products, delivery), and not non-prod or pre-prod.
---@param target string             # "psql prod-db1:5432/app"
---@param address? string           # default: what is known of the target
---@return boolean
function Gate:is_production(target, address)
  address = address or address_of(target)
  local text = (address and target .. " " .. address or target):lower()
  for _, pattern in ipairs(self.patterns) do
    if matches(text, pattern) then return true end
  end
  for _, pattern in ipairs(ELSEWHERE) do text = text:gsub(pattern, "") end
  for _, pattern in ipairs(PRODUCTION) do
    if text:find(pattern) then return true end
  end
  return false
end

---Why it may not be possible to take a change back, or nil; and whether that is sure.
---@param change table
---@return string? what
---@return boolean? sure
function gate.danger(change)
  if change.kind == "psql" then
    local what, sure
    for _, statement in ipairs(change.statements or {}) do
      local found, told = host.sql_danger(statement[1])
      if found and (not what or told and not sure) then what, sure = found, told end
    end
    return what, sure
  end
  if change.verb == "DELETE" then return "DELETE", true end
  if change.show:lower():find("^%s*rm%s") then return "rm", true end
end

-- How it keeps others waiting, when that is what matters.
local function locks_of(change)
  for _, statement in ipairs(change.kind == "psql" and change.statements or {}) do
    local sentence = select(4, host.sql_danger(statement[1]))
    if sentence then return sentence end
  end
end

---Is a window open for it? Closes what has run out.
---@param target string
---@return table?
function Gate:window(target)
  local window = self.windows[target]
  if window and host.mono() >= window.until_ms then
    self:close(target, "its time is over")
    return nil
  end
  return window
end

-- Who a handle is on its server; one that has not been there yet asks.
local function user_of(handle)
  local function user() return host.psql_known(handle).user end
  local ok, name = errors.try(user)
  if ok and not name then
    local _, problem = errors.try(handle.identity, handle)
    if problem.kind == "interrupted" then error(problem, 0) end
    ok, name = errors.try(user)
  end
  return ok and name or nil
end

---Does an open window count for the handle? Only for the user it was opened as: another one may do other things.
---@param window table?
---@param handle any
---@return boolean
function gate.covers(window, handle)
  if not window or not window.user or handle == nil then return window ~= nil end
  local ok, known = errors.try(host.psql_known, handle)
  return ok and known.user == window.user
end

-- How many rows a table has, as its statistics say; a partitioned one, all its partitions together.
local LIVE = [[
select coalesce((select sum(greatest(c.reltuples, 0)) from pg_partition_tree(r.oid) t join pg_class c on c.oid = t.relid where t.isleaf),
    r.reltuples)::int8
  from pg_class r where r.oid = to_regclass(quote_ident($1) || '.' || quote_ident($2))]]

-- What the planner says: rows that one UPDATE or DELETE will touch, whether they are most of the table, and how many that has; nil when it
-- does not say.
local function planned(handle, statement, options)
  local arguments = table.pack(table.unpack(statement, 2, statement.n + 1))
  arguments.n = statement.n + 1
  arguments[arguments.n] = options
  local plan = handle:value("explain (format json, verbose) " .. statement[1], table.unpack(arguments, 1, arguments.n))
  local root = type(plan) == "table" and plan[1] and plan[1].Plan
  if not root or root["Node Type"] ~= "ModifyTable" then return nil end
  local rows = 0
  for _, below in ipairs(root.Plans or {}) do
    local kind = below["Parent Relationship"] -- "Member": one of several, up to PostgreSQL 13
    if kind == "Outer" or kind == "Member" then rows = rows + below["Plan Rows"] end
  end
  local live = root["Relation Name"] and handle:value(LIVE, root.Schema, root["Relation Name"], options)
  live = live and live > 0 and live or nil
  return rows, live and rows > FEW_ROWS and rows * 2 >= live, live
end

-- Of all its statements. A failure (a table that an earlier statement makes) is not worth a word: the change itself will tell.
local function estimate(change)
  local all, most, has
  if change.secret then return nil end
  local options = require("pgsh.psql").options { statement_timeout = "2s", lock_timeout = "1s", timeout = "3s" }
  for _, statement in ipairs(change.statements or {}) do
    if select(3, host.sql_danger(statement[1])) then
      local ok, rows, of_most, live = errors.try(planned, change.handle, statement, options)
      if not ok and rows.kind == "interrupted" then error(rows, 0) end
      if ok and rows then all, most = (all or 0) + rows, most or of_most end
      if ok then has = live end
    end
  end
  return all, most, has
end

-- What was let through unasked and touched more than that was rolled back: the same once more is asked about, with what is known now.
local function limit(change, live)
  local most = live and math.min(MANY_ROWS, math.max(FEW_ROWS, (live + 1) // 2 - 1)) or MANY_ROWS
  change.at_most(most)
end

-- The question's text: the head, then what would be sent.
local function rendering(self, change, about)
  local job = self.shell.jobs:here()
  local lines = { ("%schange   %s%s   %s"):format(job and ("job %d asks: "):format(job.id) or "", about.production and "PRODUCTION  " or "",
    change.target, change.verb) }
  local function add(text)
    for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = "         " .. line end
  end
  if change.address and change.address ~= change.name then add("at " .. change.address) end
  add(change.show)
  if change.detail and change.detail ~= "" then add(change.detail) end
  if about.rows then
    local text = about.tried and "%d row%s when it was tried, and rolled back%s" or "about %d row%s, by the planner's estimate%s"
    add(text:format(about.rows, about.rows == 1 and "" or "s", about.most and ": most of the table" or ""))
  end
  if about.danger then
    add(about.danger .. (about.sure and ": this cannot be taken back" or ": nobody can tell from here what it changes, or take it back"))
  end
  if about.locks then add(about.locks) end
  if about.window then add(("the open window is for what %s does"):format(about.window.user)) end
  return table.concat(lines, "\n")
end

-- At a prompt the flags were not meant for this change.
local function flags_count(self)
  return self.shell.piped or not host.interactive()
end

-- The target's name, typed, or in a pipe confirmed.
local function typed(self, name, why)
  local current = self.shell.current
  local answer = questions.put(current, {
    text = ("%s: type %s to confirm"):format(why, name), flag = questions.flag(name), expect = name,
    given = flags_count(self) and questions.confirmed(current, name) and name or nil,
  })
  if answer ~= name then errors.raise("refused", "%s: not confirmed", why) end
end

local function ask(self, change, about)
  local current, text, name = self.shell.current, rendering(self, change, about), change.name
  local flags = flags_count(self)
  if about.production then
    local answer = questions.put(current, {
      text = text .. ("\ntype %s to make it"):format(name), flag = questions.flag(name), expect = name,
      given = flags and questions.confirmed(current, name) and name or nil,
    })
    return answer == name
  end
  return questions.put(current, {
    text = text, flag = "--yes", options = "yn", labels = "[y]es, make it   [n]o",
    given = flags and current.options.yes and "y" or nil,
  }) == "y"
end

-- Somebody else's run may be at work on it. The lock is held until the entry ends, or the window does: a shell that is left open must not
-- keep everybody from the target.
local function lock(self, change)
  if self.locked[change.target] or self.shell.inside or require("pgsh.run").SHARED[change.kind] then return end
  local ok, problem = errors.try(host.lock, { change.target })
  if not ok and problem.kind ~= "locked" then error(problem, 0) end
  if not ok then
    typed(self, change.name, ("%s\nchange it all the same"):format(errors.line(problem)))
  end
  self.locked[change.target] = true
end

-- Ctrl-D at the question is a no; that nobody is there to be asked is an error of its own.
local function asked(...)
  local ok, answer = errors.try(ask, ...)
  if ok then return answer end
  if answer.kind == "answer" and host.interactive() then return false end
  error(answer, 0)
end

---Was it rolled back because it touched more rows than a window lets through? Then the same statement, made next, is asked about.
---@param statement string
---@param problem table
---@return boolean
function Gate:exceeded(statement, problem)
  if problem.code ~= "too_many" then return false end
  self.tried[statement] = tonumber(problem.message:match "%d+") -- "DELETE 15000: …", as the server said it
  return true
end

---The door calls it with each change: it returns, or raises.
---@param change table
function Gate:check(change)
  local shell = self.shell
  if shell.unjournaled then
    errors.raise("refused", "nothing can be journaled, so nothing is changed: %s", errors.line(shell.unjournaled))
  end
  local about, window = { production = self:is_production(change.target, change.address) }, self:window(change.target)
  if window and change.handle then
    local user = user_of(change.handle)
    window.user = window.user or user
    if not gate.covers(window, change.handle) then about.window, window = window, nil end
  end
  about.danger, about.sure = gate.danger(change)
  about.locks = locks_of(change)
  local live
  local text = change.statements and change.statements[1] and change.statements[1][1] or ""
  about.tried, self.tried[text] = self.tried[text], nil
  if host.interactive() or not window then about.rows, about.most, live = estimate(change) end
  if about.tried then about.rows, about.most = about.tried, live and about.tried * 2 >= live end
  local many = about.tried or about.rows and (about.rows > MANY_ROWS or about.most)
  if not window or about.danger or about.locks or many then
    if not asked(self, change, about) then errors.raise("refused", "not made: %s", change.show) end
  elseif about.rows and #change.statements == 1 and change.at_most then
    limit(change, live)
  end
  lock(self, change)
end

-- "5 minutes", "20 seconds"
local function span(ms)
  local unit, count = "minute", ms / 60000
  if ms < 60000 then unit, count = "second", ms / 1000 end
  return ("%g %s%s"):format(count, unit, count == 1 and "" or "s")
end

---The full name of a target of this session: "psql host:port/name". Raises `usage`, with the names there are.
---@param target any                # a handle, that name, or its part behind the kind
---@return string
local function known_target(target)
  local text, names, found = (tostring(target):gsub("^table: 0x.*", "this table")), {}, {}
  for _, known in ipairs(host.targets()) do
    local name = known.kind .. " " .. known.name
    names[#names + 1] = name
    if name == text then return name end
    if known.name == text then found[#found + 1] = name end
  end
  if text == "sh localhost" or text == "file localhost" then return text end
  if #found == 1 then return found[1] end
  table.sort(names)
  errors.usage("%s is %s of this session: %s", text, #found > 1 and "several targets" or "no target",
    #names > 0 and table.concat(names, ", ") or "there is none yet")
end

---Open a window: changes to the target are not asked about, for some minutes.
---@param target any                # a handle, or a name
---@param reason string
---@param minutes? number
function Gate:open(target, reason, minutes)
  minutes = minutes or 10
  if type(reason) ~= "string" or not reason:find("%S") then errors.usage("rw(target, \"reason\", minutes): say why; it is logged") end
  if type(minutes) ~= "number" or minutes <= 0 or minutes > MOST_MINUTES then errors.usage("rw: minutes: up to %d", MOST_MINUTES) end
  local handle = type(target) == "userdata" and target or self.shell.vars.db
  target = known_target(target)
  local user = target:find "^psql " and tostring(handle) == target and user_of(handle) or nil
  local ms = math.floor(minutes * 60000)
  local text, by = ("changes to %s without being asked for %s"):format(target, span(ms)), "operator"
  if self:is_production(target) then
    typed(self, target:match("^%S+%s+(.*)$"), text .. ", " .. reason)
    by = "typed"
  elseif flags_count(self) then -- an entry that nobody types must not allow what the next one does
    local answer = questions.put(self.shell.current, {
      text = text .. ", " .. reason, flag = "--yes", options = "yn", labels = "[y]es   [n]o",
      given = self.shell.current.options.yes and "y" or nil,
    })
    if answer ~= "y" then errors.raise("refused", "not opened: %s", text) end
    by = "flag"
  end
  host.emit("shell.window", { open = true, target = target, reason = reason, minutes = minutes, by = by })
  self.windows[target] = { until_ms = host.mono() + ms, reason = reason, user = user }
  self.entries = nil
  host.emit("log", { level = "info", text = ("%s (until %s UTC)"):format(text, host.iso(host.now() + ms):sub(12, 16)) })
end

local function ended(self, target, why, by)
  self.windows[target] = nil
  if self.shell.line_task == nil and self.shell.jobs:running() == 0 then self:unlock() end
  host.emit("shell.window", { open = false, target = target, reason = why, by = by })
end

---@param target any
---@param why? string               # the clock's reason
function Gate:close(target, why)
  target = self.windows[target] and target or known_target(target)
  if not self.windows[target] then
    return host.emit("log", { level = "info", text = ("%s is read-only: no window is open for it"):format(target) })
  end
  ended(self, target, why, why and "clock" or "operator")
  require("pgsh.log").warn("read-only again: %s%s", target, why and " (" .. why .. ")" or "")
end

---The session ends, and every window with it.
function Gate:leave()
  for _, target in ipairs(self:targets()) do errors.try(ended, self, target, "the session ended", "operator") end
end

---Close every window when nothing was entered for so long, and nothing runs.
---@param duration string|number    # "5m"
function Gate:idle(duration)
  local ms = host.duration(duration)
  if not ms or ms < 1000 or ms > MOST_MINUTES * 60000 then errors.usage("idle \"10m\": from 1s to %d minutes", MOST_MINUTES) end
  self.idle_ms = ms
end

---@return boolean
function Gate:has_windows()
  return next(self.windows) ~= nil
end

---An entry has ended.
function Gate:unlock()
  for target in pairs(self.locked) do
    if not self.windows[target] then
      host.unlock { target }
      self.locked[target] = nil
    end
  end
end

-- How long nothing has been entered, nor run.
local function idle_for(self)
  local shell = self.shell
  if shell.busy or shell.jobs:running() > 0 or self.entries ~= shell.line then
    self.entries, self.idle_from = not shell.busy and shell.line or nil, host.mono()
  end
  return host.mono() - self.idle_from
end

---Close what has run out, or what nobody uses.
function Gate:tick()
  local why = idle_for(self) >= self.idle_ms and ("nothing was entered for %s"):format(span(self.idle_ms))
  for _, target in ipairs(self:targets()) do
    if self:window(target) and why then self:close(target, why) end
  end
end

---@return string[]
function Gate:targets()
  local list = {}
  for target in pairs(self.windows) do list[#list + 1] = target end
  table.sort(list)
  return list
end

return gate
