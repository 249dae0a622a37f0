-- What the psql specs share: checks, and a server with three handles.
local host = require "pgsh.host"
local assert = require "luassert"

local check = {}

-- The error of f(...), which must be one.
function check.failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

function check.has(text, part)
  assert.is_truthy(tostring(text):find(part, 1, true), ("%q is not in: %s"):format(part, tostring(text)))
end

function check.lacks(text, part)
  assert.is_falsy(tostring(text):find(part, 1, true), ("%q is in: %s"):format(part, tostring(text)))
end

function check.until_true(what, f)
  for _ = 1, 200 do
    if f() then return end
    host.sleep(0.02)
  end
  error("waited in vain: " .. what)
end

return check
