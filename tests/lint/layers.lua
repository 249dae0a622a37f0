-- The house rules that a compiler does not check: lower layers never include upper ones, one place resumes Lua, only the
-- command line prints, no banned call. Run from the top of the tree: lua5.4 tests/lint/layers.lua
local rank = { base = 0, loop = 1, net = 2, stream = 3, vm = 4, run = 5, api = 6, cli = 7 }
local banned = { "strcpy", "strcat", "sprintf", "gets", "strtok", "system", "popen", "mktemp", "tmpnam", "alloca" }
local problems = {}

local function problem(path, line, text) problems[#problems + 1] = ("%s:%d: %s"):format(path, line, text) end

-- Comments and the insides of strings do not count.
local function code_of(line, in_comment)
  line = line:gsub('"[^"]*"', '""')
  if in_comment then
    local finish = line:find("*/", 1, true)
    if not finish then return "", true end
    line = line:sub(finish + 2)
  end
  line = line:gsub("/%*.-%*/", ""):gsub("//.*", "")
  local start = line:find("/*", 1, true)
  if start then return line:sub(1, start - 1), true end
  return line, false
end

local function check_include(path, layer, number, line)
  local wanted = line:match '^#include "([%w_]+)/'
  if not wanted then return end
  if not rank[wanted] then
    problem(path, number, "includes an unknown layer: " .. wanted)
  elseif rank[wanted] > rank[layer] or (rank[wanted] == rank[layer] and wanted ~= layer) then
    problem(path, number, ("layer %s includes %s, which is not below it"):format(layer, wanted))
  end
end

local function check_code(path, layer, number, code)
  if code:find "%f[%w_]lua_resume%s*%(" and path ~= "src/vm/task.c" then problem(path, number, "lua_resume outside src/vm/task.c") end
  if layer ~= "cli" then
    for _, call in ipairs { "printf", "puts", "putchar", "vprintf", "perror" } do
      if code:find("%f[%w_]" .. call .. "%s*%(") then problem(path, number, call .. " outside src/cli") end
    end
    if code:find "%f[%w_]std(out|err)%f[^%w_]" or code:find "%f[%w_]stdout%f[^%w_]" or code:find "%f[%w_]stderr%f[^%w_]" then
      problem(path, number, "standard output is src/cli's")
    end
  end
  if layer == "net" or layer == "stream" or layer == "loop" or layer == "base" then
    if code:find "%f[%w_]lua_State%f[^%w_]" then problem(path, number, "Lua below layer vm") end
  end
  for _, call in ipairs(banned) do
    if code:find("%f[%w_]" .. call .. "%s*%(") then problem(path, number, "banned call: " .. call) end
  end
end

local function check(path)
  local layer = path:match "^src/(%w+)/" or "cli"
  local in_comment, number = false, 0
  for line in io.lines(path) do
    number = number + 1
    check_include(path, layer, number, line)
    local code
    code, in_comment = code_of(line, in_comment)
    check_code(path, layer, number, code)
  end
  if number > 800 then problem(path, number, "the file holds more than one duty: " .. number .. " lines") end
end

local listing = assert(io.popen "find src -name '*.[ch]' | sort")
for path in listing:lines() do check(path) end
listing:close()
for _, text in ipairs(problems) do io.stderr:write(text, "\n") end
os.exit(#problems == 0)
