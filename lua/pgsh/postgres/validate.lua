-- validate: is the file on disk the dump that was made, and is it whole? Only reads.
local checksum = require "pgsh.checksum"
local errors = require "pgsh.errors"
local file = require "pgsh.file"
local hash = require "pgsh.hash"
local host = require "pgsh.host"
local marker = require "pgsh.postgres.marker"
local options = require "pgsh.options"
local pipe = require "pgsh.pipe"
local planned = require "pgsh.postgres.planned"
local sh = require "pgsh.sh"
local tools = require "pgsh.postgres.tools"
local unknown = require "pgsh.unknown"

local validate = {}

local OPTIONS = {
  format = "string", sha512 = "string", plain_sha512 = "string", checksum = "boolean", bin = "string", timeout = true, stall = true,
}

local function exists(path)
  return sh.read({ "test", "-e", path }, { ok = { 0, 1 }, what = "is there a " .. path .. "?" }).exit == 0
end

local function damaged(path, why, problem)
  local detail = problem and (problem.detail and problem.message .. "\n" .. problem.detail or problem.message) or nil
  error(host.error("io", {
    message = ("%s is not a whole dump as it was made: %s"):format(path, why), detail = detail, hint = "take another copy, or dump again",
  }), 0)
end

-- What the file and its plain bytes must hash to, and which files say so.
local function expected(path, given)
  local from = {}
  local function look(beside, name)
    if given.checksum == false or not exists(beside) then return nil end
    local entry = checksum.find(beside, name)
    if not entry then errors.raise("io", "%s does not name %s", beside, name:match "[^/]*$") end
    from[#from + 1] = beside
    return entry
  end
  local wanted = { file = look(path .. ".sha512", path) }
  local plain = path:match "^(.*)%.gz$"
  if plain then wanted.plain = look(plain .. ".sha512", plain) end
  if given.sha512 then wanted.given = { algorithm = "sha512", digest = given.sha512:lower() } end
  if given.plain_sha512 then wanted.given_plain = { algorithm = "sha512", digest = given.plain_sha512:lower() } end
  if given.checksum ~= false and not next(wanted) then
    errors.raise("refused", "there is no %s.sha512 that says what %s must be; checksum = false does without", path, path)
  end
  return wanted, from
end

local function read_through(path, packed, given)
  local list = { file.reader(path), hash("sha512", { as = "file" }) }
  if packed then
    list[#list + 1] = pipe.gunzip()
    list[#list + 1] = hash("sha512", { as = "plain" })
  end
  list[#list + 1] = pipe.head(16, { as = "begin" })
  list[#list + 1] = pipe.tail(marker.TAIL, { as = "end" })
  list[#list + 1] = pipe.meter "validate"
  list.timeout, list.stall, list.what = given.timeout, given.stall, "validate " .. path
  return pipe(list)
end

local function compare(path, wanted, found, what)
  if wanted and wanted.algorithm == "sha512" and wanted.digest ~= found then
    damaged(path, ("the sha512 of %s is %.16s… instead of %.16s…"):format(what, found, wanted.digest))
  end
end

-- The whole archive is read, so that damage in the data is found, not only in the list of what it holds.
function validate.archive(path, given)
  local tool = tools.path("pg_restore", given.bin)
  local ok, problem = errors.try(sh.read, { tool, "--list", path }, { limit = "256M", what = "pg_restore --list " .. path })
  if ok then ok, problem = errors.try(sh.read, { tool, "-f", "/dev/null", path }, { what = "pg_restore -f /dev/null " .. path }) end
  if not ok then
    if problem.kind ~= "process" or problem.code == "spawn" then error(problem, 0) end
    damaged(path, "pg_restore cannot read it", problem)
  end
end

---@param path string
---@param given? table
---@return table
function validate.validate(path, given)
  given = options.check("postgres.validate", given, OPTIONS)
  if unknown.is(path) or planned.has(path) then return unknown.new("validation of " .. tostring(path)) end
  if type(path) ~= "string" then errors.usage("postgres.validate(path): a file's path expected") end
  if not exists(path) then errors.raise("io", "there is no file %s", path) end
  local wanted, from = expected(path, given)
  local packed = sh.read({ "head", "-c", "2", "--", path }, { what = "the first bytes of " .. path }).out == marker.GZIP
  local ok, done = errors.try(read_through, path, packed, given)
  if not ok then
    if done.kind ~= "io" then error(done, 0) end
    damaged(path, "it cannot be read to its end", done)
  end
  compare(path, wanted.file, done.digest.file, "the file")
  compare(path, wanted.given, done.digest.file, "the file")
  compare(path, wanted.plain, done.digest.plain or done.digest.file, "its plain bytes")
  compare(path, wanted.given_plain, done.digest.plain or done.digest.file, "its plain bytes")
  local format = done.text.begin:sub(1, #marker.CUSTOM) == marker.CUSTOM and "custom" or marker.format_of(done.text["end"])
  if format == "custom" and packed then damaged(path, "it is an archive inside of a gzip file") end
  if format == "custom" then validate.archive(path, given) end
  if not format then damaged(path, "it has no end-of-dump marker: it was cut short, or is no dump") end
  if given.format and given.format ~= format then damaged(path, ("it is of format %s, not %s"):format(format, given.format)) end
  local last = done.stages[#done.stages]
  return {
    path = path, format = format, packed = packed, bytes = done.bytes, plain_bytes = last and last.in_bytes or done.bytes,
    sha512 = { file = done.digest.file, plain = done.digest.plain or done.digest.file }, checked = options.list(from),
  }
end

return validate
