-- ssh: a server that hangs up because too many connect (MaxStartups) is asked again; one that hangs up for another reason is not.
local host, ssh = require "pgsh.host", require "pgsh.ssh"
local sshd = require "tests.spec.support.sshd"
local socket = require "socket"

-- Takes connections, says a text and hangs up, while f runs; how many came.
local function hanging_up(text, f)
  local listener, count, over = assert(socket.bind("127.0.0.1", 0)), 0, false
  listener:settimeout(0)
  local _, port = listener:getsockname()
  local task = host.spawn("listener", function()
    while not over do
      local client = listener:accept()
      if client then
        count = count + 1
        client:send(text)
        client:close()
      end
      host.sleep(0.005)
    end
  end)
  local ok, err = pcall(f, port)
  over = true
  task:join()
  listener:close()
  return count, ok, err
end

describe("ssh to a server that takes few at once", function()
  local server
  setup(function() server = sshd.start { hosts = 24, max_startups = "2:100:2" } end)
  teardown(function() server:remove() end)

  for _, transport in ipairs { "lib", "openssh" } do
    it("gets to every host by " .. transport, function()
      local _, before = server:log():gsub("Startups", "")
      local hosts = transport == "lib" and server.hosts or { table.unpack(server.hosts, 1, 8) }
      local results, errors = ssh.each(hosts, function(h) return h:run({ "echo", "ok" }).out end,
        { config = server.config, transport = transport })
      for name, err in pairs(errors) do error(name .. ": " .. tostring(err)) end
      for _, name in ipairs(hosts) do assert.equal("ok\n", results[name]) end
      local _, after = server:log():gsub("Startups", "")
      assert.is_true(after > before, "nobody was sent away:\n" .. server:log())
    end)

    it("asks nobody again who has said something else by " .. transport, function()
      -- ssh itself does not tell of a line in place of the banner.
      for _, text in ipairs { "SSH-2.0-OpenSSH_9.2p1\r\n", transport == "lib" and "Not allowed at this time\r\n" or nil } do
        local count, ok, err = hanging_up(text, function(port)
          server:alias("rude", { Port = port })
          local h <close> = ssh { host = "rude", config = server.config, transport = transport }
          h:run { "true" }
        end)
        assert.is_false(ok)
        assert.equal("ssh_connect", err.code)
        assert.equal(1, count, text)
      end
    end)
  end

  it("gives up after some time with a word about it", function()
    local count, ok, err = hanging_up("Exceeded MaxStartups\r\n", function(port)
      server:alias("busy", { Port = port })
      local h <close> = ssh { host = "busy", config = server.config, transport = "lib" }
      h:run { "true" }
    end)
    assert.is_false(ok)
    assert.equal("ssh_connect", err.code)
    assert.is_truthy(err.hint:find "MaxStartups", tostring(err.hint))
    assert.equal(11, count)
  end)

  it("is left in peace when nobody waits any more", function()
    local count = hanging_up("", function(port)
      server:alias("busy", { Port = port })
      local h <close> = ssh { host = "busy", config = server.config, transport = "lib" }
      local task = host.spawn("one", function() h:run { "true" } end)
      host.sleep(0.05)
      task:cancel()
      pcall(task.join, task)
      host.sleep(0.5)
    end)
    assert.is_true(count >= 1 and count <= 3, tostring(count))
  end)
end)
