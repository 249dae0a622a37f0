---@meta pgsh.file
---Small local files. Large ones go through a pipe.
---@class pgsh.file
local file = {}

---Read a file (a read).
---@param path string
---@param options? {limit?: integer|string, what?: string}  # limit: bytes or "16M"; default 16 MiB, above it kind "limit"
---@return string
function file.read(path, options) end

---Replace or make a file (a change): temporary name (".NAME.XXXXXX.part"), synced, renamed. A crash leaves the old or the new file, never a
---part. A file that is replaced keeps its mode, and its owner where we may give it away; a symbolic link stays one.
---@param path string
---@param text string|pgsh.Secret
---@param options? {mode?: integer, what?: string, resolve?: function}  # mode of a new file; default 0644
---@return {path: string, bytes: integer}
function file.write(path, text, options) end

---Change a part of a file (a change): it is read, the function makes the new text (nil: as it is), the difference is shown, and it is written as
---file.write does, with mode and owner kept; a symbolic link stays one. In a plan the difference is shown and nothing written. Refused when
---the file changes between being read and written. A resumed run gives back what the journal has, and asks the file itself when the journal
---does not know whether it was written.
---
---    file.edit("deployment.yaml", function(text) return yaml.edit(text, { "spec", "replicas" }, 2) end)
---@param path string
---@param change fun(text: string): string|pgsh.Secret|nil   # reads only
---@param options? {what?: string}
---@return {path: string, changed: boolean, diff: string?, before: string?, was: string, now: string}  # was, now: SHA-256; diff and before: up to 1 MiB, of UTF-8
function file.edit(path, change, options) end

---Put back what file.edit changed (a change), for an undo: undo = function(_, result) file.revert(result) end. A step that may fail behind its
---edit has no result; it keeps the text: keep = function() return file.read(f) end, and its undo edits with function() return kept end. Refused when the file was changed
---since, and when the journal did not keep its former text: longer than 1 MiB, not UTF-8, or with a secret in it.
---@param result table              # of file.edit
---@param options? {what?: string}
---@return {path: string, changed: boolean, diff: string?, before: string?, was: string, now: string}
function file.revert(result, options) end

---What is different between two texts, as patch(1) takes it: names a/PATH and b/PATH, three lines around. Empty when they are equal.
---@param path string
---@param before string
---@param after string
---@return string
function file.diff(path, before, after) end

---A file as the source of a pipe.
---@param path string
---@return pgsh.PipePart
function file.reader(path) end

---A file as the sink of a pipe. It is written under a temporary name in the same directory (".NAME.XXXXXX.part"), synced, and has its name only
---when the pipe has succeeded; a file of that name is replaced as file.write does.
---@param path string
---@param options? {mode?: integer}   # of a new file; default 0600: a dump holds password hashes
---@return pgsh.PipePart
function file.writer(path, options) end

return file
