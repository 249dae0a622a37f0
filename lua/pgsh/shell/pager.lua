-- pager: what is longer or wider than the screen goes through a pager, and a block of text through an editor. Only at a terminal.

local host = require "pgsh.host"

local pager = {}

local DEFAULT = "less -SRFX"

---@param shell pgsh.Shell
---@return boolean
function pager.wanted(shell)
  return shell.pager ~= false and host.interactive() and host.terminal().terminal and not shell.jobs:here() and not shell.watching
end

-- A text that the terminal cannot be commanded by: a pager shows control characters its own way, but colours it would let through.
local function harmless(text)
  return (text:gsub("[\0-\8\11-\31\127]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- A table that is wider than the screen is better read in a pager; other text is wrapped by the terminal.
local function fits(text, size, is_table)
  local lines = 0
  for line in text:gmatch("([^\n]*)\n") do
    local width = #line > size.columns and host.width(line) or 0
    if is_table and width > size.columns then return false end
    lines = lines + math.max(1, (width + size.columns - 1) // size.columns)
    if lines >= size.rows - 1 then return false end
  end
  return true
end

---@param text string
---@param out fun(text: string)
---@param is_table boolean
function pager.put(text, out, is_table)
  if text == "" or fits(text, host.terminal(), is_table) then return text ~= "" and out(text) end
  local command = host.getenv "PGSH_PAGER" or host.getenv "PAGER"
  if not command or not command:find("%S") then command = DEFAULT end
  if command == "cat" or host.getenv "TERM" == "dumb" then return out(text) end
  local status = host.program({ "/bin/sh", "-c", command }, harmless(text))
  if status == 126 or status == 127 then out(text) end -- there is none
end

---A text in $VISUAL or $EDITOR; what it holds afterwards. nil when it was left as it was, or the editor failed.
---@param text string
---@return string?
function pager.edit(text)
  local command = host.getenv "VISUAL" or host.getenv "EDITOR" or "vi"
  local path = ("%s/pgsh-%d-%d.lua"):format(host.getenv "XDG_RUNTIME_DIR" or host.getenv "TMPDIR" or "/tmp", host.pid, host.mono())
  local kept, problem = host.keep(path, text .. "\n", "new")
  if not kept then require("pgsh.errors").raise("io", "%s", problem) end
  local status = host.program { "/bin/sh", "-c", command .. ' "$1"', "sh", path }
  local edited = status == 0 and host.read_file(path) or ""
  os.remove(path)
  edited = edited:gsub("%s+$", "")
  return edited ~= "" and edited ~= text and edited or nil
end

return pager
