-- Runs the specs inside pgsh: ./pgsh lua tests/run.lua [SPEC FILE or folder ...]
local host = require "pgsh.host"

package.path = "./?.lua;" .. package.path

local specs = {}
for i = 1, #arg do specs[#specs + 1] = arg[i] end
if #specs == 0 then specs[1] = "tests/spec" end

-- busted reads its own command line from `arg`.
local command = { [0] = "tests/run.lua", "--output=tests/report.lua", "--pattern=_spec%.lua$", "--no-auto-insulate" }
if host.getenv "BUSTED_FILTER" then command[#command + 1] = "--filter=" .. host.getenv "BUSTED_FILTER" end
for _, spec in ipairs(specs) do command[#command + 1] = spec end
_G.arg = command -- luacheck: ignore

require "busted.runner" { standalone = false }
