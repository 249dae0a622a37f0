-- sql: what an entry of SQL does at the prompt.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local sql = {}

-- SQL that cannot run in a transaction block.
local ALONE = { "^vacuum", "^alter%s+system", "^create%s+database", "^drop%s+database", "^create%s+tablespace", "^drop%s+tablespace",
  "^create%s+u?n?i?q?u?e?%s*index%s+concurrently", "^drop%s+index%s+concurrently", "^reindex%s+%(?.-concurrently", "^checkpoint",
  "^create%s+subscription", "^drop%s+subscription", "^cluster%s*;?$" }

local CONTROL = { begin = true, commit = true, rollback = true, start = true, savepoint = true, abort = true, release = true }

---What an entry of SQL does: a read, or a change, which the gate then asks about. Raises what cannot be done here.
---@param shell pgsh.Shell
---@param text string               # one statement
---@return function
function sql.action(shell, text)
  local psql = require "pgsh.psql"
  local statement = text:gsub("%s*;%s*$", "")
  local verdict, word = host.sql_guard(statement)
  if verdict == "statement" and CONTROL[word] then
    errors.raise("usage", "each change is a transaction of its own here: db:transaction { \"…\", \"…\" } takes several, all or none")
  end
  if verdict == "statement" and (word == "set" or word == "reset") then
    errors.raise("usage", "a setting would be gone with its statement: give it with the call, psql.options { statement_timeout = \"5s\" }, "
      .. "or for all of them in the connection string: \\c \"dbname=… options='-c search_path=…'\"")
  end
  if verdict == "statement" and word == "copy" and statement:lower():find("%f[%a]std%a+%s*[^;]*$") then
    errors.raise("usage", "pipe { db:copy_out \"…\", file.writer \"FILE\" } copies out, pipe { file.reader \"FILE\", db:copy_in \"…\" } in")
  end
  if verdict == "statement" and (word == "prepare" or word == "deallocate" or word == "execute") then
    errors.raise("usage", "a prepared statement would be gone with its entry: run it as it is")
  end
  local db = shell:database()
  local low = statement:lower():gsub("^%s+", "")
  local alone
  for _, pattern in ipairs(ALONE) do alone = alone or low:find(pattern) ~= nil end
  shell.alone = alone
  local function change() return db:execute(statement, psql.options { transaction = not alone }) end
  if verdict ~= "read" then return change end
  return function()
    local ok, rows = errors.try(db.rows, db, statement)
    if ok then return rows end
    if rows.sqlstate ~= "25006" then error(rows, 0) end -- it writes after all, and was refused: nothing has happened
    host.emit("log", { level = "info", text = "this writes: as a change, then" })
    return change()
  end
end

return sql
