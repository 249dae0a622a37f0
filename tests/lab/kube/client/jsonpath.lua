-- The templates of -o jsonpath: fields, [*], [n], [-1], slices, ["quoted"], .., filters ?(@.a=="x"), {range}{end}, text and escapes.
local fail = require "kube.client.fail"
local json = require "core.json"
local objects = require "kube.objects"

local jsonpath = {}

local function parse_error(template, why) fail.raise(("error parsing jsonpath %s, %s"):format(template, why)) end

local function unquote(text)
  return (text:gsub("\\(.)", function(c) return ({ n = "\n", t = "\t", r = "\r" })[c] or c end))
end

-- A path such as .spec.containers[0]["a.b"] to steps.
local function parse_path(template, text)
  local steps, at = {}, 1
  text = text:gsub("^%$", "")
  if text ~= "" and not text:match "^[.%[@]" then parse_error(template, "unrecognized identifier " .. text) end
  text = text:gsub("^@", "")
  while at <= #text do
    local rest = text:sub(at)
    local recursive = rest:match "^%.%.([%w_%-*]+)"
    local name = rest:match "^%.([%w_%-/]*\\?[^.%[%]]*)"
    if recursive then
      steps[#steps + 1] = { op = "recursive", name = recursive }
      at = at + 2 + #recursive
    elseif rest:sub(1, 1) == "[" then
      local depth, quote, stop = 0, nil, nil
      for i = 1, #rest do
        local c = rest:sub(i, i)
        if quote then
          if c == quote then quote = nil end
        elseif c == "'" or c == '"' then
          quote = c
        elseif c == "[" then
          depth = depth + 1
        elseif c == "]" then
          depth = depth - 1
          if depth == 0 then stop = i break end
        end
      end
      if not stop then parse_error(template, "unterminated array") end
      local inside = rest:sub(2, stop - 1)
      local from, to = inside:match "^(%-?%d*):(%-?%d*)$"
      if inside == "*" then
        steps[#steps + 1] = { op = "all" }
      elseif inside:match "^%-?%d+$" then
        steps[#steps + 1] = { op = "index", index = tonumber(inside) }
      elseif from then
        steps[#steps + 1] = { op = "slice", from = tonumber(from), to = tonumber(to) }
      elseif inside:match "^%?%(" then
        local left, op, right = inside:match "^%?%((.-)%s*([=!<>]=?)%s*(.-)%)$"
        if not left then left = inside:match "^%?%((.-)%)$" end
        if not left then parse_error(template, "unterminated filter") end
        local literal = right and (right:match "^'(.*)'$" or right:match '^"(.*)"$')
        local number = right and tonumber(right)
        local bool = right == "true" or (right ~= "false" and nil)
        if right == "false" then bool = false end
        steps[#steps + 1] = { op = "filter", path = parse_path(template, left), compare = op, text = literal, number = number, bool = bool }
      else
        local quoted = inside:match "^'(.*)'$" or inside:match '^"(.*)"$'
        if not quoted then parse_error(template, "invalid array index " .. inside) end
        steps[#steps + 1] = { op = "field", name = quoted }
      end
      at = at + stop
    elseif name then
      local raw, i = {}, 2
      while i <= #rest do
        local c = rest:sub(i, i)
        if c == "\\" then
          raw[#raw + 1] = rest:sub(i + 1, i + 1)
          i = i + 2
        elseif c == "." or c == "[" then
          break
        else
          raw[#raw + 1] = c
          i = i + 1
        end
      end
      local field = table.concat(raw)
      if field ~= "" then steps[#steps + 1] = field == "*" and { op = "all" } or { op = "field", name = field } end
      at = at + i - 1
    else
      parse_error(template, "unrecognized character " .. rest:sub(1, 1))
    end
  end
  return steps
end

local walk

local function compare(step, value)
  if value == nil then return false end
  if step.compare == nil then return true end
  local wanted = step.text
  if step.number and type(value) == "number" then wanted = step.number end
  if step.bool ~= nil and step.text == nil then wanted = step.bool end
  if wanted == nil then wanted = step.number end
  if step.compare == "==" then return value == wanted end
  if step.compare == "!=" then return value ~= wanted end
  if type(value) ~= type(wanted) then return false end
  if step.compare == "<" then return value < wanted end
  if step.compare == ">" then return value > wanted end
  if step.compare == "<=" then return value <= wanted end
  return value >= wanted
end

local function children(value)
  local out = {}
  if json.is_array(value) then
    for _, item in ipairs(value) do out[#out + 1] = item end
  elseif json.is_object(value) then
    for _, key in ipairs(objects.sorted_keys(value)) do out[#out + 1] = value[key] end
  end
  return out
end

local function descend(value, name, out)
  if json.is_object(value) then
    if value[name] ~= nil then out[#out + 1] = value[name] end
  end
  for _, item in ipairs(children(value)) do
    if type(item) == "table" then descend(item, name, out) end
  end
end

function walk(values, steps, strict)
  for _, step in ipairs(steps) do
    local out = {}
    for _, value in ipairs(values) do
      if step.op == "field" then
        if json.is_object(value) and value[step.name] ~= nil then out[#out + 1] = value[step.name] end
      elseif step.op == "all" then
        for _, item in ipairs(children(value)) do out[#out + 1] = item end
      elseif step.op == "recursive" then
        descend(value, step.name, out)
      elseif step.op == "index" and json.is_array(value) then
        local at = step.index < 0 and #value + step.index + 1 or step.index + 1
        if value[at] == nil then
          if strict then strict(("array index out of bounds: index %d, length %d"):format(step.index, #value)) end
        else
          out[#out + 1] = value[at]
        end
      elseif step.op == "slice" and json.is_array(value) then
        local from, to = step.from or 0, step.to or #value
        if from < 0 then from = #value + from end
        if to < 0 then to = #value + to end
        for i = from + 1, math.min(to, #value) do out[#out + 1] = value[i] end
      elseif step.op == "filter" then
        for _, item in ipairs(children(value)) do
          if compare(step, walk({ item }, step.path)[1]) then out[#out + 1] = item end
        end
      end
    end
    values = out
  end
  return values
end

local function shown(value)
  if value == json.null then return "" end
  if type(value) == "table" then return json.encode(value) end
  if math.type(value) == "float" then return ("%.14g"):format(value) end
  return tostring(value)
end

-- A template to a list of { text } , { steps }, { range, body }.
local function parse(template)
  local stack, at = { {} }, 1
  while at <= #template do
    local open = template:find("{", at, true)
    if not open then
      table.insert(stack[#stack], { text = template:sub(at) })
      break
    end
    if open > at then table.insert(stack[#stack], { text = template:sub(at, open - 1) }) end
    local i, quote, close = open + 1, nil, nil
    while i <= #template do
      local c = template:sub(i, i)
      if quote then
        if c == "\\" then i = i + 1 elseif c == quote then quote = nil end
      elseif c == "'" or c == '"' then
        quote = c
      elseif c == "}" then
        close = i
        break
      end
      i = i + 1
    end
    if not close then parse_error(template, "unclosed action") end
    local inside = template:sub(open + 1, close - 1):match "^%s*(.-)%s*$"
    local range = inside:match "^range%s+(.+)$"
    local quoted = inside:match '^"(.*)"$' or inside:match "^'(.*)'$"
    if range then
      local node = { range = parse_path(template, range), body = {} }
      table.insert(stack[#stack], node)
      stack[#stack + 1] = node.body
    elseif inside == "end" then
      if #stack == 1 then parse_error(template, "not in range, nothing to end") end
      stack[#stack] = nil
    elseif quoted then
      table.insert(stack[#stack], { text = unquote(quoted) })
    else
      table.insert(stack[#stack], { steps = parse_path(template, inside) })
    end
    at = close + 1
  end
  if #stack > 1 then parse_error(template, "unterminated range") end
  return stack[1]
end

local function render(nodes, root, current, out)
  for _, node in ipairs(nodes) do
    if node.text then
      out[#out + 1] = node.text
    elseif node.range then
      for _, item in ipairs(walk({ current }, node.range)) do render(node.body, root, item, out) end
    else
      local texts = {}
      for _, value in ipairs(walk({ current }, node.steps, function(why)
        fail.raise(("error executing jsonpath: Error executing template: %s."):format(why))
      end)) do texts[#texts + 1] = shown(value) end
      out[#out + 1] = table.concat(texts, " ")
    end
  end
end

-- A function of the object to print; the template is checked now.
function jsonpath.compile(template)
  local text = template
  if not text:find("{", 1, true) then text = "{" .. (text:match "^[.%[]" and text or "." .. text) .. "}" end
  local nodes = parse(text)
  return function(object)
    local out = {}
    render(nodes, object, object, out)
    return table.concat(out)
  end
end

-- The values of one path, for kubectl wait.
function jsonpath.values(path, object)
  local inside = path:match "^{(.*)}$" or path
  return walk({ object }, parse_path(path, inside))
end

jsonpath.shown = shown

return jsonpath
