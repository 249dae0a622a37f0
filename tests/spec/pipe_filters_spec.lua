-- The filters of a pipe: what other tools make of our gzip data and we of theirs, damage, cuts anywhere, digests, replace, head,
-- tail, meter.
local file, gzip, hash, host = require "pgsh.file", require "pgsh.gzip", require "pgsh.hash", require "pgsh.host"
local json, pipe, sh = require "pgsh.json", require "pgsh.pipe", require "pgsh.sh"
local support = require "tests.spec.engine.support"
local failure = require("tests.spec.support.check").failure

local MIB = 1024 * 1024

-- Put a source through filters: its text, and the pipe's result.
local function through(source, ...)
  local parts = { source, ... }
  parts[#parts + 1] = pipe.text { limit = "256M" }
  local done = pipe(parts)
  return done.text.text, done
end

local function refused(pattern, source, ...)
  local err = failure(through, source, ...)
  assert.equal("io", err.kind)
  assert.matches(pattern, err.message)
end

-- What a command makes of bytes.
local function by(command, bytes)
  local path = sh.run("mktemp").out:gsub("%s+$", "")
  file.write(path, bytes)
  local ok, result = pcall(sh.read, ("exec <%s; %s"):format(path, command), { limit = "256M" })
  os.remove(path)
  if not ok then error(result, 0) end
  return result.out
end

-- Rows as a COPY has them, a little over `bytes`.
local function rows(bytes)
  local list, len, x = {}, 0, 7
  while len < bytes do
    x = (x * 1103515245 + 12345) % 2147483648
    list[#list + 1] = ("%d\tcustomer %d\t%x\t\\N\tpaid in full\n"):format(#list, x % 9973, x)
    len = len + #list[#list]
  end
  return table.concat(list)
end

local ROWS = rows(3 * MIB)
local KINDS = { members = {}, single = { single = true }, fast = { level = 1 }, small = { level = 12 },
  ["single, fast"] = { single = true, level = 1 }, ["single, small"] = { single = true, level = 9 } }
local SIZES = { 0, 1, 5, 1000, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, #ROWS }
local FEW_SIZES = { 0, 1, MIB + 1 }

-- Those commands of a list that this machine has.
local function installed(commands)
  local list = {}
  for _, command in ipairs(commands) do
    if os.execute("command -v " .. command:match "^%S+" .. " >/dev/null 2>&1") then list[#list + 1] = command end
  end
  return list
end

describe("gzip in a pipe", function()
  for name, options in pairs(KINDS) do
    it("gives back what it took: " .. name, function()
      for _, size in ipairs(options.level and FEW_SIZES or SIZES) do
        local text = ROWS:sub(1, size)
        local packed = through(text, gzip(options))
        assert.is_true(text == through(packed, pipe.gunzip()), size .. " bytes")
        assert.is_true(text == gzip.decompress(packed), size .. " bytes, in one piece")
        assert.is_true(packed == through(text, gzip(options)), size .. " bytes, again")
      end
    end)
  end
  local python = "python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.stdin.buffer).read())'"
  for _, reader in ipairs(installed { "gzip -dc", "gunzip", "zcat", "pigz -dc", python }) do
    it("is read by " .. reader:match "^%S+", function()
      for _, options in pairs { {}, { single = true } } do
        for _, size in ipairs { 0, 1, MIB, MIB + 1, #ROWS } do
          local text = ROWS:sub(1, size)
          assert.is_true(text == by(reader, through(text, gzip(options))), size .. " bytes")
        end
      end
    end)
  end
  it("is content for gzip -t", function()
    for _, options in pairs(KINDS) do by("gzip -t", through(ROWS, gzip(options))) end
  end)
  it("takes what does not compress", function()
    local noise = sh.read({ "head", "-c", tostring(3 * MIB + 5), "/dev/urandom" }, { limit = "8M" }).out
    for _, options in pairs(KINDS) do
      local packed = through(noise, gzip(options))
      assert.is_true(#packed < #noise + 2000, #packed .. " bytes")
      assert.is_true(noise == by("gzip -dc", packed))
    end
  end)
  it("is one member, or one for each MiB", function()
    local function members(packed) return select(2, packed:gsub("\31\139\8\0\0\0\0\0", "")) end
    assert.equal(1, members(through(ROWS, gzip { single = true })))
    assert.equal(1, members(through("", gzip())))
    assert.equal(2, members(through(ROWS:sub(1, 2 * MIB), gzip())))
    assert.equal(3, members(through(ROWS:sub(1, 2 * MIB + 1), gzip())))
  end)
  it("has neither name nor time", function()
    for _, options in pairs { {}, { single = true } } do
      assert.equal("\31\139\8\0\0\0\0\0", through("x", gzip(options)):sub(1, 8))
    end
  end)
  it("does not depend on how its input comes", function()
    for _, options in pairs { {}, { single = true } } do
      local want = through(ROWS, gzip(options))
      for _, size in ipairs { 997, 65537 } do
        local path = sh.run("mktemp").out:gsub("%s+$", "")
        file.write(path, ROWS)
        local got = through(sh.output { "dd", "if=" .. path, "bs=" .. size, "status=none" }, gzip(options))
        os.remove(path)
        assert.is_true(want == got, "in pieces of " .. size)
      end
    end
  end)
  it("is as small as others make it", function()
    local ours, theirs = #through(ROWS, gzip { single = true }), #by("gzip -6", ROWS)
    assert.is_true(ours < theirs * 1.005, ours .. " against " .. theirs)
    assert.is_true(#through(ROWS, gzip()) < theirs * 1.005)
  end)
end)

-- The CRC of the gzip format: its lower half guards a header.
local function crc32(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do crc = crc >> 1 ~ (0xedb88320 & -(crc & 1)) end
  end
  return crc ~ 0xffffffff
end

describe("gunzip in a pipe", function()
  local function gunzip(packed) return (through(packed, pipe.gunzip())) end
  local small = gzip.compress "one row\n"

  it("reads what others made", function()
    for _, writer in ipairs(installed { "gzip -1", "gzip -9", "pigz", "pigz -b 128 -9", "pigz -i" }) do
      assert.is_true(ROWS == gunzip(by(writer, ROWS)), writer)
    end
    assert.equal("", gunzip(by("gzip", "")))
  end)
  it("reads members one behind the other", function()
    assert.equal("one row\n" .. "one row\n", gunzip(small .. small))
    assert.equal("one row\n", gunzip(gzip.compress "" .. small .. gzip.compress ""))
    assert.is_true(ROWS .. "one row\n" .. ROWS == gunzip(by("gzip -1", ROWS) .. small .. by("gzip -9", ROWS)))
    assert.equal(("one row\n"):rep(3000), gunzip(small:rep(3000)))
  end)
  it("reads headers with everything in them", function()
    local body = small:sub(11)
    local function header(flags, rest) return "\31\139\8" .. string.char(flags) .. "\1\2\3\4\0\3" .. rest end
    local full = header(2 + 4 + 8 + 16, "\6\0ab\2\0xynotes.sql\0a comment\0")
    local guarded = full .. string.pack("<I2", crc32(full) & 0xffff)
    assert.equal("one row\n", gunzip(header(8, "notes.sql\0") .. body))
    assert.equal("one row\n", gunzip(header(4, "\0\0") .. body))
    assert.equal("one row\none row\n", gunzip(guarded .. body .. guarded .. body))
    refused("header crc mismatch", full .. "\0\0" .. body, pipe.gunzip())
    refused("unknown header flags set", header(0xe0, "") .. body, pipe.gunzip())
    refused("unknown compression method", "\31\139\9" .. small:sub(4), pipe.gunzip())
  end)
  it("allows zeros behind the last member, as gzip does", function()
    assert.equal("one row\n", gunzip(small .. "\0"))
    assert.equal("one row\n", gunzip(small .. ("\0"):rep(2 * MIB)))
    refused("^gunzip: something else follows the gzip data, at byte 42", small .. ("\0"):rep(42 - #small) .. "x", pipe.gunzip())
    refused("something else follows", small .. "\0" .. small, pipe.gunzip())
    refused("incorrect header check", "\0" .. small, pipe.gunzip())
  end)
  it("refuses what ends too early, at every byte", function()
    for at = 1, #small - 1 do refused("^gunzip: the gzip data is cut short after " .. at .. " bytes", small:sub(1, at), pipe.gunzip()) end
    for at = 1, #small - 1 do refused("cut short after " .. #small + at .. " bytes", small .. small:sub(1, at), pipe.gunzip()) end
    refused("not gzip data: it is empty", "", pipe.gunzip())
    for _, options in pairs { {}, { single = true } } do
      local packed = through(ROWS, gzip(options))
      for _, at in ipairs { 10, 100000, #packed // 2, #packed - 9, #packed - 8, #packed - 4, #packed - 1 } do
        refused("cut short after " .. at .. " bytes", packed:sub(1, at), pipe.gunzip())
      end
    end
  end)
  it("refuses a flipped bit", function()
    for at = 1, #small do
      for bit = 0, 7 do
        if at < 5 or at > 10 then -- time, XFL and OS may be anything
          local bad = small:sub(1, at - 1) .. string.char(small:byte(at) ~ 1 << bit) .. small:sub(at + 1)
          local ok, text = pcall(gunzip, bad)
          -- Of the flags only "text" may be set; a bit that only pads the last block means nothing.
          assert.is_true(not ok or text == "one row\n" and (at == 4 or at == #small - 8), at .. "." .. bit)
        end
      end
    end
    refused("incorrect data check", small:sub(1, -9) .. "\1\2\3\4" .. small:sub(-4), pipe.gunzip())
    refused("incorrect length check", small:sub(1, -5) .. "\1\2\3\4", pipe.gunzip())
  end)
  it("refuses what is not gzip data, also behind it", function()
    refused("^gunzip: not valid gzip data at byte 2: incorrect header check", "-- PostgreSQL database dump", pipe.gunzip())
    refused("something else follows the gzip data, at byte " .. #small, small .. "-- and more", pipe.gunzip())
    refused("something else follows", small .. "x", pipe.gunzip())
    refused("not valid gzip data", small .. "\31x", pipe.gunzip())
  end)
  it("reads input that comes in drops", function()
    local path = sh.run("mktemp").out:gsub("%s+$", "")
    file.write(path, small .. small)
    local drops = ("for i in $(seq 0 %d); do dd if=%s bs=1 skip=$i count=1 status=none; done"):format(2 * #small - 1, path)
    local text = through(sh.output(drops), pipe.gunzip())
    os.remove(path)
    assert.equal("one row\none row\n", text)
  end)
  it("needs no more memory for what unpacks to much", function()
    local bomb = through(sh.output { "head", "-c", tostring(512 * MIB), "/dev/zero" }, gzip { single = true, level = 9 })
    assert.is_true(#bomb < 0.6 * MIB)
    local function resident() return tonumber(file.read("/proc/self/status"):match "VmRSS:%s+(%d+) kB") end
    local before, most, done = resident(), 0, false
    local watcher = host.spawn("watch", function()
      while not done do
        most = math.max(most, resident())
        host.sleep(0.01)
      end
    end)
    local result = pipe { bomb, pipe.gunzip() }
    done = true
    watcher:join()
    assert.equal(512 * MIB, result.stages[2].out_bytes)
    local sanitized = file.read "/proc/self/maps":find "/lib[at]san" -- keeps more, but not all of it
    assert.is_true(most - before < (sanitized and 256 or 48) * 1024, most - before .. " kB more")
  end)
end)

it("gzip and gunzip count beyond 4 GiB", function()
  local bytes = 4 * 1024 * MIB + 123457
  local done = pipe { sh.output { "head", "-c", tostring(bytes), "/dev/zero" }, gzip { single = true, level = 1 }, pipe.gunzip() }
  assert.equal(bytes, done.bytes)
  assert.equal(bytes, done.stages[3].out_bytes)
end)

describe("hash in a pipe", function()
  it("agrees with the tools, anywhere in the chain", function()
    local packed, done = through(ROWS, hash("sha512", { as = "plain" }), hash "md5", gzip(), hash("sha256", { as = "packed" }),
      pipe.gunzip(), hash("sha512", { as = "again" }), gzip { single = true })
    assert.equal(by("sha512sum", ROWS):match "^%x+", done.digest.plain)
    assert.equal(by("md5sum", ROWS):match "^%x+", done.digest.md5)
    assert.equal(by("sha256sum", through(ROWS, gzip())):match "^%x+", done.digest.packed)
    assert.equal(done.digest.plain, done.digest.again)
    assert.is_true(ROWS == gzip.decompress(packed))
  end)
  it("knows every digest", function()
    for _, name in ipairs(hash.names()) do
      local _, done = through(ROWS, hash(name))
      assert.equal(hash[name:gsub("-", "_")](ROWS), done.digest[name])
    end
  end)
  it("of nothing", function()
    local _, done = through("", hash "sha256")
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", done.digest.sha256)
  end)
  it("is content with what is expected, in any case", function()
    local want = hash.sha256 "abc"
    assert.equal("abc", (through("abc", hash("sha256", { expect = want }))))
    assert.equal("abc", (through("abc", hash("sha256", { expect = want:upper() }))))
  end)
  it("refuses another one, and the sink has nothing", function()
    local want = hash.sha256 "abd"
    refused("^hash: the sha256 of these 3 bytes is ba7816bf8f01cfea…, not " .. want:sub(1, 16) .. "… as expected", "abc",
      hash("sha256", { expect = want }))
    local slip = hash.sha256("abc"):sub(1, -2) .. "e" -- shortened it would look the same
    refused(hash.sha256 "abc" .. ", not " .. slip, "abc", hash("sha256", { expect = slip }))
    local dir = sh.run({ "mktemp", "-d" }).out:gsub("%s+$", "")
    local err = failure(pipe, { "abc", hash("sha256", { expect = want }), file.writer(dir .. "/out") })
    local left = sh.read({ "ls", "-A", dir }).out
    sh.run { "rm", "-r", dir }
    assert.matches("as expected", err.message)
    assert.equal("", left)
  end)
end)

describe("replace in a pipe", function()
  local function replaced(source, from, to)
    local text, done = through(source, pipe.replace(from, to))
    return text, done.count.replace
  end
  it("replaces bytes, not patterns", function()
    assert.same({ "a-%1-b-%1-", 2 }, { replaced("a.*b.*", ".*", "-%1-") })
    assert.same({ "aaa", 0 }, { replaced("aaa", "b", "c") })
    assert.same({ "ba", 1 }, { replaced("aaa", "aa", "b") })
    assert.same({ "", 3 }, { replaced("\0\0\0", "\0", "") })
    assert.same({ "", 0 }, { replaced("", "x", "y") })
  end)
  it("does so across pieces", function()
    local function drops(list)
      return sh.output(("for i in %s; do printf '%%s' \"$i\"; sleep 0.02; done"):format(list))
    end
    assert.same({ "me TO OWNmeOme", 3 }, { replaced(drops "OW NER ' TO ' OWN OWNE RO OWNER", "OWNER", "me") })
    assert.same({ "meOW", 1 }, { replaced(drops "OW NE R OW", "OWNER", "me") })
    assert.same({ "aaX", 1 }, { replaced(drops "a a a b", "ab", "X") })
  end)
  it("does so in much", function()
    local want, count = ROWS:gsub("paid in full", "open")
    assert.same(count, select(2, replaced(ROWS, "paid in full", "open")))
    assert.is_true(want == replaced(ROWS, "paid in full", "open"))
    local path = sh.run("mktemp").out:gsub("%s+$", "")
    file.write(path, ROWS)
    local got = replaced(sh.output { "dd", "if=" .. path, "bs=4099", "status=none" }, "paid in full", "open")
    os.remove(path)
    assert.is_true(want == got)
  end)
  it("makes much of little", function()
    local long = ("x"):rep(5 * MIB)
    assert.is_true(long:rep(3) == replaced("aaa", "a", long))
  end)
end)

describe("head and tail in a pipe", function()
  it("keep what they are asked for", function()
    local text, done = through(ROWS, pipe.head(10), pipe.tail(20))
    assert.is_true(text == ROWS)
    assert.equal(ROWS:sub(1, 10), done.text.head)
    assert.equal(ROWS:sub(-20), done.text.tail)
    local _, short = through("abc", pipe.head(10, { as = "a" }), pipe.tail(10, { as = "b" }))
    assert.same({ a = "abc", b = "abc", text = "abc" }, short.text)
  end)
  it("join what comes in pieces", function()
    local _, done = through(sh.output "for i in 1 2 3 4 5 6; do printf $i; sleep 0.02; done", pipe.head(4), pipe.tail(4))
    assert.equal("1234", done.text.head)
    assert.equal("3456", done.text.tail)
  end)
  it("are content with what matches", function()
    local dump = "-- PostgreSQL database dump\n" .. ROWS .. "--\n-- PostgreSQL database dump complete\n--\n"
    assert.is_true(dump == through(dump, pipe.head { match = "PostgreSQL database dump" }, pipe.tail { match = "dump complete" }))
  end)
  it("refuse what does not", function()
    refused('^head: "PGDMP" is not in the first 8 bytes: they begin with "0\\x09custom"', ROWS, pipe.head(8, { match = "PGDMP" }))
    refused('^tail: "complete" is not in the last 12 bytes: they end with "paid in full"', ROWS:sub(1, -2),
      pipe.tail(12, { match = "complete" }))
    refused('^head: "x" is not in the first 2 bytes', "ab", pipe.head { match = "x" })
    refused("^tail: nothing came", "", pipe.tail { match = "x" })
  end)
  it("refuse at once: the head does not wait for the end", function()
    local before = host.mono()
    refused("not in the first 1 bytes", sh.output "echo no; sleep 30", pipe.head(1, { match = "y" }))
    assert.is_true(host.mono() - before < 5000)
  end)
end)

it("a meter tells how far, how fast, and how long it will take", function()
  local box = support.box()
  local run = box:run([[
    step "Copy" { run = function()
      pipe { sh.output "head -c 3000000 /dev/zero; sleep 1.3; head -c 1000000 /dev/zero", pipe.meter("zeros", { size = 4000000 }),
        sh.input "cat >/dev/null" }
    end }
  ]], "-o", "jsonl")
  local seen = {}
  for line in run.out:gmatch "[^\n]+" do
    local event = json.decode(line)
    if event.type == "progress" then seen[#seen + 1] = event end
  end
  box:close()
  assert.is_true(#seen >= 3, run.all)
  local first, last = seen[1], seen[#seen]
  assert.equal(3000000, first.bytes)
  assert.equal(4000000, first.size)
  assert.near(first.bytes * 1000 / first.ms, first.rate, first.rate * 0.1)
  assert.near(1000000 * 1000 / first.rate, first.eta_ms, 2)
  assert.matches("^zeros: 2.9 MiB of 3.8 MiB · .* MiB/s · .* left$", first.text)
  assert.equal(4000000, last.bytes)
  assert.equal(0, last.eta_ms)
  assert.is_true(last.ms >= 1200 and last.ms < 10000)
  for i = 2, #seen do assert.is_true(seen[i].ms >= seen[i - 1].ms and seen[i].bytes >= seen[i - 1].bytes) end
end)
