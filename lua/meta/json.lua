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

---The value at a path (as in yaml); nil when there is none.
---@param text string
---@param path pgsh.Path
---@return any
function json.get(text, path) end

---Set the single value at a path; returns the new text, every other byte untouched: { "override_attributes", "gitlab", "db_host" }. A path and what
---is refused: as in yaml. With `create` a last key that is missing is added behind its siblings, spaced as they are.
---@param text string
---@param path pgsh.Path
---@param value string|number|boolean|lightuserdata|pgsh.Secret   # json.null: null
---@param options? {create?: boolean}
---@return string
function json.edit(text, path, value, options) end

---Remove a key with its value, or an item, and one comma.
---@param text string
---@param path pgsh.Path
---@return string
function json.remove(text, path) end

return json
