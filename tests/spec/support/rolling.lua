-- What the specs of gitlab-rolling have in common: how it is called, and what must hold afterwards.
--
--   local rolling = require("tests.spec.support.rolling").new()       starts the lab; .lab, .box; rolling:stop()
--   rolling:reset()                                                   the cluster's first day, no runs; watched from now on
--   rolling:go({ "--lag", "0" }, { env = … })                         pgsh procedures/gitlab-rolling.lua, all answers given
--   rolling:again("resume", …)                                        pgsh resume last
--   rolling:is_whole(result)                                          exit 0, and all that must hold at the end
--   rolling:is_untouched(result, exit, text, …)                       that exit status, the texts were said, nothing has changed
local assert = require "luassert"
local clusters = require "tests.spec.support.cluster"
local json = require "cjson"
local procedure = require "tests.spec.support.procedure"
local run = require "tests.spec.support.run"

local rolling = {}
local Rolling = procedure.derive { limit_s = 150 }

local FILE = "procedures/gitlab-rolling.lua"
local ANSWERS = { "-y", "--confirm", "db1", "--no-input", "--on-failure", "stop" }

-- What a run may ask for more than once: its second time changes nothing.
local HARMLESS = { ["gitlab-ctl status"] = true, ["service chef-client status"] = true, ["gitlab-ctl repmgr cluster show"] = true }

function rolling.new(options)
  local self = setmetatable({ lab = clusters.start(options) }, Rolling)
  self.box = run.box(self.lab.env)
  return self
end

function Rolling:stop()
  self.box:remove()
  self.lab:stop()
end

-- options as for lab:reset; watch = false: nobody writes and watches.
function Rolling:reset(options)
  options = options or {}
  local watch = options.watch ~= false
  options.watch = nil
  self.lab:reset(options)
  self:forget()
  self.deploy = self:role_file()
  self.watch = watch and self.lab:watcher() or nil
end

function Rolling.answers() return ANSWERS end

function Rolling:words(more)
  local lab = self.lab
  return procedure.joined({ FILE, "--hosts", "db1,db2,db3", "--environment", lab.environment, "--chef-repo", lab.repo,
    "--ssh-config", lab.ssh_config, "--deploy-check", "true", "--settle", "1s", "--follow-log", lab.nodes[2].log .. "/postgresql/current",
  }, ANSWERS, more or {})
end

-- How often a command was called on a node; `like`: a pattern of the whole command.
function Rolling:count(node, like)
  local count = 0
  for _, command in ipairs(self.lab:commands(node)) do
    if command:find("^" .. like .. "$") then count = count + 1 end
  end
  return count
end

-- Every command on a node that changes something, in order.
function Rolling:changes(node)
  local out = {}
  for _, command in ipairs(self.lab:commands(node)) do
    if not HARMLESS[command] and not command:find "^gitlab%-ctl status" then out[#out + 1] = command end
  end
  return out
end

function Rolling:silences()
  local _, text = self.lab:shell "curl -s $ALERTMANAGER_URL/api/v2/silences"
  return json.decode(text)
end

function Rolling:role_file()
  return run.read_file(("%s/roles/%s-base-deploy-node.json"):format(self.lab.repo, self.lab.environment))
end

function Rolling:pushed(path)
  local _, text = self.lab:shell(("git -C %s/roles.git show master:roles/%s-%s.json; printf ."):format(
    self.lab.dir, self.lab.environment, path))
  return (text:gsub("%.$", ""))
end

function Rolling:on_server(path)
  local text = run.read_file(("%s/roles/%s-%s.json"):format(self.lab.chef, self.lab.environment, path))
  return json.decode(text)
end

-- Ends watching: never two writable nodes, and what was acknowledged is on every node.
function Rolling:nothing_is_lost(where)
  local seen = self.watch:stop()
  self.watch = nil
  assert.same({}, seen.overlaps, where)
  assert.is_true(#seen.rows > 20, where)
  for _, node in ipairs(self.lab.nodes) do
    -- A standby replays what it has received a moment later.
    local found
    for _ = 1, 100 do
      found = self.lab:found(node.name, seen.rows)
      if found == #seen.rows then break end
      require("socket").sleep(0.05)
    end
    assert.equal(#seen.rows, found, ("%s: rows on %s"):format(where, node.name))
  end
  return seen
end

-- The cluster at the end: the new primary's name.
function Rolling:cluster_is_whole(where)
  local state = self.lab:state()
  local new = state.primary
  assert.is_true(new == "db2" or new == "db3", ("%s: the primary is %s"):format(where, tostring(new)))
  for name, node in pairs(state.nodes) do
    assert.is_true(node.up, where)
    assert.equal(name == new, node.writable, where)
    assert.equal(name == new and json.null or new, node.upstream, where)
    assert.is_true(node.repmgrd, where .. ": repmgrd on " .. name)
    assert.is_true(node.chef, where .. ": chef on " .. name)
    for _, slot in ipairs(node.slots) do assert.is_true(slot.active, ("%s: %s on %s"):format(where, slot.name, name)) end
    assert.equal("80", node.settings.max_connections, where)
    assert.equal("8192", node.settings.work_mem, where)
    for _, registered in ipairs(node.registered) do assert.is_true(registered.active, where) end
  end
  return new
end

function Rolling:roles_are_whole(new, where)
  local lab = self.lab
  local replica
  for _, node in ipairs(lab.nodes) do
    if node.name ~= new and not replica then replica = node end
  end
  -- db2 has been the console's: it stays, unless it is the primary now.
  local console = new == "db2" and lab.nodes[1] or lab.nodes.db2
  local expected = self.deploy
    :gsub('("dbconsole_db_host":%s*)"[^"]*"', function(before) return ('%s"%s"'):format(before, console.address) end, 1)
    :gsub('("db_host" :%s*)"[^"]*"', function(before) return ('%s"%s"'):format(before, lab.nodes[new].address) end, 1)
  assert.equal(expected, self:role_file(), where)
  assert.equal(expected, self:pushed "base-deploy-node", where)
  local there = self:on_server "base-deploy-node"
  assert.equal(lab.nodes[new].address, there.override_attributes["omnibus-gitlab"].gitlab_rb["gitlab-rails"].db_host, where)
  assert.equal(console.address, there.default_attributes.gitlab_users.dbconsole_db_host, where)
  assert.equal(80, self:on_server("base-db-postgres").override_attributes["omnibus-gitlab"].gitlab_rb.postgresql.max_connections, where)
  local _, status = lab:shell(("cd %s && git status --porcelain && git log --oneline origin/master | wc -l"):format(lab.repo))
  assert.equal("3", status:match "^%s*(%d+)", where)
end

function Rolling:silences_are_gone(where, count)
  local silences = self:silences()
  assert.equal(count or 1, #silences, where)
  for _, silence in ipairs(silences) do assert.equal("expired", silence.status.state, where) end
end

-- Of each text, how often it was said in each channel; the ones that begin so.
function Rolling:said(like)
  local count = 0
  for _, message in ipairs(self.lab:messages()) do
    if message.text:find(like) then count = count + 1 end
  end
  return count
end

-- Every effect that must not be there twice.
function Rolling:nothing_twice(where)
  assert.equal(1, self:count("db1", "gitlab%-ctl stop postgresql"), where .. ": the failover")
  for _, node in ipairs { "db2", "db3" } do
    assert.equal(1, self:count(node, "gitlab%-ctl stop postgresql"), where .. ": stop of " .. node)
  end
end

-- options.twice: the commands that were lost may have been called again; options.messages: not counted.
function Rolling:is_whole(result, where, options)
  where, options = where or "the run", options or {}
  assert.equal(0, result.exit, where .. "\n" .. result.stderr)
  local new = self:cluster_is_whole(where)
  self:roles_are_whole(new, where)
  self:silences_are_gone(where)
  if not options.twice then self:nothing_twice(where) end
  if not options.messages then
    for _, like in ipairs { "^In about an hour", "^Starting in a few minutes", "^Finished: " } do
      assert.equal(2, self:said(like), where .. ": " .. like)
    end
  end
  if self.watch then self:nothing_is_lost(where) end
  return new
end

-- Nothing was changed anywhere, by nobody.
function Rolling:is_untouched(result, exit, ...)
  self:says(result, ...)
  assert.equal(exit, result.exit, result.stdout .. result.stderr)
  for _, node in ipairs(self.lab.nodes) do
    for _, command in ipairs(self:changes(node.name)) do
      assert.is_truthy(self.prepared and self.prepared[command], ("%s was called on %s"):format(command, node.name))
    end
  end
  assert.same({}, self.lab:messages())
  assert.same({}, self:silences())
  assert.equal(60, self:on_server("base-db-postgres").override_attributes["omnibus-gitlab"].gitlab_rb.postgresql.max_connections)
  assert.is_truthy(self:pushed("base-db-postgres"):find('"max_connections":60', 1, true))
end

return rolling
