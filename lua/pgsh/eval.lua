-- eval: `pgsh -e CODE` and `pgsh -`: Lua in the script environment, effects at once, no journal.

local errors = require "pgsh.errors"
local host = require "pgsh.host"
local load = require "pgsh.load"
local session = require "pgsh.session"

local eval = {}

local LIMIT = 4 << 20 -- bytes of a script

local function show(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    host.emit("output", { text = require("pgsh.inspect").text(value) .. "\n" })
  end
end

local function prepare(invocation)
  local unknown = invocation.rest and invocation.rest[1]
  if unknown then require("pgsh.errors").raise("usage", "unknown option %s%s (see pgsh help)", unknown,
    require("pgsh.nearest").hint(unknown, invocation.known or {})) end
  session.new(invocation)
  host.set_mode("direct", { step_by_step = invocation.options and invocation.options.step and true or false })
  return load.environment "."
end

-- What does not compile may have been meant as SQL.
local function refuse(problem, text, instead)
  if require("pgsh.shell.parse").is_sql(text) then problem.hint = instead end
  error(problem, 0)
end

-- The chunk's results; an expression's value is what it returns.
local function compile(text, name, env)
  local f = host.compile("return " .. text, name, env)
  if f then return f, true end
  local problem
  f, problem = host.compile(text, name, env)
  if not f then refuse(problem, text, "SQL: pgsh -c") end
  return f, false
end

---`pgsh -e CODE [ARGUMENT…]`: the values of an expression are printed.
---@param invocation table
function eval.code(invocation)
  local text = invocation.options.code or ""
  local env = prepare(invocation)
  if not text:find("%S") then return end
  local f = compile(text, "=(command line)", env)
  show(f(table.unpack(invocation.words or {})))
end

---`pgsh -`: a script from standard input.
---@param invocation table
function eval.stdin(invocation)
  local text = io.stdin:read(LIMIT + 1) or "" -- before anything runs: there is nothing yet that could be kept waiting
  if #text > LIMIT then errors.usage(("standard input holds more than %d MiB, which is no script"):format(LIMIT >> 20)) end
  local env = prepare(invocation)
  local f, problem = host.compile(text, "=(standard input)", env)
  if not f then refuse(problem, text, "SQL: pgsh without the -") end
  f(table.unpack(invocation.words or {}))
end

return eval
