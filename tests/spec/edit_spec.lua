-- YAML and JSON changed in place: the value is what was asked for, every other byte is what it was.
local json, yaml, file, sh = require "pgsh.json", require "pgsh.yaml", require "pgsh.file", require "pgsh.sh"
local corpus = require "tests.spec.support.corpus"
local failure = require("tests.spec.support.check").failure
local has = require("tests.spec.support.check").has

local function refused(text, f, ...)
  local err = failure(f, ...)
  assert.equal("refused", err.kind, tostring(err))
  has(err, text)
end

local function with(path, ...)
  local longer = table.move(path, 1, #path, 1, {})
  for i = 1, select("#", ...) do longer[#longer + 1] = (select(i, ...)) end
  return longer
end

-- Every path of a value, deepest last: f(path, value).
local function walk(value, f, path)
  path = path or {}
  f(path, value)
  if type(value) ~= "table" then return end
  if getmetatable(value) then
    for i, item in ipairs(value) do walk(item, f, with(path, i)) end
  else
    for key, item in pairs(value) do walk(item, f, with(path, key)) end
  end
end

-- The value with the one at the path replaced.
local function replaced(value, path, new, depth)
  depth = depth or 1
  if depth > #path then return new end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do copy[key] = key == path[depth] and replaced(item, path, new, depth + 1) or item end
  if new == false and depth == #path then copy[path[depth]] = false end
  return copy
end

local function lines(text)
  local list = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do list[#list + 1] = line end
  return list
end

-- Bytes the two have in common at the beginning and at the end.
local function shared(a, b)
  local head, tail, least = 0, 0, math.min(#a, #b)
  while head < least and a:byte(head + 1) == b:byte(head + 1) do head = head + 1 end
  while tail < least - head and a:byte(-tail - 1) == b:byte(-tail - 1) do tail = tail + 1 end
  return head + tail
end

local VALUES = { "x", "postgres:16-alpine", "yes", "0777", "1.5", "", " pad ", "a: b", "a #b", "it's \"q\"", "two\nlines\n",
  "ü€😀", 5, -1.5, true, false,
  json.null, "10.0.0.7", "- x", "{}", "null", "~", "2024-01-01", "10:30", "!t", "&a", "*a", "\\", "%", "@", "`", "tab\there", "1e3",
    "0x1F", "1_000" }

describe("edit", function()
  describe("every single value of every document of the corpus", function()
    local function each_document(f)
      for name, text in pairs(corpus.yaml) do
        for number, value in ipairs(yaml.decode_all(text)) do
          if name ~= "anchors" then f(name, yaml, text, value, { document = number }) end
        end
      end
      for name, text in pairs(corpus.json) do f(name, json, text, json.decode((text:gsub("^\xEF\xBB\xBF", ""))), nil) end
    end

    it("takes every kind of value, and nothing else changes", function()
      local count = 0
      each_document(function(name, module, text, whole, options)
        walk(whole, function(path, former)
          if type(former) == "table" or (former == json.null and #path == 0) then return end
          for i, value in ipairs(VALUES) do
            local where = ("%s %s = %s"):format(name, json.encode(json.array(path)), tostring(value))
            local new = module.edit(text, path, value, options)
            assert.same(value, module.get(new, path, options), where)
            assert.same(replaced(whole, path, value), module.get(new, {}, options), where)
            local before, after = lines(text), lines(new)
            if type(former) ~= "string" or not former:find "\n" then
              assert.equal(#before, #after, where)
              local different = 0
              for k = 1, #before do different = different + (before[k] == after[k] and 0 or 1) end
              assert.is_true(different <= 1, where)
            end
            -- Where the former text is one that needs no other quotes, it comes back as it was.
            if i <= 2 and type(former) == "string" and former:find "^[%w.:/=-]+$" and not text:find("\\/", 1, true) then
              local back = module.edit(new, path, former, options)
              assert.is_true(back == text or type(yaml.decode(former)) ~= "string" or #back - #text == 2, where)
            end
            count = count + 1
          end
        end)
      end)
      assert.is_true(count > 2000, tostring(count))
    end)

    it("can be removed, or says why not, and nothing else changes", function()
      each_document(function(name, module, text, whole, options)
        walk(whole, function(path)
          local ok, new = pcall(module.remove, text, path, options)
          local where = name .. " " .. json.encode(json.array(path))
          if not ok then
            assert.equal("refused", new.kind, where)
          else
            assert.equal(#new, shared(text, new), where)
            assert.not_same(whole, module.get(new, {}, options), where)
          end
        end)
      end)
    end)

    it("can be commented out, or says why not, and comes back byte for byte", function()
      local count = 0
      each_document(function(name, module, text, _, options)
        if module ~= yaml then return end
        walk(yaml.get(text, {}, options), function(path)
          local ok, new = pcall(yaml.comment, text, path, options)
          local where = name .. " " .. json.encode(json.array(path))
          if not ok then
            assert.equal("refused", new.kind, where)
          else
            count = count + 1
            assert.equal(text, yaml.uncomment(new, path, options), where)
            assert.equal(text, yaml.uncomment(new), where)
          end
        end)
      end)
      assert.is_true(count > 60, tostring(count))
    end)
  end)

  describe("of YAML", function()
    local CONTAINER = { "spec", "template", "spec", "containers", { name = "postgres" } }
    local DEPLOYMENT = { document = { kind = "Deployment", metadata = { name = "postgres" } } }

    local function edited(before, path, value, options) return yaml.edit(before, path, value, options) end

    it("finds a document by number and by what it holds", function()
      local text = corpus.yaml.deployment
      assert.equal("postgres:15.6-alpine", yaml.get(text, with(CONTAINER, "image"), DEPLOYMENT))
      assert.equal("postgres:15.6-alpine", yaml.get(text, with(CONTAINER, "image"), { document = 2 }))
      refused("holds 2 documents", yaml.edit, text, { "kind" }, "x")
      refused("0 of the 2 documents", yaml.edit, text, { "kind" }, "x", { document = { kind = "Pod" } })
      refused("0 of the 2 documents", yaml.edit, text, { "kind" }, "x", { document = 3 })
      assert.equal(1, (yaml.get("---\n---\na: 1\n", { "a" })))
    end)

    it("changes the image and nothing else", function()
      local text = corpus.yaml.deployment
      local new = yaml.edit(text, with(CONTAINER, "image"), "postgres:16-alpine", DEPLOYMENT)
      assert.equal((text:gsub("postgres:15%.6%-alpine", "postgres:16-alpine")), new)
    end)

    it("keeps quotes where they can hold the new value", function()
      assert.equal("a: 'it''s'  # x\n", edited("a: 'b'  # x\n", { "a" }, "it's"))
      assert.equal("a: \"two\\n\"\n", edited("a: 'b'\n", { "a" }, "two\n"))
      assert.equal("a: \"c\"\n", edited("a: \"b\"\n", { "a" }, "c"))
      assert.equal("a: 5\n", edited("a: \"b\"\n", { "a" }, 5))
      assert.equal("a: c d\n", edited("a: b\n", { "a" }, "c d"))
      assert.equal("[\"a,b\", c]\n", edited("[a, c]\n", { 1 }, "a,b"))
      assert.equal("- a,b\n", edited("- a\n", { 1 }, "a,b"))
    end)

    it("quotes what another reader would take for something else", function()
      for _, value in ipairs { "yes", "No", "ON", "off", "y", "N", "true", "null", "~", "", "5", "0777", "0o17", "0x1f", "0b1",
        "1_000", "1.5", ".5", "5.", "1e3",
        "+1", "-1", ".inf", "-.INF", ".nan", "10:30", "1:2:3", "2024-01-01", "2024-01-01T10:00:00Z", " a", "a ", "a: b", "a:", "a #b",
          "#a", "- a", "-", "? a", "[a",
        "{a", "}", "]", ",a", "&a", "*a", "!a", "|", ">", "'a", "\"a", "%a", "@a", "`a", "---", "...", "<<", "=", "a\tb",
          "\xEF\xBB\xBFa", "a\xE2\x80\xA8b" } do
        local new = edited("k: plain\n", { "k" }, value)
        assert.is_truthy(new:find '^k: ".*"\n$', value)
        assert.equal(value, yaml.get(new, { "k" }))
      end
      for _, value in ipairs { "a", "postgres:16", "/data/16", "10.0.0.1", "1.2.3", "v1", "-c", "--flag", "a-b", "a#b", "a:b",
        "http://x:80/?a=b#c", "ü", "15-alpine",
        "yesterday", "nullable", "a, b" } do
        assert.equal("k: " .. value .. "\n", edited("k: plain\n", { "k" }, value))
      end
    end)

    it("fills what is empty", function()
      assert.equal("a: 1\nb: 2\n", edited("a:\nb: 2\n", { "a" }, 1))
      assert.equal("a: x   # why\n", edited("a:   # why\n", { "a" }, "x"))
      assert.equal("- x\n- b\n", edited("-\n- b\n", { 1 }, "x"))
      assert.equal("{a: 1, b: 2}\n", edited("{a, b: 2}\n", { "a" }, 1))
      assert.equal("a: 1", edited("a:", { "a" }, 1))
      assert.equal("a: \r\n  - x\r\n  -\r\n", edited("a: \r\n  -\r\n  -\r\n", { "a", 1 }, "x"))
      assert.equal("a: !!str x\n", edited("a: !!str\n", { "a" }, "x"))
    end)

    it("writes block scalars as such, at their place", function()
      assert.equal("a: |  # why\n  x\n    y\n\n# c\nb: 1\n", edited("a: |-  # why\n  text\n\n# c\nb: 1\n", { "a" }, "x\n  y\n"))
      assert.equal("a: |-\n      x\nb: 1\n", edited("a: |\n      text\n      more\nb: 1\n", { "a" }, "x"))
      assert.equal("a: >\n  x\n", edited("a: >-\n  text\n  more\n", { "a" }, "x\n"))
      assert.equal("a: |\n  x\n  y\n", edited("a: >-\n  text\n  more\n", { "a" }, "x\ny\n"))
      assert.equal("a: true # why\n\n# c\nb: 1\n", edited("a: | # why\n  text\n\n  more\n\n# c\nb: 1\n", { "a" }, true))
      assert.equal("a: \" x\"\nb: 1\n", edited("a: |\n  text\nb: 1\n", { "a" }, " x"))
      assert.equal("a: |\r\n  x\r\n  y\r\nb: 1\r\n", edited("a: |\r\n  text\r\nb: 1\r\n", { "a" }, "x\ny\n"))
      assert.equal("a: \"x\\n\\n\"\n\nb: 1\n", edited("a: |\n  text\n\nb: 1\n", { "a" }, "x\n\n"))
      assert.equal("a: |-\n  x\nb: 1\n", edited("a: |+\n  text\n\n\nb: 1\n", { "a" }, "x"))
      assert.equal("- |\n x\n- b\n", edited("- |2\n   text\n- b\n", { 1 }, "x\n"):gsub("\n +x", "\n x"))
      assert.equal("a: |\n  x\n", edited("a: |\n  text", { "a" }, "x\n"))
    end)

    it("counts characters, byte order mark and line ends right", function()
      assert.equal((corpus.yaml.bom:gsub("€", "¥")), edited(corpus.yaml.bom, { "liste", 3 }, "¥"))
      assert.equal((corpus.yaml.bom:gsub("ende: x", "ende: z")), edited(corpus.yaml.bom, { "ende" }, "z"))
      assert.equal((corpus.yaml.compose:gsub("postgres:13", "postgres:16")), edited(corpus.yaml.compose, { "services", "db", "image" },
        "postgres:16"))
      assert.equal((corpus.yaml.compose:gsub("end$", "done")), edited(corpus.yaml.compose, { "services", "db", "last" }, "done"))
    end)

    it("adds a missing last key where its siblings are", function()
      local create = { create = true }
      assert.equal("a:\n    b: 1 # x\n    c: 2\nd: 3\n", edited("a:\n    b: 1 # x\nd: 3\n", { "a", "c" }, 2, create))
      assert.equal("a: 1\nb: x", edited("a: 1", { "b" }, "x", create))
      assert.equal("a: 1\r\nb: x\r\n", edited("a: 1\r\n", { "b" }, "x", create))
      assert.equal("l:\n- a: 1\n  b: 2\n- c: 3\n", edited("l:\n- a: 1\n- c: 3\n", { "l", 1, "b" }, 2, create))
      assert.equal("a: {b: 1, c: 2}\n", edited("a: {b: 1}\n", { "a", "c" }, 2, create))
      assert.equal("a: {c: 2}\n", edited("a: {}\n", { "a", "c" }, 2, create))
      assert.equal("a: {b: 1, c: 2, d: 3,}\n", edited("a: {b: 1, c: 2,}\n", { "a", "d" }, 3, create))
      assert.equal("'a': 1\n'yes': 2\n", edited("'a': 1\n", { "yes" }, 2, create))
      assert.equal("a: 1\n\"yes\": 2\n", edited("a: 1\n", { "yes" }, 2, create))
      assert.equal("a: |\n  text\nb: 1\n\n# end\n", edited("a: |\n  text\n\n# end\n", { "b" }, 1, create))
      assert.equal("a: 2\n", edited("a: 1\n", { "a" }, 2, create))
      refused("there is no key \"b\"", yaml.edit, "a: 1\n", { "b", "c" }, 1, create)
      refused("a is empty", yaml.edit, "a:\n", { "a", "b" }, 1, create)
    end)

    it("removes lines, items and pairs", function()
      assert.equal("a: 1\nc: 3\n", yaml.remove("a: 1\nb:\n  - x # y\nc: 3\n", { "b" }))
      assert.equal("a: 1\n\n# about c\nc: 3\n", yaml.remove("a: 1\nb: 2\n\n# about c\nc: 3\n", { "b" }))
      assert.equal("- a\n- c\n", yaml.remove("- a\n- b: 1\n  d: 2\n- c\n", { { b = 1 } }))
      assert.equal("- b: 2\n", yaml.remove("- a: 1\n  b: 2\n", { 1, "a" }))
      assert.equal("[a, c]\n", yaml.remove("[a, b, c]\n", { 2 }))
      assert.equal("[a, b]\n", yaml.remove("[a, b, c]\n", { 3 }))
      assert.equal("a: {}\n", yaml.remove("a: { b: 1 }\n", { "a", "b" }))
      assert.equal("a: 1\n", yaml.remove("a: 1\nb: 2", { "b" }))
      refused("all there is", yaml.remove, "a:\n  b: 1\n", { "a", "b" })
      refused("a comment stands between", yaml.remove, "- a: 1\n  # about b\n  b: 2\n", { 1, "a" })
      refused("&x", yaml.remove, "a: 1\nb: {c: &x 1}\nd: *x\n", { "b" })
      refused("a whole document", yaml.remove, "a: 1\n", {})
    end)

    it("refuses what would change more than one place, or cannot be told", function()
      local text = corpus.yaml.anchors
      refused("an anchor", yaml.edit, text, { "base", "image" }, "x")
      refused("an alias", yaml.edit, text, { "two", "image" }, "x")
      refused("an anchor", yaml.edit, text, { "three", "k" }, "x")
      refused("an alias", yaml.edit, text, { "three", "l" }, "x")
      refused("merged into it", yaml.edit, text, { "one", "tag" }, "x")
      refused("has the tag", yaml.edit, "a: !mine x\n", { "a" }, "y")
      refused("has the tag", yaml.edit, "a: !!str x\n", { "a" }, 5)
      assert.equal("a: !!str z\n", yaml.edit("a: !!str x\n", { "a" }, "z"))
      assert.equal((text:gsub("image: b", "image: c")), yaml.edit(text, { "one", "image" }, "c"))
      assert.equal((text:gsub("free: 1", "free: 2")), yaml.edit(text, { "free" }, 2))
      refused("there 2 times", yaml.edit, "a: 1\nb: 2\na: 3\n", { "a" }, 4)
      refused("2 items fit", yaml.edit, "- {n: a, v: 1}\n- {n: a, v: 2}\n", { { n = "a" }, "v" }, 3)
      refused("a mapping stands there", yaml.edit, "a: {b: 1}\n", { "a" }, 3)
      refused("there is no a[3]; a has 2 items (line 2, column 1)", yaml.edit, "a:\n- 1\n- 2\n", { "a", 3 }, 3)
      refused("there is no a.b.c: a.b is a single value", yaml.edit, "a: {b: 1}\n", { "a", "b", "c" }, 3)
      refused("there is no key \"nmae\" in a", yaml.edit, "a: {name: 1}\n", { "a", "nmae" }, 3)
    end)

    it("says where a text is not valid", function()
      local function invalid(text, part)
        local err = failure(yaml.edit, text, { "a" }, 1)
        assert.equal("yaml", err.kind)
        assert.is_truthy(tostring(err):find(part, 1, true), tostring(err))
      end
      invalid("a: [1, 2\nb: 3\n", "line 2")
      invalid("a:\n\tb: 1\n", "line 2, column 1")
      invalid("ok: 1\na: \xff\n", "line 2, column 4")
      invalid("a: 1\0", "line 1, column 5")
      invalid(("["):rep(1000), "levels are nested")
      invalid("a: 'x\n", "line")
    end)

    it("refuses a call that makes no sense", function()
      for _, call in ipairs { { "a: 1", "a", 1 }, { "a: 1", { "a" }, {} }, { "a: 1", { "a" } }, { "a: 1", { "a" }, 1,
        { creat = true } }, { "a: 1", { true }, 1 },
        { "a: 1", { x = "a" }, 1 }, { "a: 1", { "a" }, 0 / 0 }, { "a: 1", { "a" }, "\xff" }, { "a: 1", { "a" }, 1,
          { document = "x" } } } do
        local err = failure(yaml.edit, table.unpack(call, 1, 4))
        assert.is_true(type(err) == "string" or err.kind == "usage", tostring(err))
      end
    end)
  end)

  describe("comments out", function()
    local CHECKS = { "livenessProbe", "readinessProbe", "startupProbe" }
    local CONTAINER = { "spec", "template", "spec", "containers", { name = "postgres" } }
    local DEPLOYMENT = { document = 2 }

    it("the health checks, and brings them back in any order", function()
      local text, commented = corpus.yaml.deployment, corpus.yaml.deployment
      for _, check in ipairs(CHECKS) do commented = yaml.comment(commented, with(CONTAINER, check), DEPLOYMENT) end
      for _, check in ipairs(CHECKS) do assert.is_nil(yaml.get(commented, with(CONTAINER, check), DEPLOYMENT)) end
      assert.equal("postgres", yaml.get(commented, with(CONTAINER, "name"), DEPLOYMENT))
      assert.equal(text, yaml.uncomment(commented))
      for _, order in ipairs { { 1, 2, 3 }, { 3, 2, 1 }, { 2, 3, 1 } } do
        local back = commented
        for _, i in ipairs(order) do back = yaml.uncomment(back, with(CONTAINER, CHECKS[i]), DEPLOYMENT) end
        assert.equal(text, back)
      end
    end)

    it("and an edit between does not keep them from coming back", function()
      local text = corpus.yaml.deployment
      local changed = yaml.comment(text, with(CONTAINER, "livenessProbe"), DEPLOYMENT)
      changed = yaml.edit(changed, with(CONTAINER, "image"), "postgres:16", DEPLOYMENT)
      changed = yaml.uncomment(changed, with(CONTAINER, "livenessProbe"), DEPLOYMENT)
      assert.equal(yaml.edit(text, with(CONTAINER, "image"), "postgres:16", DEPLOYMENT), changed)
    end)

    it("whatever the layout", function()
      local odd = {
        "a:\n   x: 1   # y\n\n   # inside\n# far left\n   z:\n   - 1\n   -   2\nb: 2\n", "a:\r\n  x: 1\r\n\r\n  y: 2\r\nb: 2\r\n",
          "b: 2\na:\n  x: 1", "b: 2\na: 1",
        "a: |\n  text\n\n    more\n\n  # text\n# comment\nb: 2\n", "a: [1,\n2,\n  3]\nb: 2\n", "a: \"x\n\n   y\"\nb: 2\n",
          "a:\n- x\n- y\nb: 2\n", "b: 2\r\na:\r\n- x",
        "a:\n  x: 1\n  # trailing\n\n# of b\nb: 2\n", "a: #pgsh> not one\n  1\nb: 2\n", "# #pgsh| x\na: 1\nb: 2\n", "a:\nb: 2\n",
          "\xEF\xBB\xBFa: 1\nb: 2\n", "a: 1\t\nb: 2\n",
      }
      for _, text in ipairs(odd) do
        local commented = yaml.comment(text, { "a" })
        assert.is_nil(yaml.get(commented, { "a" }), text)
        assert.equal(2, yaml.get(commented, { "b" }), text)
        assert.equal(text, yaml.uncomment(commented, { "a" }), text)
      end
    end)

    it("one inside the other", function()
      local text = "l:\n- n: 1\n  p:\n    q: 1\n  r: 2\n- n: 2\n"
      local inner = yaml.comment(text, { "l", 1, "p" })
      local outer = yaml.comment(inner, { "l", 1 })
      assert.equal("l:\n#pgsh> - n: 1\n#pgsh|   #pgsh> p:\n#pgsh|   #pgsh|   q: 1\n#pgsh|   r: 2\n- n: 2\n", outer)
      assert.equal(inner, yaml.uncomment(outer, { "l", 1 }))
      assert.equal(text, yaml.uncomment(yaml.uncomment(outer, { "l", 1 }), { "l", 1, "p" }))
    end)

    it("or says why not", function()
      refused("in brackets", yaml.comment, "a: {b: 1, c: 2}\n", { "a", "b" })
      refused("all there is", yaml.comment, "a:\n  b: 1\n", { "a", "b" })
      refused("line of its own", yaml.comment, "- a: 1\n  b: 2\n", { 1, "a" })
      refused("nothing is there that was commented out as b", yaml.uncomment, "a: 1\n#pgsh> c: 1\n", { "b" })
      refused("nothing is there", yaml.uncomment, "a: |\n  #pgsh> b: 1\n", { "b" })
    end)
  end)

  describe("of JSON", function()
    local RAILS = { "override_attributes", "omnibus-gitlab", "gitlab_rb", "gitlab-rails" }
    it("changes one address", function()
      local new = json.edit(corpus.json.role, with(RAILS, "db_host"), "10.66.1.103")
      assert.equal((corpus.json.role:gsub("10%.66%.1%.101", "10.66.1.103")), new)
    end)
    it("adds and removes keys, spaced as their neighbours", function()
      local create = { create = true }
      assert.equal('{\n  "a": 1,\n  "b": "x"\n}\n', json.edit('{\n  "a": 1\n}\n', { "b" }, "x", create))
      assert.equal('{"a":1,"b":2,"c":3}', json.edit('{"a":1,"b":2}', { "c" }, 3, create))
      assert.equal('{"a":1,"c":3}', json.edit('{"a":1}', { "c" }, 3, create))
      assert.equal('{"c": 3}', json.edit("{}", { "c" }, 3, create))
      assert.equal('{ "a" : 1, "b" : 2 }', json.edit('{ "a" : 1 }', { "b" }, 2, create):gsub(",  ", ", "))
      for _, key in ipairs { "db_host", "db_port", "nothing" } do
        assert.is_nil(json.get(json.remove(corpus.json.role, with(RAILS, key)), with(RAILS, key)))
      end
      assert.equal('{\n  "a": 1\n}', json.remove('{\n  "a": 1,\n  "b": 2\n}', { "b" }))
      assert.equal('{\n  "b": 2\n}', json.remove('{\n  "a": 1,\n  "b": 2\n}', { "a" }))
      assert.equal("{}", json.remove('{\n  "a": 1\n}', { "a" }))
      assert.equal("[1,3]", json.remove("[1,2,3]", { 2 }))
    end)
    it("writes escapes and numbers that JSON has", function()
      assert.equal('["\\u0001\\n\\"\\\\ü"]', json.edit('["a"]', { 1 }, "\1\n\"\\ü"))
      assert.equal("[1.0]", json.edit("[0]", { 1 }, 1.0))
      assert.equal("[0.1]", json.edit("[0]", { 1 }, 0.1))
      assert.equal('["yes"]', json.edit("[0]", { 1 }, "yes"))
    end)
    it("refuses what is not there or there twice", function()
      refused("there 2 times", json.edit, '{"a":1,"a":2}', { "a" }, 3)
      refused("there is no key \"b\" in the document (line 1, column 1)", json.edit, '{"a":1}', { "b" }, 3)
      for _, text in ipairs { "", "{'a':1}", '{"a":1,}', '{"a":01}', "{a:1}", '{"a":1} x', '// c\n{"a":1}', '{"a":"\xff"}',
        ("["):rep(3000) } do
        assert.equal("json", failure(json.edit, text, { "a" }, 1).kind, text)
      end
      assert.is_truthy(tostring(failure(json.edit, '{\n "a": }', { "a" }, 1)):find("line 2", 1, true))
    end)
  end)

  describe("reading YAML", function()
    it("means what Kubernetes takes it for", function()
      local text = "[yes, off, y, 0777, 0x10, 0b11, 1_000, 1.5, .5, 1e3, ~, null, '', \"5\", "
        .. "2024-01-01, 10:30, .inf, 08, 12345678901234567890, a]"
      local expected = { true, false, true, 511, 16, 3, 1000, 1.5, 0.5, 1000.0, json.null, json.null, "", "5", "2024-01-01", "10:30",
        math.huge, 8.0,
        12345678901234567890.0, "a" }
      for i, value in ipairs(yaml.decode(text)) do
        assert.equal(expected[i], value)
        assert.equal(math.type(expected[i]), math.type(value), tostring(value))
      end
    end)
    it("resolves aliases and merges", function()
      local value = yaml.decode(corpus.yaml.anchors)
      assert.same({ image = "b", tag = "5", other = "x" }, value.one)
      assert.same({ image = "a", tag = "5", other = "x" }, value.two)
      assert.same({ k = "value", l = "value" }, value.three)
    end)
    it("does not grow without end", function()
      local text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
      for i = 1, 9 do text = text .. ("a%d: &a%d [%s]\n"):format(i, i, (("*a%d,"):format(i - 1)):rep(10)) end
      assert.equal("yaml", failure(yaml.decode, text).kind)
      assert.equal("yaml", failure(yaml.decode, "a: &a [*a]\n").kind)
      assert.equal("yaml", failure(yaml.decode, "a: *b\n").kind)
      assert.equal("yaml", failure(yaml.decode, "a: 1\na: 2\n").kind)
    end)
    it("knows one document from several and from none", function()
      assert.is_nil(yaml.decode "# nothing\n")
      assert.same({ 1, json.null, { a = 2 } }, { table.unpack(yaml.decode_all "1\n---\n---\na: 2\n") })
      assert.equal("yaml", failure(yaml.decode, "1\n---\n2\n").kind)
      assert.is_nil(yaml.get("a: 1\n", { "b" }))
      assert.is_nil(yaml.get("a: 1\n", { "a", "b", 3 }))
    end)
  end)

  describe("a diff", function()
    local dir
    before_each(function() dir = sh.run({ "mktemp", "-d" }).out:match "%S+" end)
    after_each(function() sh.run { "rm", "-rf", dir } end)

    it("is taken by patch", function()
      local texts = { "", "a\n", "a", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n", "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nK\nl\nm",
        "x\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\n",
        corpus.yaml.deployment, yaml.edit(corpus.yaml.deployment, { "spec", "replicas" }, 3, { document = 2 }), ("q\n"):rep(3000),
          ("r\n"):rep(2500) }
      for i, before in ipairs(texts) do
        for k, after in ipairs(texts) do
          local diff = file.diff("dir/a file", before, after)
          if i == k then
            assert.equal("", diff)
          elseif before ~= "" and after ~= "" then
            sh.run { "mkdir", "-p", dir .. "/dir" }
            file.write(dir .. "/dir/a file", before)
            file.write(dir .. "/diff", diff)
            sh.run({ "patch", "-s", "-p1", "-i", "diff" }, { cwd = dir })
            assert.equal(after, file.read(dir .. "/dir/a file"), i .. " to " .. k)
          end
        end
      end
    end)
    it("has three lines around", function()
      assert.equal("--- a/x\n+++ b/x\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+V\n 6\n 7\n 8\n", file.diff("./x",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nV\n6\n7\n8\n9\n"))
    end)
  end)
end)
