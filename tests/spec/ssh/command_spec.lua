-- ssh: commands over one session: outputs, input, limits, environment, sudo, quoting, many at once, following.
local ssh, host, secret, sh = require "pgsh.ssh", require "pgsh.host", require "pgsh.secret", require "pgsh.sh"
local sshd = require "tests.spec.support.sshd"
local run = require "tests.spec.support.run"
local check = require "tests.spec.support.check"
local failure, has, comes_true, mark = check.failure, check.has, check.comes_true, check.mark

local TOKEN = "shh-9876543210-fedcba"

local function alive(text)
  local list = "ps -eo stat=,args= | grep -v '^Z' | grep -v grep | grep -E -- "
  return sh.read(list .. "'^[^ ]+ +(/bin/)?sleep " .. text .. "'", { ok = { 0, 1 } }).out ~= ""
end

for _, transport in ipairs { "lib", "openssh" } do
  describe("ssh by " .. transport, function()
    local server, far
    setup(function()
      server = sshd.start {}
      far = ssh { host = "h1", config = server.config, transport = transport }
    end)
    teardown(function()
      far:close()
      server:remove()
    end)

    it("runs lists and texts, both outputs apart, byte for byte", function()
      assert.same({ exit = 0, out = "a b $HOME 'c' \n", err = "" }, far:read { "echo", "a b", "$HOME", "'c'", "" })
      local result = far:read [[printf 'a\0\377'; printf 'e\n\0' >&2]]
      assert.equal("a\0\255", result.out)
      assert.equal("e\n\0", result.err)
      has(far:where(), "(" .. transport .. ")")
    end)

    it("passes odd arguments on as they are", function()
      for _, word in ipairs { "", " ", "'", '"', "\\", "$(id)", "`id`", "a\nb", "-n", "*", "~", "!", "\t", "ü€",
        "\1\127\255", "%s", "#", "&& x", "\\n" } do
        assert.equal("<" .. word .. ">", far:read({ "printf", "<%s>", word }).out)
      end
      local many = {}
      for i = 1, 500 do many[i] = "word " .. i end
      assert.equal("word 500", far:read({ "sh", "-c", "shift 499; printf %s \"$1\"", "sh", table.unpack(many) }).out)
      local long = ("x"):rep(100000)
      assert.equal(long, far:read({ "printf", "%s", long }).out)
    end)

    it("tells exit statuses and signals", function()
      assert.equal(7, far:read("exit 7", { ok = { 7 } }).exit)
      local err = failure(far.read, far, "echo no >&2; exit 9")
      assert.equal("process", err.kind)
      assert.equal(9, err.exit)
      assert.equal("no", err.detail)
      err = failure(far.run, far, { "sh", "-c", "kill -9 $$" })
      assert.equal("process", err.kind)
      err = failure(far.read, far, { "no-such-program" })
      assert.equal(127, err.exit)
    end)

    it("gives input of megabytes, and takes it back", function()
      local text = {}
      for i = 1, 200000 do text[i] = ("%07d abcdefghijklmnop\n"):format(i) end
      text = table.concat(text)
      assert.equal(text, far:read({ "cat" }, { input = text }).out)
      assert.equal("", far:read({ "cat" }, { input = "" }).out)
      assert.equal("", far:read({ "cat" }).out)
      assert.equal(0, far:read({ "true" }, { input = text }).exit)
    end)

    it("keeps limits", function()
      local err = failure(far.read, far, "head -c 3000000 /dev/zero; sleep " .. mark(), { limit = "1M" })
      assert.equal("limit", err.kind)
      local result = far:run "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
      assert.is_true(result.truncated)
      assert.matches("line 19999\n$", result.out)
      assert.equal(65536, #result.out)
    end)

    it("gives an environment, secrets too, and no argument tells them", function()
      local out = far:read("echo \"$A-$B-$C-${PGSH_SSHD:-none}\"; cat; ps -eo args", {
        env = { A = "1 '\n2", B = secret(TOKEN), C = "\\$x", PGSH_SSHD = false }, input = "input " .. "x" }).out
      has(out, "1 '\n2-" .. TOKEN .. "-\\$x-none\ninput x")
      local _, count = out:gsub(TOKEN:gsub("%p", "%%%0"), "")
      assert.equal(1, count)
      local err = failure(far.read, far, { "echo", secret(TOKEN) })
      assert.equal("usage", err.kind)
      assert.equal("usage", failure(far.read, far, { "true" }, { env = { ["a b"] = "1" } }).kind)
    end)

    it("begins in a directory", function()
      assert.equal("/usr/share\n", far:read({ "pwd" }, { cwd = "/usr/share" }).out)
      local err = failure(far.read, far, { "pwd" }, { cwd = "/no/such/place" })
      assert.equal("spawn", err.code)
      has(err.detail, "/no/such/place")
    end)

    it("runs fifty at once over one connection", function()
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = host.spawn("one", function() return far:read("sleep 0.2; echo " .. i).out end)
      end
      for i = 1, 50 do assert.equal(i .. "\n", tasks[i]:join()) end
    end)

    it("stops the far process group at a deadline", function()
      local seconds = mark()
      local started = host.mono()
      local err = failure(far.run, far, "sleep " .. seconds .. " & sleep " .. seconds, { timeout = 0.5 })
      assert.is_true(err.kind == "timeout" or err.kind == "unknown", tostring(err))
      assert.is_true(comes_true(function() return not alive(seconds) end, 3))
      assert.is_true(host.mono() - started < 5000)
      assert.equal("ok\n", far:read({ "echo", "ok" }).out) -- the line goes on
    end)

    it("kills what ignores TERM", function()
      local seconds = mark()
      local err = failure(far.read, far, { "sh", "-c", "trap '' TERM; sleep " .. seconds }, { timeout = 0.5 })
      assert.equal("timeout", err.kind)
      assert.is_true(comes_true(function() return not alive(seconds) end, 4))
    end)

    it("stops it when its task is cancelled", function()
      local seconds = mark()
      local task = host.spawn("one", function() far:read { "sleep", seconds } end)
      assert.is_true(comes_true(function() return alive(seconds) end))
      task:cancel()
      assert.equal("cancelled", failure(task.join, task).kind)
      assert.is_true(comes_true(function() return not alive(seconds) end, 3))
    end)

    it("ends it at Ctrl-C, which leaves a change unknown", function()
      local seconds = mark()
      local box = run.box {}
      local script = ("return require 'pgsh.ssh' { host = 'h1', config = %q, transport = %q }:run 'sleep %s'")
        :format(server.config, transport, seconds)
      local process = box:start { "-e", script }
      assert.is_true(comes_true(function() return alive(seconds) end, 10))
      process:signal "INT"
      local status = process:wait(20).exit
      assert.is_true(comes_true(function() return not alive(seconds) end, 4))
      assert.is_true(status == 6 or status == 130, tostring(status) .. process:stderr())
      box:remove()
    end)

    it("follows a command line by line", function()
      local seen = {}
      far:follow("for i in 1 2 3; do echo line $i; sleep 0.1; done; printf end", function(line)
        seen[#seen + 1] = line
        host.sleep(0.01)
      end)
      assert.same({ "line 1", "line 2", "line 3", "end" }, seen)
      local seconds = mark()
      local count = 0
      far:follow("yes; exec sleep " .. seconds, function()
        count = count + 1
        return count < 1000
      end)
      assert.equal(1000, count)
      assert.is_true(comes_true(function() return sh.read("pgrep -x yes", { ok = { 0, 1 } }).out == "" end, 4))
      local err = failure(far.follow, far, "echo one; echo bad >&2; exit 3", function() end)
      assert.equal(3, err.exit)
      has(err.detail, "bad")
      err = failure(far.follow, far, "echo one; sleep " .. seconds, function() error("mine", 0) end)
      has(err, "mine")
      assert.is_true(comes_true(function() return not alive(seconds) end, 4))
      assert.is_true(comes_true(function() return #server:processes() == 0 end, 5))
    end)

    it("is closed once, and what runs then fails", function()
      local h = ssh { host = "h1", config = server.config, transport = transport }
      assert.equal("ssh h1", tostring(h))
      local task = host.spawn("one", function() h:run { "sleep", "20" } end)
      assert.is_true(comes_true(function() return h:where() ~= "h1" end))
      host.sleep(0.2)
      h:close()
      h:close()
      local err = failure(task.join, task)
      assert.equal("unknown", err.kind)
      assert.equal("closed", failure(h.read, h, { "true" }).code)
      assert.equal("ssh h1 (closed)", tostring(h))
      sh.run("pkill -x -f 'sleep 20'", { ok = { 0, 1 } })
    end)

    it("gives each of many hosts a result or an error of its own", function()
      server:alias("nowhere", { Port = 1 })
      local results, errors = ssh.each({ "h1", "nowhere" }, function(h, name) return name .. h:read({ "echo", "x" }).out end,
        { config = server.config, transport = transport, at_once = 2 })
      assert.same({ h1 = "h1x\n" }, results)
      assert.equal("ssh_connect", errors.nowhere.code)
    end)

    it("gives sudo a password when it asks for one, and only then", function()
      -- A sudo that asks as the real one does: three times, a byte at a time.
      local dir = server.dir .. "/bin"
      sh.run { "mkdir", "-p", dir }
      run.write_file(dir .. "/sudo", ([[
#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    -n) ask=no;; -S) ask=yes;; -p) shift; prompt=$1;; -u) shift; export SUDO_TO=$1;; --) shift; break;;
  esac
  shift
done
if [ -e %s/free ]; then exec "$@"; fi
[ "$ask" = yes ] || { echo "sudo: a password is required" >&2; exit 1; }
for i in 1 2 3; do
  printf %%s "$prompt" >&2
  IFS= read -r word || exit 1
  [ "$word" = "%s" ] && exec "$@"
  echo "Sorry, try again." >&2
done
exit 1
]]):format(dir, TOKEN))
      sh.run { "chmod", "755", dir .. "/sudo" }
      local other = sshd.start { settings = "SetEnv PATH=" .. dir .. ":/usr/bin:/bin" }
      local h <close> = ssh { host = "h1", config = other.config, transport = transport }
      local right, wrong = { "ana", password = secret(TOKEN) }, { "ana", password = "not-" .. TOKEN }
      local text = ("0123456789\n"):rep(100000)
      assert.equal("ana " .. text, h:read("printf '%s ' $SUDO_TO; cat", { become = right, input = text }).out)
      assert.equal("ana 1\nx", h:read("echo $SUDO_TO $A; cat", { become = right, env = { A = "1" }, input = "x" }).out)
      assert.equal(0, h:read({ "true" }, { become = right }).exit)
      local err = failure(h.run, h, { "touch", dir .. "/touched" }, { become = wrong, input = text })
      assert.equal("spawn", err.code)
      has(err.message, "did not accept the password")
      err = failure(h.run, h, { "touch", dir .. "/touched" }, { become = "ana" })
      assert.equal("spawn", err.code)
      has(err.detail, "password is required")
      assert.equal("", sh.read({ "ls", dir }).out:gsub("sudo\n", ""))
      sh.run { "touch", dir .. "/free" }
      assert.equal("ana 1\nx", h:read("echo $SUDO_TO $A; cat", { become = wrong, env = { A = "1" }, input = "x" }).out)
      assert.equal("ana\n", h:read("echo $SUDO_TO", { become = "ana" }).out)
      other:remove()
    end)

    -- The real sudo, with a real password. Its files are others for this server only: as root it gets a mount namespace of its own.
    if os.execute "[ $(id -u) = 0 ] && unshare -m true 2>/dev/null && command -v sudo >/dev/null" then
      it("gives the real sudo its password", function()
        local other = sshd.start { user = "nobody", wrap = function(dir)
          sh.run(([[
cd %s && chmod 755 . && cp -p /etc/passwd /etc/shadow . && hash=$(printf %%s "$TOKEN" | openssl passwd -6 -stdin)
sed -i "s|^nobody:.*|nobody:x:65534:65534:nobody:$PWD:/bin/sh|" passwd
sed -i "s|^nobody:[^:]*|nobody:$hash|" shadow
printf 'Defaults timestamp_timeout=0, lecture=never, !syslog\nnobody ALL=(ALL) ALL\nroot ALL=(ALL) ALL\n' >sudoers && chmod 440 sudoers
printf 'for f in passwd shadow sudoers; do mount --bind %%s/$f /etc/$f || exit; done; exec "$@"\n' "$PWD" >wrap
]]):format(dir), { env = { TOKEN = secret(TOKEN) } })
          return "unshare -m sh " .. dir .. "/wrap"
        end }
        local h <close> = ssh { host = "h1", config = other.config, transport = transport }
        assert.equal("nobody\n", h:read({ "id", "-un" }).out)
        local right, text = { "root", password = secret(TOKEN) }, ("0123456789\n"):rep(100000)
        assert.equal("root\n" .. text, h:read("id -un; cat", { become = right, input = text }).out)
        assert.equal("root 1 x", h:read("echo $(id -un) $A $(cat)", { become = right, env = { A = secret "1" }, input = "x" }).out
          :sub(1, -2))
        assert.equal("nobody 2\n", h:read("echo $(id -un) 2", { become = { "nobody", password = secret(TOKEN) } }).out)
        local wrong = { "root", password = "not-" .. TOKEN }
        local err = failure(h.run, h, "touch " .. other.dir .. "/touched", { become = wrong, input = text })
        assert.equal("spawn", err.code)
        has(err.message, "did not accept the password")
        err = failure(h.run, h, "touch " .. other.dir .. "/touched", { become = "root" })
        assert.equal("spawn", err.code)
        has(err.detail, "password is required")
        has(err.hint, "password")
        assert.is_nil(io.open(other.dir .. "/touched"))
        local seconds = mark()
        failure(h.read, h, { "sleep", seconds }, { become = right, timeout = 2 })
        assert.is_true(comes_true(function() return not alive(seconds) end, 5))
        assert.is_nil(other:log():find(TOKEN, 1, true))
        other:remove()
      end)
    end

    if os.execute "sudo -n true >/dev/null 2>&1" then
      it("becomes another user by sudo", function()
        assert.equal("nobody\n", far:read({ "id", "-un" }, { become = "nobody" }).out)
        local out = far:read("echo $A; cat", { become = "nobody", env = { A = secret(TOKEN) }, input = "in" }).out
        assert.equal(TOKEN .. "\nin", out)
        out = far:read("echo $A; cat", { become = { "nobody", password = "not asked for" }, env = { A = "1" }, input = "in" }).out
        assert.equal("1\nin", out)
        local seconds = mark()
        failure(far.read, far, { "sleep", seconds }, { become = "nobody", timeout = 0.5 })
        assert.is_true(comes_true(function() return not alive(seconds) end, 4))
      end)
    end
  end)
end
