-- The compatible transport: the user's own ssh with a master of ours. Everything against real servers.
local host, ssh = require "pgsh.host", require "pgsh.ssh"
local runner = require "tests.spec.support.run"
local sshd = require "tests.spec.support.sshd"
local postgres = require "tests.spec.support.postgres"
local check = require "tests.spec.support.check"
local failure, has = check.failure, check.has
local run, must = postgres.run, postgres.must
local server

local function open(name, options)
  local all = { host = name, config = server.config, transport = "openssh" }
  for key, value in pairs(options or {}) do all[key] = value end
  return ssh(all)
end

-- The error of one read of a host.
local function refused(name, options)
  local handle <close> = open(name, options)
  return failure(handle.read, handle, "echo never")
end

local function says(name, command, options)
  local handle <close> = open(name, options)
  return (handle:read(command).out:gsub("\n$", ""))
end

local function until_true(what, f)
  for _ = 1, 250 do
    if f() then return end
    host.sleep(0.02)
  end
  error("waited in vain: " .. what)
end

-- The directories of the masters that run for this server's hosts; others may be testing on this machine, too.
local function places()
  local list = {}
  for line in must "ps -A -ww -o args=":gmatch "[^\n]+" do
    if line:find(server.config, 1, true) then
      for path in line:gmatch "/tmp/pgsh%-ssh%.%w+" do list[path] = true end
    end
  end
  return list
end

local function gone(list)
  until_true("the directory has gone", function()
    for path in pairs(list) do if run("test -e " .. path) == 0 then return false end end
    return next(places()) == nil
  end)
end

describe("ssh through OpenSSH's own", function()
  setup(function() server = sshd.start { daemons = 3 } end)
  before_each(function() server:known_hosts "plain" end)
  teardown(function() server:remove() end)

  describe("logs in with", function()
    for _, kind in ipairs { "ecdsa", "rsa", "ed25519-cert", "rsa-cert" } do
      it("a key of the kind " .. kind, function()
        server:alias("keyed", { Port = server.port, IdentityFile = server:key(kind) })
        assert.equal("in", says("keyed", "echo in"))
      end)
    end
    it("an agent", function()
      local agent = server:agent { "ed25519-encrypted" }
      server:alias("agent", { Port = server.port, IdentityAgent = agent, IdentitiesOnly = "no", IdentityFile = "none" })
      assert.equal("in", says("agent", "echo in"))
      server:agent_stop()
      assert.equal("ssh_connect", refused("agent").code)
    end)
    it("a key file with tokens in its name", function()
      must(("cp %s %s/id_%s_22"):format(server:key "ed25519", server.dir, server.user))
      server:alias("tokens", { Port = server.port, IdentityFile = server.dir .. "/id_%r_%%d", UserKnownHostsFile = "${KH}" })
      server:alias("tokens", { Port = server.port, IdentityFile = server.dir .. "/id_%r_22" })
      assert.equal("in", says("tokens", "echo in"))
    end)
    it("nothing that would have to be asked for", function()
      server:alias("asks", { Port = server.port, IdentityFile = server:key "ed25519-encrypted" })
      local err = refused "asks"
      assert.equal("ssh_connect", err.code)
      has(err, "Permission denied")
      has(err.hint, "ssh-add '" .. server:key "ed25519-encrypted" .. "'")
    end)
  end)

  describe("refuses a host's key that is", function()
    for variant, part in pairs {
      wrong = "is not the known one", revoked = "is revoked", other = "is not the known one", none = "no key is known",
      authority = "no key is known",
    } do
      it(variant, function()
        server:known_hosts(variant)
        server:alias("lax", { Port = server.port, StrictHostKeyChecking = "no" })
        local before = must("cat " .. server.known_hosts_file)
        local err = refused "lax"
        assert.equal("ssh_host_key", err.code)
        has(err, part)
        if variant == "wrong" then
          has(err, server:fingerprint "ed25519")
          has(err, server:fingerprint("ed25519", "wrong"))
          has(err, server.known_hosts_file .. ":1")
        end
        assert.equal(before, must("cat " .. server.known_hosts_file))
      end)
    end
    it("a hop's", function()
      -- ssh -J would follow the hop's own StrictHostKeyChecking, and write its key down.
      server:alias("hop", { Port = server.ports[2], UserKnownHostsFile = server.dir .. "/hop_hosts", StrictHostKeyChecking = "no" })
      server:alias("behind", { Port = server.port, ProxyJump = "hop" })
      assert.equal("ssh_host_key", refused("behind").code)
      assert.equal("", must(("cat %s/hop_hosts 2>/dev/null || true"):format(server.dir)))
    end)
  end)

  it("is not tried after the library has refused a host's key", function()
    -- An ssh that writes down how it is called.
    local calls = server.dir .. "/calls"
    must(("mkdir -p %s/bin; printf '#!/bin/sh\\necho \"$@\" >>%s\\nexec %s \"$@\"\\n' >%s/bin/ssh; chmod 755 %s/bin/ssh"):format(
      server.dir, calls, must "command -v ssh":match "%S+", server.dir, server.dir))
    local box = runner.box { PATH = server.dir .. "/bin:" .. host.getenv "PATH" }
    local function masters(variant, name, key)
      server:known_hosts(variant)
      server:set { IdentityFile = server:key(key or "ed25519") }
      must(": >" .. calls)
      local result = box:pgsh { "-e", ("require 'pgsh.ssh' { host = %q, config = %q }:read 'echo in'"):format(name, server.config) }
      return select(2, must("cat " .. calls):gsub("%-NTxM", "")), result
    end
    server:alias("behind", { Port = server.port, ProxyJump = "h2", StrictHostKeyChecking = "no" })
    for _, variant in ipairs { "wrong", "revoked", "other", "none" } do
      for _, name in ipairs { "h1", "behind" } do
        for _, key in ipairs { "ed25519", "rsa" } do
          local count, result = masters(variant, name, key)
          assert.equal(0, count, variant .. " " .. name)
          assert.equal(3, result.exit)
          local said = result.stderr:lower()
          assert.is_truthy(said:find "known" or said:find "changed" or said:find "revoked", result.stderr)
        end
      end
    end
    -- It would have been seen.
    local count, result = masters("plain", "h1", "rsa")
    assert.equal(1, count, must("cat " .. calls) .. result.stderr)
    assert.equal(0, result.exit, result.stderr)
    server:set { IdentityFile = server:key "ed25519" }
    box:remove()
  end)

  it("leaves no secret in its files", function()
    local word = "shh-0123456789-abcdef"
    local handle <close> = open "h1"
    local secret = require "pgsh.secret"
    local task = host.spawn("one", function()
      return handle:read("echo ${#A}; head -c 5; sleep 1", { env = { A = secret(word) }, input = word })
    end)
    local seen = 0
    for _ = 1, 20 do
      host.sleep(0.05)
      for path in pairs(places()) do
        local size = tonumber(must(("cat %s/[0-9]* 2>/dev/null | wc -c"):format(path)):match "%d+")
        seen = math.max(seen, size)
        assert.not_equal(0, (run(("grep -rqF -- %s %s"):format(word, path))))
      end
    end
    assert.is_true(seen > 300) -- there is something in them
    assert.equal(#word .. "\nshh-0", task:join().out)
  end)

  it("takes keys that are hashed, behind wildcards, between broken lines", function()
    for _, variant in ipairs { "hashed", "wildcard", "broken" } do
      server:known_hosts(variant)
      assert.equal("in", says("h1", "echo in"))
    end
  end)

  it("goes through one hop, and through several", function()
    server:alias("far", { Port = server.ports[2], ProxyJump = "h1" })
    server:alias("farther", { Port = server.ports[3], ProxyJump = "h1,ssh://h2" })
    assert.equal(tostring(server.ports[2]), says("far", "set -- $SSH_CONNECTION; echo $4"))
    assert.equal(tostring(server.ports[3]), says("farther", "set -- $SSH_CONNECTION; echo $4"))
  end)

  it("is not put off by what is configured for people", function()
    server:alias("odd", {
      Port = server.port, RemoteCommand = "tmux attach", RequestTTY = "force", LogLevel = "DEBUG3", VisualHostKey = "yes",
      LocalCommand = "echo local", PermitLocalCommand = "yes", LocalForward = server.port .. " 127.0.0.1:1", ExitOnForwardFailure = "yes",
      ForwardX11 = "yes", StdinNull = "yes", ForkAfterAuthentication = "yes", SetEnv = "LC_PGSH=yes",
    })
    local handle <close> = open "odd"
    local result = handle:read "echo out; echo err >&2; tty || true"
    assert.equal("out\nnot a tty\n", result.out)
    assert.equal("err\n", result.err)
    server:alias("quiet", { Port = server.port, LogLevel = "QUIET" })
    server:known_hosts "wrong"
    assert.equal("ssh_host_key", refused("quiet").code)
  end)

  it("tells why there is no session", function()
    server:alias("closed", { Port = 1 })
    has(refused "closed", "refused")
    server:alias("nowhere", { HostName = "nowhere.invalid" })
    has(refused "nowhere", "resolve")
    server:alias("slow", { HostName = "10.255.255.1" })
    local err = refused("slow", { connect_timeout = 0.5 })
    assert.equal("ssh_connect", err.code)
    server:alias("proxied", { Port = server.port, ProxyCommand = "sh -c 'echo from the proxy >&2; sleep 0.1'" })
    has(refused("proxied").detail, "from the proxy")
    gone {}
  end)

  it("tells a status of 255 from a failure of its own", function()
    local handle <close> = open "h1"
    assert.equal(255, handle:read("exit 255", { ok = { 255 } }).exit)
    local err = failure(handle.read, handle, "echo bad >&2; exit 255")
    assert.equal("process", err.kind)
    has(err.detail, "bad")
    assert.equal(137, handle:read("kill -9 $$", { ok = { 137 } }).exit)
  end)

  it("moves many bytes both ways, untouched", function()
    local handle <close> = open "h1"
    local text = ("0123456789abcdef\0\n\255"):rep(150000)
    assert.equal(text, handle:read("cat", { input = text }).out)
    assert.equal("0\n", handle:read("wc -c").out)
    assert.equal(20 * 1048576, #handle:read("head -c 20971520 /dev/zero", { limit = 32 * 1048576 }).out)
    handle:read("true", { input = text }) -- it does not read its input
  end)

  it("runs more at once than the far side takes, without losing any", function()
    local few <close> = setmetatable({ server = sshd.start { max_sessions = 2 } }, { __close = function(self) self.server:remove() end })
    local handle <close> = ssh { host = "h1", config = few.server.config, transport = "openssh" }
    local tasks = {}
    for i = 1, 6 do
      tasks[i] = host.spawn("one", function() return handle:read("cat; sleep 0.1", { input = "input " .. i }) end)
    end
    for i, task in ipairs(tasks) do
      local result = task:join()
      assert.equal("input " .. i, result.out)
      assert.equal("", result.err)
    end
    local none <close> = setmetatable({ server = sshd.start { max_sessions = 0 } }, { __close = function(self) self.server:remove() end })
    local shut <close> = ssh { host = "h1", config = none.server.config, transport = "openssh" }
    has(failure(shut.read, shut, "true"), "opens no channel")
  end)

  it("calls a change unknown when the line is lost under it, and connects anew for the next", function()
    local handle <close> = open "h1"
    local task = host.spawn("one", function() return pcall(handle.run, handle, "echo began; sleep 77") end)
    until_true("it runs there", function()
      for _, process in ipairs(server:processes()) do if process.text == "sleep 77" then return true end end
    end)
    server:kill_sessions()
    local ok, err = task:join()
    assert.is_false(ok)
    assert.equal("unknown", err.kind)
    assert.equal("again", (handle:read("echo again").out:gsub("\n", "")))
  end)

  it("ends the far side's processes when its time is over", function()
    local handle <close> = open "h1"
    local err = failure(handle.read, handle, "sleep 78 & sleep 78; echo never", { timeout = 0.8 })
    assert.equal("timeout", err.kind)
    until_true("nothing runs there", function()
      for _, process in ipairs(server:processes()) do if process.text == "sleep 78" then return false end end
      return true
    end)
  end)

  it("uses the user's own master where one answers, and leaves it alone", function()
    local path = server.dir .. "/own"
    server:alias("own", { Port = server.port, ControlPath = path })
    must(("ssh -F %s -o ControlMaster=yes -o ControlPersist=60 -fN own >/dev/null 2>&1"):format(server.config))
    local function client(name) return says(name, "set -- $SSH_CONNECTION; echo $2") end
    assert.equal(client "own", client "own")
    must(("ssh -F %s -O check own"):format(server.config))
    must(("ssh -F %s -O exit own"):format(server.config))
    until_true("it has ended", function() return run("test -S " .. path) ~= 0 end)
    assert.is_truthy(client "own" ~= client "own")
  end)

  it("leaves nothing behind: closed, left open at the end, killed", function()
    local handle = open "h1"
    handle:read "true"
    local list = places()
    assert.is_truthy(next(list))
    handle:close()
    gone(list)
    local script = ([[local s = require "pgsh.ssh" { host = "h1", config = %q, transport = "openssh" }; s:read "echo in"; %s]])
    local box = runner.box()
    local result = box:pgsh { "-e", script:format(server.config, "") }
    assert.equal(0, result.exit, result.stderr)
    gone {}
    local process = box:start { "-e", script:format(server.config, [[s:read "sleep 79"]]) }
    until_true("it runs there", function()
      for _, one in ipairs(server:processes()) do if one.text == "sleep 79" then return true end end
    end)
    list = places()
    assert.is_truthy(next(list))
    process:signal "KILL"
    process:wait()
    gone(list)
    box:remove()
  end)
end)
