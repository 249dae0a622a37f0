---@meta pgsh.file
---Small local files. Large ones go through a pipe.
---@class pgsh.file
local file = {}

---Read a file (a read).
---@param path string
---@param options? {limit?: integer|string, what?: string}  # limit: bytes or "16M"; default 16 MiB, above it kind "limit"
---@return string
function file.read(path, options) end

---Replace or make a file (a change): temporary name, synced, renamed. A crash leaves the old or the new file, never a part.
---@param path string
---@param text string|pgsh.Secret
---@param options? {mode?: integer, what?: string, resolve?: function}  # mode of a new file; default 0644
---@return {path: string, bytes: integer}
function file.write(path, text, options) end

---A file as the source of a pipe.
---@param path string
---@return pgsh.PipePart
function file.reader(path) end

---A file as the sink of a pipe. It is written under a temporary name in the same directory (".NAME.XXXXXX.part"), synced, and has its name only
---when the pipe has succeeded; a file of that name is replaced and its mode kept.
---@param path string
---@param options? {mode?: integer}   # of a new file; default 0600: a dump holds password hashes
---@return pgsh.PipePart
function file.writer(path, options) end

return file
