-- ssh: streams: far commands as the ends of pipes, upload, download.
local ssh, host, sh = require "pgsh.ssh", require "pgsh.host", require "pgsh.sh"
local pipe, hash, file, gzip = require "pgsh.pipe", require "pgsh.hash", require "pgsh.file", require "pgsh.gzip"
local sshd = require "tests.spec.support.sshd"
local run = require "tests.spec.support.run"
local check = require "tests.spec.support.check"
local failure, has, comes_true = check.failure, check.has, check.comes_true

for _, transport in ipairs { "lib", "openssh" } do
  describe("ssh streams by " .. transport, function()
    local server, far, dir
    setup(function()
      server = sshd.start {}
      far = ssh { host = "h1", config = server.config, transport = transport }
      dir = server.dir .. "/files"
      sh.run { "mkdir", dir }
      sh.run("head -c 20000000 /dev/urandom >" .. dir .. "/big")
    end)
    teardown(function()
      far:close()
      server:remove()
    end)
    local function path(name) return dir .. "/" .. name end
    local function names() return sh.read { "ls", "-A", dir }.out end

    it("a far output into a file", function()
      local digest = hash.file(path "big")
      local result = pipe { far:output { "cat", path "big" }, hash "sha256", file.writer(path "copy") }
      assert.equal(20000000, result.bytes)
      assert.equal(digest, result.digest.sha256)
      assert.equal(digest, hash.file(path "copy"))
    end)

    it("a file into a far command", function()
      local digest = hash.file(path "big")
      local result = pipe { file.reader(path "big"), gzip {}, far:input "gunzip | sha256sum" }
      has(result.text.stdout, digest)
    end)

    it("from far to far", function()
      local result = pipe { far:output { "cat", path "big" }, far:input { "wc", "-c" } }
      assert.equal("20000000", result.text.stdout:match "%d+")
    end)

    it("with back-pressure", function()
      local result = pipe { far:output "yes | head -c 8000000", far:input "sleep 0.5; cat | wc -c" }
      assert.equal("8000000", result.text.stdout:match "%d+")
    end)

    it("fails with the far command, and leaves nothing half", function()
      local err = failure(pipe, { far:output "echo half; echo bad >&2; exit 3", file.writer(path "half") })
      assert.equal("process", err.kind)
      assert.equal(3, err.exit)
      has(err.detail, "bad")
      assert.is_nil(names():find "half")
      err = failure(pipe, { file.reader(path "big"), far:input "cat >/dev/null; exit 4" })
      assert.equal(4, err.exit)
    end)

    it("fails when not everything was read", function()
      local err = failure(pipe, { file.reader(path "big"), far:input "head -c 10 >/dev/null" })
      has(err.message, "before it had read everything")
      err = failure(pipe, { "a few bytes", far:input "true" })
      has(err.message, "before it had read everything")
      pipe { "a few bytes", far:input "cat >/dev/null" }
    end)

    it("ends a sink before it could see the end of its input", function()
      local err = failure(pipe, { sh.output "head -c 100000 /dev/zero; exit 5", far:input("cat >/dev/null; echo seen >" .. path "seen") })
      assert.is_true(err.kind == "unknown" or err.exit == 5, tostring(err))
      assert.is_true(comes_true(function() return #server:processes() == 0 end))
      assert.is_nil(names():find "seen")
    end)

    it("is stopped by its deadline, far processes too", function()
      local err = failure(pipe, { far:output "echo x; sleep 321", timeout = 0.5 })
      assert.equal("timeout", err.kind)
      assert.is_true(comes_true(function() return #server:processes() == 0 end))
    end)

    it("hears standard error", function()
      local heard = {}
      pipe { far:output("echo out; echo one >&2; echo two >&2", { stderr = function(line) heard[#heard + 1] = line end }) }
      assert.same({ "one", "two" }, heard)
      local err = failure(pipe, { far:output("echo one >&2; sleep 20", { stderr = function() error("mine", 0) end }) })
      has(err, "mine")
    end)

    it("loses the link: unknown for a sink, nothing half for a source", function()
      local task = host.spawn("one", function() return pipe { sh.output "echo x; sleep 20", far:input "cat >/dev/null" } end)
      assert.is_true(comes_true(function() return #server:processes() > 0 end))
      host.sleep(0.2)
      server:kill_sessions()
      assert.equal("unknown", failure(task.join, task).kind)
      assert.is_true(comes_true(function() return #server:processes() == 0 end))
      task = host.spawn("two", function() return pipe { far:output "echo x; sleep 20", file.writer(path "lost") } end)
      assert.is_true(comes_true(function() return #server:processes() > 0 end))
      host.sleep(0.2)
      server:kill_sessions()
      assert.is_truthy(failure(task.join, task))
      assert.is_nil(names():find "lost")
      sh.run("pkill -x -f 'sleep 20'", { ok = { 0, 1 } })
    end)

    it("uploads and downloads files", function()
      local digest = hash.file(path "big")
      local odd = path "an odd 'name' $x"
      local up = far:upload(path "big", odd, { mode = tonumber("640", 8) })
      assert.equal(digest, up.sha256)
      assert.equal(20000000, up.bytes)
      assert.equal(digest, hash.file(odd))
      assert.equal("640", sh.read { "stat", "-c", "%a", odd }.out:match "%d+")
      local down = far:download(odd, path "down", { mode = tonumber("600", 8) })
      assert.equal(digest, down.sha256)
      assert.equal(run.read_file(path "big"), run.read_file(path "down"))
      assert.is_nil(names():find("pgsh%-"))
      assert.is_truthy(failure(far.upload, far, path "big", path "no/where"))
      assert.is_truthy(failure(far.download, far, path "missing", path "x"))
      assert.is_truthy(failure(far.upload, far, path "missing", path "x"))
      assert.is_nil(("\n" .. names()):find "\nx\n")
    end)

    describe("uploads", function()
      local other, h, shims
      local function shim(name, text)
        local handle = assert(io.open(shims .. "/" .. name, "w"))
        handle:write("#!/bin/sh\n", text)
        handle:close()
        sh.run { "chmod", "755", shims .. "/" .. name }
      end
      local function began() return run.read_file(shims .. "/began") end
      local function flag(name) sh.run { "touch", shims .. "/" .. name } end

      before_each(function()
        shims = sh.run { "mktemp", "-d" }.out:match "%S+"
        sh.run { "chmod", "755", shims }
        other = sshd.start { settings = "SetEnv PATH=" .. shims .. ":/usr/bin:/bin" }
        h = ssh { host = "h1", config = other.config, transport = transport }
        -- The far side's tools: `cat` notes each upload, and they are slow when that is wanted. A login shell may use them, too.
        shim("cat", ([[
case $(readlink /proc/$$/fd/1) in
*.pgsh-*) echo began >>%s/began; [ ! -e %s/slow ] || sleep 20 ;;
esac
exec /bin/cat "$@"]]):format(shims, shims))
        shim("mv", ([[
if [ -e %s/stuck ]; then echo >%s/moving; sleep 20; fi
/bin/mv "$@" || exit 1
if [ -e %s/late ]; then echo >%s/moving; sleep 20; fi]]):format(shims, shims, shims, shims))
      end)
      after_each(function()
        h:close()
        other:remove()
        sh.run { "rm", "-rf", shims }
      end)

      it("that are timed out have failed, and are not begun again", function()
        flag "slow"
        local err = failure(h.upload, h, path "big", path "late", { timeout = 1 })
        assert.equal("timeout", err.kind)
        assert.is_true(#began() <= #"began\n", began())
        assert.is_nil(names():find "late")
      end)

      it("that lose the line have failed, too", function()
        flag "slow"
        local task = host.spawn("one", function() return h:upload(path "big", path "lost") end)
        assert.is_true(comes_true(function() return (began() or "") ~= "" end))
        other:kill_sessions()
        local err = failure(task.join, task)
        assert.equal("process", err.kind)
        has(err.message, "the line was lost")
        assert.equal("began\n", began())
        assert.is_nil(("\n" .. names()):find "\nlost\n")
      end)

      -- The line is lost while the far side moves the file to its place.
      local function cut_off(name)
        local task = host.spawn("one", function() return h:upload(path "big", path(name)) end)
        assert.is_true(comes_true(function() return sh.read({ "test", "-e", shims .. "/moving" }, { ok = { 0, 1 } }).exit == 0 end, 20))
        other:kill_sessions()
        return task
      end

      it("whose answer is lost are done when the file is there", function()
        flag "late"
        local up = cut_off("there"):join()
        assert.same({ 20000000, hash.file(path "there") }, { up.bytes, up.sha256 })
        assert.equal("began\n", began())
      end)

      it("whose answer is lost are unknown when it is not", function()
        flag "stuck"
        local task = cut_off "nowhere"
        assert.equal("unknown", failure(task.join, task).kind)
        assert.equal("began\n", began())
      end)

      it("of a part never take the whole's place, also without sha256sum", function()
        shim("sha256sum", "exit 127")
        shim("cat", "case $(readlink /proc/$$/fd/1) in *.pgsh-*) exec head -c 1000 ;; esac; exec /bin/cat")
        local err = failure(h.upload, h, path "big", path "part")
        assert.is_truthy(err.kind == "process", tostring(err))
        assert.is_nil(names():find "part")
      end)
    end)

    it("takes an upload back that is stopped", function()
      local task = host.spawn("one", function()
        return pipe { sh.output "cat /dev/zero", far:input(("t=%s; trap 'rm -f $t' EXIT; trap 'exit 143' TERM; cat >$t; mv $t %s")
          :format(path "up.tmp", path "up")) }
      end)
      assert.is_true(comes_true(function() return names():find "up.tmp" end))
      task:cancel()
      assert.is_truthy(failure(task.join, task))
      assert.is_true(comes_true(function() return not names():find "up" end))
    end)
  end)
end
