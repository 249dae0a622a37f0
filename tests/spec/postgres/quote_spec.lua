local postgres, secret, sh = require "pgsh.postgres", require "pgsh.secret", require "pgsh.sh"
local quote = require "pgsh.postgres.quote"
local width = require "pgsh.postgres.width"

local function failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "it did not fail")
  return err
end

describe("quoting for PostgreSQL", function()
  it("identifiers, always", function()
    assert.equal('"a"', postgres.identifier "a")
    assert.equal('"a ""b"" c"', postgres.identifier 'a "b" c')
    assert.equal("usage", failure(postgres.identifier, "a\0b").kind)
    assert.equal("usage", failure(postgres.identifier, nil).kind)
  end)
  it("literals, whatever standard_conforming_strings is", function()
    assert.equal("'a'", postgres.literal "a")
    assert.equal("'it''s'", postgres.literal "it's")
    assert.equal(" E'a\\\\''b'", postgres.literal "a\\'b")
    assert.equal("''", postgres.literal "")
  end)
  it("names for the eye", function()
    assert.equal("app", quote.show "app")
    assert.equal("ünïcode", quote.show "ünïcode")
    assert.equal('"App"', quote.show "App")
    assert.equal([["a ""b"" \n \\ c"]], quote.show 'a "b" \n \\ c')
    assert.equal([["\x1b[2J"]], quote.show "\27[2J")
    assert.equal('"???"', quote.show "\255\254\253")
  end)

  describe("connection strings", function()
    it("come back as they were", function()
      local fields = { host = "/tmp/it's", dbname = "a 'b' \\ ü\nc", user = "", options = "-c a=b", port = "5433" }
      assert.same(fields, quote.parse(quote.conninfo(fields)))
    end)
    it("are read as libpq reads them", function()
      assert.same({ host = "db", dbname = "a b", user = "it's" }, quote.parse [[host = db dbname='a b' user=it\'s]])
      assert.same({ host = "db", password = "p=x y" }, quote.parse [[host=db password='p=x y']])
      assert.same({ dbname = "app" }, quote.parse "app")
      assert.same({}, quote.parse "  ")
      assert.same({ host = "" }, quote.parse "host=''")
      for _, bad in ipairs { "host=a port", "host='a", "=a" } do assert.equal("usage", failure(quote.parse, bad).kind, bad) end
    end)
    it("and URIs", function()
      assert.same({ user = "u", password = "p:/@ä", host = "h", port = "1", dbname = "d b", sslmode = "require" },
        quote.parse "postgresql://u:p%3a%2F%40%C3%A4@h:1/d%20b?sslmode=require")
      assert.same({ host = "::1,b", port = "5,6", dbname = "d" }, quote.parse "postgres://[::1]:5,b:6/d")
      assert.same({ host = "/tmp/x", user = "u" }, quote.parse "postgresql://u@%2Ftmp%2Fx")
      assert.same({ dbname = "d", host = "/s", sslmode = "require" }, quote.parse "postgresql:///d?host=/s&ssl=true")
      assert.equal("usage", failure(quote.parse, "postgresql://h/d%zz").kind)
    end)
    it("hide their password", function()
      local text = postgres.conninfo { host = "h", password = secret "geheim-1234" }
      assert.is_true(secret.is(text))
      assert.equal("host='h' password='geheim-1234'", secret.reveal(text))
      quote.parse "host=h password=other-secret-99"
      assert.equal("•••", secret.redact "other-secret-99")
    end)
    it("with another database", function()
      assert.equal("host='h' dbname='y'", quote.with("host=h dbname=x", { dbname = "y" }))
      assert.equal("host='h'", quote.with("host=h dbname=x", { dbname = false }))
      assert.is_true(secret.is(quote.with("host=h password=pass-word-7", {})))
    end)
    it("that libpq itself understands in the same way", function()
      -- psql says which host it cannot find
      local fields = { host = "/nonesuch/it's \\ a", dbname = "x" }
      local err = failure(sh.read, { "psql", "-X", "-d", quote.conninfo(fields), "-c", "select 1" })
      assert.is_truthy(err.detail:find("/nonesuch/it's \\ a/.s.PGSQL", 1, true), err.detail)
    end)
  end)

  it("width of texts on a terminal", function()
    assert.equal(3, width.of "abc")
    assert.equal(4, width.of "漢字")
    assert.equal(1, width.of "e\u{301}")
    assert.equal(2, width.of "🐘")
    assert.equal("a\\nb\\x1bc?", width.cell "a\nb\27c\u{202e}")
    assert.equal("a     b\n────  ─\n漢字  1\nx     2", width.table { { "a", "b" }, { "漢字", "1" }, { "x", "2" } })
  end)
end)
