-- `repmgr cluster show` of every version, as captured or as each version's source prints it.
local gitlab = require "pgsh.gitlab"

local function row(text, at)
  local rows = assert(gitlab.parse_cluster(text))
  return rows[at], #rows
end

local CONNINFO = "host=127.0.0.1 port=25431 user=repmgr dbname=repmgr connect_timeout=2"

describe("repmgr cluster show", function()
  it("of 3.0: two columns", function()
    local text = [[
Role      | Connection String
* master  | host=db1.example port=5432 dbname=repmgr
  standby | host=db2.example dbname=repmgr
  FAILED  | host='db3.example' dbname=repmgr
]]
    local one, count = row(text, 1)
    assert.same({ 3, "db1.example", "primary", "primary", true }, { count, one.name, one.role, one.is, one.up })
    assert.equal(5432, one.port)
    local three = row(text, 3)
    assert.same({ "db3.example", false, "FAILED" }, { three.name, three.up, three.problem })
  end)
  it("of 3.1 to 3.4: no ids, rows in no order, words of a probe", function()
    local text = [[
INFO: connecting to database
Role      | Name                          | Upstream                      | Connection String
----------+-------------------------------|-------------------------------|------------------------------
  standby | postgres-03.db.prd.gitlab.com | postgres-02.db.prd.gitlab.com | host=postgres-03.db.prd.gitlab.com port=5432 user=gitlab_repmgr
* master  | postgres-02.db.prd.gitlab.com |                               | host=postgres-02.db.prd.gitlab.com port=5432 user=gitlab_repmgr
  FAILED  | postgres-01.db.prd.gitlab.com | postgres-02.db.prd.gitlab.com | host=postgres-01.db.prd.gitlab.com port=5432 user=gitlab_repmgr
  witness | postgres-09.db.prd.gitlab.com |                               | host=postgres-09.db.prd.gitlab.com
]]
    local standby, count = row(text, 1)
    assert.same({ 4, "postgres-03.db.prd.gitlab.com", "standby", "standby", "postgres-02.db.prd.gitlab.com" },
      { count, standby.name, standby.role, standby.is, standby.upstream })
    local master = row(text, 2)
    assert.same({ "primary", true }, { master.is, master.up })
    assert.is_nil(master.upstream)
    assert.same({ "postgres-01.db.prd.gitlab.com: FAILED" }, gitlab.problems(gitlab.parse_cluster(text)))
    assert.equal("witness", row(text, 4).role)
  end)
  it("of 4.0 to 4.2", function()
    local text = [[
 ID | Name  | Role    | Status    | Upstream | Location | Connection string
----+-------+---------+-----------+----------+----------+-------------------
 1  | node1 | primary | * running |          | default  | ]] .. CONNINFO .. [[

 2  | node2 | standby |   running | node1    | default  | ]] .. CONNINFO .. "\n"
    local two, count = row(text, 2)
    assert.same({ 2, 2, "standby", true, "node1", 25431 }, { count, two.id, two.is, two.up, two.upstream, two.port })
    assert.same({}, gitlab.problems(gitlab.parse_cluster(text)))
  end)
  it("of 4.3: a priority; compact: other titles, no conninfo", function()
    local one = row([[
 ID | Name  | Role    | Status    | Upstream | Location | Priority | Connection string
----+-------+---------+-----------+----------+----------+----------+-------------------
 1  | node1 | primary | * running |          | default  | 100      | ]] .. CONNINFO, 1)
    assert.equal(100, one.priority)
    one = row([[
 ID | Name  | Role    | Status    | Upstream | Location | Prio. | TLI
----+-------+---------+-----------+----------+----------+-------+-----
 1  | node1 | primary | * running |          | default  | 100   | 1   ]], 1)
    assert.same({ 100, 1 }, { one.priority, one.timeline })
    assert.is_nil(one.conninfo)
  end)
  local FIVE = [[
 ID | Name  | Role    | Status        | Upstream | Location | Priority | Timeline | Connection string
----+-------+---------+---------------+----------+----------+----------+----------+------------------
]]
  it("of 5.x: the primary just stopped", function()
    local text = FIVE .. [[
 1  | node1 | primary | ? unreachable | ?        | default  | 100      |          | host=127.0.0.1 port=25431
 2  | node2 | standby |   running     | ? node1  | default  | 100      | 1        | host=127.0.0.1 port=25432

WARNING: following issues were detected
  - unable to connect to node "node1" (ID: 1)
  - node "node1" (ID: 1) is registered as an active primary but is unreachable
]]
    local rows = gitlab.parse_cluster(text)
    assert.equal(2, #rows)
    assert.same({ false, "? unreachable" }, { rows[1].up, rows[1].problem })
    assert.same({ "standby", "node1", "upstream ? node1" }, { rows[2].is, rows[2].upstream, rows[2].problem })
    assert.same({ "node1: ? unreachable", "node2: upstream ? node1", "no primary runs" }, gitlab.problems(rows))
  end)
  it("of 5.x: after a failover", function()
    local rows = gitlab.parse_cluster(FIVE .. [[
 1  | node1 | primary | - failed      | ?        | default  | 100      |          | host=127.0.0.1 port=25431
 2  | node2 | primary | * running     |          | default  | 100      | 1        | host=127.0.0.1 port=25432
 3  | node3 | standby |   running     | node2    | default  | 100      | 1        | host=127.0.0.1 port=25433
]])
    assert.same({ "node1: - failed" }, gitlab.problems(rows))
    assert.equal("primary", rows[2].is)
  end)
  it("of 5.x: roles that are not what is recorded", function()
    local rows = gitlab.parse_cluster(FIVE .. [[
 1  | node1 | primary | ! running as standby | | default  | 100      | 1        | host=127.0.0.1 port=25431
 2  | node2 | standby | ! running as primary | | default  | 100      | 2        | host=127.0.0.1 port=25432
 3  | node3 | standby | ? running     | node1    | default  | 100      |          | host=127.0.0.1 port=25433
 4  | node4 | standby | ! running     | node1    | default  | 100      | 1        | host=127.0.0.1 port=25434
 5  | node5 | witness | ? rejected    | node1    | default  | 0        | n/a      | host=127.0.0.1 port=25435
 6  | node6 | standby |   running     | ! node5  | default  | 100      | 1        | host=127.0.0.1 port=25436
]])
    assert.same({ "standby", "primary" }, { rows[1].is, rows[2].is })
    assert.is_false(rows[3].up)
    assert.is_true(rows[4].up)
    assert.is_false(rows[5].up)
    assert.equal(6, #gitlab.problems(rows))
  end)
  it("of two primaries", function()
    local rows = gitlab.parse_cluster(FIVE .. [[
 1  | node1 | primary | ! running     |          | default  | 100      | 1        | host=127.0.0.1
 2  | node2 | primary | * running     |          | default  | 100      | 2        | host=127.0.0.1
]])
    assert.is_truthy(table.concat(gitlab.problems(rows), "; "):find("more than one primary runs: node1, node2", 1, true))
  end)
  it("that is no table", function()
    local rows, why = gitlab.parse_cluster "ERROR: connection to database failed\n"
    assert.is_nil(rows)
    assert.is_truthy(why:find "no table")
    assert.is_nil((gitlab.parse_cluster ""))
  end)
end)

describe("gitlab-ctl's lines", function()
  it("are read with and without the log service", function()
    local all = gitlab.parse_status "run: postgresql: (pid 972) 7s; run: log: (pid 971) 7s\ndown: repmgrd: 3s, normally up\n"
    assert.same({ "run", 972, 7 }, { all.postgresql.state, all.postgresql.pid, all.postgresql.seconds })
    assert.same({ "down", 3 }, { all.repmgrd.state, all.repmgrd.seconds })
    assert.is_nil(all.log)
  end)
  it("tell ok from timeout and fail", function()
    assert.equal("ok", gitlab.parse_status("ok: down: postgresql: 0s, normally up").postgresql.said)
    assert.equal("timeout", gitlab.parse_status("timeout: run: postgresql: (pid 5) 31s, want down, got TERM").postgresql.said)
    assert.same({}, gitlab.parse_status "fail: postgres: unable to change to service directory: file does not exist")
  end)
end)
