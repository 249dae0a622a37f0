-- How a command of kubectl ends: a text on stderr and an exit status, raised from anywhere below the command.
local fail = {}
local Exit = {}

-- Ends with "error: text".
function fail.raise(text, status) error(setmetatable({ text = "error: " .. text, status = status or 1 }, Exit), 0) end

-- Ends with the text as it is; nil: silently.
function fail.exit(status, text) error(setmetatable({ text = text, status = status }, Exit), 0) end

function fail.is(value) return getmetatable(value) == Exit end

function fail.warn(text) io.stderr:write(text, "\n") end

-- 1.32 or 1.20: whose words are printed.
fail.old = os.getenv "PGSH_LAB_KUBECTL" == "1.20"

return fail
