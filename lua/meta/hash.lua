---@meta pgsh.hash
-- hash: digests, in lower-case hexadecimal. Long texts and files are worked on by a thread of their own.

-- hash("sha512") itself is a filter of a pipe: see pipe.hash.

---@class pgsh.hash
---@overload fun(algorithm: string, options?: {as: string?, expect: string?}): pgsh.PipePart
local hash = {}

---@param text string|pgsh.Secret
---@return string
function hash.sha256(text) end
---@param text string|pgsh.Secret
---@return string
function hash.sha512(text) end
---@param text string|pgsh.Secret
---@return string
function hash.sha384(text) end
---@param text string|pgsh.Secret
---@return string
function hash.sha224(text) end
---@param text string|pgsh.Secret
---@return string
function hash.sha3_256(text) end
---@param text string|pgsh.Secret
---@return string
function hash.sha3_512(text) end
---@param text string|pgsh.Secret
---@return string
function hash.blake2b512(text) end
---@param text string|pgsh.Secret
---@return string
function hash.blake2s256(text) end
---For old checksum files; no protection against forgery.
---@param text string|pgsh.Secret
---@return string
function hash.sha1(text) end
---For old checksum files; no protection against forgery.
---@param text string|pgsh.Secret
---@return string
function hash.md5(text) end

---Of a local file, in constant memory; a read; waits.
---@param path string
---@param name? string               # of hash.names(); default "sha256"
---@return string
function hash.file(path, name) end
---The names there are, best first.
---@return string[]
function hash.names() end

return hash
