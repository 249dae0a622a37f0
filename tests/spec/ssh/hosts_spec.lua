-- Which keys a host is known by, beside what ssh-keygen -F, -H and -l say of the same files.
local parse = require "tests.spec.support.ssh_parse"
local postgres = require "tests.spec.support.postgres"
local write_file = require("tests.spec.support.run").write_file
local run, must, quote = postgres.run, postgres.must, postgres.quote

local dir = must "mktemp -d":match "%S+"
local file = dir .. "/known_hosts"

local TYPES = { ed25519 = "ssh-ed25519", ecdsa = "ecdsa-sha2-nistp256", rsa = "ssh-rsa" }
local keys = {} -- name → base64

local function keygen(name, kind)
  must(("ssh-keygen -q -t %s -N '' -C x -f %s/%s"):format(kind, dir, name))
  local handle = assert(io.open(dir .. "/" .. name .. ".pub"))
  keys[name] = handle:read("a"):match "^%S+ (%S+)"
  handle:close()
end

local function known(text) write_file(file, text) end

local function check(name, key, kind) return parse.hosts("check", file, name, TYPES[kind or "ed25519"], keys[key or "a"]) end
local function types(name) return parse.hosts("types", file, name) end
local function line(names, key, kind) return ("%s %s %s\n"):format(names, TYPES[kind or "ed25519"], keys[key or "a"]) end

describe("known hosts", function()
  setup(function()
    keygen("a", "ed25519")
    keygen("b", "ed25519")
    keygen("e", "ecdsa")
    keygen("r", "rsa")
  end)
  teardown(function() must("rm -rf " .. dir) end)

  it("tell known, changed, another type and unknown apart", function()
    known(line "db1" .. line("db2", "e", "ecdsa"))
    assert.equal("ok", check "db1")
    assert.equal("changed", check("db1", "b"))
    assert.equal("other", check "db2")
    assert.equal("unknown", check "db3")
    assert.equal("other", check("db1", "r", "rsa"))
    known(line "db1" .. line("db1", "b")) -- more than one of a type
    assert.equal("ok", check("db1", "b"))
    known ""
    assert.equal("unknown", check "db1")
    os.remove(file)
    assert.equal("unknown", check "db1")
  end)

  it("tell it when a file cannot be read", function()
    local text = parse.hosts("check", dir, "db1", "ssh-ed25519", keys.a)
    assert.is_truthy(text:find "^error io", text)
    assert.is_truthy(text:find "unknown$", text)
  end)

  it("match as ssh-keygen -F does", function()
    local lists = { "db1", "DB1", "db*", "d?1", "?b?", "*", "db1,db2", "db2,db1", "!db1,*", "*,!db1", "!db2,db*", "db", "db11", "*.example",
      "db1.*", "[db1]:2222", "[db1]:*", "[*]:2222", "[db1]", "a,,db1", ",", "!", "**1", "*b*1*", "10.0.0.?", "fe80::1" }
    for _, list in ipairs(lists) do
      known(line(list))
      for _, name in ipairs { "db1", "db2", "db1.example", "[db1]:2222", "10.0.0.7", "fe80::1" } do
        local status = run(("ssh-keygen -F %s -f %s"):format(quote(name), file))
        -- ssh itself, not ssh-keygen, takes the bare name's key for a port too.
        local bare = name:match "^%[(.*)%]:%d+$"
        if bare and status ~= 0 then status = run(("ssh-keygen -F %s -f %s"):format(quote(bare), file)) end
        assert.equal(status == 0 and "ok" or "unknown", check(name), list .. " against " .. name)
      end
    end
  end)

  it("are found behind hashes that ssh-keygen made", function()
    known(line "db1" .. line("[db1]:2222", "b") .. line("db2,10.0.0.7", "r", "rsa"))
    must(("ssh-keygen -q -H -f %s"):format(file))
    assert.is_truthy(must("cat " .. file):find("|1|", 1, true))
    assert.equal("ok", check "db1")
    assert.equal("changed", check("db1", "b"))
    assert.equal("ok", check("[db1]:2222", "b"))
    assert.equal("changed", check("[db1]:2222", "a"))
    assert.equal("ok", check("10.0.0.7", "r", "rsa"))
    assert.equal("unknown", check "db9")
    assert.equal("unknown", check "[db9]:2222")
  end)

  it("count a revoked key as revoked, whatever else stands there", function()
    known(line "db1" .. "@revoked " .. line "*")
    assert.equal("revoked", check "db1")
    assert.equal("unknown", check("db9", "b"))
    known("@revoked " .. line "db2" .. line "db1")
    assert.equal("ok", check "db1")
    assert.equal("revoked", check "db2")
    known(line "[db1]:2222" .. "@revoked " .. line "db1") -- of the bare name
    assert.equal("revoked", check "[db1]:2222")
    known("@revoked\t" .. line "*" .. "@revoked  " .. line("*", "b"))
    assert.equal("revoked", check "db1")
    assert.equal("revoked", check("db1", "b"))
  end)

  it("leave certificates to ssh", function()
    known("@cert-authority " .. line("*.example", "e", "ecdsa"))
    assert.equal("authority", check "db1.example")
    assert.equal("unknown", check "db1")
    assert.equal("", types "db1.example")
    known("@cert-authority " .. line("*", "e", "ecdsa") .. line "db1")
    assert.equal("ok", check "db1")
    assert.equal("changed", check("db1", "b"))
  end)

  it("take a bare name's key for a port, but hold no other key against it", function()
    known(line "db1")
    assert.equal("ok", check "[db1]:2222")
    assert.equal("unknown", check("[db1]:2222", "b"))
    known(line "db1" .. line("[db1]:2222", "b"))
    assert.equal("ok", check("[db1]:2222", "b"))
    assert.equal("changed", check "[db1]:2222")
  end)

  it("say which types to ask for, best first", function()
    known(line("db1", "r", "rsa") .. line("db1", "e", "ecdsa") .. line "db1" .. line("db2", "r", "rsa") .. "@revoked " .. line "db3")
    assert.equal("ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa", types "db1")
    assert.equal("rsa-sha2-512,rsa-sha2-256,ssh-rsa", types "db2")
    assert.equal("rsa-sha2-512,rsa-sha2-256,ssh-rsa", types "[db2]:2222")
    assert.equal("", types "db3")
    assert.equal("ok", parse.hosts("check", file, "db2", "rsa-sha2-512", keys.r))
    assert.equal("ok", parse.hosts("check", file, "db2", "ssh-rsa", keys.r))
  end)

  it("say where the known key stands, and its fingerprint as ssh-keygen -l", function()
    known("# a comment\n\n" .. line("db1", "e", "ecdsa") .. line "db1")
    for _, row in ipairs { { "a", "ssh-ed25519", 4 }, { "e", "ecdsa-sha2-nistp256", 3 } } do
      local print = must(("ssh-keygen -l -f %s/%s.pub"):format(dir, row[1])):match "SHA256:%S+"
      assert.equal(("%s:%d %s"):format(file, row[3], print), parse.hosts("known", file, "db1", row[2]))
      assert.equal(print, parse.hosts("print", keys[row[1]]))
    end
    assert.equal("", parse.hosts("known", file, "db1", "ssh-rsa"))
  end)

  it("have comments, blanks, CRLF, and no newline at the end", function()
    known("\t db1,db2\t ssh-ed25519 \t" .. keys.a .. " me@there  # and more\r\n#" .. line "db3" .. "db4 ssh-ed25519 " .. keys.a)
    assert.equal("ok", check "db1")
    assert.equal("ok", check "db2")
    assert.equal("unknown", check "db3")
    assert.equal("ok", check "db4")
    known("db1 ssh-ed25519 " .. keys.a .. "\r\n" .. "db2 ssh-ed25519 " .. keys.a .. "\r")
    assert.equal("ok", check "db1")
    assert.equal("ok", check "db2")
  end)

  it("are not harmed by lines that are none", function()
    local whole = line("db1"):gsub("\n", "")
    local broken = {
      "db1", "db1 ssh-ed25519", "db1 ssh-ed25519 !!!!", "db1 ssh-ed25519 AAAA", "db1 ssh-rsa " .. keys.a, -- says another type than it is
      "db1 ssh-ed25519 " .. keys.a:sub(1, -2), "@nothing " .. whole, "@revoked @revoked " .. whole,
      "@revoked", "@cert-authority db1", "|1|x|y ssh-ed25519 " .. keys.a, "|1| ssh-ed25519 " .. keys.a, "| ssh-ed25519 " .. keys.a,
      "|1|AAAA|AAAA ssh-ed25519 " .. keys.a, ("x"):rep(2000) .. ",db1 ssh-ed25519 " .. keys.a, ("x"):rep(100000) .. whole,
      "db1 1024 35 1234567890", "\0db1 ssh-ed25519 " .. keys.a, "db1 ssh-ed25519 ====", "db1 \255\254 AAAA",
    }
    known(table.concat(broken, "\n"))
    assert.equal("unknown", check "db1")
    known(table.concat(broken, "\n") .. "\n" .. line "db1")
    assert.equal("ok", check "db1")
  end)

  it("have names: an alias as it is, a host in lower case, a port in brackets", function()
    assert.equal("db1", parse.hosts("name", "", "DB1", "22"))
    assert.equal("[db1]:2222", parse.hosts("name", "", "Db1", "2222"))
    assert.equal("Alias", parse.hosts("name", "Alias", "db1", "2222"))
    assert.equal("[fe80::1]:2222", parse.hosts("name", "", "FE80::1", "2222"))
  end)

  it("agree with ssh-keygen over many lines at once", function()
    local all = {}
    for i = 1, 500 do all[i] = line(("host%d,10.0.%d.%d"):format(i, i // 256, i % 256), i % 2 == 0 and "a" or "b") end
    known(table.concat(all))
    must(("ssh-keygen -q -H -f %s"):format(file))
    for _, i in ipairs { 1, 2, 250, 500 } do
      assert.equal(i % 2 == 0 and "ok" or "changed", check("host" .. i))
      assert.equal(i % 2 == 0 and "ok" or "changed", check(("10.0.%d.%d"):format(i // 256, i % 256)))
    end
    assert.equal("unknown", check "host501")
  end)
end)
