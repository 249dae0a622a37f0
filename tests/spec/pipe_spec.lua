-- The pipe: order and kinds of its parts, back-pressure, the first failure, what is left behind. Its filters have a spec of their own.
local host, json = require "pgsh.host", require "pgsh.json"
local pipe, sh, file, gzip, hash = require "pgsh.pipe", require "pgsh.sh", require "pgsh.file", require "pgsh.gzip", require "pgsh.hash"
local run = require "tests.spec.support.run"
local check = require "tests.spec.support.check"
local failure, has, mark, alive = check.failure, check.has, check.mark, check.alive

describe("pipe", function()
  local dir
  before_each(function() dir = sh.run { "mktemp", "-d" }.out:match "%S+" end)
  after_each(function() sh.run { "rm", "-rf", dir } end)

  local function names() return (sh.read { "ls", "-A", dir }.out:gsub("\n", " ")) end
  local function path(name) return dir .. "/" .. name end
  local function put(name, text) return run.write_file(path(name), text) end
  local function get(name) return run.read_file(path(name)) end

  describe("moves bytes", function()
    it("from a text to a text", function()
      local done = pipe { "a\0b\255", pipe.text() }
      assert.equal("a\0b\255", done.text.text)
      assert.equal(4, done.bytes)
    end)
    it("from a command to a file, which is then the operator's only", function()
      local done = pipe { sh.output { "printf", "hello" }, file.writer(path "out") }
      assert.equal("hello", get "out")
      assert.equal("600", sh.read { "stat", "-c", "%a", path "out" }.out:match "%d+")
      assert.same({ 5, 5 }, { done.bytes, done.out_bytes })
      assert.same({ 5, 5 }, { done.stages[2].in_bytes, done.stages[2].out_bytes })
      assert.equal("out ", names())
    end)
    -- What replaces a file, all at once or through a pipe, does so by the same rules.
    for what, write in pairs {
      ["file.writer"] = function(name) pipe { "new", file.writer(name) } end,
      ["file.write"] = function(name) file.write(name, "new") end,
      ["file.edit"] = function(name) file.edit(name, function() return "new" end) end,
    } do
      local function stat(format, name) return (sh.read { "stat", "-c", format, path(name) }.out:gsub("%s+$", "")) end
      it(what .. " replacing a file, whose mode stays", function()
        put("out", "former")
        sh.run { "chmod", "4750", path "out" }
        write(path "out")
        assert.equal("new", get "out")
        assert.equal("4750", stat("%a", "out"))
      end)
      it(what .. " replacing another one's file, which stays another one's", function()
        if sh.read({ "id", "-u" }).out ~= "0\n" then return pending "only root may give a file away" end
        put("out", "former")
        sh.run { "chown", "65534:12345", path "out" }
        sh.run { "chmod", "640", path "out" }
        write(path "out")
        assert.same({ "new", "65534:12345 640" }, { get "out", stat("%u:%g %a", "out") })
      end)
      it(what .. " behind a symbolic link", function()
        put("real", "former")
        sh.run { "ln", "-s", "real", path "link" }
        write(path "link")
        assert.same({ "new", "symbolic link" }, { get "real", stat("%F", "link") })
      end)
    end
    it("from a file to a command", function()
      put("in", ("x"):rep(3000000))
      local done = pipe { file.reader(path "in"), sh.input { "wc", "-c" } }
      assert.equal("3000000", done.text.stdout:match "%d+")
    end)
    it("of nothing", function()
      put("in", "")
      for _, source in ipairs { sh.output { "true" }, file.reader(path "in"), "" } do
        assert.equal("", pipe { source, pipe.text() }.text.text)
        assert.equal(0, pipe { source, gzip(), pipe.gunzip(), hash "sha256", file.writer(path "out") }.bytes and #get "out")
      end
    end)
    it("without a sink, for what the filters find", function()
      local done = pipe { "abc", hash "sha256", hash "md5" }
      assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", done.digest.sha256)
      assert.equal("900150983cd24fb0d6963f7d28e17f72", done.digest.md5)
    end)
    it("through many filters, in order", function()
      local parts = { sh.output { "seq", "1", "300000" } }
      for i = 1, 10 do
        parts[#parts + 1] = gzip { level = i % 3 + 1, single = i % 2 == 0 }
        parts[#parts + 1] = hash("sha256", { as = "packed" .. i })
        parts[#parts + 1] = pipe.gunzip()
        parts[#parts + 1] = hash("sha256", { as = "plain" .. i })
      end
      local done = pipe(parts)
      local want = sh.read("seq 1 300000 | sha256sum").out:match "%x+"
      for i = 1, 10 do assert.equal(want, done.digest["plain" .. i]) end
    end)
    it("more than 4 GiB of them", function()
      local bytes = 4 * 1024 ^ 3 + 12345
      local done = pipe { sh.output { "head", "-c", ("%d"):format(bytes), "/dev/zero" }, pipe.tail(10) }
      assert.equal(bytes, done.bytes)
      assert.equal(("\0"):rep(10), done.text.tail)
    end)
    it("that come slowly, as they come", function()
      local task = host.spawn("spec", function()
        return pipe { sh.output "echo one; sleep 0.3; echo two", sh.input { "tee", path "seen" } }
      end)
      host.sleep(0.2)
      assert.equal("one\n", get "seen")
      task:join()
      assert.equal("one\ntwo\n", get "seen")
    end)
    it("many pipes at once", function()
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = host.spawn("spec", function()
          return pipe { sh.output { "seq", "1", 100000 + i }, gzip(), pipe.gunzip(), hash "sha256" }
        end)
      end
      for i = 1, 8 do
        assert.equal(sh.read(("seq 1 %d | sha256sum"):format(100000 + i)).out:match "%x+", tasks[i]:join().digest.sha256)
      end
    end)
    it("of parts that are used again", function()
      local source, filter = sh.output { "seq", "1", "10" }, hash "sha256"
      local first, second = pipe { source, filter }, pipe { source, filter }
      assert.equal(first.digest.sha256, second.digest.sha256)
    end)
  end)

  describe("holds back", function()
    it("a source that is faster than its sink", function()
      local task = host.spawn("spec", function()
        pipe { sh.output(("head -c 200000000 /dev/zero; touch %s"):format(path "all")), sh.input "sleep 0.7; cat >/dev/null" }
      end)
      host.sleep(0.5)
      assert.equal("", names()) -- the source still has most of it
      task:join()
      assert.equal("all ", names())
    end)
    it("in bounded memory, whatever the size", function()
      local box = run.box()
      local code = [[
        pipe { sh.output { "head", "-c", "600000000", "/dev/urandom" }, hash "sha512", gzip { level = 1 },
          hash("sha512", { as = "packed" }), pipe.meter "all", pipe.tail(100), sh.input "cat >/dev/null" }
        return sh.read("grep VmHWM /proc/$PPID/status").out:match "%d+"
      ]]
      local result = box:pgsh({ "-e", code }, { env = { ASAN_OPTIONS = "detect_leaks=0" } })
      box:remove()
      if os.getenv "PGSH" and os.getenv("PGSH"):find "address" then return end
      assert.is_true(tonumber(result.stdout) < 64 * 1024, result.stdout .. " KiB\n" .. result.stderr)
    end)
    it("a disk that is slow", function()
      local box = run.box()
      local result = box:pgsh({ "-e", ([[return pipe { sh.output { "head", "-c", "20000000", "/dev/zero" }, file.writer %q }.bytes]])
        :format(path "slow") }, { env = run.disk(nil, 20) })
      box:remove()
      assert.equal("20000000\n", result.stdout)
      assert.equal(20000000, #get "slow")
    end)
  end)

  describe("fails", function()
    it("with the source, whose end says why", function()
      local err = failure(pipe, { sh.output "echo much; echo disk is gone >&2; exit 3", gzip(), file.writer(path "out") })
      assert.same({ "process", 3 }, { err.kind, err.exit })
      has(err.message, "exited with 3")
      has(err.detail, "disk is gone")
      assert.equal("", names())
    end)
    it("with a source that dies half way", function()
      local err = failure(pipe, { sh.output "head -c 5000000 /dev/zero; kill -9 $$", hash "sha256", file.writer(path "out") })
      assert.equal(9, err.signal)
      assert.equal("", names())
    end)
    it("with a filter, which is named", function()
      local err = failure(pipe, { "this is not gzip data", pipe.gunzip(), file.writer(path "out") })
      assert.equal("io", err.kind)
      has(err.message, "gunzip: ")
      assert.equal("", names())
    end)
    it("with a sink that ends too early", function()
      local err = failure(pipe, { sh.output { "yes" }, sh.input "head -c 10 >/dev/null" })
      assert.equal("process", err.kind)
      has(err.message, "ended before it had read everything")
    end)
    it("with a sink that leaves something unread in its pipe", function()
      has(failure(pipe, { "left over", sh.input "exec true" }).message, "ended before it had read everything")
      has(failure(pipe, { "a\nb\nc\n", sh.input "read -r line; exit 0" }).message, "ended before it had read everything")
    end)
    it("with a sink that fails, whatever the source does", function()
      local seconds = mark()
      local err = failure(pipe, { sh.output("echo x; sleep " .. seconds), sh.input "echo no such database >&2; exit 2" })
      assert.same({ "process", 2 }, { err.kind, err.exit })
      has(err.detail, "no such database")
      assert.is_false(alive("sleep " .. seconds))
    end)
    it("with a sink that closes its input and lives on", function()
      has(failure(pipe, { sh.output { "yes" }, sh.input "exec <&-; sleep 0.3; exit 7" }).message, "exited with 7")
    end)
    it("with a disk that is full, and leaves nothing on it", function()
      local box = run.box()
      local code = ([[pipe { sh.output { "head", "-c", "20000000", "/dev/zero" }, file.writer %q }]]):format(path "out")
      local result = box:pgsh({ "-e", code }, { env = run.disk(7000000) })
      box:remove()
      has(result.stderr, "No space left on device")
      assert.equal("", names())
    end)
    it("with a directory that is not there, before the source is started", function()
      local err = failure(pipe, { sh.output { "touch", path "started" }, file.writer(path "nowhere/out") })
      assert.same({ "io", 2 }, { err.kind, err.errno })
      assert.equal("", names())
    end)
    it("with a file that is not there or is none", function()
      assert.equal(2, failure(pipe, { file.reader(path "nonesuch") }).errno)
      has(failure(pipe, { file.reader(dir) }).message, "it is not a file")
      sh.run { "mkfifo", path "fifo" }
      for _, name in ipairs { dir, path "fifo" } do
        has(failure(pipe, { "x", file.writer(name) }).message, "it is there, and not a file")
        has(failure(file.write, name, "x").message, "it is there, and not a file")
      end
      has(failure(pipe, { file.reader(path "fifo") }).hint, "sh.output")
    end)
    it("with a command that does not exist", function()
      assert.equal("spawn", failure(pipe, { sh.output { "pgsh-nonesuch" }, file.writer(path "out") }).code)
      assert.equal("spawn", failure(pipe, { sh.output { "yes" }, sh.input { "pgsh-nonesuch" } }).code)
      assert.equal("", names())
    end)
    it("when a text is larger than its limit", function()
      assert.equal("limit", failure(pipe, { sh.output { "yes" }, pipe.text { limit = "2M" } }).kind)
    end)
    it("and the first failure wins", function()
      local err = failure(pipe, { sh.output "echo x; sleep 0.2; exit 5", sh.input "cat >/dev/null; exit 6" })
      has(err.message, "exit 5 exited with 5")
    end)
    it("leaving no zombie, no child and no descriptor", function()
      sh.read { "true" }
      local before, seconds = check.open_files(), mark()
      for _ = 1, 10 do
        pcall(pipe, { sh.output { "yes" }, sh.input "head -c 10" })
        pcall(pipe, { sh.output { "sleep", seconds }, sh.input { "sleep", seconds }, timeout = 0.05 })
        pcall(pipe, { sh.output { "pgsh-nonesuch" }, file.writer(path "out") })
        pcall(pipe, { "no gzip", pipe.gunzip(), file.writer(path "out") })
        pipe { "x", gzip(), file.writer(path "out") }
      end
      assert.equal(before, check.open_files())
      assert.is_false(alive("sleep " .. seconds))
      assert.equal("", sh.read(("ps -o stat=,comm= --ppid %d | grep '^Z'"):format(host.pid), { ok = { 0, 1 } }).out)
    end)
  end)

  describe("is stopped", function()
    it("when its time is over: at the source", function()
      local seconds = mark()
      local err = failure(pipe, { sh.output("echo x; sleep " .. seconds), gzip(), file.writer(path "out"), timeout = 0.3 })
      assert.equal("timeout", err.kind)
      assert.is_false(alive("sleep " .. seconds))
      assert.equal("", names())
    end)
    it("when its time is over: at the sink, which then is unknown", function()
      local seconds = mark()
      -- Of what may have acted nothing is made twice; nor does it matter that nothing was there to be read.
      for i, source in ipairs { "x", "" } do
        local sink = sh.input(("echo ran >>%s; cat >/dev/null; sleep %s"):format(path("ran" .. i), seconds))
        assert.equal("unknown", failure(pipe, { source, sink, timeout = 0.3 }).kind)
        assert.equal("ran\n", get("ran" .. i))
      end
      assert.is_false(alive("sleep " .. seconds))
    end)
    it("when nothing moves, and says who was waited for", function()
      local seconds = mark()
      local err = failure(pipe, { sh.output("echo x; sleep " .. seconds), file.writer(path "out"), stall = 0.6 })
      assert.equal("timeout", err.kind)
      has(err.message, "gave nothing for")
      err = failure(pipe, { sh.output "yes", sh.input("sleep " .. seconds), stall = 0.6 })
      has(err.message, "took nothing for")
      assert.is_false(alive("sleep " .. seconds))
      assert.equal("", names())
    end)
    it("with its task, wherever it is", function()
      for _, parts in ipairs {
        function(s) return { sh.output { "sleep", s }, file.writer(path "out") } end,
        function(s) return { sh.output { "yes" }, gzip { level = 9 }, hash "sha512", sh.input { "sleep", s } } end,
        function(s) return { sh.output { "yes" }, hash "sha512", file.writer(path "out"), what = s } end,
        function(s) return { "x", sh.input("cat; sleep " .. s) } end,
      } do
        local seconds = mark()
        local task = host.spawn("spec", function() pipe(parts(seconds)) end)
        host.sleep(0.2)
        task:cancel()
        local err = failure(task.join, task)
        assert.is_truthy(err.code == "cancelled" or err.code == "unknown", tostring(err))
        assert.is_false(alive("sleep " .. seconds))
        assert.equal("", names())
      end
    end)
    -- A disk hangs, and the pipe gives up waiting for it.
    for call, want in pairs { fsync = { "cancelled", "" }, rename = { "unknown", "out " } } do
      it(("in the %s of its file, and says what is known of it"):format(call), function()
        local box = run.box()
        local process = box:start({ "-e", ([[
          local task = spawn("pipe", function() pipe { "x", file.writer %q } end)
          while sh.read({ "test", "-e", %q }, { ok = { 0, 1 } }).exit == 1 do wait(0.01) end
          task:cancel()
          local ok, err = pcall(task.join, task)
          sh.run { "rm", %q }
          return err.code
        ]]):format(path "out", box.dir .. "/hold", box.dir .. "/hold") }, { env = run.disk(nil, nil, call .. ":" .. box.dir .. "/hold") })
        local result = process:wait()
        box:remove()
        assert.same({ want[1] .. "\n", want[2] }, { result.stdout, names() }, result.stderr)
      end)
    end
    it("by its time in the rename of its file, and a stream that may take hours is not begun again by itself", function()
      local box = run.box()
      local process = box:start({ "-e", ([[
        local ok, err = pcall(pipe, { sh.output "echo ran >>%s; echo x", file.writer %q, timeout = 0.3 })
        sh.run { "rm", %q }
        return err.code
      ]]):format(path "ran", path "out", box.dir .. "/hold") }, { env = run.disk(nil, nil, "rename:" .. box.dir .. "/hold") })
      local result = process:wait()
      box:remove()
      assert.same({ "unknown\n", "ran\n" }, { result.stdout, get "ran" }, result.stderr)
    end)
    it("so that a sink never sees the end of a part", function()
      local seconds = mark()
      local sink = sh.input(("cat >/dev/null; touch %s"):format(path "saw-the-end"))
      failure(pipe, { sh.output("echo x; sleep 0.3; exit 1"), sink })
      failure(pipe, { sh.output("echo x; sleep " .. seconds), sink, timeout = 0.3 })
      failure(pipe, { sh.output("printf x; kill -9 $$"), sink })
      assert.equal("", names())
    end)
    it("by kill -9, and only a temporary file is left", function()
      local box = run.box()
      local process = box:start { "-e", ([[pipe { sh.output "head -c 3000000 /dev/zero; sleep 20", file.writer %q }]]):format(path "out") }
      repeat host.sleep(0.02) until names() ~= ""
      process:signal "KILL"
      process:wait()
      box:remove()
      assert.matches("^%.out%.......%.part $", names())
    end)
  end)

  describe("tells a Lua function what a child says", function()
    it("line by line, also the last one", function()
      local seen = {}
      local function keep(line) seen[#seen + 1] = line end
      pipe { sh.output("echo a >&2; echo b >&2; printf c >&2; echo out", { stderr = keep }), pipe.text() }
      assert.same({ "a", "b", "c" }, seen)
    end)
    it("before the pipe is done, though it waits", function()
      local seen = 0
      local function slow()
        host.sleep(0.02)
        seen = seen + 1
      end
      pipe { "x", sh.input("cat >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; done", { stderr = slow }) }
      assert.equal(10, seen)
    end)
    it("which may refuse: its error is the part's", function()
      local seconds = mark()
      local err = failure(pipe, { sh.output { "yes" },
        sh.input("echo 'ERROR:  23505' >&2; sleep " .. seconds, { stderr = function(line) error("refused: " .. line) end }) })
      has(err.message, "refused: ERROR:  23505")
      assert.is_not.equal("unknown", err.kind)
      assert.is_false(alive("sleep " .. seconds))
    end)
    it("and keeps the end of it for the result", function()
      local done = pipe { sh.output "echo careful >&2; echo x", pipe.text() }
      assert.equal("careful\n", done.stages[1].stderr)
    end)
    it("many thousand lines", function()
      local seen = 0
      pipe { sh.output("seq 1 50000 >&2", { stderr = function() seen = seen + 1 end }) }
      assert.equal(50000, seen)
    end)
  end)

  describe("refuses", function()
    local function refused(parts, text)
      local err = failure(pipe, parts)
      assert.equal("usage", err.kind)
      has(err.message, text)
    end
    it("parts in a wrong order", function()
      refused({ gzip(), pipe.text() }, "part 1 (gzip) is a filter, and a source belongs there")
      refused({ "x", sh.output { "true" }, pipe.text() }, "part 2 (sh.output) is a source, and a filter belongs there")
      refused({ "x", pipe.text(), gzip() }, "part 2 (text) is a sink")
      refused({ file.writer(path "out") }, "a source belongs there")
      assert.equal("", names())
    end)
    it("what is no part", function()
      refused({}, "a source, filters and a sink expected")
      refused({ "x", "y" }, "part 2 is a text")
      refused({ "x", 7 }, "part 2: a source, filter or sink expected, got number")
      refused({ "x", gzip }, "got table")
      refused({ "x", pipe.text(), tiemout = 1 }, "timeout")
      refused("x", "a table of parts")
    end)
    it("two results of one name", function()
      refused({ "x", hash "sha256", gzip(), hash "sha256" }, "two parts are called 'sha256'")
    end)
    it("options that make no sense", function()
      for _, make in ipairs {
        function() gzip { level = 0 } end, function() gzip { level = 10, single = true } end, function() gzip { levle = 1 } end,
        function() hash "sha17" end, function() hash("sha256", { expect = "xyz" }) end,
        function() pipe.replace("", "x") end, function() pipe.replace "x" end, function() pipe.head(0) end,
        function() pipe.tail(3, { match = "long" }) end, function() pipe.text "x" end,
        function() sh.input { "echo", require "pgsh.secret" "s3cret" } end,
        function() sh.output({ "true" }, { stderr = 7 }) end, function() file.writer("x", { mode = -1 }) end,
      } do
        assert.equal("usage", failure(make).kind)
      end
    end)
  end)

  describe("goes through the door", function()
    local function scope(changes, f) return host.within({ branch = "spec", phase = "run", changes = changes }, f) end

    it("as a change when its sink changes something", function()
      assert.equal("refused", failure(scope, "refuse", function() pipe { "x", file.writer(path "out") } end).kind)
      assert.equal("refused", failure(scope, "refuse", function() pipe { "x", sh.input { "cat" } } end).kind)
      scope("refuse", function() assert.equal("x", pipe { "x", pipe.text() }.text.text) end)
      assert.equal("", names())
    end)
    it("and a plan shows it", function()
      local text
      scope("show", function()
        text = tostring(pipe { sh.output { "pg_dumpall", "-h", "a b" }, hash "sha512", gzip { level = 9 }, pipe.meter "dump",
          file.writer(path "out") })
      end)
      has(text, ("pg_dumpall -h 'a b' | sha512 | gzip -9 | meter > %s"):format(path "out"))
      assert.equal("", names())
    end)
    it("and a plan knows what comes of a pipe that only reads", function()
      scope("show", function() assert.equal("x", pipe { "x", pipe.text() }.text.text) end)
    end)
    it("and knows nothing of one with a part that is only known after the run", function()
      local unknown = require "pgsh.unknown"
      scope("show", function() assert.is_true(unknown.is(pipe { file.reader(unknown.new "a file"), pipe.text() })) end)
    end)
    it("to the target of its sink", function()
      assert.matches("^file ", failure(pipe, { sh.output "exit 3", file.writer(path "out") }).target)
      assert.is_nil(failure(pipe, { file.reader(path "nonesuch"), sh.input "cat >/dev/null" }).target:find "^file ")
    end)
    it("and a resumed run is given the result from the journal", function()
      local box = run.box()
      put("proc.lua", ([[
        procedure { name = "proc", summary = "A pipe" }
        step "Dump" (function()
          local done = pipe { sh.output { "sh", "-c", "echo ran >>%s/ran; echo data" }, hash "sha256", file.writer "%s/out" }
          file.write("%s/digest", done.digest.sha256)
          if not file.read("%s/go"):find "yes" then fail "not yet" end
        end)
      ]]):format(dir, dir, dir, dir))
      put("go", "no")
      local first = box:pgsh { path "proc.lua", "-y", "--no-input", "--on-failure", "stop" }
      assert.equal(5, first.exit, first.stderr)
      put("go", "yes")
      local second = box:pgsh { "resume", "last", "-y", "--no-input" }
      assert.equal(0, second.exit, second.stderr)
      box:remove()
      assert.equal("ran\n", get "ran")
      assert.equal(sh.read("echo data | sha256sum").out:match "%x+", get "digest")
    end)
    it("and what comes of it can be journaled, whatever bytes came", function()
      local done = pipe { "\255\0\254", pipe.head(3), file.writer(path "out") }
      assert.equal("\u{FFFD}\u{FFFD}\u{FFFD}", done.text.head)
      assert.is_string(json.encode(done))
    end)
    it("and resolve decides when a sink was stopped half way", function()
      local asked = 0
      local parts = { sh.output "echo x; sleep 0.2; exit 1", sh.input { "cat" } }
      assert.equal("unknown", failure(pipe, parts).kind)
      parts.resolve = function()
        asked = asked + 1
        return true, { bytes = 2 }
      end
      assert.same({ bytes = 2 }, pipe(parts))
      assert.equal(1, asked)
    end)
    it("with secrets that nobody sees", function()
      local secret = require "pgsh.secret" "pipe-s3cret-0123"
      local seconds = mark()
      local task = host.spawn("spec", function()
        return pipe { sh.output("sleep 0.3; echo $TOKEN; : " .. seconds, { env = { TOKEN = secret } }), pipe.text() }
      end)
      host.sleep(0.1)
      assert.is_true(alive(seconds))
      assert.is_false(alive "pipe-s3cret-0123")
      assert.equal("pipe-s3cret-0123\n", task:join().text.text)
    end)
  end)

  it("shows how it goes", function()
    local box = run.box()
    put("in", ("x"):rep(1000))
    local result = box:pgsh { "-o", "jsonl", "-e", ([[pipe { file.reader %q, hash "sha256", pipe.meter "copy" }]]):format(path "in") }
    box:remove()
    local last
    for line in (result.stdout .. result.stderr):gmatch "[^\n]+" do
      local ok, event = pcall(json.decode, line)
      if ok and event.type == "progress" then last = event end
    end
    assert.is_table(last, result.stdout .. result.stderr)
    assert.same({ 1000, 1000 }, { last.bytes, last.size })
    has(last.text, "copy: 1000 B")
  end)
end)
