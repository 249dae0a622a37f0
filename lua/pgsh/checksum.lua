-- checksum: files as sha512sum(1) and its kin write and read them: "DIGEST  NAME", "DIGEST *NAME", "SHA512 (NAME) = DIGEST".
local errors = require "pgsh.errors"
local file = require "pgsh.file"
local hash = require "pgsh.hash"
local options = require "pgsh.options"
local strict = require "pgsh.strict"

local checksum = {}

-- Digits of a digest → what made it, when the line does not say.
local BY_LENGTH = { [32] = "md5", [40] = "sha1", [56] = "sha224", [64] = "sha256", [96] = "sha384", [128] = "sha512" }

-- As the BSD format calls them → ours.
local BY_TAG = {
  MD5 = "md5", SHA1 = "sha1", SHA224 = "sha224", SHA256 = "sha256", SHA384 = "sha384", SHA512 = "sha512", BLAKE2b = "blake2b512",
  ["SHA2-224"] = "sha224", ["SHA2-256"] = "sha256", ["SHA2-384"] = "sha384", ["SHA2-512"] = "sha512",
}
local TAGS = {
  md5 = "MD5", sha1 = "SHA1", sha224 = "SHA224", sha256 = "SHA256", sha384 = "SHA384", sha512 = "SHA512", blake2b512 = "BLAKE2b",
}

local ESCAPES = { ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r" }
local UNESCAPES = { ["\\"] = "\\", n = "\n", r = "\r" }

---One line, with its end.
---@param name string
---@param digest string
---@param algorithm? string          # given: the BSD format, which names it
---@return string
function checksum.line(name, digest, algorithm)
  if type(name) ~= "string" or name == "" or name:find "\0" then errors.usage("checksum: %s is no file's name", tostring(name)) end
  if type(digest) ~= "string" or not digest:find "^%x+$" then errors.usage("checksum: %s is no digest", tostring(digest)) end
  local escaped = name:gsub("[\\\n\r]", ESCAPES)
  local mark = escaped ~= name and "\\" or ""
  digest = digest:lower()
  if algorithm == nil then return ("%s%s  %s\n"):format(mark, digest, escaped) end
  local tag = TAGS[algorithm] or errors.usage("checksum: there is no name for %s in a checksum file", tostring(algorithm))
  return ("%s%s (%s) = %s\n"):format(mark, tag, escaped, digest)
end

---A checksum file's text.
---@param entries {name: string, digest: string, algorithm: string?}[]
---@param given? {tag: boolean?}     # tag: the BSD format
---@return string
function checksum.format(entries, given)
  given = options.check("checksum.format", given, { tag = true })
  local lines = {}
  for i, entry in ipairs(entries) do
    local algorithm = given.tag and (entry.algorithm or BY_LENGTH[#tostring(entry.digest)]) or nil
    lines[i] = checksum.line(entry.name, entry.digest, algorithm)
  end
  return table.concat(lines)
end

local function unescape(name)
  local bad
  local plain = name:gsub("\\(.?)", function(c)
    bad = bad or UNESCAPES[c] == nil
    return UNESCAPES[c]
  end)
  if not bad then return plain end
end

-- name, digest, algorithm of a line without its end; nil when it is none.
local function parse_line(line)
  local escaped = line:sub(1, 1) == "\\"
  local text = escaped and line:sub(2) or line
  local tag, name, digest = text:match "^([%w%-]+) %((.*)%) = (%x+)$"
  local algorithm = tag and BY_TAG[tag]
  if not algorithm then
    digest, name = text:match "^(%x+) [ *](.+)$"
    algorithm = digest and BY_LENGTH[#digest]
  end
  if not algorithm then return nil end
  if escaped then name = unescape(name) end
  if not name or name == "" then return nil end
  return name, digest:lower(), algorithm
end

---The entries of a checksum file's text, in order: name, digest, algorithm. A line that is none raises.
---@param text string
---@return {name: string, digest: string, algorithm: string}[]
function checksum.parse(text)
  local entries, number = {}, 0
  for line in (text:gsub("\n?$", "\n", 1)):gmatch "([^\n]*)\n" do
    number = number + 1
    line = line:gsub("\r$", "")
    if line ~= "" then
      local name, digest, algorithm = parse_line(line)
      if not name then errors.raise("io", "line %d is no line of a checksum file: %.60s", number, line) end
      entries[#entries + 1] = { name = name, digest = digest, algorithm = algorithm }
    end
  end
  return entries
end

---The entry for a file's name in a checksum file (a read); nil when it is not named there.
---@param path string
---@param name string                # of which only the last part counts
---@return {name: string, digest: string, algorithm: string}?
function checksum.find(path, name)
  local wanted = name:match "[^/]*$"
  for _, entry in ipairs(checksum.parse(file.read(path))) do
    if entry.name:match "[^/]*$" == wanted then return entry end
  end
end

local function describe(problem)
  return ("%s: %s"):format(problem.path:gsub("%c", "?"), problem.why)
end

---Digest every file that a checksum file names (a read). Names are taken from the checksum file's directory. Raises when one differs
---or cannot be read, naming all of them.
---@param path string                # of the checksum file
---@return {name: string, path: string, digest: string, algorithm: string}[]
function checksum.verify(path)
  local directory = path:match "^(.*/)[^/]*$" or ""
  local entries, problems = checksum.parse(file.read(path)), {}
  if #entries == 0 then errors.raise("io", "%s names no file", path) end
  for _, entry in ipairs(entries) do
    entry.path = entry.name:sub(1, 1) == "/" and entry.name or directory .. entry.name
    local ok, found = errors.try(hash.file, entry.path, entry.algorithm)
    if not ok and found.kind ~= "io" then error(found, 0) end
    local why = not ok and errors.line(found) or found ~= entry.digest and ("its %s is %.16s… instead of %.16s…"):format(entry.algorithm,
      found, entry.digest)
    if why then problems[#problems + 1] = describe { path = entry.path, why = why } end
  end
  if #problems > 0 then
    errors.raise("io", "%d of %d files of %s differ: %s", #problems, #entries, path, table.concat(problems, "; "))
  end
  return entries
end

return strict.module("checksum", checksum)
