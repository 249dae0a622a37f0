local support = debug.getinfo(1, "S").source:match "^@(.*/)" .. "support/"
local httpd = dofile(support .. "httpd.lua")
local http, sh, host, json = require "pgsh.http", require "pgsh.sh", require "pgsh.host", require "pgsh.json"
local hash, secret = require "pgsh.hash", require "pgsh.secret"
local check = require "tests.spec.support.check"
local run = require "tests.spec.support.run"
local failure = check.failure

local TOKEN = "tok-0123456789-abcdef"

describe("http", function()
  local server, web

  setup(function()
    server = httpd.start(assert(io.open(support .. "web.lua")):read "a")
    web = http(server.url, { netrc = false })
  end)
  teardown(function()
    assert.equal("", server:errors())
    server:stop()
  end)

  -- How often the path was asked for, and the requests.
  local function asked(path)
    local list = {}
    for _, request in ipairs(server:requests()) do
      if request.path == path then list[#list + 1] = request end
    end
    return #list, list
  end

  local unique = 0
  local function seq(list)
    unique = unique + 1
    return ("/seq/s%d/%s"):format(unique, list)
  end

  -- As in a plan: the rendering that the door shows.
  local function shown(method, ...)
    local text
    local args = table.pack(...)
    host.within({ branch = "spec", phase = "run", changes = "show" }, function()
      text = tostring(web[method](web, table.unpack(args, 1, args.n)))
    end)
    return (text:gsub(", known after the run", ""))
  end

  -- Run a script in another pgsh, with an environment of its own; what it prints.
  local function elsewhere(env, script)
    local exe = sh.read { "readlink", ("/proc/%d/exe"):format(host.pid) }.out:gsub("%s+$", "")
    local file = sh.run("mktemp").out:gsub("%s+$", "")
    run.write_file(file, script)
    local ok, result = pcall(sh.read, { exe, "lua", file }, { env = env, timeout = 20 })
    os.remove(file)
    if not ok then error(tostring(result) .. "\n" .. tostring(result.detail), 0) end
    return (result.out:gsub("%s+$", ""))
  end

  describe("reads", function()
    it("give status, headers in lower case, decoded JSON and the address", function()
      local reply = web:get "/hello"
      assert.equal(200, reply.status)
      assert.equal("Yes", reply.headers["x-mixed-case"])
      assert.equal("world", reply.json.hello)
      assert.equal(2, reply.json.list[2])
      assert.equal(json.null, reply.json.nothing)
      assert.equal(server.url .. "/hello", reply.url)
      assert.is_nil(reply.body)
    end)
    it("have a short form for the value", function()
      local value, reply = web:get_json "/hello"
      assert.equal("world", value.hello)
      assert.equal(200, reply.status)
    end)
    it("give other bodies as text", function()
      assert.equal("just text", web:get("/text").body)
      assert.is_nil(web:get("/text").json)
      assert.equal('{"a":1}', web:get("/chunked", { decode = "text" }).body)
    end)
    it("understand chunks, interim answers, repeated headers, no content", function()
      assert.equal(1, web:get_json("/chunked").a)
      local reply = web:get "/interim"
      assert.equal(200, reply.status)
      assert.is_nil(reply.headers["x-early"])
      assert.equal("1, 2", web:get("/twice").headers["x-a"])
      assert.equal("", web:get("/empty").body)
    end)
    it("HEAD has no body", function()
      local reply = web:head "/hello"
      assert.equal(200, reply.status)
      assert.equal("", reply.body)
      assert.is_nil(reply.json)
    end)
    it("accept other statuses when told", function()
      assert.equal(404, web:get("/nothing", { expect = { 200, 404 } }).status)
      local err = failure(web.get, web, "/hello", { expect = { 404 } })
      assert.equal("http", err.kind)
      assert.equal(200, err.status)
    end)
    it("fail on what is not JSON where JSON was promised", function()
      local err = failure(web.get, web, "/badjson")
      assert.equal("json", err.kind)
      assert.matches("127.0.0.1:%d+ sent invalid JSON", err.message)
      assert.matches("line 1", err.message)
      assert.matches("nonsense", err.detail)
      assert.equal("json", failure(web.get_json, web, "/text").kind)
      assert.equal("json", failure(web.get_json, web, "/empty").kind)
    end)
    it("are limited", function()
      local err = failure(web.get, web, "/big", { limit = "1M" })
      assert.equal("limit", err.kind)
      assert.matches("larger than 1 MiB", err.message)
      assert.equal(3 * 1024 * 1024, #web:get("/big").body)
    end)
  end)

  describe("requests", function()
    local function echo(method, ...) return (web[method](web, ...)) end

    it("send no body, no content type and no encoding with a read", function()
      local request = web:get_json("/echo", { accept = "application/json", range = "id ]x..; max=10" })
      assert.equal("GET", request.method)
      assert.is_nil(request.headers["content-type"])
      assert.is_nil(request.headers["accept-encoding"])
      assert.is_nil(request.headers.authorization)
      assert.equal("application/json", request.headers.accept)
      assert.equal("id ]x..; max=10", request.headers.range)
      assert.equal("pgsh", request.headers["user-agent"])
    end)
    it("send JSON, sorted, with secrets revealed", function()
      echo("patch", "/echo?j", { json = { b = 1, a = { 1, 2 }, s = secret(TOKEN) } })
      local _, list = asked "/echo?j"
      assert.equal('{"a":[1,2],"b":1,"s":"' .. TOKEN .. '"}', list[1].body)
      assert.equal("application/json", list[1].headers["content-type"])
      assert.equal("PATCH", list[1].method)
      assert.is_nil(list[1].headers.expect)
    end)
    it("send text bodies, and none", function()
      echo("post", "/echo?t", { body = "a=1", headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } })
      echo("post", "/echo?n")
      echo("put", "/echo?n")
      echo("delete", "/echo?n")
      local _, text = asked "/echo?t"
      assert.equal("a=1", text[1].body)
      assert.equal("application/x-www-form-urlencoded", text[1].headers["content-type"])
      local _, none = asked "/echo?n"
      assert.same({ "POST", "PUT", "DELETE" }, { none[1].method, none[2].method, none[3].method })
      assert.equal("0", none[1].headers["content-length"])
      assert.equal("0", none[2].headers["content-length"])
      assert.is_nil(none[3].headers["content-length"])
      assert.is_nil(none[1].headers["content-type"])
      assert.equal("usage", failure(web.post, web, "/echo", { body = "x", json = {} }).kind)
    end)
    it("send a large body", function()
      echo("put", "/echo?large", { body = ("y"):rep(2 * 1024 * 1024) })
      local _, list = asked "/echo?large"
      assert.equal(2 * 1024 * 1024, #list[1].body)
    end)
    it("encode a query, sorted", function()
      local request = web:get_json("/echo", { query = { b = "x y&z", a = { 1, "é" }, c = true, d = secret "pass word" } })
      assert.equal("/echo?a=1&a=%C3%A9&b=x%20y%26z&c=true&d=pass%20word", request.path)
      assert.equal("/echo?q=1&a=2", web:get_json("/echo?q=1", { query = { a = 2 } }).path)
    end)
    it("send the path as it was given, and no more", function()
      assert.equal("/echo/a%20b%23c/../d", web:get_json("/echo/a b#c/../d").path)
      assert.equal("/echo", web:get_json("echo").path)
      assert.equal("/echo/x?u=http://y", web:get_json("/echo/x?u=http://y").path)
      assert.equal("usage", failure(web.get, web, "/echo/a\nb").kind)
    end)
    it("take an absolute address of the same origin, and no other", function()
      assert.equal("/echo?page=2", web:get_json(server.url .. "/echo?page=2").path)
      local err = failure(web.get, web, "http://127.0.0.1:1/echo")
      assert.equal("usage", err.kind)
      assert.matches("another target", err.message)
      assert.equal("usage", failure(web.delete, web, "https://127.0.0.1:" .. server.port .. "/echo").kind)
    end)
    it("have the path of the base in front", function()
      local base = http(server.url .. "/echo/v1/", { netrc = false })
      assert.equal("/echo/v1/apps", base:get_json("/apps").path)
      assert.equal("/echo/v1", base:get_json("").path)
      assert.equal("/echo/v2", base:get_json(server.url .. "/echo/v2").path)
    end)
    it("send the handle's headers, and the call's in their place", function()
      local with = http(server.url, { headers = { ["X-One"] = "1", ["X-Two"] = secret(TOKEN) }, auth = secret("Bearer " .. TOKEN) })
      local headers = with:get_json("/echo", { headers = { ["x-one"] = "changed" } }).headers
      assert.equal("changed", headers["x-one"])
      assert.equal(TOKEN, headers["x-two"])
      assert.equal("Bearer " .. TOKEN, headers.authorization)
    end)
    it("refuse a header that would be two", function()
      assert.equal("usage", failure(web.get, web, "/echo", { headers = { A = "b\r\nEvil: 1" } }).kind)
      assert.equal("usage", failure(web.get, web, "/echo", { headers = { ["A b"] = "c" } }).kind)
      assert.equal("usage", failure(http, server.url, { auth = "a\nb" }).kind)
    end)
    it("take user and password from the base, and show neither", function()
      local with = http((server.url:gsub("//", "//ana:p%%40ss-word@")))
      local reply = with:get "/echo"
      assert.equal("Basic YW5hOnBAc3Mtd29yZA==", reply.json.headers.authorization)
      assert.equal(server.url .. "/echo", reply.url)
      assert.equal("http 127.0.0.1:" .. server.port, tostring(with))
    end)
    it("sign for AWS", function()
      local aws = http(server.url, {
        sigv4 = { region = "eu-west-1", service = "autoscaling", key = "AKID", secret = "SECRETKEY", token = "TT" },
      })
      aws:post("/echo?aws", { body = "Action=X", headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } })
      local _, list = asked "/echo?aws"
      local headers = list[1].headers
      local date, signed, signature = headers.authorization:match
        "^AWS4%-HMAC%-SHA256 Credential=AKID/(%d+)/eu%-west%-1/autoscaling/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(%x+)$"
      assert.is_string(signature, headers.authorization)
      local function raw(hex) return (hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)) end
      local function hmac(key, text)
        local inner, outer = {}, {}
        key = key .. ("\0"):rep(64 - #key)
        for i = 1, 64 do
          inner[i], outer[i] = string.char(key:byte(i) ~ 0x36), string.char(key:byte(i) ~ 0x5c)
        end
        return raw(hash.sha256(table.concat(outer) .. raw(hash.sha256(table.concat(inner) .. text))))
      end
      local canonical = { "POST", "/echo", "aws" }
      if not signed:find "host" then error("host is not signed: " .. signed) end
      for name in signed:gmatch "[^;]+" do
        local value = headers[name]
        canonical[#canonical + 1] = name .. ":" .. value
      end
      canonical[#canonical + 1] = ""
      canonical[#canonical + 1] = signed
      canonical[#canonical + 1] = hash.sha256 "Action=X"
      local to_sign = table.concat({ "AWS4-HMAC-SHA256", headers["x-amz-date"], date .. "/eu-west-1/autoscaling/aws4_request",
        hash.sha256(table.concat(canonical, "\n")) }, "\n")
      local key = "AWS4SECRETKEY"
      for _, part in ipairs { date, "eu-west-1", "autoscaling", "aws4_request" } do key = hmac(key, part) end
      local want = (hmac(key, to_sign):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
      assert.equal(want, signature)
      assert.equal("TT", headers["x-amz-security-token"])
    end)
  end)

  describe("changes", function()
    it("keep nothing of the answer but the status", function()
      assert.same({ status = 201 }, web:post("/incident", { json = {} }))
    end)
    it("keep what was picked", function()
      local result = web:post("/incident", { json = {}, pick = { "id", "incident.id", "incident.deep.y", "missing.x" } })
      assert.same({ status = 201, json = { id = 7, incident = { id = "i1", deep = { y = 2 } } } }, result)
    end)
    it("are done when a success came whole, whatever its body", function()
      assert.same({ status = 201 }, web:post("/badpost", { json = {}, pick = { "id" } }))
    end)
    it("are not redirected", function()
      local err = failure(web.post, web, "/to/307/hello")
      assert.equal("http", err.kind)
      assert.equal(307, err.status)
      assert.matches("redirected to hello", err.hint)
      assert.equal(0, (asked "/hello?post"))
    end)
    it("show what they do, without secrets", function()
      assert.equal('‹PATCH /apps/x {"a":1,"s":"•••"}›', shown("patch", "/apps/x", { json = { s = secret(TOKEN), a = 1 } }))
      assert.equal("‹DELETE /a?q=•••›", shown("delete", "/a", { query = { q = secret(TOKEN) } }))
      assert.equal("‹POST •••›", shown("post", secret "/services/T/B/XYZ"))
      assert.equal("‹stop it›", shown("post", "/x", { what = "stop it" }))
      local long = shown("post", "/x", { body = ("é"):rep(400) })
      assert.matches("… %(800 bytes%)", long)
      assert.is_truthy(utf8.len(long))
    end)
    it("pass on in a plan what is not known", function()
      host.within({ branch = "spec", phase = "run", changes = "show" }, function()
        local incident = web:post("/x", { what = "incident" })
        local text = tostring(web:patch("/incidents/" .. incident.json.id, { json = { id = incident.json.id } }))
        assert.matches("PATCH /incidents/‹incident.json.id› {\"id\":\"‹incident.json.id", text)
        assert.matches("GET /x/‹incident.json.id›", tostring(web:get("/x/" .. incident.json.id)))
      end)
      assert.equal(0, (asked "/x"))
    end)
    it("refuse options they do not know", function()
      local err = failure(web.post, web, "/x", { jsn = {} })
      assert.equal("usage", err.kind)
      assert.matches("json", err.message)
      assert.equal("usage", failure(web.get, web, "/x", { json = {} }).kind)
    end)
  end)

  describe("error statuses", function()
    local function words(status, body, method)
      local path = ("/error/%d/%s"):format(status, http.encode(body))
      return failure(web[method or "post"], web, path)
    end
    it("are told in the service's own words", function()
      local err = words(404, '{"id":"not_found","message":"Couldn\'t find that app."}')
      assert.equal("http", err.kind)
      assert.equal(404, err.status)
      assert.equal("Couldn't find that app. (status 404)", err.message)
      assert.equal("http 127.0.0.1:" .. server.port, err.target)
      assert.matches("not_found", err.detail)
      assert.matches("^oops", words(422, '{"error":"oops"}').message)
      assert.matches("^a; b", words(422, '{"error":["a","b"]}').message)
      assert.matches("^bad; worse", words(400, '{"errors":[{"code":1,"message":"bad"},{"reason":"worse"}]}').message)
      assert.matches("^deep", words(400, '{"error":{"message":"deep"}}').message)
      assert.matches("^silence not found", words(500, '"silence not found"').message)
      assert.matches('name":%["taken', words(400, '{"message":{"name":["taken"]}}').message)
      assert.matches("^X: No such group", words(400, "<E><Error><Code>X</Code><Message>No such group</Message></Error></E>").message)
      assert.matches("^No such <group> & so", words(400, "<E><Error><Message>No such &lt;group&gt; &amp; so</Message></Error></E>").message)
    end)
    it("are told as text when there is no JSON", function()
      local err = words(500, "<h1>Oh\r\n\27[31mno</h1>" .. ("x"):rep(300))
      assert.matches("^<h1>Oh   %[31mno</h1>x+… %(status 500%)$", err.message)
      assert.is_true(#err.message < 230)
      assert.equal("forbidden (status 403)", words(403, "").message)
    end)
    it("of a broken service leave a change unknown", function()
      for _, status in ipairs { 500, 502, 503, 504 } do
        local path = seq(tostring(status))
        local err = failure(web.post, web, path)
        assert.equal("unknown", err.kind)
        assert.equal(status, err.status)
        assert.equal(1, (asked(path)))
      end
      local path = seq "503"
      assert.equal("http", failure(web.patch, web, path, { idempotent = true }).kind)
    end)
  end)

  describe("repeats", function()
    it("a read at 502, 503, 504 and 429", function()
      for _, status in ipairs { 502, 503, 504, 429 } do
        local path = seq(status .. ",200")
        assert.equal("step 2", web:get_json(path).message)
        assert.equal(2, (asked(path)))
      end
    end)
    it("a change only when the service says that it refused", function()
      local path = seq "429:1,200"
      local before = host.mono()
      assert.equal(200, web:post(path, { json = {} }).status)
      assert.is_true(host.mono() - before >= 1000)
      path = seq "503:0,200"
      assert.equal(200, web:post(path).status)
      path = seq "429,200"
      assert.equal(200, web:delete(path).status)
      path = seq "503,200"
      local err = failure(web.delete, web, path)
      assert.equal("http", err.kind)
      assert.equal(503, err.status)
      assert.equal(1, (asked(path)))
      path = seq "500,200"
      assert.equal(500, failure(web.post, web, path).status)
      assert.equal(1, (asked(path)))
    end)
    it("what a service refuses in its own words, when it was told them", function()
      local busy = http(server.url, { busy = { "slow down", "step 1" } })
      local path = seq "400,200"
      assert.equal(200, busy:post(path, { json = {} }).status)
      assert.equal(2, (asked(path)))
      path = seq "400,200"
      assert.equal(400, failure(web.post, web, path).status)
      path = seq "500,500,200"
      assert.equal("unknown", failure(busy.post, busy, path).kind)
      assert.equal(2, (asked(path)))
      assert.matches("busy: a list of texts expected", failure(http, server.url, { busy = "x" }).message)
    end)
    it("as Retry-After says, also as a date", function()
      local path = seq "503:date,200"
      assert.equal(200, web:get(path).status)
      assert.equal(2, (asked(path)))
    end)
    it("not when it would take longer than there is time", function()
      local path = seq "429:3600"
      local before = host.mono()
      local err = failure(web.post, web, path)
      assert.is_true(host.mono() - before < 1000)
      assert.equal(429, err.status)
      assert.matches("asks to wait 1:00:00, longer than the time left", err.hint)
      assert.matches("1 attempt; 429, Retry%-After 3600", err.detail)
    end)
    it("as often as it was told, and tells of it", function()
      local twice = http(server.url, { retry = 2 })
      local path = seq "503"
      local err = failure(twice.get, twice, path)
      assert.equal(503, err.status)
      assert.equal(2, (asked(path)))
      assert.matches("2 attempts; 503", err.detail)
      assert.equal("usage", failure(http, server.url, { retry = 0 }).kind)
    end)
    it("what was never sent", function()
      local dead = http("http://127.0.0.1:1", { retry = 2 })
      for _, method in ipairs { "get", "post" } do
        local before = host.mono()
        local err = failure(dead[method], dead, "/x")
        assert.equal("http_connect", err.code)
        assert.is_true(err.retryable)
        assert.matches("refused", err.message .. "refused")
        assert.matches("2 attempts", err.detail)
        assert.is_true(host.mono() - before >= 200)
      end
    end)
  end)

  describe("what became of a request", function()
    it("is unknown for a change that was sent and not answered", function()
      for i, path in ipairs { "/reset", "/close", "/garbage", "/cut/200", "/cutchunk" } do
        path = path .. "?u=" .. i
        local err = failure(web.post, web, path, { json = {} })
        assert.equal("unknown", err.kind, path)
        assert.equal(1, (asked(path)), path)
      end
    end)
    it("is a failed connection for a read, which is repeated", function()
      local twice = http(server.url, { retry = 2 })
      for i, path in ipairs { "/reset", "/close", "/cut/200" } do
        path = path .. "?r=" .. i
        local err = failure(twice.get, twice, path)
        assert.equal("http_connect", err.code)
        assert.matches("2 attempts", err.detail)
        assert.is_true((asked(path)) >= 2) -- curl itself goes on to the next kept connection
      end
      assert.equal(1, web:get_json("/once/read").id)
    end)
    it("is a refusal when that much was read", function()
      local err = failure(web.post, web, "/cut/404")
      assert.equal("http", err.kind)
      assert.equal(404, err.status)
    end)
    it("is decided by sending again what may be sent twice", function()
      assert.equal(200, web:put("/once/put").status)
      assert.equal(2, (asked "/once/put"))
      assert.equal(200, web:post("/once/post", { idempotent = true }).status)
      local err = failure(web.put, web, "/reset?put")
      assert.equal("unknown", err.kind)
      assert.equal(2, (asked "/reset?put"))
      assert.equal("unknown", failure(web.delete, web, "/reset?del", { idempotent = false }).kind)
      assert.equal(1, (asked "/reset?del"))
    end)
    it("is decided by the script's own reading", function()
      local result = web:post("/reset?resolve", { resolve = function() return true, { status = 201, json = { id = 9 } } end })
      assert.same({ status = 201, json = { id = 9 } }, result)
      assert.equal(200, web:post("/once/resolve", { resolve = function() return false end }).status)
      assert.equal(2, (asked "/once/resolve"))
    end)
    it("is known when TLS fails: nothing was sent, and it is not repeated", function()
      local tls = http("https://127.0.0.1:" .. server.port, { retry = 1, timeout = 5 })
      local err = failure(tls.post, tls, "/tls")
      assert.is_true(err.code == "http_connect" or err.code == "timeout", err.code)
      assert.not_equal("unknown", err.kind)
    end)
    it("is unknown for a change larger than its limit", function()
      local err = failure(web.post, web, "/big", { limit = 1000 })
      assert.equal("unknown", err.kind)
    end)
    it("is not made twice by a kept connection that died", function()
      local one = http(server.url)
      one:get "/stale"
      one:post("/stale", { json = {} })
      one:post("/stale", { json = {} })
      one:get "/stale"
      one:get "/stale"
      local _, list = asked "/stale"
      local posts, connections = 0, {}
      for _, request in ipairs(list) do
        if request.method == "POST" then
          posts = posts + 1
          connections[request.conn] = (connections[request.conn] or 0) + 1
        end
      end
      assert.equal(2, posts)
      for _, times in pairs(connections) do assert.equal(1, times) end
      for _ = 1, 3 do assert.equal(200, one:get("/lastword").status) end
    end)
    it("connections of reads are kept", function()
      local a, b = web:get_json "/echo", web:get_json "/echo"
      assert.equal(a.conn, b.conn)
    end)
  end)

  describe("redirects of reads", function()
    it("are followed", function()
      local reply = web:get "/to/302/%2Fhello"
      assert.equal("world", reply.json.hello)
      assert.equal(server.url .. "/hello", reply.url)
      assert.equal(200, web:head("/to/301/%2Fhello").status)
      assert.equal(302, web:get("/to/302/%2Fhello", { expect = { 302 } }).status)
    end)
    it("end", function()
      local err = failure(web.get, web, "/loop")
      assert.equal("http", err.kind)
      assert.matches("more than 10 redirects", err.message)
    end)
    it("leave credentials behind at another origin", function()
      local other = httpd.start(assert(io.open(support .. "web.lua")):read "a")
      local with = http(server.url, { auth = secret("Bearer " .. TOKEN), headers = { ["X-Key"] = secret(TOKEN), ["X-Plain"] = "p" } })
      local there = with:get_json("/to/302/" .. http.encode(other.url .. "/echo"))
      assert.is_nil(there.headers.authorization)
      assert.is_nil(there.headers["x-key"])
      assert.equal("p", there.headers["x-plain"])
      local back = with:get_json("/to/302/" .. http.encode(other.url .. "/to/302/" .. http.encode(server.url .. "/echo?back")))
      assert.equal("/echo?back", back.path)
      assert.is_nil(back.headers.authorization)
      assert.equal("Bearer " .. TOKEN, with:get_json("/to/302/%2Fecho").headers.authorization)
      other:stop()
    end)
  end)

  describe("time", function()
    it("limits a read", function()
      local err = failure(web.get, web, "/slow", { timeout = 0.2 })
      assert.equal("timeout", err.kind)
      assert.matches("0.2 s", err.message)
    end)
    it("leaves a change unknown", function()
      local err = failure(web.post, web, "/slow?p", { timeout = 0.2 })
      assert.equal("unknown", err.kind)
      assert.matches("POST was sent, and no answer came within 0.2 s", err.message)
      assert.equal(1, (asked "/slow?p"))
    end)
    it("of the task counts, and is named", function()
      local former = host.deadline(200, "timeout of the spec")
      local err = failure(web.get, web, "/slow")
      host.restore_deadline(former)
      assert.equal("timeout", err.kind)
      assert.matches("timeout of the spec", err.message)
    end)
    it("includes the pauses", function()
      local err = failure(web.get, web, seq "503:1", { timeout = 1.5 })
      assert.equal(503, err.status)
      assert.matches("2 attempts", err.detail)
    end)
  end)

  describe("a cancel", function()
    local function cancelled(f)
      local task = host.spawn("spec", f)
      host.sleep(0.1)
      task:cancel()
      local before = host.mono()
      local err = failure(task.join, task)
      assert.is_true(host.mono() - before < 500)
      return err
    end
    it("ends a read", function()
      assert.equal("cancelled", cancelled(function() web:get "/slow" end).code)
    end)
    it("leaves a change unknown", function()
      local err
      cancelled(function()
        err = failure(web.post, web, "/slow?c")
        error(err)
      end)
      assert.equal("unknown", err.kind)
      assert.equal(1, (asked "/slow?c"))
    end)
    it("ends a pause", function()
      local path = seq "429:20"
      assert.equal("cancelled", cancelled(function() web:post(path) end).code)
      assert.equal(1, (asked(path)))
    end)
  end)

  describe("the environment", function()
    it("netrc is used when there is no Authorization", function()
      local file = sh.run("mktemp").out:gsub("%s+$", "")
      sh.run { "sh", "-c", "printf 'machine 127.0.0.1 login ana password netrc-secret\\n' > " .. file }
      local out = elsewhere({ NETRC = file }, ([[
        local http = require "pgsh.http"
        for _, options in ipairs { {}, { auth = "Bearer x" }, { netrc = false } } do
          print(http(%q, options):get_json("/echo").headers.authorization)
        end]]):format(server.url))
      os.remove(file)
      assert.equal("Basic YW5hOm5ldHJjLXNlY3JldA==\nBearer x\nnil", out)
    end)
    it("a missing netrc is none", function()
      assert.equal("nil", elsewhere({ NETRC = "/nonesuch/netrc" },
        ("print(require 'pgsh.http'(%q):get_json('/echo').headers.authorization)"):format(server.url)))
    end)
    it("proxies are used", function()
      assert.equal("http://nonesuch.invalid/echo", elsewhere({ http_proxy = server.url, no_proxy = false, NO_PROXY = false },
        "print(require 'pgsh.http'('http://nonesuch.invalid'):get_json('/echo').path)"))
    end)
    it("certificates are verified, and trusted when named", function()
      local dir = sh.run("mktemp -d").out:gsub("%s+$", "")
      sh.run({ "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "c", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost" }, { cwd = dir })
      local port = tonumber(sh.read([[lua5.4 -e 's=require"socket".bind("127.0.0.1",0) print((select(2,s:getsockname())))']]).out)
      local pid = sh.run(("openssl s_server -accept %d -cert c -key k -www -quiet >log 2>&1 </dev/null & echo $!"):format(port),
        { cwd = dir }).out
      host.sleep(0.3)
      local untrusted = http("https://localhost:" .. port)
      local before = host.mono()
      local err = failure(untrusted.post, untrusted, "/")
      assert.equal("http_connect", err.code)
      assert.matches("certificate", err.message)
      assert.is_true(host.mono() - before < 1000, "it was repeated")
      local trust = { SSL_CERT_FILE = dir .. "/c", CURL_CA_BUNDLE = false, SSL_CERT_DIR = false }
      assert.equal("200", elsewhere(trust,
        ("print(require 'pgsh.http'('https://localhost:%d'):get('/').status)"):format(port)))
      assert.matches("SSL: no alternative certificate subject name", elsewhere(trust,
        ("print(select(2, pcall(function() require 'pgsh.http'('https://127.0.0.1:%d'):get('/') end)))"):format(port)))
      sh.run { "kill", (pid:gsub("%s+", "")) }
      sh.run { "rm", "-rf", dir }
    end)
  end)

  describe("a handle", function()
    it("names its target", function()
      local one = http("https://api.example.com:8443/v1", { name = "the app", kind = "heroku", detail = "redirected" })
      assert.equal("heroku the app", tostring(one))
      local found
      for _, target in ipairs(host.targets()) do
        if target.kind == "heroku" and target.name == "the app" then found = target end
      end
      assert.equal("redirected", found and found.detail)
      assert.equal("http api.example.com", tostring(http "https://API.example.com"))
    end)
    it("refuses what is no address", function()
      for _, base in ipairs { "", "nonsense", "ftp://x", "https://", "https://x?y=1", "file:///etc/passwd" } do
        assert.equal("usage", failure(http, base).kind, base)
      end
      assert.equal("usage", failure(http, "http://x", { nmae = 1 }).kind)
    end)
    it("shows its credential in no error", function()
      local with = http(server.url, { auth = "Bearer " .. TOKEN, retry = 1 })
      for _, path in ipairs { "/reset", "/error/500/x", "/badjson", "/loop", "/garbage" } do
        local err = failure(with.get, with, path)
        local text = table.concat({ tostring(err), err.message, err.detail or "", err.hint or "" }, "\n")
        assert.is_nil(text:find(TOKEN, 1, true), path)
      end
    end)
    it("leaves no descriptors behind", function()
      web:get "/hello"
      local before = check.open_files()
      for i = 1, 20 do
        web:post("/echo?fd", { json = {} })
        pcall(web.get, http(server.url, { retry = 1 }), "/reset?fd" .. i)
      end
      assert.is_true(check.open_files() <= before + 4, "descriptors were left open")
    end)
  end)

  describe("helpers", function()
    it("encode and decode", function()
      assert.equal("a%2Fb%20%C3%A9~", http.encode "a/b é~")
      assert.equal("a=1&b=x%26y&c=1&c=2", http.encode { b = "x&y", a = 1, c = { 1, 2 } })
      assert.equal("", http.encode {})
      assert.same({ a = "1", b = "x y", c = { "1", "2", "3" }, d = "" }, http.decode "?a=1&b=x+y&c=1&c=2&c=%33&d")
      assert.same({}, http.decode "")
      assert.equal("100%", http.decode("a=100%").a)
    end)
  end)
end)
