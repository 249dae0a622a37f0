-- The files in which AWS's tools keep credentials and settings: ~/.aws/credentials and ~/.aws/config, or where the environment says.
local host = require "pgsh.host"
local env = require("pgsh.plain").env

local profile = {}

-- Where a file is; nil without a home directory.
local function place(variable, default)
  local given = env(variable)
  local home = env "HOME"
  if not given then return home and home .. default end
  return (given:gsub("^~/", (home or "") .. "/"))
end

---Section → key → value. Indented lines belong to the setting above (s3 = …) and are none of ours.
---@param text string
---@return table<string, table<string, string>>
function profile.parse(text)
  local sections, current = {}, nil
  for line in (text:gsub("^\xEF\xBB\xBF", "") .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("\r$", "")
    local title = line:match "^%s*%[%s*(.-)%s*%]"
    if title then
      sections[title] = sections[title] or {}
      current = sections[title]
    elseif current and not line:match "^[%s#;]" then
      local key, value = line:match "^([^=]-)%s*=%s*(.-)%s*$"
      if key then current[key:lower()] = value end
    end
  end
  return sections
end

local function section_of(path, titles)
  local text = path and host.read_file(path)
  if not text then return nil end
  local sections = profile.parse(text)
  for _, title in ipairs(titles) do
    if sections[title] then return sections[title] end
  end
end

---What a profile says: its name, its part of the credentials file and of the config file (nil: none), and where they were looked for.
---@param given? string
---@return {name: string, credentials: table?, config: table?, places: string}
function profile.read(given)
  local name = given or env "AWS_PROFILE" or env "AWS_DEFAULT_PROFILE" or "default"
  local credentials = place("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials")
  local config = place("AWS_CONFIG_FILE", "/.aws/config")
  local titles = { "profile " .. name, ('profile "%s"'):format(name) }
  -- Only the default one may stand there without the word.
  if name == "default" then table.insert(titles, 1, "default") end
  return {
    name = name, credentials = section_of(credentials, { name }), config = section_of(config, titles),
    places = ("%s, %s"):format(credentials or "no ~/.aws/credentials", config or "no ~/.aws/config"),
  }
end

return profile
