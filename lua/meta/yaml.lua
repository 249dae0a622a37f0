---@meta pgsh.yaml
---YAML texts: read, and changed in place: one value, one key, and every other byte untouched: comments, quotes, order, blank lines, CRLF.
---
---A path is a list of keys, of indexes from 1, and of selectors for the one item that has these values:
---{ "spec", "template", "spec", "containers", { name = "postgres" }, "image" }. Where a text holds several documents, the option `document`
---says which: its number from 1 (empty ones count) or a selector: { kind = "Deployment", metadata = { name = "postgres" } }.
---
---After each edit the new text is read again. Unless it differs from the former one at the path alone, the edit is refused. Refused, with line
---and column: what is not there, a key that is there twice, a selector that fits several items, an anchor or an alias on the path, a value
---with a tag of its own, a removal after which nothing would be left. Kind "yaml": the text is not valid YAML.
---
---What a value means is what Kubernetes takes it for: yes, no, on, off, y, n are booleans, 0777 is octal, dates are strings.
---@class pgsh.yaml
local yaml = {}

---@alias pgsh.Path (string|integer|table)[]

---The value of the one document in a text; nil when there is none. Mappings become tables with strings as keys, lists sequences, null
---json.null; aliases and merges (<<) are resolved.
---@param text string
---@return any
function yaml.decode(text) end

---The values of all documents; an empty one is json.null.
---@param text string
---@return any[]
function yaml.decode_all(text) end

---The value at a path; nil when there is none.
---@param text string
---@param path pgsh.Path
---@param options? {document?: integer|table}
---@return any
function yaml.get(text, path, options) end

---Set the single value at a path; returns the new text. Its quotes or block style are kept where they can hold the new value; a string that would
---read as something else is quoted. With `create` a last key that is missing is added behind its siblings, at their indentation.
---@param text string
---@param path pgsh.Path
---@param value string|number|boolean|lightuserdata|pgsh.Secret   # json.null: null
---@param options? {create?: boolean, document?: integer|table}
---@return string
function yaml.edit(text, path, value, options) end

---Remove a key with its value, or an item; in block style the lines that it takes, with the comments in them.
---@param text string
---@param path pgsh.Path
---@param options? {document?: integer|table}
---@return string
function yaml.remove(text, path, options) end

---Turn a key with its value, or an item, into comments: "#pgsh> " before its first line, "#pgsh| " before the others. yaml.uncomment gives back
---every byte. Block style only.
---@param text string
---@param path pgsh.Path
---@param options? {document?: integer|table}
---@return string
function yaml.comment(text, path, options) end

---Bring back what yaml.comment made of the path; without a path, all that it made in the text. An index counts as in the text that comes out.
---@param text string
---@param path? pgsh.Path
---@param options? {document?: integer|table}
---@return string
function yaml.uncomment(text, path, options) end

return yaml
