-- ssh: sessions: who a host is, logging in, hops, lost links, what is left behind.
local ssh, host, sh = require "pgsh.ssh", require "pgsh.host", require "pgsh.sh"
local sshd = require "tests.spec.support.sshd"
local check = require "tests.spec.support.check"
local run = require "tests.spec.support.run"
local failure, has, comes_true, mark = check.failure, check.has, check.comes_true, check.mark

describe("ssh", function()
  local server
  setup(function() server = sshd.start { daemons = 3, host_keys = { "ed25519", "ecdsa" } } end)
  teardown(function() server:remove() end)
  before_each(function()
    server:known_hosts "plain"
    server:set { IdentityFile = server:key "ed25519", IdentityAgent = "none", IdentitiesOnly = "yes" }
  end)

  local function open(name, options)
    local all = { host = name or "h1", config = server.config, transport = "lib" }
    for key, value in pairs(options or {}) do all[key] = value end
    return ssh(all)
  end

  local function reads(name, options)
    local h <close> = open(name, options)
    return h:read({ "echo", "ok" }).out == "ok\n" and h:where()
  end

  describe("knows hosts", function()
    for _, variant in ipairs { "plain", "hashed", "wildcard", "broken" } do
      it("by " .. variant .. " lines", function()
        server:known_hosts(variant)
        assert.is_truthy(reads())
      end)
    end
    it("and asks for the key that is known", function()
      local file = assert(io.open(server.known_hosts_file))
      local text = file:read "a"
      file:close()
      for _, kind in ipairs { "ssh%-ed25519", "ecdsa%-sha2%-nistp256" } do
        local kept = {}
        for line in text:gmatch "[^\n]+" do
          if line:find(kind) then kept[#kept + 1] = line end
        end
        run.write_file(server.known_hosts_file, table.concat(kept, "\n") .. "\n")
        assert.is_truthy(reads())
      end
    end)
    it("refuses a changed one, and shows both fingerprints", function()
      server:known_hosts "wrong"
      local err = failure(reads)
      assert.equal("ssh_host_key", err.code)
      has(err.message, "CHANGED")
      has(err.message, server.known_hosts_file .. ":1")
      assert.is_truthy(err.message:find(server:fingerprint("ed25519"), 1, true) or err.message:find(server:fingerprint("ecdsa"), 1, true))
      assert.is_truthy(err.message:find(server:fingerprint("ed25519", "wrong"), 1, true)
        or err.message:find(server:fingerprint("ecdsa", "wrong"), 1, true))
    end)
    it("as the files are now, also when they have just changed", function()
      for _, delay in ipairs { 0, 0.3 } do
        server:known_hosts "hashed"
        host.sleep(delay)
        for _ = 1, 2 do assert.is_truthy(reads()) end
        local file = assert(io.open(server.known_hosts_file, "r+"))
        local first = file:read "l"
        file:seek "end"
        for _, kind in ipairs { "ed25519", "ecdsa" } do
          for i = 1, 3 do
            local key = assert(io.open(("%s/host%d_%s.pub"):format(server.dir, i, kind)))
            file:write("@revoked * ", key:read "l", "\n")
            key:close()
          end
        end
        file:close()
        has(failure(reads).message, "REVOKED")
        run.write_file(server.known_hosts_file, first .. "\n") -- as it was, and that key only
        assert.is_truthy(reads())
      end
    end)
    it("refuses a revoked, an unknown one and one of another type", function()
      for variant, word in pairs { revoked = "REVOKED", none = "not known", other = "type" } do
        server:known_hosts(variant)
        local err = failure(reads)
        assert.equal("ssh_host_key", err.code)
        has(err.message, word)
      end
    end)
  end)

  describe("logs in", function()
    for _, name in ipairs { "ed25519", "ecdsa" } do
      it("with the key file " .. name, function()
        server:set { IdentityFile = server:key(name) }
        has(reads(), "(lib)")
      end)
      it("with the agent's " .. name, function()
        server:set { IdentityFile = false, IdentityAgent = server:agent { "stranger", "rsa", name }, IdentitiesOnly = "no" }
        has(reads(), "(lib)")
        server:set { IdentityFile = server:key(name) .. ".pub", IdentitiesOnly = "yes" }
        has(reads(), "(lib)")
        server:set { IdentityFile = server:key "stranger", IdentitiesOnly = "yes" }
        assert.equal("ssh_connect", failure(reads).code)
        server:agent_stop()
      end)
    end
    it("not with a stranger's", function()
      server:set { IdentityFile = server:key "stranger" }
      local err = failure(reads)
      assert.equal("ssh_connect", err.code)
      has(err.message, "1 key was refused")
      assert.equal("ssh_connect", failure(reads, nil, { transport = "auto" }).code)
    end)
    it("not with an encrypted one when there is nobody to ask", function()
      server:set { IdentityFile = server:key "ed25519-encrypted" }
      has(failure(reads).message, "passphrase")
    end)
    it("with an RSA key by the other transport", function()
      server:set { IdentityFile = server:key "rsa" }
      has(failure(reads).message, "cannot use ssh-rsa")
      has(reads(nil, { transport = "auto" }), "(openssh)")
    end)
    it("with a key that only a certificate lets in by the other transport", function()
      server:set { IdentityFile = server:key "ed25519-cert" }
      has(reads(nil, { transport = "auto" }), "(openssh)")
    end)
    it("to a host that only has what the library has not by the other transport", function()
      server:alias("aead", { Port = server.port, Ciphers = "aes256-gcm@openssh.com" })
      has(failure(reads, "aead").message, "Ciphers")
      has(reads("aead", { transport = "auto" }), "(openssh)")
    end)
  end)

  describe("goes through hops", function()
    it("one and two", function()
      server:alias("one", { Port = server.ports[2], ProxyJump = "h1" })
      server:alias("two", { Port = server.ports[3], ProxyJump = "h1,h2" })
      server:alias("chain", { Port = server.ports[3], ProxyJump = "one" })
      for _, name in ipairs { "one", "two", "chain" } do
        local h <close> = open(name)
        assert.equal("ok\n", h:read({ "echo", "ok" }).out)
        local text = ("0123456789abcde\n"):rep(200000)
        assert.equal(text, h:read({ "cat" }, { input = text }).out)
        local tasks = {}
        for i = 1, 8 do tasks[i] = host.spawn("one", function() return h:read("sleep 0.05; echo " .. i).out end) end
        for i = 1, 8 do assert.equal(i .. "\n", tasks[i]:join()) end
      end
    end)
    it("and says which one cannot be reached, and by whom it is not known", function()
      server:alias("dead", { Port = 1 })
      server:alias("behind", { Port = server.ports[2], ProxyJump = "dead" })
      server:alias("wall", { Port = 1, ProxyJump = "h1" })
      local err = failure(reads, "behind")
      assert.equal("ssh_connect", err.code)
      has(err.message, "through dead")
      assert.equal("ssh_connect", failure(reads, "wall").code)
      server:known_hosts "none"
      server:alias("two", { Port = server.ports[3], ProxyJump = "h1,h2" })
      err = failure(reads, "two")
      assert.equal("ssh_host_key", err.code)
      has(err.message, "through h2")
    end)
  end)

  describe("when the link is lost", function()
    it("before: connects anew", function()
      local h <close> = open()
      h:run { "true" }
      server:kill_sessions()
      assert.equal("ok\n", h:run({ "echo", "ok" }).out)
      host.sleep(0.1)
      server:kill_sessions()
      host.sleep(0.1)
      assert.equal("ok\n", h:run({ "echo", "ok" }).out)
    end)
    it("meanwhile: a change is unknown, a read can be repeated", function()
      local h <close> = open()
      local seconds = mark()
      local change = host.spawn("one", function() h:run { "sleep", seconds } end)
      local read = host.spawn("two", function() h:read { "sleep", seconds } end)
      assert.is_true(comes_true(function() return #server:processes() >= 2 end))
      server:kill_sessions()
      assert.equal("unknown", failure(change.join, change).kind)
      local err = failure(read.join, read)
      assert.equal("ssh_connect", err.code)
      assert.is_true(err.retryable)
      sh.run("pkill -x -f 'sleep " .. seconds .. "'", { ok = { 0, 1 } })
      assert.equal("ok\n", h:run({ "echo", "ok" }).out)
    end)
    it("and resolve decides", function()
      local h <close> = open()
      local change = host.spawn("one", function()
        return h:run("sleep 20", { resolve = function() return true, { exit = 0, found = "yes" } end })
      end)
      assert.is_true(comes_true(function() return #server:processes() >= 1 end))
      server:kill_sessions()
      assert.equal("yes", change:join().found)
      sh.run("pkill -x -f 'sleep 20'", { ok = { 0, 1 } })
    end)
    it("and nothing answers, a deadline ends it", function()
      local h <close> = open()
      h:read { "true" }
      server:freeze()
      local err = failure(h.run, h, { "true" }, { timeout = 0.3 })
      server:thaw()
      assert.is_true(err.kind == "timeout" or err.kind == "unknown", tostring(err))
    end)
  end)

  it("says why it cannot connect", function()
    server:alias("refused", { Port = 1 })
    local err = failure(reads, "refused")
    assert.equal("ssh_connect", err.code)
    has(err.message, "refused")
    server:alias("nameless", { HostName = "no-such-host.invalid" })
    err = failure(reads, "nameless")
    assert.equal("ssh_connect", err.code)
    has(err.message, "no-such-host.invalid")
    assert.equal("usage", failure(ssh, "-oProxyCommand=x").kind)
    assert.equal("usage", failure(ssh, 3).kind)
    assert.equal("usage", failure(ssh, { host = "x", transport = "telnet" }).kind)
  end)

  it("waits no longer than the time to connect", function()
    local listener = assert(require("socket").bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    server:alias("silent", { Port = port })
    local started = host.mono()
    local err = failure(reads, "silent", { connect_timeout = 0.4 })
    assert.equal("ssh_connect", err.code)
    assert.is_true(host.mono() - started < 2000)
    has(err.message, "took more than")
    listener:close()
  end)

  it("is stopped while it resolves, connects and logs in", function()
    for _, delay in ipairs { 0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08 } do
      local h = open()
      local task = host.spawn("one", function() h:read { "true" } end)
      host.sleep(delay)
      task:cancel()
      pcall(task.join, task)
      h:close()
      h = open()
      task = host.spawn("two", function() h:run { "true" } end)
      host.sleep(delay)
      h:close()
      pcall(task.join, task)
    end
  end)

  it("takes what a server allows (MaxSessions), and others wait", function()
    local few = sshd.start { max_sessions = 4 }
    local h <close> = ssh { host = "h1", config = few.config, transport = "lib" }
    local tasks = {}
    for i = 1, 20 do tasks[i] = host.spawn("one", function() return h:read("sleep 0.05; echo " .. i).out end) end
    for i = 1, 20 do assert.equal(i .. "\n", tasks[i]:join()) end
    few:remove()
  end)

  it("ends a command also when the server takes no more sessions", function()
    local few = sshd.start { max_sessions = 3 }
    local h <close> = ssh { host = "h1", config = few.config, transport = "lib" }
    local seconds = mark()
    local tasks = {}
    for i = 1, 3 do tasks[i] = host.spawn("one", function() h:read { "sleep", seconds } end) end
    assert.is_true(comes_true(function() return #few:processes() == 3 end))
    for i = 1, 3 do tasks[i]:cancel() end
    for i = 1, 3 do pcall(tasks[i].join, tasks[i]) end
    assert.is_true(comes_true(function() return #few:processes() == 0 end, 5))
    few:remove()
  end)

  it("leaves no descriptor and no child behind", function()
    local before = check.open_files()
    for _ = 1, 5 do
      assert.is_truthy(reads())
      server:alias("two", { Port = server.ports[3], ProxyJump = "h1,h2" })
      assert.is_truthy(reads "two")
      pcall(reads, "refused")
    end
    collectgarbage()
    assert.is_true(comes_true(function() return check.open_files() <= before end), "descriptors")
    assert.is_true(comes_true(function() return #server:processes() == 0 end), "processes")
  end)
end)
