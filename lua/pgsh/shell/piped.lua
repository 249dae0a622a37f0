-- piped: a shell that nobody types in: entries from standard input or from -c, one after the other, until the first that fails.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local piped = {}

local LIMIT = 16 << 20 -- bytes of standard input

---What is to be evaluated: the texts behind -c, or standard input, all of it before anything runs: there is nothing yet that could be
---kept waiting. nil: somebody types.
---@param current pgsh.Session
---@return string[]?
function piped.given(current)
  local given = current.options.command
  if given and #given > 0 then return given end
  if host.interactive() then return nil end
  local text = io.stdin:read(LIMIT + 1) or ""
  if #text > LIMIT then -- half of it must not run
    errors.usage(("standard input holds more than %d MiB: data goes through a pipe into db:copy_in"):format(LIMIT >> 20))
  end
  return { (text:gsub("^\239\187\191", ""):gsub("^#![^\n]*", "", 1)) }
end

-- Can this line make what was not whole before it whole? Then it is worth looking again.
local function may_end(entry, line)
  return not (entry and entry.sql) or line:find("[;/\\]") or not line:find "%S"
end

-- An error with the line of the text at which its entry begins, where there is more than one.
local function at_line(problem, number, text)
  if text:find("\n.") and not problem.detail then problem.detail = ("in the entry that begins at line %d"):format(number) end
  return problem
end

local function last_entry(shell, rest)
  local entry = shell:parse(rest .. "\n\n")
  if entry.kind ~= "incomplete" then
    local ok, problem = shell:evaluate(rest, entry)
    return not ok and problem or nil
  end
  local _, problem = host.compile(rest, "=(end of input)", shell.env)
  if entry.sql or not problem then return host.error("usage", { message = "the last statement is not complete" }) end
  return problem
end

local function run_text(shell, text)
  local lines, entry, number, begins = {}, nil, 0, 1
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    if #lines == 0 then begins = number end
    lines[#lines + 1] = line
    if may_end(entry, line) then
      local entry_text = table.concat(lines, "\n")
      entry = shell:parse(entry_text)
      if entry.kind ~= "incomplete" then
        lines = {}
        if entry.kind ~= "empty" then
          shell.texts[#shell.texts + 1] = entry_text
          local ok, problem = shell:evaluate(entry_text, entry)
          if not ok then return at_line(problem, begins, text) end
        end
        entry = nil
        if shell.over ~= nil then return nil end
      end
    end
  end
  local rest = table.concat(lines, "\n")
  local problem = rest:find("%S") and last_entry(shell, rest)
  return problem and at_line(problem, begins, text) or nil
end

-- What pg_dump writes is meant for psql: settings for the session, COPY with its data.
local function is_dump(text)
  return text:sub(1, 4096):find("\n%-%- PostgreSQL database d") or text:sub(1, 4096):find("\n%-%- PostgreSQL database cluster dump")
    or text:find("^%-%-\n%-%- PostgreSQL database")
end

---@param shell pgsh.Shell
---@param texts string[]
---@return table? problem           # of the entry that ended it
function piped.run(shell, texts)
  shell.piped = true
  for _, text in ipairs(texts) do
    if is_dump(text) then
      return host.error("usage", { message = "this is a dump: it sets up a session of its own, nothing of it was run",
        hint = "psql -f FILE, or postgres.restore in a script (pgsh help postgres)" })
    end
  end
  host.gate(function(change) shell.gate:check(change) end)
  for _, text in ipairs(texts) do
    local problem = run_text(shell, text)
    if problem or shell.over ~= nil then return problem end
  end
  shell.jobs:wait_all()
end

return piped
