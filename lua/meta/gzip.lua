---@meta pgsh.gzip
-- gzip: strings in the gzip format. Long ones are worked on by a thread of their own, while other tasks go on.

-- gzip{…} itself is a filter of a pipe: see pipe.gzip.

---@class pgsh.gzip
---@overload fun(options?: {level: integer?, single: boolean?}): pgsh.PipePart
local gzip = {}

---The same text gives the same bytes: neither name nor time is stored.
---@param text string
---@param options? {level: integer?}  # 1 (fast) to 9 (small); default 6
---@return string
function gzip.compress(text, options) end

---All members, their checksums checked. Anything that is cut short, damaged or followed by something else is refused.
---@param data string
---@param options? {limit: integer|string?}  # of the text; default "256M"
---@return string
function gzip.decompress(data, options) end

return gzip
