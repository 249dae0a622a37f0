-- postgres: what operators do with whole servers: take stock, compare, dump, validate, restore, and try things in a temporary one.
local quote = require "pgsh.postgres.quote"
local strict = require "pgsh.strict"

-- Parts are loaded when they are called.
local function part(module, name)
  return function(...) return require("pgsh.postgres." .. module)[name](...) end
end

local postgres = {
  inventory = part("inventory", "take"),
  compare = part("compare", "compare"),
  is_empty = part("empty", "check"),
  throwaway = part("throwaway", "new"),
  remote = part("remote", "new"),
  installations = part("installations", "list"),
  dump = part("dump", "dump"),
  validate = part("validate", "validate"),
  restore = part("restore", "restore"),
  locales = part("wanted_locales", "of"),
  exists_already = part("allow", "exists_already"),
  identifier = quote.identifier,
  literal = quote.literal,
  conninfo = quote.conninfo,
  parse_conninfo = quote.parse,
}

return strict.module("postgres", postgres)
