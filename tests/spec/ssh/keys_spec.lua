-- ssh: key files with a passphrase: asked for once, opened once, beside the loop.
local sshd = require "tests.spec.support.sshd"
local run = require "tests.spec.support.run"

-- Runs a Lua text in a terminal and types an answer each time a passphrase is asked for; what the terminal showed.
local function typed(text, answers)
  local name = os.tmpname()
  run.write_file(name .. ".lua", text)
  local words = {}
  for i, answer in ipairs(answers) do words[i] = run.quote(answer) end
  local feeder = ([[n=0; for a in %s; do n=$((n+1)); i=0
    until [ $(grep -o 'Passphrase of the key' %s | wc -l) -ge $n ] || [ $i -gt 200 ]; do sleep 0.05; i=$((i+1)); done
    sleep 0.3; printf '%%s\n' "$a"; done; until [ -e %s.over ]; do sleep 0.05; done]]):format(table.concat(words, " "), name, name)
  run.shell(("(%s) | timeout 60 script -qefc %s %s >/dev/null 2>&1; touch %s.over"):format(feeder,
    run.quote(("%s lua %s.lua; touch %s.over"):format(os.getenv "PGSH" or "./pgsh", name, name)), name, name))
  local out = run.read_file(name)
  run.shell(("rm -f %s %s.lua %s.over"):format(name, name, name))
  return out, select(2, out:gsub("Passphrase of the key", ""))
end

local function count(text, part) return select(2, text:gsub(part, "")) end

local EACH = [[
local ssh = require "pgsh.ssh"
local names = { "h1", "h2", "h3" }
for _ = 1, %d do
  local results, errors = ssh.each(names, function(h) return h:read({ "echo", "ok" }).out end, { config = %q, transport = %q })
  for _, name in ipairs(names) do print(errors[name] and "NO " .. tostring(errors[name]) .. " HINT " .. tostring(errors[name].hint)
    or "OK " .. results[name]) end
end
]]

describe("ssh keys with a passphrase", function()
  local server
  setup(function() server = sshd.start { daemons = 3 } end)
  teardown(function() server:remove() end)

  for _, key in ipairs { "ed25519-encrypted", "ecdsa-encrypted", "ed25519-cbc" } do
    it("log in, once asked for: " .. key, function()
      server:set { IdentityFile = server:key(key) }
      local out, asked = typed(EACH:format(2, server.config, "lib"), { sshd.passphrase })
      assert.equal(6, count(out, "OK ok"), out)
      assert.equal(1, asked, out)
      assert.is_nil(out:find(sshd.passphrase, 1, true))
    end)
  end

  it("are asked for again when it was the wrong one", function()
    server:set { IdentityFile = server:key "ed25519-encrypted" }
    local out, asked = typed(EACH:format(2, server.config, "lib"), { "not " .. sshd.passphrase, sshd.passphrase })
    assert.equal(3, count(out, "NO [^\n]*the passphrase of [^\n]*is wrong"), out)
    assert.equal(3, count(out, "OK ok"), out)
    assert.equal(2, asked, out)
  end)

  it("are opened while all else goes on", function()
    server:set { IdentityFile = server:key "ed25519-slow" }
    local out = typed(([[
      local ssh, host = require "pgsh.ssh", require "pgsh.host"
      local over, worst, last = false, 0, host.mono()
      local ticker = host.spawn("ticker", function()
        while not over do
          host.sleep(0.01)
          worst, last = math.max(worst, host.mono() - last), host.mono()
        end
      end)
      local began = host.mono()
      local h <close> = ssh { host = "h1", config = %q, transport = "lib" }
      io.write("OK ", h:read({ "echo", "ok" }).out)
      over = true
      ticker:join()
      local cpu = tonumber(require("pgsh.sh").read({ "sh", "-c", "cut -d' ' -f14 /proc/$PPID/stat" }).out) / 100
      print(("BLOCKED %%d CPU %%d TOOK %%d"):format(worst, cpu * 1000, host.mono() - began))
    ]]):format(server.config), { sshd.passphrase })
    assert.equal(1, count(out, "OK ok"), out)
    local blocked, cpu = out:match "BLOCKED (%d+) CPU (%d+)"
    -- The derivation is one piece of work that costs most of the CPU time: the loop never stood still for as long as half of it.
    assert.is_true(tonumber(cpu) > 400, out)
    assert.is_true(tonumber(blocked) < tonumber(cpu) / 2, out)
  end)

  it("end as a clear word where nobody can be asked for them", function()
    for _, key in ipairs { "rsa-encrypted", "ed25519-encrypted" } do
      server:set { IdentityFile = server:key(key) }
      local out, asked = typed(EACH:format(1, server.config, "openssh"), {})
      assert.equal(0, asked)
      assert.equal(3, count(out, "NO [^\n]*HINT [^\n]*ssh%-add '" .. server:key(key):gsub("%p", "%%%0") .. "'"), out)
    end
    -- Without a terminal.
    server:set { IdentityFile = server:key "ed25519-encrypted" }
    local ok, err = pcall(function()
      local h <close> = require "pgsh.ssh" { host = "h1", config = server.config, transport = "lib" }
      return h:read { "true" }
    end)
    assert.is_false(ok)
    assert.is_truthy(err.message:find("needs a passphrase", 1, true), tostring(err))
    assert.equal("ssh-add '" .. server:key "ed25519-encrypted" .. "'", err.hint)
  end)
end)
