-- Slack: an incoming webhook and chat.postMessage, as strict as the service. Facts: webhook errors are bare words with their
-- status, the API's are 200 with {"ok":false}; both answer 429 with Retry-After.
local check = require "core.check"
local json = require "core.json"
local refusal = require "core.refusal"

local slack = {}

local HOOK = "/services/T00000000/B00000000/"

local BODY = {
  text = check.string, channel = check.filled, blocks = check.list(check.object), attachments = check.list(check.object),
  username = check.string, icon_emoji = check.string, icon_url = check.string, thread_ts = check.filled, mrkdwn = check.boolean,
  link_names = check.boolean, unfurl_links = check.boolean, unfurl_media = check.boolean, parse = check.string,
  reply_broadcast = check.boolean, as_user = check.boolean, metadata = check.object,
}
local CHECK = check.record(BODY)

function slack.new(world)
  return {
    world = world, messages = json.array(), count = 0,
    channels = { ["#production"] = "C024BE91L", ["#database"] = "C3NBYFMTK", ["#archived"] = "C0ARCHIVE", ["#private"] = "C0PRIVATE" },
    sent = {},
  }
end

local function word(status, text, headers)
  refusal.raise(status, text, text, { headers = headers })
end

-- The body, decoded; nil when there is none or it is not what the service takes.
local function body_of(request)
  local decoded = json.decode(request.body)
  if not json.is_object(decoded) or CHECK(decoded, "body") then return nil end
  return decoded
end

-- options.slack_limit messages a channel within slack_window_s; the seconds to wait when there were more.
local function wait_of(self, channel)
  local options, times = self.world.options, self.sent[channel] or {}
  local now = self.world.now()
  while times[1] and times[1] <= now - options.slack_window_s do table.remove(times, 1) end
  self.sent[channel] = times
  if #times >= options.slack_limit then return math.max(1, math.ceil(times[1] + options.slack_window_s - now)) end
  times[#times + 1] = now
end

local function channel_of(self, name)
  for title, id in pairs(self.channels) do
    if name == title or name == id or "#" .. name == title then return title, id end
  end
end

local function keep(self, channel, given, how)
  self.count = self.count + 1
  local now = self.world.now()
  local ts = ("%d.%06d"):format(math.floor(now), 100 + self.count)
  self.messages[#self.messages + 1] = {
    channel = channel, text = given.text or "", ts = ts, time = now, how = how, username = given.username or json.null,
    thread_ts = given.thread_ts or json.null,
  }
  return ts
end

local function too_long(given)
  for _, block in ipairs(given.blocks or {}) do
    local text = json.is_object(block.text) and block.text.text
    if block.type == "section" and type(text) == "string" and (utf8.len(text) or #text) > 3000 then return true end
  end
  return false
end

local function webhook(self, request, captures)
  local path = HOOK .. captures.secret
  if path ~= self.world.slack_hook then word(404, "no_service") end
  local given = body_of(request)
  if not given then word(400, "invalid_payload") end
  if (given.text or "") == "" and not given.blocks and not given.attachments then word(400, "no_text") end
  if too_long(given) then word(400, "invalid_blocks") end
  local channel = "#production"
  if given.channel then
    channel = channel_of(self, given.channel)
    if not channel then word(404, "channel_not_found") end
  end
  if channel == "#archived" then word(410, "channel_is_archived") end
  if channel == "#private" then word(403, "action_prohibited") end
  local seconds = wait_of(self, channel)
  if seconds then word(429, "rate_limited", { ["Retry-After"] = tostring(seconds) }) end
  keep(self, channel, given, "webhook")
  return 200, "ok"
end

local function refused(name, more)
  local out = { ok = false, error = name }
  for key, value in pairs(more or {}) do out[key] = value end
  return 200, out
end

local function post_message(self, request)
  local header = request.headers.authorization
  if not header then return refused "not_authed" end
  if header ~= "Bearer " .. self.world.slack_token then return refused "invalid_auth" end
  if not (request.headers["content-type"] or ""):lower():match "^application/json" then return refused "invalid_form_data" end
  local given = body_of(request)
  if not given then return refused "invalid_json" end
  if not given.channel then return refused "channel_not_found" end
  local name, id = channel_of(self, given.channel)
  if not name then return refused "channel_not_found" end
  if name == "#archived" then return refused "is_archived" end
  if name == "#private" then return refused "not_in_channel" end
  if (given.text or "") == "" and not given.blocks and not given.attachments then return refused "no_text" end
  if too_long(given) then return refused "invalid_blocks" end
  local missing = self.world.options.slack_missing_scope
  if missing then return refused("missing_scope", { needed = "chat:write", provided = "channels:read" }) end
  local seconds = wait_of(self, name)
  if seconds then return 429, { ok = false, error = "ratelimited" }, { ["Retry-After"] = tostring(seconds) } end
  local ts = keep(self, name, given, "api")
  return 200, {
    ok = true, channel = id, ts = ts,
    message = { type = "message", subtype = "bot_message", text = given.text or "", ts = ts, bot_id = "B0LAB" },
  }
end

local function auth_test(self, request)
  local header = request.headers.authorization
  if not header then return refused "not_authed" end
  if header ~= "Bearer " .. self.world.slack_token then return refused "invalid_auth" end
  return 200, { ok = true, team = "GitLab", user = "pgsh", team_id = "T00000000", user_id = "W00000000", url = "https://gitlab.slack.com/" }
end

-- The messages of a channel, newest first.
local function history(self, request)
  local header = request.headers.authorization
  if header ~= "Bearer " .. self.world.slack_token then return refused(header and "invalid_auth" or "not_authed") end
  local name, id = channel_of(self, request.params.channel or "")
  if not name or request.params.channel ~= id then return refused "channel_not_found" end
  if self.world.options.slack_no_history then return refused("missing_scope", { needed = "channels:history", provided = "chat:write" }) end
  local out = json.array()
  for i = #self.messages, 1, -1 do
    local message = self.messages[i]
    local late = not request.params.oldest or tonumber(message.ts) >= tonumber(request.params.oldest)
    if message.channel == name and late then
      out[#out + 1] = { type = "message", text = message.text, ts = message.ts, bot_id = "B0LAB" }
    end
  end
  return 200, { ok = true, messages = out, has_more = false }
end

-- The definition for core.service.
function slack.definition(world)
  local function self() return world.slack end
  return {
    name = "slack", world = world,
    routes = {
      { "POST", HOOK .. ":secret", function(request, captures) return webhook(self(), request, captures) end },
      { "POST", "/api/chat.postMessage", function(request) return post_message(self(), request) end },
      { "POST", "/api/auth.test", function(request) return auth_test(self(), request) end, read = true },
      { "GET", "/api/auth.test", function(request) return auth_test(self(), request) end },
      { "GET", "/api/conversations.history", function(request) return history(self(), request) end },
    },
    admit = function() end,
    raw = true,
    encode = function(body)
      if type(body) == "string" then return body, "text/html" end
      return json.encode(body), "application/json; charset=utf-8"
    end,
    error_body = function(failure) return failure.id end,
    refuse_body = word,
  }
end

return slack
