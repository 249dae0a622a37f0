-- What pgsh reads of the user's ssh configuration, beside what the real ssh -G prints.
local parse = require "tests.spec.support.ssh_parse"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local must = postgres.must

local dir = must "mktemp -d":match "%S+"
local home = must "getent passwd $(id -u) | cut -d: -f6":match "%S+"
local me = must "id -un":match "%S+"

local function write(name, text) return run.write_file(dir .. "/" .. name, text) end

local function config(text) return write("config", text) end

local NEEDED = "host db1\nhostname db1.example\nuser ops\nport 22\n"

describe("ssh's configuration", function()
  teardown(function() must("rm -rf " .. dir) end)

  it("is what ssh -G says: aliases, users, ports, timeouts", function()
    local file = config [[
      Host db1
        HostName %h.example.com
        User bob
        Port 2222
        HostKeyAlias other
        ConnectTimeout 7
        ServerAliveInterval 5
        StrictHostKeyChecking accept-new
      Host *
        IdentityFile none
    ]]
    local got = parse.run("db1", file)
    assert.equal("db1.example.com", got.hostname)
    assert.equal("bob", got.user)
    assert.equal("2222", got.port)
    assert.equal("other", got.host_key_alias)
    assert.equal("7", got.connect_timeout_s)
    assert.equal("5", got.keepalive_s)
    assert.equal("accept-new", got.strict)
    assert.same({}, got.identity_file)
    local plain = parse.run("DB2", file)
    assert.equal("db2", plain.hostname)
    assert.equal("DB2", plain.original)
    assert.equal(me, plain.user)
    assert.equal("22", plain.port)
    assert.equal("0", plain.connect_timeout_s)
    assert.is_nil(plain.host_key_alias)
  end)

  it("follows Match, Include and a Match exec, which are ssh's own", function()
    write("more", "Match host db3.example\n  User included\n")
    local file = config(("Host db3\n  HostName db3.example\nMatch exec \"test %%n = db3\"\n  Port 77\nInclude %s/more\n"):format(dir))
    local got = parse.run("db3", file)
    assert.equal("77", got.port)
    local real = must("ssh -G -F " .. file .. " db3")
    assert.equal(real:match "\nuser (%S+)", got.user)
  end)

  it("expands what ssh prints raw, in one pass", function()
    local name = ("k-%s-%s-22-db4-%%h-${NOPE}"):format(me, "db4.example")
    write(name, "key")
    local file = config(("Host db4\n HostName db4.example\n IdentityFile %s/k-%%r-%%h-%%p-%%n-%%%%h-${ODD}\n CertificateFile ~/c-%%i-%%u\n")
      :format(dir))
    local got = parse.run("db4", file, "ODD='${NOPE}'")
    assert.same({ dir .. "/" .. name }, got.identity_file)
    assert.same({ ("%s/c-%s-%s"):format(home, must "id -u":match "%d+", me) }, got.certificate_file)
  end)

  it("makes of %C, %d, %L and ~ what ssh itself does", function()
    -- ssh -G expands UserKnownHostsFile itself: the same tokens there and in CertificateFile must give the same.
    for _, tokens in ipairs { "%C", "%d", "%L-%l", "%k", "%i.%u", "%%%h" } do
      local file = config(("Host db5\n HostName db5.example\n User ops\n CertificateFile %s/%s\n UserKnownHostsFile %s/%s\n")
        :format(dir, tokens, dir, tokens))
      local got = parse.run("db5", file)
      assert.same(got.user_known_hosts, got.certificate_file, tokens)
    end
    local got = parse.run("db5", config "Host *\n CertificateFile ~/x\n UserKnownHostsFile ~/x\n")
    assert.same(got.user_known_hosts, got.certificate_file)
  end)

  it("fails where ssh would: an unknown token, a variable that is not set", function()
    for _, value in ipairs { "/x/%q", "/x/${PGSH_NOT_SET}", "/x/%", "~nobody-of-that-name/x", "/x/${" } do
      local got = parse.text("db1", NEEDED .. "identityfile " .. value .. "\n")
      assert.equal("ssh_connect", got.error, value)
      assert.is_truthy(got.message:find("cannot be expanded", 1, true))
    end
  end)

  it("leaves out key files that do not exist, but not one whose key is in an agent", function()
    local a, b = write("only.pub", "ssh-ed25519 AAAA"), write("here", "x")
    local got = parse.text("db1", NEEDED .. ("identityfile %s/only\nidentityfile %s/gone\nidentityfile %s\n"):format(dir, dir, b))
    assert.same({ (a:gsub("%.pub$", "")), b }, got.identity_file)
  end)

  it("keeps several known_hosts files of one line apart, and names with blanks whole", function()
    local file = config("Host *\n UserKnownHostsFile /a/one \"/b/with blank\" ~/three\n GlobalKnownHostsFile none\n")
    local got = parse.run("db1", file)
    assert.same({ "/a/one", "/b/with blank", home .. "/three" }, got.user_known_hosts)
    assert.same({}, got.global_known_hosts)
    assert.same({ "one", "two" }, parse.text("db1", NEEDED .. "userknownhostsfile one two\n").user_known_hosts)
  end)

  it("honours none", function()
    local file = config [[
      Host *
        IdentityFile none
        IdentityAgent none
        UserKnownHostsFile none
        ControlPath none
        PKCS11Provider none
        CertificateFile none
        ProxyJump none
    ]]
    local got = parse.run("db1", file, "SSH_AUTH_SOCK=/x/agent")
    assert.is_nil(got.identity_agent)
    assert.is_nil(got.control_path)
    assert.is_nil(got.pkcs11_provider)
    assert.same({}, got.user_known_hosts)
    assert.same({}, got.certificate_file)
    assert.same({}, got.jump)
  end)

  it("finds the agent as ssh does", function()
    local function agent(value) return parse.text("db1", NEEDED .. value, "SSH_AUTH_SOCK=/x/agent OTHER=/y/agent").identity_agent end
    assert.equal("/x/agent", agent "")
    assert.equal("/x/agent", agent "identityagent SSH_AUTH_SOCK\n")
    assert.equal("/y/agent", agent "identityagent $OTHER\n")
    assert.equal("/y/agent/ops", agent "identityagent ${OTHER}/%r\n")
    assert.is_nil(agent "identityagent $MISSING\n")
    assert.is_nil(parse.text("db1", NEEDED, "SSH_AUTH_SOCK=").identity_agent)
  end)

  it("gives each hop as ssh takes it", function()
    local file = config "Host db1\n  ProxyJump u@a,ssh://b:33,c\n"
    assert.same({ "u@a", "ssh://b:33", "c" }, parse.run("db1", file).jump)
    local function jumps(value) return parse.text("db1", NEEDED .. "proxyjump " .. value .. "\n").jump end
    assert.same({ "127.0.0.1" }, jumps "[127.0.0.1]")
    assert.same({ "ssh://u@127.0.0.1:22" }, jumps "u@[127.0.0.1]:22")
    assert.same({ "ssh://[::1]:22" }, jumps "[::1]:22")
    assert.same({ "ssh://[::1]" }, jumps "[::1]")
    assert.same({ "ssh://a%2Bb@x:1", "ops@y" }, jumps "a+b@x:1,%r@y")
  end)

  it("resolves every form of a host", function()
    local file = config "Host *\n IdentityFile none\n"
    for host, want in pairs {
      ["ops@Db1"] = { "ops", "db1", "22" }, ["ssh://ops@db1:99"] = { "ops", "db1", "99" }, ["ssh://db1"] = { me, "db1", "22" },
      ["::1"] = { me, "::1", "22" }, ["ssh://ops@[::1]:99"] = { "ops", "::1", "99" }, ["ssh://[::1]"] = { me, "::1", "22" },
      ["a@b@db1"] = { "a@b", "db1", "22" },
    } do
      local got = parse.run(host, file)
      assert.same(want, { got.user, got.hostname, got.port }, host .. got.text)
    end
  end)

  it("refuses names that are no names, before ssh sees them", function()
    for _, host in ipairs { "", "-oProxyCommand=x", "a;b", "a b", "$(x)", "`x`", "u@-x", "a|b", "a\nb", "a\\b", "a'b", ("x"):rep(2000) } do
      local got = parse.run(host)
      assert.equal("usage", got.error, host)
    end
  end)

  it("tells what ssh complained of", function()
    local got = parse.run("db1", config "Host *\n  NoSuchKeyword yes\n")
    assert.equal("ssh_connect", got.error)
    assert.is_truthy(got.detail:find("nosuchkeyword", 1, true), got.detail)
    assert.equal("ssh_connect", parse.run("db1", dir .. "/missing").error)
  end)

  it("does not wait for ever for a Match exec", function()
    local got = parse.run("db1", config "Match exec \"sleep 30\"\n  Port 1\n", "LIMIT_MS=300")
    assert.equal("timeout", got.error)
  end)

  it("says what is missing, and takes any text", function()
    assert.is_truthy(parse.text("db1", "user x\nport 22\n").message:find "hostname")
    assert.is_truthy(parse.text("db1", "hostname x\nport 22\n").message:find "user")
    for _, port in ipairs { "0", "65536", "-1", "22x", "" } do
      assert.is_truthy(parse.text("db1", "hostname x\nuser y\nport " .. port .. "\n").message:find "port", port)
    end
    assert.equal("ssh_connect", parse.text("db1", "").error)
    assert.equal("x", parse.text("db1", "HOSTNAME x\r\nUser y\r\nPort 22\r\n\r\nodd\n\0\n").hostname)
  end)

  describe("names what the library cannot honour", function()
    local key = write("key", "-----BEGIN")
    local function unsupported(text)
      return parse.text("db1", NEEDED .. "identityfile " .. key .. "\n" .. text, "SSH_AUTH_SOCK=").unsupported
    end

    it("and nothing else", function()
      assert.same({}, unsupported "")
      assert.same({}, unsupported "gssapiauthentication yes\nhostbasedauthentication yes\ncontrolpath /x\ncontrolmaster auto\n")
      assert.same({}, unsupported "remotecommand tmux\nforwardx11 yes\nsendenv LANG\nsecuritykeyprovider internal\nproxyjump a\n")
      -- As the real ssh prints them where nothing is configured.
      assert.same({}, parse.run("db1", config("Host *\n IdentityFile " .. key .. "\n")).unsupported)
    end)
    it("by option", function()
      assert.same({ "pkcs11provider" }, unsupported "pkcs11provider /x.so\n")
      assert.same({ "proxycommand" }, unsupported "proxycommand nc %h %p\n")
      assert.same({ "knownhostscommand" }, unsupported "knownhostscommand /x %h\n")
      assert.same({ "forwardagent" }, unsupported "forwardagent yes\n")
      assert.same({ "pubkeyauthentication" }, unsupported "pubkeyauthentication false\n")
      assert.same({ "verifyhostkeydns" }, unsupported "verifyhostkeydns true\n")
      assert.same({ "setenv" }, unsupported "setenv A=b\n")
    end)
    it("and certificates: configured, or beside a key", function()
      local certificate = write("c-cert.pub", "x")
      assert.same({ "certificatefile" }, unsupported("certificatefile " .. certificate .. "\n"))
      assert.same({}, unsupported "certificatefile /nowhere\n")
      write("k2", "x")
      write("k2-cert.pub", "x")
      assert.same({ "certificatefile" }, unsupported("identityfile " .. dir .. "/k2\n"))
    end)
    it("and FIDO keys, when there is no other", function()
      local sk = write("sk.pub", "sk-ssh-ed25519@openssh.com AAAA"):gsub("%.pub$", "")
      assert.same({}, unsupported("identityfile " .. sk .. "\n"))
      assert.same({ "securitykeyprovider" }, parse.text("db1", NEEDED .. "identityfile " .. sk .. "\n").unsupported)
    end)
    it("and GSSAPI, when there is neither key nor agent", function()
      assert.same({ "gssapiauthentication" }, parse.text("db1", NEEDED .. "gssapiauthentication yes\n", "SSH_AUTH_SOCK=").unsupported)
      assert.same({}, parse.text("db1", NEEDED .. "gssapiauthentication yes\n", "SSH_AUTH_SOCK=/x").unsupported)
    end)
  end)
end)
