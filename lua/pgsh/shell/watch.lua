-- watch: the same look again and again, what is new in it marked. A failure is shown and survived; Ctrl-C ends it.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local watch = {}

-- Rows that were not there the last time begin with '>'.
local function marked(text, former)
  local lines, shown = {}, {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[line] = true
    shown[#shown + 1] = former and not former[line] and line:sub(1, 1) == " " and ">" .. line:sub(2) or line
  end
  return table.concat(shown, "\n") .. "\n", lines
end

---@param shell pgsh.Shell
---@param seconds number|string
---@param what function|string      # a function, or SQL
function watch.run(shell, seconds, what)
  local every = host.duration(seconds)
  if not every or every < 100 then errors.usage("watch(seconds, function or \"SQL\")") end
  if type(what) == "string" then
    local db, sql = shell:database(), what:gsub("%s*;%s*$", "")
    what = function() return db:rows(sql) end
  end
  if type(what) ~= "function" then errors.usage("watch(seconds, function or \"SQL\")") end
  shell.watching = true
  local former -- the lines of the last look
  local guard <close> = setmetatable({}, { __close = function() shell.watching = nil end }) -- luacheck: ignore
  while true do
    host.emit("output", { text = ("-- %s, every %g s, Ctrl-C ends it\n"):format(host.iso(host.now()):sub(12, 19), every / 1000) })
    local results = table.pack(errors.try(what))
    if not results[1] then
      if not errors.passing(results[2]) and results[2].kind ~= "psql" then error(results[2], 0) end
      host.emit("log", { level = "error", text = require("pgsh.shell.show").error(results[2]) })
    else
      local pieces = {}
      for i = 2, results.n do
        require("pgsh.shell.show").value(results[i], shell.format, nil, function(text) pieces[#pieces + 1] = text end)
      end
      local text, lines = marked(table.concat(pieces), former)
      former = lines
      host.emit("output", { text = text })
    end
    host.sleep(every / 1000)
  end
end

return watch
