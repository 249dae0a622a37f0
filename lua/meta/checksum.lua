---@meta pgsh.checksum
---checksum: checksum files as sha512sum(1), sha256sum(1) and their kin write and read them, so that what pgsh has digested can be
---checked without it, and the other way round.
---
---    file.write("dump.sql.gz.sha512", checksum.line("dump.sql.gz", digest))    -- sha512sum -c dump.sql.gz.sha512
---    checksum.verify "release/SHA256SUMS"
---
---All formats are read: "DIGEST  NAME", "DIGEST *NAME" (the mark of binary mode), "SHA512 (NAME) = DIGEST" (--tag, and the BSDs), each
---with a backslash in front when the name has escapes (\\, \n, \r). Which digest it is, its length says, or the tag.
---@class pgsh.checksum
local checksum = {}

---@class pgsh.ChecksumEntry
---@field name string
---@field digest string              # lower-case hexadecimal
---@field algorithm? string          # "sha512", a name of hash.names()
---@field path? string               # of verify: where it was read

---One line, with its end. With an algorithm in the BSD format.
---@param name string
---@param digest string
---@param algorithm? string
---@return string
function checksum.line(name, digest, algorithm) end

---A checksum file's text.
---@param entries pgsh.ChecksumEntry[]
---@param options? {tag: boolean?}   # tag: the BSD format
---@return string
function checksum.format(entries, options) end

---The entries of a text, in order. A line that is none raises.
---@param text string
---@return pgsh.ChecksumEntry[]
function checksum.parse(text) end

---The entry for a file in a checksum file (a read); nil when it is not named there. Only the last part of the name counts.
---@param path string                # of the checksum file
---@param name string
---@return pgsh.ChecksumEntry?
function checksum.find(path, name) end

---Digest every file that a checksum file names (a read); names are taken from its directory. Raises when one differs or cannot be read,
---and names all that do.
---@param path string                # of the checksum file
---@return pgsh.ChecksumEntry[]
function checksum.verify(path) end

return checksum
