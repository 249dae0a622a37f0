-- The reference (lua/meta) and the code say the same: what a module has is documented, what is documented is there.
local host = require "pgsh.host"

local MODULES = { "checksum", "file", "gzip", "hash", "http", "json", "pg", "pipe", "postgres", "psql", "secret", "sh", "ssh", "yaml",
  "host" }

-- Modules in Lua, and how to come by what their classes' methods are.
local SERVICES = {
  alertmanager = function(module) return module.at "http://127.0.0.1:1" end,
  aws = function(module) return module.group "nowhere" end,
  chef = function(module) return module.client({}), module.roles { dir = "/" } end,
  cloudflare = function(module) return module.zone "example.com" end,
  git = function(module) return module { dir = "/" } end,
  gitlab = function(module) return module.node({}) end,
  kubectl = function(module) return module { context = "nowhere", namespace = "none" } end,
  heroku = function(module) return module.app "nowhere", module.app("nowhere"):database "DATABASE" end,
  linode = function(module) return module.account() end,
  slack = function(module) return module.to "#nowhere" end,
  sqitch = function(module) return module { dir = "/", database = "host=nowhere" } end,
  statuspage = function(module) return module.page "nowhere" end,
}

local function text_of(name)
  return assert(host.embedded("meta/" .. name .. ".lua"), "no reference of " .. name)
end

-- Names documented as functions or fields of a local table called like the module.
local function documented(name)
  local names = {}
  for found in text_of(name):gmatch("\nfunction " .. name .. "[.:]([%w_]+)") do names[found] = true end
  for found in text_of(name):gmatch("\n%-%-%-@field ([%w_]+)") do names[found] = true end
  for found in text_of(name):gmatch("\n" .. name .. "%.([%w_]+) =") do names[found] = true end
  return names
end

describe("the reference", function()
  for _, name in ipairs(MODULES) do
    it("of " .. name .. " names everything it has", function()
      local known = documented(name)
      for key in pairs(require("pgsh." .. name)) do
        if type(key) == "string" and not key:find "^__" then assert.truthy(known[key], name .. "." .. key .. " is not documented") end
      end
    end)

    it("of " .. name .. " names nothing it has not", function()
      local module = require("pgsh." .. name)
      for key in text_of(name):gmatch("\nfunction " .. name .. "%.([%w_]+)") do
        assert.truthy(module[key], name .. "." .. key .. " is documented and missing")
      end
    end)
  end

  for name, make in pairs(SERVICES) do
    it("of the service " .. name .. " names everything it has, and nothing else", function()
      local module, text = require("pgsh." .. name), text_of(name)
      for key in pairs(module) do assert.truthy(text:find("\nfunction " .. name .. "%." .. key .. "%("), name .. "." .. key) end
      for key in text:gmatch("\nfunction " .. name .. "%.([%w_]+)") do assert.truthy(module[key], name .. "." .. key) end
      local methods = {}
      for _, object in ipairs { make(module) } do
        for key in pairs(getmetatable(object).__index) do
          if not key:find "^__" then methods[key] = true end
        end
      end
      for key in pairs(methods) do
        assert.truthy(text:find("\nfunction %u%a+:" .. key .. "%("), name .. ":" .. key .. " is not documented")
      end
      for key in text:gmatch "\nfunction %u%a+:([%w_]+)" do
        assert.truthy(methods[key], name .. ":" .. key .. " is documented and missing")
      end
    end)
  end

  for metatable, name in pairs { ["pgsh.Psql"] = "psql", ["pgsh.Http"] = "http", ["pgsh.Ssh"] = "ssh", ["pgsh.Task"] = "host" } do
    it("of " .. metatable .. " names every method", function()
      local _ = require("pgsh." .. name)
      local methods = assert(debug.getregistry()[metatable], metatable).__index
      assert.is_table(methods)
      for key in pairs(methods) do
        assert.truthy(text_of(name):find("\nfunction %w+:" .. key .. "%("), metatable .. ":" .. key .. " is not documented")
      end
    end)
  end

  it("of the shell names every word it has, and nothing else", function()
    local elsewhere = {
      psql = true, print = true, help = true, spawn = true, skip = true, step = true, problem = true, kept = true, db = true,
    }
    local text, words = text_of "shell", require("pgsh.shell.words").new { inside = {} }
    for name in pairs(words) do
      local said = elsewhere[name] or text:find("\nfunction " .. name .. "%(") or text:find("\n" .. name .. " = ")
      assert.truthy(said, name .. " is not documented")
    end
    for name in text:gmatch "\nfunction ([%w_]+)" do assert.truthy(words[name], name .. " is documented and missing") end
  end)

  it("of every error code has a kind, an exit status and a text", function()
    for code, row in pairs(host.errors) do
      assert.truthy(row.kind ~= "" and row.text ~= "" and row.exit > 0, code)
    end
  end)
end)
