-- words: the names that only the shell has.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local history = require "pgsh.shell.history"

local words = {}

local function out(text) host.emit("output", { text = text }) end

local function callable(name, call, fields)
  local ways = { name .. "()" }
  for field in pairs(fields) do ways[#ways + 1] = name .. "." .. field end
  table.sort(ways)
  local text = ("%s    (help %q)"):format(table.concat(ways, ", "), name)
  return setmetatable(fields, { __name = "pgsh.word", __call = function(_, ...) return call(...) end,
    __tostring = function() return text end })
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
    out(text .. "\n")
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

  own.jobs = callable("jobs", function() out(shell.jobs:text() .. "\n") end, {
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
  own.history = callable("history", function(count, part) out(kept():text(count, part) .. "\n") end, {
    forget = function() kept():forget() end,
    mode = function(mode)
      if not history.MODES[mode] then errors.usage('history.mode "keep", "skip" or "redact"') end
      shell.history_mode = mode
      if shell.history then shell.history.mode = mode end
    end,
  })

  function own.save(path) return require("pgsh.shell.save").procedure(shell, path) end
  function own.transcript(path) return require("pgsh.shell.save").transcript(shell, path) end

  -- As \e; the entry itself is the last of the texts.
  function own.edit(text)
    if text ~= nil and type(text) ~= "string" then errors.usage("edit(), or edit \"text\"") end
    if shell.piped or not host.interactive() then errors.usage("edit: there is no terminal") end
    for i = #shell.texts - 1, 1, -1 do
      if text then break end
      if not shell.texts[i]:find "^%s*edit%f[%W]" and not shell.texts[i]:find "^%s*\\e%s*$" then text = shell.texts[i] end
    end
    shell.preset = require("pgsh.shell.pager").edit(text or "")
  end

  function own.help(subject)
    local help = require "pgsh.help"
    if type(subject) ~= "string" or help.text(subject) then return help.of(subject) end
    return require("pgsh.shell.commands").help(shell, subject)
  end

  function own.apropos(part) return require("pgsh.shell.commands").apropos(part) end
  function own.timing(on)
    if on == nil or on == "on" then on = true end
    if on == "off" then on = false end
    if type(on) ~= "boolean" then errors.usage("timing(true) or timing(false)") end
    shell.timing = on
  end

  -- A format by its name.
  local function known(format)
    local name = require("pgsh.shell.show").format(format)
    if not name then errors.usage("there is no format %s: %s", text_or_value(format), require("pgsh.shell.show").FORMATS) end
    return name
  end

  function own.format(format)
    local former = shell.format.format
    shell.format.format = known(format)
    if former ~= "expanded" then shell.format.before = former end -- what \x off goes back to
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
  function own.as(format) again { format = known(format), max_rows = 0 } end

  function own.to(path, format)
    local value = shell.vars._rs or shell.vars._
    if type(path) ~= "string" then errors.usage("to(\"FILE\" [, format])") end
    if value == nil then errors.usage("there is no result yet") end
    local ending = path:match("[^/]%.(%w+)$")
    if format == nil and ending and not require("pgsh.shell.show").format(ending:lower()) then
      errors.usage("to: %q is no format that is known: to(%q, \"csv\"), or %s", "." .. ending, path, require("pgsh.shell.show").FORMATS)
    end
    local settings = { expanded = "off", max_rows = 0, max_width = 0, null = "" }
    settings.format = known(format or ending and ending:lower() or "tsv")
    local pieces = {}
    require("pgsh.shell.show").value(value, settings, nil, function(text) pieces[#pieces + 1] = text end)
    local ok, problem = host.keep(path, table.concat(pieces), "new")
    if not ok then errors.raise("io", "%s", problem) end
    host.emit("log", { level = "info", text = "written: " .. path })
  end

  function own.tb()
    local problem = shell.vars._err
    if not problem then errors.usage("there was no error") end
    out((problem.traceback or text_or_value(problem)) .. "\n")
  end

  function own.version() out(host.versions()) end
  function own.doctor() out(require("pgsh.shell.doctor").text(shell)) end

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
