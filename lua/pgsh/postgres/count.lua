-- Exact row counts: many tables in one statement, so that they are of one moment.
local count = {}

-- Tables in one statement. Each takes a lock until the statement's end, and the server's table of locks has room for
-- max_locks_per_transaction * max_connections, 6400 as it comes.
local BATCH = 400

local function batches(list, expression)
  local out, words = {}, {}
  for _, one in ipairs(list) do
    words[#words + 1] = expression(one)
    if #words == BATCH then out[#out + 1], words = words, {} end
  end
  if #words > 0 then out[#out + 1] = words end
  return out
end

local function ask(db, list, expression, what, take)
  local by_oid = {}
  for _, one in ipairs(list) do by_oid[one.oid] = one end
  local all = batches(list, expression)
  for i, words in ipairs(all) do
    local shown = #all > 1 and ("%s (%d of %d)"):format(what, i, #all) or what
    for row in db:each(table.concat(words, "\nunion all "), require("pgsh.psql").options { what = shown }) do
      take(by_oid[row.oid], row)
    end
  end
  return #all
end

---Sets rows of each table. ONLY: what a parent's children hold is theirs. Returns the number of statements, each of which has its
---own snapshot.
---@return integer
function count.tables(db, list)
  return ask(db, list, function(one) return ("select %d::int8 as oid, count(*) as rows from only %s"):format(one.oid, one.sql) end,
    ("count the rows of %d tables"):format(#list), function(one, row) one.rows = row.rows end)
end

---Sets last_value and is_called of each sequence.
function count.sequences(db, list)
  return ask(db, list, function(one) return ("select %d::int8 as oid, last_value, is_called from %s"):format(one.oid, one.sql) end,
    ("read %d sequences"):format(#list), function(one, row) one.last_value, one.is_called = row.last_value, row.is_called end)
end

return count
