-- Runs kept in a shared PostgreSQL database: watched, locked and taken over by another process with nothing in common but it.
local postgres = require "tests.spec.support.postgres"
local support = require "tests.spec.engine.support"
local pg_proxy = require "tests.spec.support.pg_proxy"
local host = require "pgsh.host"

local PROCEDURE = [[
local api = http("http://127.0.0.1:1", { name = "api" })
step "First" (function() sh.run { "sh", "-c", "echo first >>made" } end)
step "Second" (function() sh.run { "sh", "-c", "test -e fixed && echo second >>made" } end)
]]

describe("a shared state", function()
  local server, box, state

  setup(function()
    server = postgres.start()
    state = ("postgresql://postgres:topsecret123@127.0.0.1:%d/postgres"):format(server.port)
  end)
  teardown(function() server:remove() end)

  before_each(function()
    box = support.box()
    server:psql "drop schema if exists pgsh cascade"
    box:procedure(PROCEDURE)
  end)
  after_each(function() box:close() end)

  local function stopped()
    local result = box:pgsh("proc.lua", "-y", "--no-input", "--state", state)
    assert.equal(5, result.exit, result.all)
    return result.err:match "run (%w+)"
  end

  it("keeps the run, and another process goes on with it", function()
    local id = stopped()
    assert.truthy(box:pgsh("runs", "--state", state).all:find(id, 1, true))
    box:write("fixed", "")
    local result = box:pgsh("resume", id, "-y", "--no-input", "--state", state)
    assert.equal(0, result.exit, result.all)
    assert.equal("first\nsecond\n", box:read "made")
    assert.is_nil(box:read "state/pgsh/runs")
  end)

  it("never shows or stores its password", function()
    local result = box:pgsh("proc.lua", "-y", "--no-input", "--state", state)
    assert.is_nil(result.all:find("topsecret123", 1, true))
    assert.is_nil(server:psql("select string_agg(event::text, ' ') from pgsh.event"):find("topsecret123", 1, true))
  end)

  it("locks a target for everybody who uses it", function()
    box:procedure [[
local api = http("http://127.0.0.1:1", { name = "api" })
step "Long" (function() sh.run { "sh", "-c", "touch began; sleep 20" } end)
]]
    local holder = host.spawn("holder", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", state)
    repeat host.sleep(0.02) until box:read "began"
    local result = box:pgsh("proc.lua", "-y", "--no-input", "--state", state)
    assert.equal(7, result.exit, result.all)
    local holder_id = result.err:match "http api is held by run (%w+), %w+@"
    assert.truthy(holder_id, result.err)
    local status = box:pgsh("status", holder_id, "--state", state)
    assert.truthy(status.all:find("Long", 1, true), status.all)
    holder:cancel()
    pcall(holder.join, holder)
  end)

  it("survives a server that restarts, and doubles nothing", function()
    box:procedure [[
step "First" (function() sh.run { "sh", "-c", "echo first >>made; touch began; until test -e go; do sleep 0.05; done" } end)
step "Second" (function() sh.run { "sh", "-c", "echo second >>made" } end)
]]
    local run = host.spawn("holder", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", state)
    repeat host.sleep(0.02) until box:read "began"
    server:stop "immediate"
    server:start()
    box:write("go", "")
    assert.equal(0, run:join().exit)
    assert.equal("first\nsecond\n", box:read "made")
    assert.equal("0", (server:psql "select count(*) - count(distinct seq) from pgsh.event"):match "%d+")
  end)

  it("survives an answer that is lost, and doubles nothing", function()
    local proxy = pg_proxy.start(server.port)
    local through = ("postgresql://postgres@127.0.0.1:%d/postgres"):format(proxy.port)
    box:procedure [[
step "First" (function()
  sh.run "touch began; until test -e go; do sleep 0.05; done"
  sh.run "echo 'a commit; of ours' >>made"
end)
]]
    local run = host.spawn("holder", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", through)
    repeat host.sleep(0.02) until box:read "began"
    proxy:mode "cut_after" -- at that word: the event is there then, and nobody says so
    box:write("go", "")
    local result = run:join()
    assert.is_true(proxy:fired())
    proxy:stop()
    assert.equal(0, result.exit, result.all)
    assert.equal("a commit; of ours\n", box:read "made")
    assert.equal("0", (server:psql "select count(*) - count(distinct seq) from pgsh.event"):match "%d+")
  end)

  it("is made once, whoever comes first", function()
    for _ = 1, 3 do
      server:psql "drop schema if exists pgsh cascade"
      local tasks = {}
      for i = 1, 8 do tasks[i] = host.spawn("first", box.pgsh, box, "runs", "--state", state) end
      for _, task in ipairs(tasks) do
        local result = task:join()
        assert.equal(0, result.exit, result.all)
      end
    end
  end)

  it("survives it also with more to write than goes out at once", function()
    box:procedure [[
step "First" (function()
  sh.run "touch began"
  sh.read "until test -e go; do sleep 0.05; done"
  for _ = 1, 100 do file.read "proc.lua" end
  sh.run "echo first >>made"
end)
]]
    local run = host.spawn("holder", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", state)
    repeat host.sleep(0.02) until box:read "began"
    host.sleep(0.1)
    server:stop "immediate"
    server:start()
    box:write("go", "")
    local result = run:join()
    assert.equal(0, result.exit, result.all)
    assert.equal("first\n", box:read "made")
  end)

  it("is not written to by one who lost it to another", function()
    box:procedure [[
step "First" (function() sh.run { "sh", "-c", "touch began; until test -e go; do sleep 0.05; done" } end)
step "Second" (function() sh.run { "sh", "-c", "echo second >>made" } end)
]]
    local first = host.spawn("first", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", state)
    repeat host.sleep(0.02) until box:read "began"
    server:psql "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgsh state'"
    local taken = box:pgsh("resume", "last", "-y", "--no-input", "--state", state)
    assert.equal(6, taken.exit, taken.all) -- what became of the first step's change nobody knows
    local before = server:psql "select string_agg(event::text, ' ' order by seq) from pgsh.event"
    box:write("go", "")
    local result = first:join()
    assert.is_true(result.exit > 0, result.all)
    assert.match("another process went on with run %w+", result.err)
    assert.is_nil(box:read "made")
    assert.equal(before, server:psql "select string_agg(event::text, ' ' order by seq) from pgsh.event")
  end)

  -- A run that waits until the file `go` is there, and sees the file `seen`; then until `on` is there.
  local function waiting()
    box:procedure [[
step "Upgrade" (function()
  sh.run "echo one >>made"
  wait.upto("60s", "the upgrade", function()
    return sh.read("test -e go", { ok = { 0, 1 } }).exit == 0, file.read "seen"
  end, { every = "500ms" })
  for _ = 1, 600 do file.read "other" end
  sh.read "touch read"
  wait.upto("60s", "the follower", function() return sh.read("test -e on", { ok = { 0, 1 } }).exit == 0 end, { every = "500ms" })
  sh.run "echo two >>made"
end)
]]
    box:write("seen", "40 %")
    box:write("other", "")
    return host.spawn("waiting", box.pgsh, box, "proc.lua", "-y", "--no-input", "--state", state)
  end

  local function sees(text)
    local status
    for _ = 1, 100 do
      status = box:pgsh("status", "last", "--state", state)
      if status.out:find(text, 1, true) then return status.out end
      host.sleep(0.1)
    end
    error("not seen: " .. text .. " in: " .. status.all)
  end

  it("tells another machine what a run waits for, and what it saw last", function()
    local run = waiting()
    assert.match("is running; at step 1 of 1, Upgrade; waiting for the upgrade: 40 %% %(%d+:%d+:%d+%)", sees "waiting for the upgrade")
    box:write("go", "")
    box:write("on", "")
    assert.equal(0, run:join().exit)
    local events = box:pgsh("show", "last", "-o", "jsonl", "--state", state).out
    local expected = 0
    for seq in events:gmatch '"seq": ?(%d+)' do
      assert.is_true(tonumber(seq) > expected, events)
      expected = tonumber(seq)
    end
    for kind, count in pairs { ["wait.seen"] = 1, ["effect.outcome"] = 2, ["run.ended"] = 1 } do
      assert.equal(count, select(2, events:gsub('"' .. kind:gsub("%.", "%%.") .. '"', "")), kind)
    end
  end)

  it("that is away for a while disturbs no wait, and learns of it afterwards", function()
    local run = waiting()
    sees "waiting for the upgrade"
    server:stop "immediate"
    box:write("go", "")
    for _ = 1, 200 do
      if box:read "read" then break end
      host.sleep(0.05)
    end
    assert.truthy(box:read "read") -- and with that more than is held back on disk
    host.sleep(1.5) -- it was tried to tell the state of them
    server:start()
    assert.match("is running; at step 1 of 1, Upgrade; waiting for the follower", sees "waiting for the follower")
    box:write("on", "")
    local result = run:join()
    assert.equal(0, result.exit, result.all)
    assert.equal("one\ntwo\n", box:read "made")
    assert.equal("t", server:psql "select count(*) = count(distinct seq) from pgsh.event")
    assert.equal("600", server:psql "select count(*) from pgsh.event where event::text ~ 'other'")
  end)

  it("that cannot be reached refuses before anything is done", function()
    local result = box:pgsh("proc.lua", "-y", "--no-input", "--state", "postgresql://postgres:topsecret123@127.0.0.1:1/x")
    assert.truthy(result.exit ~= 0)
    assert.truthy(result.err:find("the shared state cannot be reached", 1, true), result.err)
    assert.is_nil(box:read "made")
  end)

  it("of another kind of URL is a usage error", function()
    local result = box:pgsh("proc.lua", "-y", "--state", "mysql://x/y")
    assert.equal(2, result.exit)
  end)
end)
