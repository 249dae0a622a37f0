-- nearest: the known name that a mistyped one most likely meant.

local nearest = {}

-- Edit distance in which exchanging two neighbours costs one (optimal string alignment).
local function distance(a, b)
  local before, former, row = {}, {}, {}
  for j = 0, #b do former[j] = j end
  for i = 1, #a do
    row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local cost = math.min(former[j] + 1, row[j - 1] + 1, former[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        cost = math.min(cost, before[j - 2] + 1)
      end
      row[j] = cost
    end
    before, former = former, row
  end
  return row[#b] or #b
end

---The nearest of `names` to `word`, or nil when none is near.
---@param word string
---@param names string[]
---@return string?
function nearest.to(word, names)
  local best, best_distance
  local low = word:lower()
  local limit = #word <= 3 and 1 or math.max(2, #word // 3)
  for _, name in ipairs(names) do
    local d = distance(low, name:lower())
    if #low >= 3 and d > limit and (name:lower():sub(1, #low) == low or low:sub(1, #name) == name:lower() and #name >= 3) then
      d = limit
    end
    if d <= limit then
      -- People rarely miss the first letter.
      d = d + (low:byte() == name:lower():byte() and 0 or 0.5)
      if not best or d < best_distance or d == best_distance and name < best then best, best_distance = name, d end
    end
  end
  return best
end

---" (did you mean X?)" or "".
---@param word string
---@param names string[]
---@return string
function nearest.hint(word, names)
  local name = nearest.to(word, names)
  return name and (" (did you mean %s?)"):format(name) or ""
end

return nearest
