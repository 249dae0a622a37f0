-- Checks that many specs need.
--
--   local check = require "tests.spec.support.check"
--   local err = check.failure(handle.read, handle, "…")      the call has to fail; its error
--   check.has(text, part, …); check.lacks(text, part)        plain text, no pattern
--   check.until_true("what is waited for", f)                four seconds, then an error; check.comes_true(f, seconds): true or false
--   local prints, fails = check.evaluated(evaluate)          what `pgsh -e` prints, or how it fails
--   check.open_files()                                       how many files this process has open
--   sh.run("sleep " .. check.mark()); check.alive(mark)      a process that can be told from all others; is there one?
local host, sh = require "pgsh.host", require "pgsh.sh"
local assert = require "luassert"
local lfs = require "lfs"

local check = {}

-- The error of f(...), which must be one.
function check.failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "it did not fail: " .. tostring(err))
  return err
end

function check.has(text, ...)
  text = tostring(text)
  assert.is_true(select("#", ...) > 0, "has: what?")
  for i = 1, select("#", ...) do
    local part = (select(i, ...))
    assert.is_truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
  end
end

function check.lacks(text, part)
  assert.is_falsy(tostring(text):find(part, 1, true), ("%q is in:\n%s"):format(part, tostring(text)))
end

function check.until_true(what, f)
  for _ = 1, 200 do
    if f() then return end
    host.sleep(0.02)
  end
  error("waited in vain: " .. what)
end

-- Does f() come true within so many seconds (5)?
function check.comes_true(f, seconds)
  for _ = 1, (seconds or 5) * 20 do
    if f() then return true end
    host.sleep(0.05)
  end
  return false
end

-- The files that this process has open. Without starting another: while one is started it has more.
function check.open_files()
  local count = 0
  for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
  return count
end

-- A number of seconds that nobody else sleeps.
local marks = 0
function check.mark()
  marks = marks + 1
  return ("%d.%03d"):format(10000000 + host.pid, marks)
end

-- Is there a living process whose command line holds the text? One of the group may be dead and not yet reaped by init.
function check.alive(text)
  return sh.read("ps -eo stat=,args= | grep -v '^Z' | grep -v grep | grep -F -- '" .. text .. "'", { ok = { 0, 1 } }).out ~= ""
end

-- For a function that evaluates a text (and takes what else it likes) and gives the result of a pgsh: prints(expected, text, …), the text
-- is evaluated, and prints that one line; fails(expected, text, …), it fails, and says that. Both return the result.
function check.evaluated(evaluate)
  local function prints(expected, ...)
    local result = evaluate(...)
    assert.equal(0, result.exit, result.stderr)
    assert.equal(expected .. "\n", result.stdout)
    return result
  end
  local function fails(expected, ...)
    local result = evaluate(...)
    assert.is_true(result.exit ~= 0, result.stdout)
    check.has(result.stderr, expected)
    return result
  end
  return prints, fails
end

return check
