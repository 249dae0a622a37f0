-- dump: pg_dumpall or pg_dump to a file, in one pass: digest of the plain bytes, gzip, digest of the file's bytes, file.
--
-- It is complete only when the program exited 0 and the stream ended as a dump ends; then the file gets its name, and the checksum
-- files are written beside it.
local address = require "pgsh.postgres.address"
local checksum = require "pgsh.checksum"
local disk = require "pgsh.postgres.disk"
local errors = require "pgsh.errors"
local file = require "pgsh.file"
local gzip = require "pgsh.gzip"
local hash = require "pgsh.hash"
local marker = require "pgsh.postgres.marker"
local options = require "pgsh.options"
local pipe = require "pgsh.pipe"
local planned = require "pgsh.postgres.planned"
local quote = require "pgsh.postgres.quote"
local recorded = require "pgsh.postgres.recorded"
local sh = require "pgsh.sh"
local tools = require "pgsh.postgres.tools"
local unknown = require "pgsh.unknown"
local validate = require "pgsh.postgres.validate"

local dump = {}

local OPTIONS = {
  from = true, to = "string", format = "string", database = "string", source = true, through = "function", bin = "string", args = "table",
  level = "number", single = "boolean", mode = "number", estimate = "number", disk = true, checksum = "boolean", timeout = true,
  stall = true, what = "string",
}

-- Of the size on the server: indexes are not dumped, text is larger than pages, and gzip makes it a quarter or less.
local FACTOR_PACKED, FACTOR_PLAIN = 0.5, 1.2

local function check(given)
  if not given.to or given.to == "" then errors.usage("postgres.dump: to = the file's path is missing") end
  local format = given.format or "cluster"
  if format == "directory" then
    errors.usage("postgres.dump: the directory format cannot be streamed: run pg_dump -Fd with sh.run")
  end
  if format ~= "cluster" and format ~= "plain" and format ~= "custom" then
    errors.usage("postgres.dump: format is \"cluster\", \"plain\" or \"custom\", not %s", tostring(format))
  end
  if given.from == nil and not given.source then errors.usage("postgres.dump: from = the server's address is missing") end
  if given.source and given.through then errors.usage("postgres.dump: either source or through") end
  if format == "cluster" and given.database then errors.usage("postgres.dump: database goes with the formats plain and custom") end
  if format == "custom" and given.to:find "%.gz$" then
    errors.usage("postgres.dump: the custom format is compressed already; %s would not be what its name says", given.to)
  end
  return format
end

-- How errors and the plan call the server, and what a replay finds the change by: nothing that differs from run to run.
local function name_of(given, fields)
  if address.is_remote(given.from) then return given.from.name .. (given.database and "/" .. quote.show(given.database) or "") end
  if not fields then return "the given source" end
  if address.is_server(given.from) then return given.from.name or "a server" end
  if unknown.is(fields) then return "a server that is not there yet" end
  local where = (fields.host or fields.hostaddr or fields.service or "the local server") .. (fields.port and ":" .. fields.port or "")
  return fields.dbname and where .. "/" .. quote.show(fields.dbname) or where
end

local function program(given, format, fields)
  local through = given.through
  local name = format == "cluster" and "pg_dumpall" or "pg_dump"
  local kind = format == "custom" and { "-Fc" } or format == "plain" and { "-Fp" } or {}
  if address.is_remote(given.from) then
    local database = format ~= "cluster" and { "-d", given.database or given.from.database } or {}
    return given.from.where:output(given.from:command(name, tools.command(kind, "-w", database, given.args or {})))
  end
  local words, env = tools.connection(fields)
  local command = tools.command(through and name or tools.path(name, given.bin), kind, "-w", words, given.args or {})
  return (through or sh.output)(command, { env = env })
end

-- ---- room ----

local function estimate(given, format, fields)
  if given.estimate then return given.estimate end
  if given.source or given.through or unknown.is(fields) then return nil end
  local itself = address.is_server(given.from) or address.is_remote(given.from)
  local db, made = address.handle(itself and given.from or quote.with(fields, {}), "postgres.dump", itself and given.database or nil)
  return address.using(db, made, function(handle)
    local one = "select pg_database_size(current_database())"
    return handle:value(format == "cluster" and "select sum(pg_database_size(oid))::int8 from pg_database where datallowconn" or one)
  end)
end

local function directory_of(path)
  return (path:match "^(.*)/[^/]*$" or "."):gsub("^$", "/")
end

local function check_room(given, format, fields)
  if given.disk == false then return nil end
  local size = estimate(given, format, fields)
  if not size or unknown.is(size) then return nil end
  local packed = format == "custom" or given.to:find "%.gz$"
  local factor = type(given.disk) == "number" and given.disk or given.estimate and 1 or (packed and FACTOR_PACKED or FACTOR_PLAIN)
  disk.must_have(directory_of(given.to), math.ceil(size * factor), ("the dump of %s"):format(disk.text(size)))
  return size
end

-- ---- the pipe ----

local function parts(given, format, source)
  local list = { source }
  local function add(part) list[#list + 1] = part end
  if format == "custom" then
    add(pipe.head(16, { match = marker.CUSTOM }))
  else
    add(hash("sha512", { as = "plain" }))
    add(pipe.tail(marker.TAIL, { as = "end", match = marker.of(format) }))
  end
  add(pipe.meter(given.what or "dump"))
  if given.to:find "%.gz$" then add(gzip { level = given.level, single = given.single }) end
  add(hash("sha512", { as = "file" }))
  add(file.writer(given.to, { mode = given.mode }))
  return list
end

local function base(path) return path:match "[^/]*$" end

local function write_checksums(given, format, result)
  if given.checksum == false then return nil end
  local function line(path, digest)
    return unknown.is(digest) and digest or checksum.line(base(path), digest)
  end
  local written = { given.to .. ".sha512" }
  file.write(written[1], line(given.to, result.sha512.file), { mode = given.mode })
  if format ~= "custom" and given.to:find "%.gz$" then
    local plain = given.to:gsub("%.gz$", "")
    written[2] = plain .. ".sha512"
    file.write(written[2], line(plain, result.sha512.plain), { mode = given.mode })
  end
  return written
end

-- What the pipe cannot see: an archive has no text at its end, so it is read once more (a kubectl exec that loses its connection exits
-- 0); and that nothing stands behind the marker. What is no dump does not keep its name.
local function last_check(given, format, done)
  local ok, problem = errors.try(function()
    if format == "custom" then return validate.archive(given.to, given) end
    if not marker.is_whole(done.text["end"], format) then
      errors.raise("io", "%s: something stands behind the end-of-dump marker", given.to)
    end
  end)
  if ok then return end
  if problem.kind == "io" then sh.run({ "rm", "-f", "--", given.to }, { what = "remove " .. given.to .. ", which is no dump" }) end
  error(problem, 0)
end

---@param given table                # see the reference
---@return table
function dump.dump(given)
  given = options.check("postgres.dump", given, OPTIONS)
  local format = check(given)
  local remote = address.is_remote(given.from)
  if remote and given.through then errors.usage("postgres.dump: a remote server has its own way: no through") end
  local fields = given.from ~= nil and not remote and address.fields(given.from, "postgres.dump: from", given.database) or nil
  local what = given.what or ("dump (%s) of %s to %s"):format(format, name_of(given, fields), given.to)
  local size = recorded.outcome(what) ~= "ok" and check_room(given, format, fields) or nil
  local list = parts(given, format, given.source or program(given, format, fields))
  list.timeout, list.stall = given.timeout, given.stall
  list.what = what
  -- A run that was cut off makes it anew: the file has its name only when it is whole, and a new one takes its place.
  list.resolve = function() return false end
  local done = pipe(list)
  local result = { path = given.to, format = format, estimate = size }
  if unknown.is(done) then
    planned.add(given.to)
    result.bytes, result.plain_bytes, result.sha512 = done.out_bytes, done.bytes, { file = done.digest, plain = done.digest }
    result.checksums = write_checksums(given, format, result)
    return result
  end
  last_check(given, format, done)
  result.bytes, result.plain_bytes, result.ms = done.out_bytes, done.bytes, done.ms
  result.sha512 = { file = done.digest.file, plain = done.digest.plain }
  local said = done.stages[1] and done.stages[1].stderr
  if said and said ~= "" then result.said = said end
  result.checksums = write_checksums(given, format, result)
  return result
end

return dump
