-- slack: messages to channels, by the Web API (SLACK_TOKEN) or by an incoming webhook (SLACK_WEBHOOK_URL).
--
-- The API answers failures with status 200, so what its answer says is looked at; what it refuses for its rate (429) is repeated
-- when it says so. Slack knows no idempotency key: when an answer is lost, the channel's history decides where it may be read.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local http = require "pgsh.http"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local remake = require "pgsh.remake"
local secret = require "pgsh.secret"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"

local slack = {}

local Chat = {}
Chat.__index = Chat
Chat.__name = "slack.chat"

local ADDRESS = "https://slack.com/api"

-- What the service's words mean to an operator; others are shown as they are.
local HINTS = {
  not_authed = "SLACK_TOKEN was not sent", invalid_auth = "SLACK_TOKEN is not valid here", account_inactive = "the token's account is gone",
  token_revoked = "the token was revoked", missing_scope = "the app needs the scope chat:write",
  channel_not_found = "there is no such channel, or the app cannot see it", not_in_channel = "invite the app to the channel",
  is_archived = "the channel is archived", no_service = "the webhook was revoked", channel_is_archived = "the channel is archived",
  action_prohibited = "the workspace's administrators forbid it", invalid_payload = "an old webhook, or a body it does not take",
}

function Chat:__tostring() return "slack " .. table.concat(self.channels, " ") end

local function redirected() return plain.env "PGSH_SLACK_URL" end

-- Which credential there is: "api" with the token, or "webhook" with its address. Both are secrets.
local function credential()
  local token, hook = plain.env "SLACK_TOKEN", plain.env "SLACK_WEBHOOK_URL"
  if token then
    if token:match "[^%g]" then errors.raise("usage", "SLACK_TOKEN holds a character that no token has") end
    secret(token)
    return "api", secret("Bearer " .. token)
  elseif hook then
    if not hook:match "^https?://[^/]+/." or hook:match "%s" then errors.raise("usage", "SLACK_WEBHOOK_URL is no address of a webhook") end
    -- Whoever knows the path may write: it must not show, also by itself.
    secret(hook)
    secret((hook:match "^https?://[^/]+(/.*)$"))
    return "webhook", secret(hook)
  end
  errors.raise("usage", {
    message = "no Slack credential: neither SLACK_TOKEN nor SLACK_WEBHOOK_URL is set",
    hint = "a token that begins with xoxb- and has the scope chat:write, or the address of an incoming webhook",
  })
end

-- The handles, a channel's own each, made at the first request: a checklist needs no credential.
local function connect(self, channel)
  local how, credit = credential()
  local options = { kind = "slack", name = channel, detail = redirected(), netrc = false }
  if how == "api" then options.auth = credit end
  self.handles[channel] = self.handles[channel] or http(how == "api" and (redirected() or ADDRESS) or credit, options)
  return self.handles[channel], how
end

local function refuse(channel, word, more)
  errors.raise("http", {
    message = ("Slack does not take the message to %s: %s%s"):format(channel, word, more or ""), target = "slack " .. channel,
    hint = HINTS[word], status = 200,
  })
end

-- Raises what would make the first message fail: no credential, or one that the service does not know.
function Chat:check()
  local channel = self.channels[1]
  local handle, how = connect(self, channel)
  if how == "webhook" then return end
  local reply = handle:get_json "/auth.test"
  if not reply.ok then refuse(channel, reply.error or "auth.test failed") end
end

local HISTORY_S = 1800

-- Is the message in the channel? The history is asked by the channel's id only, and for that the app needs a scope: nil when it
-- cannot be told.
local function posted(self, handle, channel, text)
  if not channel:match "^[CGD]%u*%w+$" then return nil end
  local asked = true
  local happened = settle.look(self.settle, function()
    local reply = handle:get_json("/conversations.history", {
      query = { channel = channel, oldest = ("%d"):format(host.now() // 1000 - HISTORY_S), limit = 100 },
    })
    if not reply.ok then
      asked = false
      return true
    end
    for _, message in ipairs(reply.messages or {}) do
      if message.text == text then return true end
    end
  end)
  if not asked then return nil end
  return happened
end

-- A refusal is in the journal, as the answer to a request that went well: when the step is tried again it is met there, and behind it
-- the message is sent anew.
local function by_api(self, handle, channel, text, what)
  local result = remake(function()
    return handle:post("/chat.postMessage", {
      json = { channel = channel, text = text, unfurl_links = false }, pick = { "ok", "error", "needed", "ts", "channel" },
      what = what, idempotent = self.again,
      resolve = function() return posted(self, handle, channel, text), { status = 200, json = { ok = true } } end,
    })
  end, function(reply) return reply.json.ok end)
  if unknown.is(result) or result.json.ok then return result end
  refuse(channel, tostring(result.json.error), result.json.needed and " (needed: " .. tostring(result.json.needed) .. ")")
end

local function by_webhook(self, handle, channel, text, what)
  local ok, result = pcall(handle.post, handle, "", {
    json = { text = text, channel = self.own_channel and channel or nil }, what = what, idempotent = self.again,
  })
  if ok then return result end
  if type(result) == "table" and result.kind == "http" then
    local word = tostring(result.detail or ""):match "^%s*([%w_]+)%s*$"
    if word and HINTS[word] then result.hint = result.hint or HINTS[word] end
  end
  error(result, 0)
end

-- Say something in every channel, in their order. A change each. Returns for each { channel, ts }.
function Chat:say(text)
  if not unknown.is(text) and (type(text) ~= "string" or not text:match "%S") then errors.usage "slack say: a text is needed" end
  local out = {}
  for i, channel in ipairs(self.channels) do
    local handle, how = connect(self, channel)
    local first = tostring(text):match "^[^\n]*"
    local what = ("message to %s: %s"):format(channel, #first > 60 and first:sub(1, 57) .. "…" or first)
    local result = (how == "api" and by_api or by_webhook)(self, handle, channel, text, what)
    if unknown.is(result) then out[i] = { channel = channel } else out[i] = { channel = channel, ts = result.json and result.json.ts } end
  end
  return out
end

local OPTIONS = { settle = true, again = true, own_channel = true }

-- Channels, by name ("#production") or id. Named as targets at once; nothing is asked before the first use. options: again (a message
-- whose answer was lost is sent once more, better twice than never), own_channel = false (the webhook is bound to a channel: its name
-- is not sent), settle ("20s").
function slack.to(channels, options)
  if type(channels) == "string" then channels = { channels } end
  options = options_of.check("slack.to", options, OPTIONS)
  if type(channels) ~= "table" or #channels == 0 then errors.usage "slack.to: which channels?" end
  for _, channel in ipairs(channels) do
    if type(channel) ~= "string" or not channel:match "^#?[^%s#]+$" then errors.usage("slack.to: %s is no channel", tostring(channel)) end
  end
  for _, channel in ipairs(channels) do host.target("slack", channel, redirected()) end
  return setmetatable({
    channels = channels, handles = {}, settle = options.settle, again = options.again, own_channel = options.own_channel ~= false,
  }, Chat)
end

return slack
