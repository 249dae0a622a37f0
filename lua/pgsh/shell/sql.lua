-- sql: what an entry of SQL does at the prompt.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local sql = {}

-- SQL that cannot run in a transaction block.
local ALONE = { "^vacuum", "^alter%s+system", "^create%s+database", "^drop%s+database", "^create%s+tablespace", "^drop%s+tablespace",
  "^create%s+u?n?i?q?u?e?%s*index%s+concurrently", "^drop%s+index%s+concurrently", "^reindex%s+%(?.-concurrently", "^checkpoint",
  "^create%s+subscription", "^drop%s+subscription", "^cluster%s*;?$" }

-- What would be gone with its own statement: what to do instead.
local GONE = {}
local function gone(words, text)
  for word in words:gmatch "%S+" do GONE[word] = text end
end
gone("begin commit rollback start savepoint abort release end",
  "each change is a transaction of its own here: db:transaction { \"…\", \"…\" } takes several, all or none")
gone("set reset discard", "a setting would be gone with its statement: give it with the call, psql.options { statement_timeout = \"5s\" }, "
  .. "or for all of them in the connection string: \\c \"dbname=… options='-c search_path=…'\"")
gone("prepare deallocate execute", "a prepared statement would be gone with its entry: run it as it is")
gone("lock", "the lock would be gone with its statement: db:transaction { \"lock table …\", \"…\" } holds it while the others run")
gone("declare fetch move close", "a cursor would be gone with its statement: for row in db:each \"select …\" do … end reads row by row")
gone("listen unlisten", "nobody would hear it: db:listen \"CHANNEL\" waits for a notification")
local LOCKS =
  "the locks would be gone with the statement: db:transaction { \"select … for update\", \"…\" } holds them while the others run"
local COPIES = "pipe { db:copy_out \"…\", file.writer \"FILE\" } copies out, pipe { file.reader \"FILE\", db:copy_in \"…\" } in"

-- What would do nothing here, though it would end well.
local function refuse_in_vain(verdict, word, low)
  if verdict == "statement" and GONE[word] then errors.raise("usage", "%s", GONE[word]) end
  if verdict == "statement" and word == "copy" and low:find("%f[%a]std%a+%s*[^;]*$") then errors.raise("usage", "%s", COPIES) end
end

-- FOR UPDATE and its kin at the end of a query.
local function locks_rows(low)
  local behind = low:match("^.*%f[%w]for%s+(.*)$") or ""
  return behind:find("^update%f[%A]") or behind:find("^no%s+key%s+update%f[%A]") or behind:find("^share%f[%A]")
    or behind:find("^key%s+share%f[%A]")
end

---What an entry of SQL does: a read, or a change, which the gate then asks about. Raises what cannot be done here.
---@param shell pgsh.Shell
---@param text string               # one statement
---@return function
function sql.action(shell, text)
  local psql = require "pgsh.psql"
  local statement = text:gsub("%s*;%s*$", "")
  local verdict, word = host.sql_guard(statement)
  local low = statement:lower():gsub("^%s+", "")
  refuse_in_vain(verdict, word, low)
  local db = shell:database()
  local alone
  for _, pattern in ipairs(ALONE) do alone = alone or low:find(pattern) ~= nil end
  shell.alone = alone
  local function execute() return db:execute(statement, psql.options { transaction = not alone }) end
  local function change()
    local ok, result = errors.try(execute)
    if ok then return result end
    if not shell.gate:exceeded(statement, result) then error(result, 0) end
    return execute() -- which is asked about now
  end
  if verdict ~= "read" then return change end
  return function()
    local ok, rows = errors.try(db.rows, db, statement)
    if ok then return rows end
    if rows.sqlstate ~= "25006" then error(rows, 0) end -- it writes after all, and was refused: nothing has happened
    if locks_rows(low) then errors.raise("usage", "%s", LOCKS) end
    host.emit("log", { level = "info", text = "this writes: as a change, then" })
    return change()
  end
end

return sql
