-- shell: pgsh without a procedure: what is typed is evaluated at once, with every primitive at hand. It begins read-only: a read
-- is made, a change is shown and asked about. Everything is journaled as a run.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local entries = require "pgsh.shell.entries"
local environment = require "pgsh.shell.environment"
local gate = require "pgsh.shell.gate"
local history = require "pgsh.shell.history"
local jobs = require "pgsh.shell.jobs"
local parse = require "pgsh.shell.parse"
local session = require "pgsh.session"
local show = require "pgsh.shell.show"
local sources = require "pgsh.shell.sources"

local shell = {}

local PATIENCE = 2       -- the second Ctrl-C gives up waiting for the end of what the first one stopped; the third ends pgsh
local TICK_S = 1
local KEPT_VALUES = 9

---@class pgsh.Shell
---@field current pgsh.Session
---@field inside? table             # the failed step it was opened in: {step, problem, kept}
---@field vars table<string, any>   # names of the session
---@field line integer              # number of the last entry
---@field changes integer          # entries that changed something
---@field log pgsh.ShellEntry[]     # Lua and SQL
---@field places pgsh.Sources      # how its databases are reached
---@field unjournaled? table        # why nothing can be journaled
local Shell = {}
Shell.__index = Shell

local function say(text) host.emit("log", { level = "info", text = text }) end
local function warn(text) host.emit("log", { level = "warn", text = text }) end
local function out(text) host.emit("output", { text = text }) end

---@param current pgsh.Session
---@param inside? table
---@return pgsh.Shell
function shell.new(current, inside)
  local self = setmetatable({ current = current, inside = inside, line = 0, format = show.defaults(), changes = 0, timing = false,
    over = nil, texts = {}, log = {}, prefix = "", places = sources.new() }, Shell)
  -- Never the branch of another look: what was done then must not answer for what is done now.
  if inside then self.prefix = ("%s/inspect-%d/"):format(inside.step.id, host.now()) end
  self.gate = gate.new(self)
  self.jobs = jobs.new(self)
  self.words = require("pgsh.shell.words").new(self)
  self.env, self.vars, self.outer = environment.new(self.words)
  return self
end

-- The target in hand ----------------------------------------------------------------------------------------------------------

---The database that SQL goes to: the session's `db`, else the one it began with, else what the PG* environment says.
---@return any handle
function Shell:database()
  local db = self.vars.db
  if db == nil then
    if not self.home then
      self.home = self.env.psql()
      self.places:made(self.home, nil)
    end
    db = self.home
    self.vars.db = db
  end
  if type(db) ~= "userdata" then errors.raise("usage", "db is no database: db = psql \"service=…\" makes it one") end
  return db
end

---@return string?                  # "psql host:port/name"
function Shell:target()
  local db = self.vars.db
  return type(db) == "userdata" and tostring(db) or nil
end

---@return string
function Shell:prompt()
  return require("pgsh.shell.prompt").text(self)
end

-- The run ---------------------------------------------------------------------------------------------------------------------

-- A session in which nothing was done leaves no run.
local function begin(self)
  local current = self.current
  if current.run or self.unjournaled then return end
  local ok, id = errors.try(host.run_begin)
  if not ok then
    self.unjournaled = id
    return warn(("nothing can be journaled, changes are refused: %s"):format(errors.line(id)))
  end
  current.run = id
  current:emit("run.started", {
    run = id, procedure = "shell", summary = "interactive session", params = {}, user = host.user, host = host.hostname, pid = host.pid,
    version = host.version, journal_version = 1,
  })
end

-- Evaluating ------------------------------------------------------------------------------------------------------------------

-- Says what is waited for when it takes long.
local function ticker(label)
  return host.spawn("ticker", function()
    local begun = host.mono()
    host.sleep(2)
    while true do
      local keys = host.interrupts(true) > 0 and "cancelling; ^C stops waiting for that" or "^C cancels"
      host.emit("progress", { text = ("%s   %s · %s"):format(label, host.span(host.mono() - begun), keys) })
      host.sleep(TICK_S)
    end
  end)
end

local function first_line(text)
  local line = text:match("^%s*([^\n]*)")
  if utf8.len(line) and utf8.len(line) > 60 then line = line:sub(1, utf8.offset(line, 58) - 1) .. "…" end
  return line
end

-- The task of an entry, waited for. Ctrl-C is for it; a second one for us.
local function await(task)
  host.foreground(task, PATIENCE)
  local results = table.pack(errors.try(task.join, task))
  host.foreground(nil)
  if results[1] or task:done() then return results end
  host.interrupts()
  task:detach()
  warn("given up waiting for its end: what it was doing there is not known")
  return results
end

-- Values of an expression: _ and _1 … _9.
local function keep_values(self, results)
  local vars = self.vars
  if results.n < 2 or results[2] == nil then return end
  for i = KEPT_VALUES, 2, -1 do vars["_" .. i] = vars["_" .. i - 1] end
  vars._1 = vars._
  vars._ = results[2]
  if show.columns(results[2]) then vars._rs = results[2] end
end

-- Names behind the handle, for completion and the prompt; after DDL, anew.
local function look_behind(self, options)
  local target, catalog = self:target(), require "pgsh.shell.catalog"
  if not target or not host.interactive() then return end
  local word = (options.sql or ""):lower():match("^%s*(%a+)")
  if word == "create" or word == "drop" or word == "alter" then catalog.forget(self, target) end
  catalog.of(self, self.vars.db)
end

---Run f as an entry: in a task, a scope of its own, journaled.
---@param text string
---@param f function
---@param options {show: boolean?, sql: string?, expanded: boolean?}
---@return boolean ok
---@return any problem
function Shell:run(text, f, options)
  begin(self)
  local current, number = self.current, self.line
  local branch = ("%sline-%d"):format(self.prefix, number)
  local scope = { branch = branch .. "/run", phase = "shell", changes = self.dry and "show" or "allow" }
  text = history.protect(text)
  host.emit("shell.line", { line = number, text = text, target = self:target() })
  local begun = host.mono()
  current.asked_ms = 0
  local function took() return host.mono() - begun - current.asked_ms end -- the operator's own time does not count
  current.scope = scope
  local task = host.spawn("line " .. number, host.within, scope, function()
    local values = table.pack(f())
    if options.show then self:show(values, took(), options.expanded) end
    return table.unpack(values, 1, values.n)
  end)
  local tick = ticker(first_line(text))
  self.line_task = task
  local results = await(task)
  self.line_task = nil
  if self.jobs:running() == 0 then self.gate:unlock() end
  tick:cancel()
  local caught = host.interrupts() > 0 and results[1]
  current.scope = nil
  local ok, problem = results[1], results[2]
  if caught then warn("Ctrl-C was caught in there (pcall?), and it ended by itself: look at what it did") end
  if ok and options.show then keep_values(self, results) end
  host.emit("shell.done", {
    line = number, ms = host.mono() - begun, reads = scope.reads, changes = scope.changed,
    rows = ok and show.columns(problem) and #problem or nil, error = not ok and errors.body(problem) or nil,
  })
  self.changed = scope.changes ~= "show" and (scope.changed or 0) > 0 -- what is only shown has not happened
  if self.changed then self.changes = self.changes + 1 end
  if ok then look_behind(self, options) end
  if self.timing then say(("time: %d ms"):format(took())) end
  return ok, not ok and problem or nil
end

---Values as the shell prints them; through the pager when they do not fit.
---@param values table
---@param took? integer
---@param expanded? boolean         # rows one below the other, this time
function Shell:show(values, took, expanded)
  local pieces, is_table = {}, false
  local format = expanded and setmetatable({ expanded = "on" }, { __index = self.format }) or self.format
  local paged = require("pgsh.shell.pager").wanted(self)
  local function piece(text)
    if not paged then return out(text) end
    pieces[#pieces + 1] = text
  end
  for i = 1, values.n do
    local change = self.dry and require("pgsh.unknown").change(values[i])
    if change then
      piece(("not made: %s\n"):format(change))
    elseif values[i] ~= nil and not (i > 1 and type(values[i]) == "userdata" and rawequal(values[i], values[1])) then
      if self.piped and self.jobs.is(values[i]) then
        say(tostring(values[i])) -- no data
      else
        is_table = show.value(values[i], format, took, piece) or is_table
      end
    end
  end
  if paged then require("pgsh.shell.pager").put(table.concat(pieces), out, is_table) end
end

local function tell_error(problem, sql)
  if problem.kind == "interrupted" or problem.kind == "cancelled" then
    return warn(("cancelled%s%s"):format(problem.target and ": " .. problem.target or "", problem.detail and ", " .. problem.detail or ""))
  end
  if sql and host.sql_hide(sql) then sql = nil end
  local text = show.error(problem, sql)
  host.emit("log", { level = "error", text = problem.code == "unknown" and "OUTCOME UNKNOWN: " .. text or text })
end

local function evaluate_sql(self, entry)
  local text = entry.text
  local ok, f = errors.try(require("pgsh.shell.sql").action, self, text)
  if not ok then return false, f end
  return self:run(text, f, { show = true, sql = text, expanded = entry.expanded })
end

local function evaluate_lua(self, entry, text)
  if entry.was_local and not self.told_local then
    self.told_local = true
    say("a local of the prompt is a name of the session: it stays")
  end
  local ok, problem = self:run(text, entry.f, { show = entry.expression })
  local word = not ok and problem.kind == "usage" and text:match("^%s*(%a+)%s*$")
  if word and parse.is_sql(word .. ";") and not problem.hint then problem.hint = "SQL ends with a semicolon" end
  return ok, problem
end

-- What it was, and upon what, for save and transcript.
local function log_part(self, text, entry, ok, before, handles)
  local assigned, sql = {}, entry.kind == "sql"
  for name, handle in pairs(entries.handles(self.vars)) do
    if handles[name] ~= handle then
      local conninfo = entry.kind == "lua" and entries.literal(text, name) or entry.word == "c" and entry.rest:find "=" and entry.rest
      if conninfo and not self.places:known(handle) then self.places:perhaps(self, handle, conninfo) end
      if entry.word == "c" and not self.places:known(handle) then self.places:beside(handle, handles[name]) end
      assigned[name] = entries.handle(self, handle)
    end
  end
  if not sql and entry.kind ~= "lua" then return end
  self.log[#self.log + 1] = { line = self.line, text = text, ok = ok, changed = self.changed, sql = sql, expression = entry.expression,
    alone = sql and self.alone or nil, before = before, assigned = assigned,
    db = sql and entries.handle(self, self.vars.db) or before.db and before.db.handle }
end

-- One part of an entry. True, or false and the error, which has been shown.
local function evaluate_part(self, text, entry)
  self.line, self.changed, self.alone = self.line + 1, false, nil
  local before, handles = entries.names(self), entries.handles(self.vars)
  local ok, problem = true, nil
  if entry.kind == "sql" then
    ok, problem = evaluate_sql(self, entry)
  elseif entry.kind == "lua" then
    ok, problem = evaluate_lua(self, entry, text)
  elseif entry.kind == "command" then
    ok, problem = require("pgsh.shell.commands").run(self, entry.word, entry.rest)
  elseif entry.kind == "help" then
    ok, problem = errors.try(require("pgsh.shell.commands").help, self, entry.text)
  elseif entry.kind == "error" then
    ok, problem = false, entry.problem
  end
  host.interrupts()
  log_part(self, text, entry, ok, before, handles)
  if not ok then
    self.vars._err = problem
    if problem.code == "unknown" then self.unknown = true end
    local sql = entry.kind == "sql" and entry.text or entry.kind == "lua" and parse.sql_within(text) or nil
    if not self.piped then tell_error(problem, sql) end
  end
  return ok, problem
end

---Evaluate one whole entry, part by part, up to the first that fails. True, or false and the error, which has been shown.
---@param text string
---@param entry table               # what parse.entry said
---@return boolean ok
---@return table? problem
function Shell:evaluate(text, entry)
  if not entry.parts then return evaluate_part(self, text, entry) end
  for _, part in ipairs(entry.parts) do -- nothing is run of what cannot be run to its end
    local problem = part.kind == "command" and require("pgsh.shell.commands").check(part.word)
    if problem then return evaluate_part(self, text, { kind = "error", problem = problem }) end
  end
  for i, part in ipairs(entry.parts) do
    local ok, problem = evaluate_part(self, part.text or text, part)
    if not ok and i < #entry.parts then warn(("it was part %d of %d: what comes behind it was not run"):format(i, #entry.parts)) end
    if not ok then return false, problem end
    if self.over ~= nil then break end
  end
  return true
end

-- Reading ---------------------------------------------------------------------------------------------------------------------

function Shell:parse(text)
  return parse.entry(text, ("=(%d)"):format(self.line + 1), self.env)
end

-- A block that was pasted: nobody has read it line by line.
---@param line string
---@param entry table
---@return boolean
function Shell:accepts(line, entry)
  local target = self:target()
  local block = entry.kind ~= "error" and (line:find("\n") or entry.parts)
  if not block or not target or not self.gate:is_production(target) then return true end
  local _, count = line:gsub("\n", "")
  local what = count > 0 and ("%d lines"):format(count + 1) or ("%d statements"):format(#entry.parts)
  local ok, answer = errors.try(host.ask, {
    text = ("%s at once, and %s is production: run them?"):format(what, target), options = "yn", labels = "[y]es   [n]o",
  })
  host.interrupts()
  return ok and answer == "y"
end

-- One entry: its text and what it is. nil: end of input. false: thrown away.
local function read(self)
  local lines, prompt = {}, self:prompt()
  local continued = (" "):rep(math.max(0, host.width(prompt:gsub("\1[^\2]*\2", "")) - 4)) .. "... "
  while true do
    self.pending = #lines > 0 and table.concat(lines, "\n") or nil
    local line = host.line(#lines == 0 and self:prompt() or continued, self.preset)
    self.pending = nil
    self.preset = nil
    if line == false then return false end
    if line == nil then
      if #lines == 0 then return nil end
      return false
    end
    if line:find("^%s*\\e%s*$") then -- what the editor leaves stands at the prompt: Enter runs it
      self.preset = require("pgsh.shell.pager").edit(#lines > 0 and table.concat(lines, "\n") or self.texts[#self.texts] or "")
      if self.preset then lines = {} end
    else
      lines[#lines + 1] = line
      local text = table.concat(lines, "\n")
      local entry = self:parse(text)
      if entry.kind ~= "incomplete" then
        if entry.kind ~= "empty" then self.history:add(text, self:target() or "") end
        if not self:accepts(line, entry) then return false end
        return text, entry
      end
    end
  end
end

-- Leaving cancels what still runs, and closes windows. Ctrl-C at the question means: stay.
local function may_leave(self)
  local running, left = self.jobs:running(), {}
  if running > 0 then
    left[1] = ("%d job%s still running (jobs() lists them): leaving cancels %s"):format(running, running == 1 and " is" or "s are",
      running == 1 and "it" or "them")
  end
  for _, target in ipairs(self.gate:targets()) do
    left[#left + 1] = ("changes to %s are not asked about%s: leaving ends that"):format(target,
      self.gate.locked[target] and ", and other runs are kept from it" or "")
  end
  if #left == 0 or not host.interactive() then return true end
  local ok, answer = errors.try(host.ask, {
    text = table.concat(left, "\n") .. "\nleave?", options = "yn", labels = "[y]es   [n]o",
  })
  host.interrupts()
  if not ok then return answer.kind ~= "interrupted" end
  return answer == "y"
end

-- Windows run out, and the clock in the prompt ticks, also while nobody types.
local function clock(self)
  while true do
    host.sleep(TICK_S)
    if self.gate:has_windows() or next(self.current.state.clocks) then
      local ok, problem = errors.try(function()
        self.gate:tick()
        self.refresh()
      end)
      if not ok then warn(errors.line(problem)) end -- the next second is another chance
    end
  end
end

-- A connection that wants a password: it is kept for that handle, for this session.
local function ask_password(self, target, user, again)
  return require("pgsh.questions").put(self.current, {
    text = ("%spassword of %s for %s"):format(again and "that was wrong: " or "", user, target), secret = true,
  })
end

-- The step's handles are the step's again, and there a second use at a time is an error: what the shell still did with them ends.
local function give_back(self)
  self.jobs:settle()
  for _, value in pairs(self.vars) do
    local meta = debug.getmetatable(value)
    if meta and meta.__name == "pgsh.PsqlRows" then value:close() end
  end
end

---Until the operator leaves. Returns what ended it: nil, or what retry() and the like set.
---@return any over
function Shell:loop()
  local former = host.gate(function(change) self.gate:check(change) end)
  host.passwords(function(target, user, again) return ask_password(self, target, user, again) end)
  -- Nobody's child: a Ctrl-C that is for this task (a second one, one at a question) must not stop the clock.
  local timer = host.spawn("clock", clock, self):detach()
  -- However it ends: a procedure that goes on must not be asked as a shell is.
  local guard <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    timer:cancel()
    self.jobs:cancel_all()
    self.gate:leave()
    host.gate(former)
    host.passwords(nil)
    host.foreground(nil)
    if self.inside then give_back(self) end
  end })
  self.refresh = function()
    if not self.busy and not self.pending then host.set_prompt(self:prompt()) end
  end
  self.history = self.history or history.open(self.history_mode)
  self.history:load()
  host.completer(function(line, point) return require("pgsh.shell.complete").choices(self, line, point) end)
  while self.over == nil do
    local ok, text, entry = errors.try(read, self)
    host.interrupts()
    if not ok then
      if text.kind ~= "interrupted" then error(text, 0) end
    elseif text == nil then
      if may_leave(self) then break end
    elseif text and entry.kind ~= "empty" then
      self.busy = true
      self.texts[#self.texts + 1] = text
      self:evaluate(text, entry)
      self.busy = false
      if self.over ~= nil and not may_leave(self) then self.over = nil end
    end
  end
  return self.over
end

-- In a failed step -----------------------------------------------------------------------------------------------------------

-- What the step's functions see besides globals: the handles and values that the procedure's file holds in locals.
local function names_of_step(vars, step)
  for _, key in ipairs { "undo", "verify", "keep", "run" } do
    local f = step[key]
    for i = 1, type(f) == "function" and 250 or 0 do
      local name, value = debug.getupvalue(f, i)
      if not name then break end
      if name ~= "_ENV" and name ~= "" then vars[name] = value end
    end
  end
end

local INSIDE = [[
in the failed step: its handles, parameters and `kept` are names here; _err is what went wrong
retry()  skip()  undo()  abort() leave, Ctrl-D goes back to the question; a change is asked about]]
local INSIDE_UNKNOWN = [[
in the failed step: its handles, parameters and `kept` are names here; Ctrl-D goes back to the question, abort() stops the run]]

---Open the shell in a failed step of a run. Returns "retry", "skip", "undo", "abort", or nil.
---@param current pgsh.Session
---@param inside {step: table, problem: table, kept: any, decided: boolean}
---@return string?
function shell.inside(current, inside)
  local self = shell.new(current, inside)
  for name, value in pairs(current.params:values()) do self.vars[name:gsub("-", "_")] = value end
  for _, step in ipairs(current.steps) do names_of_step(self.vars, step) end
  names_of_step(self.vars, inside.step)
  self.vars._err = inside.problem
  say(inside.decided and INSIDE or INSIDE_UNKNOWN)
  local ok, over = errors.try(self.loop, self)
  if not ok then -- the terminal is gone: the question that comes next finds that out in its own way
    host.interrupts()
    warn(errors.line(over))
    return nil
  end
  return over ~= "question" and over or nil
end

-- Commands --------------------------------------------------------------------------------------------------------------------

local function ending(self, problem)
  local current = self.current
  self.gate:leave()
  if problem then
    local of_error = require("pgsh.endings").of_error(problem)
    of_error.run = current.run
    if self.changes > 0 and of_error.exit < 4 then of_error.status, of_error.exit = "stopped", 5 end
    return of_error
  end
  if not current.run then return nil end
  local plural = require("pgsh.endings").plural
  local changed = self.changes == 0 and "nothing changed" or plural(self.changes, "line") .. " with changes"
  local status, exit = "done", 0
  if self.unknown then status, exit, changed = "unknown", 6, changed .. ", OUTCOME OF A CHANGE UNKNOWN" end
  return { status = status, exit = exit, run = current.run, message = ("%s, %s"):format(plural(self.line, "line"), changed),
    next = { "look: " .. require("pgsh.endings").command(current, "show") } }
end

-- $XDG_CONFIG_HOME/pgsh/init.lua, else /etc/pgsh/init.lua. What is wrong with it must not keep the operator from his prompt.
local function load_rc(self)
  for _, path in ipairs { require("pgsh.shell.doctor").config() .. "/init.lua", "/etc/pgsh/init.lua" } do
    local text = host.read_file(path)
    if text then
      self.init = path
      local ok, problem = errors.try(function()
        local f, wrong = host.compile(text, "@" .. path, self.env)
        if not f then error(wrong, 0) end
        local scope = { branch = "init", phase = "init", changes = "refuse" }
        host.within(scope, f)
      end)
      host.interrupts() -- a Ctrl-C was for the file, not for the session
      if not ok then warn(("%s: %s"):format(path, errors.line(problem))) end
      return
    end
  end
end

-- A connection string; words of one that nobody quoted, too.
local function conninfo_of(words)
  for _, word in ipairs(words) do
    if #words > 1 and not word:find("^[%w_]+=") then
      errors.raise("usage", "one connection string, in quotes: pgsh shell \"host=… dbname=… user=…\"")
    end
  end
  return #words > 0 and table.concat(words, " ") or nil
end

local function banner()
  say(("pgsh %s · reads work at once, a change is shown and asked about · help, ?name, \\? · Ctrl-D leaves"):format(host.version))
end

---`pgsh`, `pgsh shell [CONNINFO]`
---@param invocation table
---@return table? ending
function shell.command(invocation)
  local current = session.new(invocation)
  host.set_mode("real", { step_by_step = current.options.step and true or false })
  local self = shell.new(current)
  local conninfo = conninfo_of(invocation.words or {})
  if conninfo or host.getenv "PGHOST" or host.getenv "PGSERVICE" or host.getenv "PGDATABASE" then
    self.home = self.env.psql(conninfo)
    self.vars.db = self.home
    self.places:made(self.vars.db, conninfo)
  end
  local given = require("pgsh.shell.piped").given(current)
  if given then
    if not host.terminal().terminal then self.format.format = "tsv" end
    self.format.max_rows = 0
    return ending(self, require("pgsh.shell.piped").run(self, given))
  end
  if not current.options.no_rc then load_rc(self) end
  if not current.options.quiet then banner() end
  self:loop()
  return ending(self)
end

return shell
