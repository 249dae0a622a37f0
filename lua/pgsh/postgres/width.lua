-- Texts in columns: how wide a text is on a terminal, and a table of them.
local width = {}

-- Ranges of characters that take no column, and of those that take two.
local NONE = { { 0x300, 0x36F }, { 0x483, 0x489 }, { 0x591, 0x5BD }, { 0x610, 0x61A }, { 0x64B, 0x65F }, { 0x1AB0, 0x1AFF },
  { 0x1DC0, 0x1DFF }, { 0x200B, 0x200F }, { 0x202A, 0x202E }, { 0x2060, 0x2064 }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F },
  { 0xFE20, 0xFE2F }, { 0xFEFF, 0xFEFF } }
local WIDE = { { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0xA4CF }, { 0xA960, 0xA97F }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
  { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1F64F }, { 0x1F680, 0x1F6FF }, { 0x1F900, 0x1F9FF },
  { 0x20000, 0x3FFFD } }

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code < range[1] then return false end
    if code <= range[2] then return true end
  end
  return false
end

---Columns a text takes.
function width.of(text)
  if not utf8.len(text) then return #text end
  if not text:find "[\128-\255]" then return #text end
  local columns = 0
  for _, code in utf8.codes(text) do
    if code >= 0x300 and within(NONE, code) then
      columns = columns + 0
    else
      columns = columns + (code >= 0x1100 and within(WIDE, code) and 2 or 1)
    end
  end
  return columns
end

---Text for one cell: one line, valid UTF-8, no control characters.
function width.cell(value)
  local text = tostring(value)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  text = text:gsub("\n", "\\n"):gsub("\t", "\\t"):gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end)
  -- The C1 controls and what turns the direction of writing round.
  return (text:gsub("\xC2[\x80-\x9F]", "?"):gsub("\xE2\x80[\xAA-\xAE]", "?"):gsub("\xE2\x81[\xA6-\xA9]", "?"))
end

---Rows of texts as lines with aligned columns, the first row underlined.
---@param rows string[][]
---@return string
function width.table(rows)
  local widest = {}
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do widest[i] = math.max(widest[i] or 0, width.of(text)) end
  end
  local lines = {}
  for n, row in ipairs(rows) do
    local cells = {}
    for i, text in ipairs(row) do cells[i] = i < #row and text .. (" "):rep(widest[i] - width.of(text)) or text end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
    if n == 1 then
      for i = 1, #row do cells[i] = ("─"):rep(widest[i]) end
      lines[#lines + 1] = table.concat(cells, "  ")
    end
  end
  return table.concat(lines, "\n")
end

return width
