-- Hosts that share what ssh -G says: never another answer than the real ssh -G gives, and how often it is run.
local parse = require "tests.spec.support.ssh_parse"
local postgres = require "tests.spec.support.postgres"
local run = require "tests.spec.support.run"
local must, quote = postgres.must, postgres.quote

local dir = must "mktemp -d":match "%S+"

local function write(name, text) return run.write_file(dir .. "/" .. name, (text:gsub("DIR", dir))) end

-- { [host] = text } of the real one, each asked about by itself; "error" when it fails. Keywords in lower case, as pgsh has them.
local function really(file, hosts)
  local list = {}
  for i, host in ipairs(hosts) do list[i] = quote(host) end
  local output = must(("for h in %s; do echo \"== $h\"; ssh -GT -F %s -- \"$h\" 2>/dev/null </dev/null || echo error; done")
    :format(table.concat(list, " "), quote(file)))
  local all = {}
  for host, text in (output .. "== "):gmatch "([^\n]*)\n(.-)%f[=\0]== " do
    all[host:gsub("^== ", "")] = text:gsub("([^\n ]+)([^\n]*\n)", function(key, rest) return key:lower() .. rest end)
  end
  return all
end

local function compare(file, hosts, got, what)
  local want = really(file, hosts)
  for _, host in ipairs(hosts) do
    assert.is_truthy(want[host], "no answer of ssh for " .. host)
    local mine = got[host]:gsub("^error [^\n]*.*", "error\n")
    assert.equal(want[host], mine, ("%s: %s"):format(what or file, host))
  end
end

-- The answers are ssh's, and it was run so often.
local function check(text, hosts, runs)
  local file = write("config", text)
  local got, count = parse.many(file, hosts)
  compare(file, hosts, got, text)
  if runs then assert.equal(runs, count, text) end
end

local function names(format, first, last)
  local list = {}
  for i = first, last do list[#list + 1] = format:format(i) end
  return list
end

local function both(...)
  local list = {}
  for _, one in ipairs { ... } do
    for _, name in ipairs(one) do list[#list + 1] = name end
  end
  return list
end

describe("what ssh -G says is shared", function()
  teardown(function() must("rm -rf " .. dir) end)

  it("by hosts that match the same patterns: two are asked about, and which files ssh reads", function()
    check("Host db*.example\n User ops\n HostName %h.internal\nHost *\n Port 2022\n", names("db%02d.example", 1, 30), 3)
    check("Host db1*\n Port 1\nHost db?5\n User five\nHost !db20 db2*\n Port 2\n", names("db%02d", 10, 29), nil)
  end)

  it("not when there are but two, or one that was asked about once", function()
    check("Host *\n Port 1\n", { "db1" }, 1)
    check("Host *\n Port 1\n", { "db1", "db2" }, 2)
  end)

  it("by one host that is asked for often, in whatever order they come", function()
    local file = write("config", "Host *\n Port 1\n")
    local hosts = { "hop", "hop", "hop", "hop", "hop" }
    local got, count = parse.many(file, hosts)
    compare(file, { "hop" }, got)
    assert.equal(2, count)
  end)

  it("with names that are parts of each other, of the rest and of longer ones", function()
    check("Host *\n HostName xx%h.a.%%aa%h\n UserKnownHostsFile DIR/a/%h%h/aa.%h%%a /b%h\n", both({ "a", "b", "x", "d", "r", "o" },
      { "aa", "ab", "xx", "aaa", "bab", "aba", "dir", "xxx" }))
    check("Host *\n User root\n IdentityFile ~/%h-%r\n ControlPath DIR/%h@%r:%p\n", { "root", "user", "host", "port", "hosts", "yes",
      "no1" })
  end)

  it("with every kind of token, also those that are more than a name", function()
    for _, token in ipairs { "%h", "%n", "%k", "%%h", "%r", "%p", "%u", "%L", "%l", "%i", "%j" } do
      check(("Host *\n IdentityFile DIR/%s\n ControlPath DIR/%s\n UserKnownHostsFile DIR/%s DIR/x\n IdentityAgent DIR/%s\n")
        :format(token, token, token, token), names("db%d", 1, 5))
    end
    -- A digest of the name is no name: each by itself.
    check("Host *\n ControlPath DIR/%C\n", names("db%d", 1, 5), 6)
    check("Host *\n ControlPath DIR/%C\nHost db?\n ControlPath none\n", names("db%d", 1, 5), 6)
  end)

  it("apart by user, port and form", function()
    local hosts = {}
    for _, format in ipairs { "db%d", "ops@db%d", "a@b@db%d", "ssh://db%d", "ssh://db%d:99", "ssh://ops@db%d:99", "db1@db%d" } do
      hosts = both(hosts, names(format, 1, 4))
    end
    check("Host db1\n Port 7\nHost db?\n UserKnownHostsFile DIR/%r-%h-%p\n User any\n Port 8\n", hosts)
  end)

  it("not by addresses, names in capitals, and what becomes an address", function()
    check("Host *\n UserKnownHostsFile DIR/%h\n", {
      "10.0.0.1", "10.0.0.2", "10.0.0.3", "127.1", "127.2", "DB1", "DB2", "DB3", "Db4",
      "::1", "::2", "0x7f.1", "fe80::1", "db1.", "db2.", "db3." })
    check("Host *\n HostName 0x%h\n", { "zz", "yy", "aa", "ab" })
    check("Host *\n HostName fe80::%h\n", { "zz", "yy", "aa", "0a", "a0" })
    check("Host *\n HostName 127.1\n", names("db%d", 1, 4))
    check("Host *\n HostName %h\n", names("db%d", 1, 4), 3)
  end)

  it("by patterns as ssh reads them: quotes, negations, =, tabs, capitals, comments", function()
    local hosts = both(names("db%d", 1, 6), names("xb%d", 1, 4), { "#", "x", "dbx" })
    table.remove(hosts, 11) -- no name
    check("\tHost=db?\n\tPort = 7\n  HOST \"xb?\" !xb2 # db3 db4\r\n user ops\n\n", hosts)
    check("Host \"db1 db2\" db3\n Port 9\nHost db\"4\"\n Port 10\n", hosts)
    check("Host 'db1' db\\2\n Port 9\n", hosts)
    check("Host !db1 *\n Port 9\nHost db1 !db1 db1\n User never\nHost DB1\n User big\n", hosts)
    check("\"Host\" db1\n Port 3\n", hosts)
    check("Host ** ?b*?\n Port 1\nHost ???\n User three\n", hosts)
  end)

  it("with included files, by globs, in blocks that match some", function()
    must(("mkdir -p %s/inc"):format(dir))
    write("inc/a.conf", "Host db1*\n Port 11\nInclude DIR/deep\n")
    write("inc/b.conf", "Host *2\n User two\n")
    write("deep", "Host db?3\n HostName %h.deep\nHost *\n ServerAliveInterval 3\n")
    local hosts = names("db%02d", 10, 33)
    check("Include DIR/inc/*.conf\nHost db*\n Port 5\n", hosts)
    check("Host db2*\n Include DIR/inc/*.conf DIR/nothing*\nHost *\n Port 5\n", hosts)
    check("Include \"DIR/inc/a.conf\" DIR/inc/b.conf # DIR/deep\n", hosts)
    write("deep", "Match host db13\n Port 99\n")
    check("Include DIR/inc/*.conf\nHost db*\n User five\n", hosts, #hosts)
    write("deep", "Include DIR/inc/*.conf\n") -- a circle: ssh says so
    check("Include DIR/inc/*.conf\n", { "db10", "db11", "db12" })
  end)

  it("not with Match and CanonicalizeHostname, but with Match all", function()
    local hosts = names("db%d", 1, 6)
    check("Match host db3\n Port 3\nMatch all\n User any\n", hosts, 6)
    check("Match originalhost db3\n Port 3\n", hosts, 6)
    check("Match exec \"test %n = db3\"\n Port 3\n", hosts)
    check("Match user ops\n Port 3\nHost *\n User ops\n", hosts, 6)
    check("Host db3\n Port 1\nMatch all\n User any\n", { "db1", "db2", "db4", "db5" }, 3)
    check("Match final host db3.example\n Port 3\nHost db3\n HostName db3.example\n", hosts, 6)
    check("CanonicalizeHostname yes\nCanonicalDomains invalid\nHost *.invalid\n Port 3\n", hosts, 6)
    check("Host db3\n CanonicalizeHostname always\n", hosts, 6)
    check("CanonicalizeHostname no\n", hosts, 3)
  end)

  it("not when ssh reads other files than it is thought to", function()
    local file, hosts = write("other", "Match host db3\n Port 3\nHost *\n User x\n"), names("db%d", 1, 5)
    local got, count = parse.many("", hosts, nil, "-F " .. file)
    compare(file, hosts, got)
    assert.equal(6, count)
  end)

  it("when it fails, as ssh fails", function()
    check("Host *\n NoSuchKeyword yes\n", names("db%d", 1, 4))
    check("Host db3\n Port none\nHost *\n User x\n", names("db%d", 1, 4))
    check("Host *\n UserKnownHostsFile DIR/%q\n", names("db%d", 1, 4))
  end)

  it("anew when a file has changed, come or gone", function()
    must(("rm -rf %s/inc; mkdir %s/inc"):format(dir, dir))
    local file, hosts = write("config", "Include DIR/inc/*\nHost *\n Port 1111\n"), names("db%d", 1, 5)
    for _, edit in ipairs { "sed -i s/1111/2222/ DIR/config", "printf 'Host *\\n Port 3' >DIR/inc/new", "printf 4 >>DIR/inc/new",
      "printf 5 | dd of=DIR/inc/new bs=1 seek=13 conv=notrunc", "rm DIR/inc/new", "printf 'Match host db2\\n Port 9' >DIR/inc/m" } do
      local before, _, after = parse.many(file, hosts, "(" .. edit:gsub("DIR", dir) .. ") >/dev/null 2>&1")
      assert.is_not.same(before, after, edit)
      compare(file, hosts, after, edit)
    end
    must("rm " .. file)
    assert.is_truthy(parse.many(file, { "db1" }).db1:find "error")
  end)

  it("of any configuration put together by chance", function()
    local seed = os.time()
    math.randomseed(seed)
    local function pick(list) return list[math.random(#list)] end
    local patterns = { "db*", "*1", "d?1", "!db2", "*", "web?", "!*", "db1", "\"db2\"", "b", "*b*", "?", "??", "!w*" }
    local options = { "Port 7", "Port 8", "User ops", "User %h", "HostName %h.x", "HostName x%h", "HostName db1", "HostName %h%h",
      "IdentityFile DIR/%h", "ControlPath DIR/%h-%n-%r", "ControlPath DIR/%C", "ProxyJump hop", "ProxyJump none", "HostKeyAlias db1",
      "UserKnownHostsFile DIR/%k DIR/%h", "ProxyCommand nc %h %p", "LocalForward 80 %h:80", "RemoteCommand echo %h", "Include DIR/chance",
      "SetEnv A=db1", "LocalCommand echo %n", "Host", "Match all" }
    local hosts = both(names("db%d", 1, 4), names("web%d", 1, 3), { "b", "d", "w", "x" })
    for round = 1, 12 do
      local function text()
        local lines = {}
        for _ = 1, math.random(4) do
          lines[#lines + 1] = ("Host %s %s"):format(pick(patterns), pick(patterns))
          for _ = 1, math.random(3) do lines[#lines + 1] = "  " .. pick(options) end
        end
        return table.concat(lines, "\n") .. "\n"
      end
      write("chance", (text():gsub("Include[^\n]*", "")))
      local file = write("config", text())
      compare(file, hosts, (parse.many(file, hosts)), ("seed %d round %d %s"):format(seed, round, must("cat " .. file)))
    end
  end)
end)
