-- words: the names that only the shell has.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local history = require "pgsh.shell.history"

local words = {}

local function out(text) host.emit("output", { text = text }) end

local function callable(call, fields)
  return setmetatable(fields, { __call = function(_, ...) return call(...) end, __name = "pgsh.word" })
end

local function text_or_value(value)
  return type(value) == "string" and value or require("pgsh.shell.show").text(value)
end

---@param shell pgsh.Shell
---@return table<string, any>
function words.new(shell)
  local own = {}

  function own.print(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    local text = table.concat(texts, "\t", 1, texts.n)
    local job = shell.jobs:here()
    if job then text = ("[job %d] "):format(job.id) .. text:gsub("\n", ("\n[job %d] "):format(job.id)) end
    out(require("pgsh.shell.show").valid(text) .. "\n")
  end

  function own.rw(target, reason, minutes)
    shell.gate:open(target == nil and shell:database() or target, reason, minutes)
  end

  function own.ro(target) shell.gate:close(target == nil and shell:database() or target) end
  function own.idle(duration) shell.gate:idle(duration) end

  function own.spawn(name, f, ...)
    if type(name) == "function" then return shell.jobs:spawn("task", name, f, ...) end
    if type(f) ~= "function" then errors.usage("spawn(function() … end), or spawn(\"name\", function() … end)") end
    return shell.jobs:spawn(tostring(name), f, ...)
  end

  own.jobs = callable(function() out(shell.jobs:text() .. "\n") end, {
    cancel = function(id)
      local job = shell.jobs.list[id]
      if not job then errors.usage("there is no job %s", tostring(id)) end
      job:cancel()
    end,
    wait = function(id)
      local job = shell.jobs.list[id]
      if not job then errors.usage("there is no job %s", tostring(id)) end
      return job:wait()
    end,
  })

  function own.watch(seconds, what)
    return require("pgsh.shell.watch").run(shell, seconds, what)
  end

  local function kept()
    shell.history = shell.history or history.open(shell.history_mode)
    return shell.history
  end
  own.history = callable(function(count, part) out(kept():text(count, part) .. "\n") end, {
    forget = function() kept():forget() end,
    mode = function(mode)
      if not history.MODES[mode] then errors.usage('history.mode "keep", "skip" or "redact"') end
      shell.history_mode = mode
      if shell.history then shell.history.mode = mode end
    end,
  })

  function own.save(path) return require("pgsh.shell.save").procedure(shell, path) end
  function own.transcript(path) return require("pgsh.shell.save").transcript(shell, path) end

  function own.apropos(part) return require("pgsh.shell.commands").apropos(part) end
  function own.timing(on) shell.timing = on ~= false end

  function own.format(format)
    local known = { auto = 1, grid = 1, expanded = 1, csv = 1, tsv = 1, json = 1, jsonl = 1, lua = 1, markdown = 1 }
    if not known[format] then errors.usage("format: auto, grid, expanded, csv, tsv, json, jsonl, lua or markdown") end
    shell.format.format = format
  end

  local function again(settings)
    local value = shell.vars._rs or shell.vars._
    if value == nil then errors.usage("there is no result yet") end
    local format = {}
    for key, now in pairs(shell.format) do format[key] = now end
    for key, now in pairs(settings) do format[key] = now end
    local former = shell.format
    shell.format = format
    local ok, problem = errors.try(shell.show, shell, { n = 1, value })
    shell.format = former
    if not ok then error(problem, 0) end
  end

  function own.full() again { max_rows = 0, max_width = 0 } end
  function own.as(format) again { format = format, max_rows = 0 } end

  function own.to(path, format)
    local value = shell.vars._rs or shell.vars._
    if type(path) ~= "string" then errors.usage("to(\"FILE\" [, format])") end
    if value == nil then errors.usage("there is no result yet") end
    local settings = { format = format or path:match("%.(%w+)$") or "tsv", expanded = "off", max_rows = 0, max_width = 0, null = "" }
    if settings.format == "md" then settings.format = "markdown" end
    local pieces = {}
    require("pgsh.shell.show").value(value, settings, nil, function(text) pieces[#pieces + 1] = text end)
    local ok, problem = host.keep(path, table.concat(pieces), "new")
    if not ok then errors.raise("io", "%s", problem) end
  end

  function own.tb()
    local problem = shell.vars._err
    if not problem then errors.usage("there was no error") end
    out((problem.traceback or text_or_value(problem)) .. "\n")
  end

  function own.doctor()
    local size, lines = host.terminal(), {}
    local function add(what, value) lines[#lines + 1] = ("%-12s %s"):format(what, tostring(value)) end
    add("pgsh", host.version)
    add("run", shell.current.run or "none yet")
    add("history", shell.history and shell.history.path or "-")
    add("modules", host.getenv "PGSH_PATH" or "embedded")
    add("terminal", ("%s, %d x %d, %s"):format(host.getenv "TERM" or "?", size.columns, size.rows, size.colour and "colour" or "no colour"))
    add("pager", host.getenv "PGSH_PAGER" or host.getenv "PAGER" or "less -SRFX")
    add("ssh agent", host.getenv "SSH_AUTH_SOCK" or "none")
    add("production", table.concat({ "prod  prd  live", table.unpack(shell.gate.patterns) }, "  "))
    for _, window in ipairs(shell.gate:targets()) do add("writable", window) end
    out(table.concat(lines, "\n") .. "\n")
  end

  function own.dry_run(on)
    shell.dry = on ~= false
    host.emit("log", { level = "info", text = shell.dry and "changes are only shown from now on; dry_run(false) ends that"
      or shell.gate:has_windows() and "changes are made again; without being asked where a window is open"
      or "changes are made again, each when it was asked about" })
  end

  function own.max_rows(count)
    if math.type(count) ~= "integer" or count < 0 then errors.usage("max_rows(n): 0 is all") end
    shell.format.max_rows = count
  end

  function own.production(...)
    for _, pattern in ipairs { ... } do table.insert(shell.gate.patterns, tostring(pattern):lower()) end
  end

  if shell.inside then
    own.step, own.problem, own.kept = shell.inside.step, shell.inside.problem, shell.inside.kept
    for _, name in ipairs { "retry", "skip", "undo", "abort" } do
      own[name] = function()
        if not shell.inside.decided and name ~= "abort" then
          errors.usage("%s(): nobody knows whether the change happened: Ctrl-D goes back to the question that settles it", name)
        end
        shell.over = name
      end
    end
  end
  return own
end

return words
