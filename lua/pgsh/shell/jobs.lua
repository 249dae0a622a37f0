-- jobs: what runs beside the prompt: spawn(f) starts one, jobs() lists them. Ctrl-C at the prompt does not touch them.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local SETTLE_MS = 5000 -- a little longer than a server has to confirm a cancel

local jobs = {}

---@class pgsh.Jobs
---@field list table[]
local Jobs = {}
Jobs.__index = Jobs

local Job = { __name = "pgsh.Job" }
Job.__index = Job

local function cells_of(job)
  local took = host.span((job.ended or host.mono()) - job.begun)
  local name = job.problem and ("%s: %s"):format(job.name, errors.line(job.problem)) or job.name
  return { ("job %d"):format(job.id), job.outcome or "running", took, name }
end

function Job:__tostring() return table.concat(cells_of(self), "   ") end

---Wait for its end: its results, or its error.
function Job:wait()
  local results = table.pack(errors.try(self.task.join, self.task))
  if results[1] then return table.unpack(results, 2, results.n) end
  if self.task:done() then error(results[2], 0) end
  errors.raise(results[2].code, { message = results[2].message, detail = ("job %d goes on"):format(self.id) })
end
---Ask it to stop.
function Job:cancel() self.task:cancel() end

---@param shell pgsh.Shell
---@return pgsh.Jobs
function jobs.new(shell)
  return setmetatable({ shell = shell, list = {}, threads = setmetatable({}, { __mode = "k" }) }, Jobs)
end

local function tell(job, text, level)
  host.emit("log", { level = level or "info", text = ("[job %d] %s"):format(job.id, text) })
end

local function ended(self, job)
  local results = table.pack(errors.try(job.task.join, job.task))
  local problem = not results[1] and results[2] or nil
  local cancelled = problem and problem.kind == "cancelled"
  job.ended, job.outcome = host.mono(), cancelled and "cancelled" or problem and "failed" or "done"
  if not cancelled then job.problem = problem end
  if self.shell.refresh then self.shell.refresh() end
  if cancelled then
    if not job.told then tell(job, "cancelled: " .. job.name) end
  elseif not problem then
    tell(job, ("done in %s: %s"):format(host.span(job.ended - job.begun), job.name))
  else
    tell(job, ("failed: %s"):format(errors.line(problem)), "warn")
  end
end

---@param name string
---@param f function
---@return table job
function Jobs:spawn(name, f, ...)
  local id = #self.list + 1
  local job = setmetatable({ id = id, name = name, begun = host.mono(), outcome = nil }, Job)
  self.list[id] = job
  job.task = host.spawn("job " .. id, host.branch, "job-" .. id, function(...)
    self.threads[coroutine.running()] = job
    return f(...)
  end, ...):detach()
  -- In a task of its own: what stops the job, a Ctrl-C while it computes say, must not stop its notice too.
  host.spawn("end of job " .. id, ended, self, job):detach()
  return job
end

---Is it a job?
---@param value any
---@return boolean
function Jobs.is(value) return type(value) == "table" and debug.getmetatable(value) == Job end

---The job that the running code belongs to, or nil.
---@return table?
function Jobs:here()
  return self.threads[coroutine.running()]
end

---@return integer
function Jobs:running()
  local count = 0
  for _, job in ipairs(self.list) do
    if not job.ended then count = count + 1 end
  end
  return count
end

function Jobs:cancel_all()
  for _, job in ipairs(self.list) do
    if not job.task:done() then
      if not job.told then tell(job, "cancelled: " .. job.name) end -- now: afterwards there may be nobody to read it
      job.told = true
      job.task:cancel()
    end
  end
end

---Wait for the end of what was cancelled, but not for long.
function Jobs:settle()
  local former = host.deadline(SETTLE_MS, "the end of the jobs")
  self:wait_all()
  host.restore_deadline(former)
end

function Jobs:wait_all()
  for _, job in ipairs(self.list) do errors.try(job.task.join, job.task) end
end

---@return string
function Jobs:text()
  local lines, rows, widths = {}, {}, { 0, 0, 0 }
  for i, job in ipairs(self.list) do
    rows[i] = cells_of(job)
    for k = 1, 3 do widths[k] = math.max(widths[k], host.width(rows[i][k])) end
  end
  for i, row in ipairs(rows) do
    for k = 1, 3 do row[k] = row[k] .. (" "):rep(widths[k] - host.width(row[k])) end
    lines[i] = table.concat(row, "   ")
  end
  return #lines > 0 and table.concat(lines, "\n") or "no jobs"
end

return jobs
