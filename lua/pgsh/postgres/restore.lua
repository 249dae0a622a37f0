-- restore: a validated dump into an empty server, through psql, which stops at the first error that is not expected.
--
-- An archive of the custom format goes through pg_restore to SQL and then the same way: only psql tells the SQLSTATE of each error.
local address = require "pgsh.postgres.address"
local allow = require "pgsh.postgres.allow"
local anew = require "pgsh.postgres.anew"
local elsewhere = require "pgsh.postgres.elsewhere"
local empty = require "pgsh.postgres.empty"
local errors = require "pgsh.errors"
local file = require "pgsh.file"
local hash = require "pgsh.hash"
local host = require "pgsh.host"
local options = require "pgsh.options"
local pipe = require "pgsh.pipe"
local psql_errors = require "pgsh.postgres.psql_errors"
local quote = require "pgsh.postgres.quote"
local recorded = require "pgsh.postgres.recorded"
local sh = require "pgsh.sh"
local throwaway = require "pgsh.postgres.throwaway"
local tools = require "pgsh.postgres.tools"
local unknown = require "pgsh.unknown"
local validate = require "pgsh.postgres.validate"
local wanted_locales = require "pgsh.postgres.wanted_locales"

local restore = {}

local OPTIONS = {
  from = "string", into = true, database = "string", validated = "table", db = "userdata", allow = "table", empty = true, replace = "table",
  locales = "boolean", there = "string", record = "string",
  through = "function", bin = "string", args = "table", transaction = "boolean", timeout = true, stall = true,
  what = "string",
}

local function check(given)
  if not given.from then errors.usage("postgres.restore: from = the dump's path is missing") end
  if given.into == nil then errors.usage("postgres.restore: into = the server's address is missing") end
  for i, pair in ipairs(given.replace or {}) do
    if type(pair) ~= "table" or type(pair[1]) ~= "string" or type(pair[2]) ~= "string" or pair[1] == "" then
      errors.usage("postgres.restore: replace[%d] is { from, to }", i)
    end
  end
  if given.through and not given.db and given.empty ~= false then
    errors.usage("postgres.restore: with through, give db = a psql handle that reaches the target, or empty = false")
  end
  if (given.there or given.record) and not address.is_remote(given.into) then
    errors.usage("postgres.restore: there and record go with a remote server")
  end
  if address.is_remote(given.into) and not given.there then
    errors.usage("postgres.restore: there = the path of the dump beside the remote server is missing: copy it there first")
  end
  if address.is_remote(given.into) and (given.through or given.replace) then
    errors.usage("postgres.restore: into a remote server goes what lies there, as it is: neither through nor replace")
  end
  if given.db and not given.through then errors.usage("postgres.restore: db goes with through") end
  if given.empty ~= nil and type(given.empty) ~= "boolean" and type(given.empty) ~= "table" then
    errors.usage("postgres.restore: empty is false, or options of postgres.is_empty")
  end
end

-- ---- may it, and is everything as it has to be ----

local function proof(given)
  local found = given.validated
  if not found then return validate.validate(given.from, { bin = given.bin, timeout = given.timeout }) end
  if unknown.is(found) then return found end
  if found.path ~= given.from or not found.format or not found.sha512 then
    errors.usage("postgres.restore: validated is not what postgres.validate(%q) returned", given.from)
  end
  -- Of a text the digest is looked at once more while it is read; an archive is read by pg_restore.
  if found.format == "custom" and hash.file(given.from, "sha512") ~= found.sha512.file then
    errors.raise("io", "%s is not what was validated: its sha512 is another", given.from)
  end
  return found
end

-- "host:port" of the name of a handle: a cluster's dump changes every database there.
local function server_of(name, format)
  return format == "cluster" and name:match "^(.*:%d+)/" or name
end

-- psql is a command of this machine, which may always be run; the server it changes has to have been named as any other target. What
-- is changed through something else (ssh, kubectl) is that one's target.
local function must_be_named(db, given, format)
  if throwaway.is(given.into) or given.through or address.is_remote(given.into) then return end
  local name = tostring(db):match "^psql (.*)$" or ""
  for _, target in ipairs(host.targets()) do
    if target.kind == "psql" and server_of(target.name, format) == server_of(name, format) then return end
  end
  error(host.error("target", {
    message = ("psql %s was not named before the run began"):format(name),
    hint = "make a psql handle for it at the top level of the script, so that the plan and the confirmation show it",
  }), 0)
end

local function check_empty(given, db, format)
  if given.empty == false then return end
  local more = type(given.empty) == "table" and given.empty or {}
  local words = { database = format ~= "cluster" or nil }
  for key, value in pairs(more) do words[key] = value end
  local from = db
  if format == "cluster" and not given.db then from = given.into end
  local ok, found = empty.check(from, words)
  if ok == false then
    errors.raise("refused", "the target of the restore is not empty: %s", empty.text(found))
  end
end

local function check_locales(given, db)
  if given.locales == false then return nil end
  local found = wanted_locales.of(given.from, { bin = given.bin, replace = given.replace })
  local missing = wanted_locales.missing(db, found.libc)
  if #missing == 0 then return found end
  local words = {}
  for i, one in ipairs(missing) do words[i] = ("%s (%s)"):format(one.name, one.near) end
  error(host.error("refused", {
    message = "the target lacks locales that the dump wants: " .. table.concat(words, "; "),
    hint = ("replace = { { \"'%s'\", \"'…'\" } } puts another in its place, in this attempt only"):format(missing[1].name),
  }), 0)
end

-- `again`: it was let out before, and is now answered from the journal or settled; what it has made is there.
local function look(db, given, format, again)
  must_be_named(db, given, format)
  if again or unknown.is(db:value "select 1") then return nil end
  check_empty(given, db, format)
  return check_locales(given, db)
end

-- ---- the pipe ----

-- What psql is told in any case.
local function psql_flags(given, entries)
  local flags = { "-X", "-q", "-w", "-v", "VERBOSITY=verbose", "-v", "SHOW_CONTEXT=errors", "-o", "/dev/null", "-f", "-" }
  if #entries == 0 then table.move({ "-v", "ON_ERROR_STOP=1" }, 1, 2, #flags + 1, flags) end
  if given.transaction then flags[#flags + 1] = "-1" end
  return flags
end

-- psql's own messages in English, so that they can be told apart; nothing below a warning, which dumps do not want to see either.
local function psql_part(given, fields, entries, reader)
  local more = { options = (not unknown.is(fields) and fields.options and fields.options .. " " or "") .. "-c client_min_messages=warning" }
  local words, env = tools.connection(fields, more)
  env.LC_ALL, env.LANGUAGE, env.PSQLRC, env.PGCLIENTENCODING = "C", false, false, false
  local flags = psql_flags(given, entries)
  local command = tools.command(given.through and "psql" or tools.path("psql", given.bin), flags, words)
  return (given.through or sh.input)(command, { env = env, stderr = function(line) reader:line(line) end })
end

local function source_parts(given, format, validated)
  if format == "custom" then
    local command = tools.command(tools.path("pg_restore", given.bin), "-f", "-", given.args or {}, given.from)
    return { sh.output(command) }
  end
  local list = { file.reader(given.from) }
  if unknown.is(validated) then return list end
  list[2] = hash("sha512", { as = "file", expect = validated.sha512.file })
  if validated.packed then list[3] = pipe.gunzip() end
  return list
end

local function name_of(given, fields)
  if throwaway.is(given.into) or address.is_remote(given.into) then return given.into.name end
  if unknown.is(fields) then return "a server that is not there yet" end
  return (fields.host or fields.hostaddr or fields.service or "the local server") .. (fields.port and ":" .. fields.port or "")
    .. (fields.dbname and "/" .. quote.show(fields.dbname) or "")
end

-- In a pod, on another host: psql there reads what lies there.
local function run_there(given, validated, entries, what)
  local server, reader = given.into, psql_errors.new(entries)
  local packed = unknown.is(validated) or validated.packed
  if not unknown.is(validated) and recorded.outcome(what) ~= "ok" then
    elsewhere.check_copy(server, given.there, validated.sha512.file)
  end
  local flags = tools.command(psql_flags(given, entries), "-d", given.database or server.database)
  local done = server.where:run(elsewhere.command(server, given.there, packed, entries, flags), {
    what = what, timeout = given.timeout, record = given.record, limit = "1M",
  })
  if unknown.is(done) then return done end
  elsewhere.judge(server, given.there, done.out, reader)
  return { out_bytes = validated.plain_bytes }, reader
end

local function run(given, fields, validated, entries, what)
  if address.is_remote(given.into) then return run_there(given, validated, entries, what) end
  local format = not unknown.is(validated) and validated.format or nil
  local reader = psql_errors.new(entries)
  local list = source_parts(given, format, validated)
  for i, pair in ipairs(given.replace or {}) do list[#list + 1] = pipe.replace(pair[1], pair[2], { as = "replaced " .. i }) end
  list[#list + 1] = pipe.meter("restore", { size = not unknown.is(validated) and validated.plain_bytes or nil })
  list[#list + 1] = psql_part(given, fields, entries, reader)
  list.timeout, list.stall = given.timeout, given.stall
  list.what = what
  local done = pipe(list)
  if unknown.is(done) then return done end
  reader:finish()
  local last = done.stages[#done.stages]
  if reader.seen == 0 and last and last.stderr and last.stderr ~= "" then reader = psql_errors.read(entries, last.stderr) end
  return done, reader
end

local function result_of(given, validated, done, reader, wanted)
  if unknown.is(done) then return done end
  local replaced = {}
  for i, pair in ipairs(given.replace or {}) do
    replaced[i] = { from = pair[1], to = pair[2], count = done.count and done.count["replaced " .. i] or 0 }
  end
  return {
    path = given.from, format = validated.format, bytes = done.out_bytes, ms = done.ms,
    allowed = options.list(reader.allowed),
    allowed_count = reader.count or 0, notices = options.list(reader.notices),
    replaced = #replaced > 0 and replaced or nil, locales = wanted,
  }
end

local function in_place(given, entries)
  local validated = proof(given)
  local format = not unknown.is(validated) and validated.format or "cluster"
  local remote = address.is_remote(given.into)
  if remote and format == "custom" then errors.usage("postgres.restore: an archive cannot be restored into a remote server") end
  local fields = remote and {} or address.fields(given.into, "postgres.restore: into", given.database)
  if not unknown.is(fields) and not fields.dbname and format == "cluster" then fields.dbname = "postgres" end
  local what = given.what or ("restore %s into %s"):format(given.from, name_of(given, fields))
  local outcome = recorded.outcome(what)
  local wanted
  if given.db or not given.through then
    local db, made = given.db, false
    if throwaway.is(given.into) then
      db, made = given.into:psql(given.database), true
    elseif remote then
      db = given.into:at(given.database)
    elseif not db then
      db, made = address.handle(quote.with(fields, {}), "postgres.restore")
    end
    wanted = address.using(db, made, unknown.is(validated) and must_be_named or look, given, format,
      outcome ~= nil and outcome ~= "failed")
  end
  local done, reader = run(given, fields, validated, entries, what)
  return result_of(given, validated, done, reader, wanted)
end

---@param given table                # see the reference
---@return table
function restore.restore(given)
  given = options.check("postgres.restore", given, OPTIONS)
  check(given)
  local entries = allow.check(given.allow)
  -- What was in a throwaway server is gone with the process that had it: then the journal must not answer for it.
  if throwaway.is(given.into) then return anew.call("throwaway", in_place, given, entries) end
  return in_place(given, entries)
end

return restore
