-- history: what was typed, kept for the next session: $XDG_STATE_HOME/pgsh/history, one entry a line, for the operator only. What may hold
-- a secret is never written there.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local parse = require "pgsh.shell.parse"

local history = {}

local TAIL_BYTES = 256 << 10
local TRIM_BYTES = 4 << 20
local SHORTEST = 6 -- bytes of a secret that is recognised elsewhere
local ENTRY_BYTES = 64 << 10 -- a pasted dump is not worth finding again

-- Words that come with a secret, in Lua, SQL, URLs and headers.
local SECRET = { "password", "passwd", "pgpass", "secret", "token", "api[_-]?key", "credential", "bearer%s", "user%s+mapping",
  "://[^/%s:@]*:[^/%s@]+@", "authorization", "identified%s+by%f[%A]" }

---@return string
function history.path()
  local state = host.getenv "XDG_STATE_HOME"
  if not state or state:sub(1, 1) ~= "/" then state = (host.getenv "HOME" or "") .. "/.local/state" end
  return state .. "/pgsh/history"
end

local function may_hold_secret(text)
  local low = text:lower()
  for _, pattern in ipairs(SECRET) do
    if low:find(pattern) then return true end
  end
  return host.sql_hide(text) ~= nil
end

---May it be kept? Not with a space in front, nor with anything that looks as if it held a secret.
---@param text string
---@return boolean
function history.keeps(text)
  return not text:find("^%s") and #text <= ENTRY_BYTES and not may_hold_secret(text)
end

local HIDDEN = "(left out: it may hold a secret)"

-- Where the secret itself stands.
local VALUES = { "password%s*=?%s*'([^']+)'", 'password%s*=?%s*"([^"]+)"', "password=([^%s'\"&]+)", "://[^/%s:@]*:([^/%s@]+)@",
  "bearer%s+([^%s'\"]+)",
  "secret[%w_]*%s*=%s*['\"]([^'\"]+)", "token[%w_]*%s*=%s*['\"]([^'\"]+)", "api[_-]?key[%w_]*%s*=%s*['\"]([^'\"]+)" }

local MARK = "•••"

-- Does SQL in Lua's own quotes hold a password in a form that nobody has taken out?
local function holds_more(low)
  local rest = low:gsub("[benux]?&?'" .. MARK, ""):gsub("%$[%w_]*%$" .. MARK, "")
  return rest:find "password%s*=?%s*[benux]&?'" or rest:find "password%s*=?%s*\\" or rest:find "password%s*=?%s*%$[%w_]*%$"
    or rest:find "identified%s+by%s*['$\\]"
end

-- The values that stand where secrets do become known; false when one is too short to be found again, or none is there.
local function register(text)
  local low, found = text:lower(), false
  for _, pattern in ipairs(VALUES) do
    local from = 1
    while true do
      local first, last = low:find(pattern, from)
      if not first then break end
      local value = low:sub(first, last):match(pattern)
      local start, finish = low:find(value, first, true)
      if not value:find(MARK, 1, true) then
        if finish - start + 1 < SHORTEST then return false end
        require("pgsh.secret")(text:sub(start, finish)) -- making one is what registers it
      end
      found, from = true, last + 1
    end
  end
  return found and not holds_more(low)
end

---The secrets in a text become known as such: whatever shows or journals it from now on shows them as •••. What cannot be told apart is
---left out altogether: returns the text, or a remark in its place.
---@param text string
---@return string
function history.protect(text)
  if may_hold_secret(text) then
    local clean = host.sql_hide(text)
    text = clean or text
    if not (clean and parse.is_sql(text)) and not register(text) then return HIDDEN end
  end
  return #text <= ENTRY_BYTES and text or ("%s… (%d bytes)"):format(text:sub(1, utf8.offset(text, 0, 2000) - 1), #text)
end

local function escaped(text) return (text:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })) end
local function unescaped(text) return (text:gsub("\\(.)", { n = "\n", ["\\"] = "\\" })) end

-- keep: entries that may hold a secret are not written; redact: they are, without it; skip: nothing is.
history.MODES = { keep = true, skip = true, redact = true }

---@class pgsh.History
---@field entries {at: integer, target: string, text: string}[]
local History = {}
History.__index = History

---@param mode? "keep"|"skip"|"redact"
---@return pgsh.History
function history.open(mode)
  local self = setmetatable({ path = history.path(), mode = mode or "keep", entries = {} }, History)
  local text = host.tail(self.path, TAIL_BYTES)
  for line in (text or ""):gmatch("[^\n]+") do
    local at, target, entry = line:match("^(%d+)\t([^\t]*)\t(.*)$")
    if at then
      if entry:find("\\", 1, true) then entry = unescaped(entry) end
      self.entries[#self.entries + 1] = { at = tonumber(at), target = target, text = entry }
    end
  end
  if text and #text >= TAIL_BYTES - 1 then self:trim() end
  return self
end

-- Only when it has become far larger than what is ever read of it.
function History:trim()
  local all = host.tail(self.path, TRIM_BYTES)
  if not all or #all < TRIM_BYTES - (64 << 10) then return end
  host.keep(self.path, host.tail(self.path, TRIM_BYTES // 2), "replace")
end

---Hand them to the line editor, which finds them by keys.
function History:load()
  for _, entry in ipairs(self.entries) do host.remember(entry.text) end
end

-- What may be written of it, or nil.
local function kept(text, mode)
  if mode == "skip" or text:find("^%s") or #text > ENTRY_BYTES then return nil end
  if not may_hold_secret(text) then return text end
  if mode ~= "redact" then return nil end
  local clean = require("pgsh.secret").redact(history.protect(text))
  return clean ~= HIDDEN and clean or nil
end

---@param text string
---@param target string
function History:add(text, target)
  text = text:gsub("%s+$", "")
  local last = self.entries[#self.entries]
  if text == "" or last and last.text == text then return end
  self.entries[#self.entries + 1] = { at = host.now() // 1000, target = target, text = text }
  if host.interactive() then host.remember(text) end
  local clean = kept(text, self.mode)
  if not clean then return end
  local line = ("%d\t%s\t%s\n"):format(host.now() // 1000, target:gsub("[\t\n]", " "), escaped(clean))
  local written, problem = host.keep(self.path, line, "append")
  if not written and not self.told then
    self.told = true
    require("pgsh.log").warn("the history is not kept: %s", problem)
  end
end

---Throw everything away, also the file.
function History:forget()
  self.entries = {}
  if host.interactive() then host.remember(nil) end
  host.keep(self.path, "", "replace")
end

local function holds(text, part)
  if text:find(part, 1, true) then return true end
  local ok, hit = pcall(string.find, text, part)
  return ok and hit ~= nil
end

---The last `count` entries that hold `part`, a text or a Lua pattern.
---@param count? integer|string     # may be left out
---@param part? string
---@return string
function History:text(count, part)
  if type(count) == "string" and part == nil then count, part = nil, count end
  if count ~= nil and (math.type(count) ~= "integer" or count < 1) or part ~= nil and type(part) ~= "string" then
    errors.usage('history(20), history("part"), history(20, "part")')
  end
  local lines = {}
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    if not part or holds(entry.text, part) then
      local at = host.iso(entry.at * 1000):sub(1, 16):gsub("T", " ")
      table.insert(lines, 1, at .. "  " .. entry.text:gsub("\n", "\n" .. (" "):rep(18)))
      if #lines >= (count or 20) then break end
    end
  end
  return table.concat(lines, "\n")
end

return history
