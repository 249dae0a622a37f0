---@meta pgsh.json
---JSON (RFC 8259), by jansson: strict, duplicate keys refused.
---@class pgsh.json
---@field null lightuserdata        # JSON's null inside arrays and objects
local json = {}

---Decode a text. Objects become tables, arrays sequences (also empty ones), null json.null, integers integers.
---Raises kind "json" with line and column.
---@param text string
---@return any
function json.decode(text) end

---Encode a value. A table with 1..n and no other key is an array; an empty one an object unless json.array made it. Secrets
---become •••. Raises kind "json" for NaN, functions, and texts that are not UTF-8.
---@param value any
---@param options? {indent?: integer, sorted?: boolean}  # default: one line, keys in no fixed order
---@return string
function json.encode(value, options) end

---Mark a table as an array, also when it is empty.
---@param list? table
---@return table
function json.array(list) end

return json
