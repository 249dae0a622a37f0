-- gate: what stands between an entry at the prompt and a change: it is shown, and asked about, unless a window for its target is open.
-- What cannot be taken back on a production target is confirmed by typing the target's name, always.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local questions = require "pgsh.questions"

local gate = {}

-- A production target is told by its name or address, unless the start-up file or PGSH_PRODUCTION say better.
local PRODUCTION = { "%f[%a]prod", "%f[%a]production", "%f[%a]live%f[%A]" }
local MOST_MINUTES = 120

---@class pgsh.Gate
---@field shell table
---@field windows table<string, {until_ms: integer, reason: string}>
local Gate = {}
Gate.__index = Gate

---@param shell table
---@return pgsh.Gate
function gate.new(shell)
  local self = setmetatable({ shell = shell, windows = {}, patterns = { table.unpack(PRODUCTION) }, locked = {} }, Gate)
  for pattern in (host.getenv "PGSH_PRODUCTION" or ""):gmatch("[^%s,]+") do self.patterns[#self.patterns + 1] = pattern end
  return self
end

---Is it a production target?
---@param target string             # "psql prod-db1:5432/app"
---@param address? string
---@return boolean
function Gate:is_production(target, address)
  local text = (address and target .. " " .. address or target):lower()
  for _, pattern in ipairs(self.patterns) do
    local ok, hit = pcall(string.find, text, pattern)
    if not ok then hit = text:find(pattern, 1, true) end
    if hit then return true end
  end
  return false
end

-- Statements that many rows or a whole object may not survive.
local function danger_of_sql(sql)
  local low = sql:lower():gsub("^%s+", "")
  if low:find("^drop%s") or low:find("^truncate") then return low:match("^%a+") end
  if low:find("^alter%s.*%f[%a]drop%f[%A]") then return "alter … drop" end
  if (low:find("^delete%s") or low:find("^update%s")) and not low:find("%f[%a]where%f[%A]") then
    return low:match("^%a+") .. " without where"
  end
  local call = low:match("(pg_terminate_backend)%s*%(") or low:match("(pg_promote)%s*%(")
  if call then return call end
end

---Why a change cannot be taken back, or nil.
---@param change table
---@return string?
function gate.danger(change)
  if change.kind == "psql" then
    for statement in (change.show:gsub("^transaction: ", "") .. ";"):gmatch("([^;]*);") do
      local danger = danger_of_sql(statement)
      if danger then return danger end
    end
    return nil
  end
  if change.verb == "DELETE" or change.show:lower():find("^%s*rm%s") then return change.verb == "DELETE" and "DELETE" or "rm" end
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

-- How many rows the server thinks it will touch: only for a statement without parameters, on a handle of this session.
local function estimate(self, change)
  local verb = change.kind == "psql" and change.verb == "execute" and change.show:match("^(%a+)")
  local sql = change.show
  if not verb or not (verb:lower() == "update" or verb:lower() == "delete") or sql:find(" ($1 = ", 1, true) then return nil end
  local handle = self.shell.vars.db
  if tostring(handle) ~= change.target then return nil end
  local ok, plan = errors.try(function()
    return handle:value("explain (format json) " .. sql:gsub(";%s*$", ""),
      require("pgsh.psql").options { statement_timeout = "2s", timeout = "3s" })
  end)
  if not ok and plan.kind == "interrupted" then error(plan, 0) end
  local root = ok and type(plan) == "table" and plan[1] and plan[1].Plan
  local below = root and (root.Plans and root.Plans[1] or root)
  local rows = below and below["Plan Rows"]
  return rows and ("about %d row%s, by the planner's estimate"):format(rows, rows == 1 and "" or "s") or nil
end

-- The question's text: the head, then what would be sent.
local function rendering(self, change, danger, production)
  local lines = { ("change   %s%s   %s"):format(production and "PRODUCTION  " or "", change.target, change.verb) }
  local function add(text)
    for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = "         " .. line end
  end
  if change.address and change.address ~= change.name then add("at " .. change.address) end
  add(change.show)
  if change.detail and change.detail ~= "" then add(change.detail) end
  local rows = estimate(self, change)
  if rows then add(rows) end
  if danger then add(("%s: this cannot be taken back"):format(danger)) end
  return table.concat(lines, "\n")
end

local function ask(self, change, danger, production)
  local current, text, name = self.shell.current, rendering(self, change, danger, production), change.name
  local flags = not host.interactive() -- at a prompt they were not meant for this change
  if production then
    local answer = questions.put(current, {
      text = text .. ("\ntype %s to make it"):format(name), flag = "--confirm " .. name, expect = name,
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
    questions.typed(self.shell.current, change.name, ("%s\nchange it all the same"):format(errors.line(problem)))
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

---The door calls it with each change: it returns, or raises.
---@param change table
function Gate:check(change)
  local shell = self.shell
  if shell.unjournaled then
    errors.raise("refused", "nothing can be journaled, so nothing is changed: %s", errors.line(shell.unjournaled))
  end
  local danger, production = gate.danger(change), self:is_production(change.target, change.address)
  local window = self:window(change.target)
  if not window or danger then
    local begun = host.mono()
    if not asked(self, change, danger, production) then errors.raise("refused", "not made: %s", change.show) end
    shell.asked_ms = (shell.asked_ms or 0) + host.mono() - begun
  end
  lock(self, change)
end

---Open a window: changes to the target are not asked about, for some minutes.
---@param target string             # as the door names it: "psql host:port/name"
---@param reason string
---@param minutes? number
function Gate:open(target, reason, minutes)
  minutes = minutes or 10
  if type(reason) ~= "string" or not reason:find("%S") then errors.usage("rw(target, \"reason\", minutes): say why; it is logged") end
  if type(minutes) ~= "number" or minutes <= 0 or minutes > MOST_MINUTES then errors.usage("rw: minutes: up to %d", MOST_MINUTES) end
  local name = target:match("^%S+%s+(.*)$") or target
  local by = "operator"
  if self:is_production(target) then
    questions.typed(self.shell.current, name, ("changes to %s without being asked, for %g minutes: %s"):format(target, minutes, reason))
    by = "typed"
  end
  host.emit("shell.window", { open = true, target = target, reason = reason, minutes = minutes, by = by })
  self.windows[target] = { until_ms = host.mono() + math.floor(minutes * 60000), reason = reason }
end

---@param target string
---@param why? string
function Gate:close(target, why)
  if not self.windows[target] then return end
  self.windows[target] = nil
  if self.shell.line_task == nil then self:unlock() end
  host.emit("shell.window", { open = false, target = target, reason = why, by = why and "clock" or "operator" })
  require("pgsh.log").warn("read-only again: %s%s", target, why and " (" .. why .. ")" or "")
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

---Close what has run out.
function Gate:tick()
  for _, target in ipairs(self:targets()) do self:window(target) end
end

---@return string[]
function Gate:targets()
  local list = {}
  for target in pairs(self.windows) do list[#list + 1] = target end
  table.sort(list)
  return list
end

return gate
