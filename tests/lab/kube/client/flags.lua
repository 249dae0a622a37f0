-- The command line, as pflag reads it: long and short flags, values with = or as the next word, "--".
local fail = require "kube.client.fail"

local flags = {}

-- type: bool, string, int, duration, list; bare: what a flag without "=" means (it then takes no next word).
flags.GLOBAL = {
  context = { type = "string" }, namespace = { type = "string", short = "n" }, kubeconfig = { type = "string" }, cluster = {
    type = "string" },
  user = { type = "string" }, server = { type = "string", short = "s" }, token = { type = "string" }, ["request-timeout"] = {
    type = "string" },
  v = { type = "int", short = "v" }, as = { type = "string" }, ["as-group"] = { type = "list" }, ["insecure-skip-tls-verify"] = {
    type = "bool" },
  ["cache-dir"] = { type = "string" }, ["certificate-authority"] = { type = "string" }, ["client-certificate"] = { type = "string" },
  ["client-key"] = { type = "string" }, ["match-server-version"] = { type = "bool" }, ["tls-server-name"] = { type = "string" },
  ["warnings-as-errors"] = { type = "bool" }, help = { type = "bool", short = "h" },
}

local UNITS = { ns = 1e-9, us = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600 }

-- Seconds of a Go duration (1m30s); nil when it is none.
function flags.duration(text)
  if text == "0" then return 0 end
  local total, rest = 0, text:gsub("^%+", "")
  if rest == "" then return nil end
  while rest ~= "" do
    local number, unit, after = rest:match "^(%d+%.?%d*)([numsh]+)(.*)$"
    if number and not UNITS[unit] then
      unit = unit:match "^ms" or unit:match "^[numsh]"
      after = rest:sub(#number + #unit + 1)
    end
    if not number or not UNITS[unit] then return nil end
    total, rest = total + tonumber(number) * UNITS[unit], after
  end
  return total
end

local BOOLS = { ["1"] = true, t = true, T = true, ["true"] = true, TRUE = true, True = true,
  ["0"] = false, f = false, F = false, ["false"] = false, FALSE = false, False = false }

local function usage(path, text)
  fail.exit(1, ("%s %s\nSee 'kubectl %s --help' for usage."):format(fail.old and "Error:" or "error:", text, path))
end

local function convert(path, name, flag, text)
  local shown = flag.short and ("-%s, --%s"):format(flag.short, name) or "--" .. name
  local function refuse(why) usage(path, ('invalid argument "%s" for "%s" flag: %s'):format(text, shown, why)) end
  if flag.type == "bool" then
    if BOOLS[text] == nil then refuse(('strconv.ParseBool: parsing "%s": invalid syntax'):format(text)) end
    return BOOLS[text]
  elseif flag.type == "int" then
    if not text:match "^[-+]?%d+$" then refuse(('strconv.ParseInt: parsing "%s": invalid syntax'):format(text)) end
    return math.tointeger(tonumber((text:gsub("^%+", ""))))
  elseif flag.type == "duration" then
    local negative = text:match "^%-(.*)"
    local seconds = flags.duration(negative or text)
    if not seconds then refuse(('time: invalid duration "%s"'):format(text)) end
    return negative and -seconds or seconds
  end
  return text
end

-- spec: flags of the command; path: its words, for messages. Returns values, positional words, and the index among them at which "--"
-- stood.
function flags.parse(words, spec, path)
  local values, rest, dash = {}, {}, nil
  local short = {}
  local function known(name) return spec[name] or flags.GLOBAL[name] end
  for _, list in ipairs { flags.GLOBAL, spec } do
    for name, flag in pairs(list) do if flag.short then short[flag.short] = name end end
  end
  local function store(name, flag, text)
    local value = convert(path, name, flag, text)
    if flag.type == "list" then
      values[name] = values[name] or {}
      table.insert(values[name], value)
    else
      values[name] = value
    end
  end
  local i = 1
  while i <= #words do
    local word = words[i]
    local name, value = word:match "^%-%-([^=]+)=(.*)$"
    name = name or word:match "^%-%-(.+)$"
    if word == "--" then
      dash = #rest
      table.move(words, i + 1, #words, #rest + 1, rest)
      break
    elseif name then
      local flag = known(name)
      if not flag then usage(path, "unknown flag: --" .. name) end
      if not value then
        if flag.bare then
          value = flag.bare
        elseif flag.type == "bool" then
          value = "true"
        else
          i = i + 1
          value = words[i]
          if not value then usage(path, "flag needs an argument: --" .. name) end
        end
      end
      store(name, flag, value)
    elseif word:match "^%-." then
      local at = 2
      while at <= #word do
        local letter = word:sub(at, at)
        local long = short[letter]
        if not long then usage(path, ("unknown shorthand flag: '%s' in %s"):format(letter, word)) end
        local flag = known(long)
        local tail = word:sub(at + 1)
        if flag.type == "bool" and tail:sub(1, 1) ~= "=" then
          store(long, flag, "true")
          at = at + 1
        else
          if tail == "" and not flag.bare then
            i = i + 1
            tail = words[i]
            if not tail then usage(path, ("flag needs an argument: '%s' in %s"):format(letter, word)) end
          elseif tail == "" then
            tail = flag.bare
          end
          store(long, flag, (tail:gsub("^=", "")))
          break
        end
      end
    else
      rest[#rest + 1] = word
    end
    i = i + 1
  end
  return values, rest, dash
end

-- The index of the first word that is no flag, and of no flag the value: the command.
function flags.command_at(words, from)
  local i = from
  while i <= #words do
    local word = words[i]
    local name = word:match "^%-%-([^=]+)$" or word:match "^%-([^-])$"
    if word == "--" then return nil end
    if not word:match "^%-" then return i end
    local flag = name and flags.GLOBAL[name]
    if name and not flag then
      for long, one in pairs(flags.GLOBAL) do if one.short == name then flag = flags.GLOBAL[long] end end
    end
    if flag and flag.type ~= "bool" and not word:find "=" then i = i + 1 end
    i = i + 1
  end
  return nil
end

return flags
