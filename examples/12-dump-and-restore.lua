-- A whole server is dumped, checked, restored into another one, and compared. Both are temporary servers here; in a real procedure `from`
-- is a psql handle or a connection string.
procedure {
  name = "dump-and-restore",
  summary = "A server, dumped, restored and compared",
}

local path = param.string { "dir", "directory for the dump", default = "/tmp" } .. "/pgsh-example-12.sql.gz"
local old = postgres.throwaway { name = "old" }
local new = postgres.throwaway { name = "new" }

step "Something to dump" {
  run = function()
    old:anew(function()   -- the server is a new one in a resumed run, so this is made anew too
      local db <close> = old:psql()
      db:execute "create table list (id int primary key, name text)"
      db:execute "insert into list select i, 'name ' || i from generate_series(1, 1000) i"
    end)
  end,
}

local before = step "Inventory" (function() return postgres.inventory(old) end)

local dump = step "Dump" {
  run = function() return postgres.dump { from = old, to = path } end,
  undo = function() sh.run { "rm", "-f", path, path .. ".sha512", (path:gsub("%.gz$", ".sha512")) } end,
}

step "Restore" (function()
  return postgres.restore { from = dump.result.path, into = new, allow = postgres.exists_already { roles = { "postgres" } } }
end)

step "Nothing is missing" (function()
  local same = postgres.compare(before.result, postgres.inventory(new))
  if not same.same then fail("%s", same.text) end
end)
