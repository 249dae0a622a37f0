-- ssh: one session to a bastion for all hosts behind it.
local host, ssh, sh = require "pgsh.host", require "pgsh.ssh", require "pgsh.sh"
local sshd = require "tests.spec.support.sshd"
local socket = require "socket"
local check = require "tests.spec.support.check"
local comes_true = check.comes_true

local HOSTS = 20

describe("ssh through a bastion", function()
  local server, names
  setup(function() server = sshd.start { daemons = 2 } end)
  teardown(function() server:remove() end)
  before_each(function()
    names = {}
    for i = 1, HOSTS do names[i] = server:alias("b" .. i, { Port = server.ports[2], ProxyJump = "h1" }) end
  end)

  local function logins() return select(2, server:log(1):gsub("Accepted publickey", "")) end

  local function each(list, options)
    local all = { config = server.config, transport = "lib" }
    for key, value in pairs(options or {}) do all[key] = value end
    return ssh.each(list, function(h) return h:read("cat; set -- $SSH_CONNECTION; echo $4", { input = ("x"):rep(100000) }).out end, all)
  end

  it("logs in there once", function()
    local before, files = logins(), check.open_files()
    local results, errors = each(names)
    for name, err in pairs(errors) do error(name .. ": " .. tostring(err)) end
    for _, name in ipairs(names) do assert.is_true(("x"):rep(100000) .. server.ports[2] .. "\n" == results[name]) end
    assert.equal(before + 1, logins())
    -- The session ends with the last that goes through it.
    assert.is_true(comes_true(function() return #server:processes() == 0 and check.open_files() <= files end))
  end)

  it("logs in there once for each way to do it", function()
    local before = logins()
    server:alias("compressed", { Port = server.port, Compression = "yes" })
    server:alias("b2", { Port = server.ports[2], ProxyJump = "compressed" })
    local _, errors = each(names)
    assert.same({}, errors)
    assert.equal(before + 2, logins())
    server:alias("far", { Port = server.ports[2], ProxyJump = "b1" })
    server:alias("farther", { Port = server.ports[2], ProxyJump = "b1" })
    before = logins()
    _, errors = each { "far", "farther", "b1" }
    assert.same({}, errors)
    assert.equal(before + 2, logins()) -- to b1 as a hop, and to b1 itself
  end)

  it("loses all with the bastion, and finds them again", function()
    local handles, tasks = {}, {}
    for i = 1, 4 do
      handles[i] = ssh { host = names[i], config = server.config, transport = "lib" }
      tasks[i] = host.spawn("one", function() return pcall(handles[i].run, handles[i], "echo x; sleep 33") end)
    end
    assert.is_true(comes_true(function()
      local count = 0
      for _, one in ipairs(server:processes()) do count = count + (one.text == "sleep 33" and 1 or 0) end
      return count == 4
    end, 10))
    server:kill_sessions()
    for i = 1, 4 do
      local ok, err = tasks[i]:join()
      assert.is_false(ok)
      assert.equal("unknown", err.kind)
    end
    sh.run("pkill -x -f 'sleep 33'", { ok = { 0, 1 } })
    local before = logins()
    for i = 1, 4 do tasks[i] = host.spawn("one", function() return handles[i]:run("echo x").out end) end
    for i = 1, 4 do assert.equal("x\n", tasks[i]:join()) end
    assert.equal(before + 1, logins())
    handles[1]:close() -- the others go on
    assert.equal("y\n", handles[2]:run("echo y").out)
    for i = 2, 4 do handles[i]:close() end
  end)

  it("does not wait for those that do not answer", function()
    -- A server that takes no more connections, and does not say so.
    local listener = assert(socket.bind("127.0.0.1", 0, 1))
    local _, port = listener:getsockname()
    local full = {}
    for i = 1, 4 do
      full[i] = socket.tcp()
      full[i]:settimeout(0)
      full[i]:connect("127.0.0.1", port)
    end
    for i = 2, HOSTS, 3 do server:alias("b" .. i, { Port = port, ProxyJump = "h1" }) end
    local results, errors = each(names, { connect_timeout = 6 })
    for i = 1, HOSTS do
      if i % 3 == 2 then
        assert.equal("ssh_connect", errors[names[i]].code)
      else
        assert.is_truthy(results[names[i]], names[i] .. ": " .. tostring(errors[names[i]]))
      end
    end
    for i = 1, 4 do full[i]:close() end
    listener:close()
  end)

  it("is stopped at any time", function()
    for _, delay in ipairs { 0, 0.01, 0.03, 0.06, 0.1 } do
      local handles, tasks = {}, {}
      for i = 1, 5 do
        handles[i] = ssh { host = names[i], config = server.config, transport = "lib" }
        tasks[i] = host.spawn("one", function() return handles[i]:read({ "echo", "x" }).out end)
      end
      host.sleep(delay)
      for i = 1, 4 do
        if i % 2 == 0 then tasks[i]:cancel() else handles[i]:close() end
        pcall(tasks[i].join, tasks[i])
      end
      assert.equal("x\n", tasks[5]:join())
      for i = 1, 5 do handles[i]:close() end
    end
  end)
end)
