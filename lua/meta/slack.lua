---@meta slack
-- slack: messages to channels. The credential is SLACK_TOKEN (the Web API, scope chat:write) or else SLACK_WEBHOOK_URL (an incoming
-- webhook); neither is ever shown. PGSH_SLACK_URL redirects the API. What the service refuses for its rate is repeated when it says so.
slack = {}

---Channels, by name ("#production") or id. Names the targets "slack #production" …; to be called while the procedure loads.
---again: a message whose answer was lost is sent once more (twice rather than never); otherwise the channel's history decides, where
---the channel is given by its id and the app may read it, else the operator. own_channel = false: the webhook is bound to a channel, whose
---name is not sent. settle: how long the history is asked (default "20s").
---@param channels string|string[]
---@param options? {again: boolean?, own_channel: boolean?, settle: number|string?}
---@return slack.Chat
function slack.to(channels, options) end

---@class slack.Chat
---@field channels string[]
local Chat = {}

---Raise what would make the first message fail: no credential, or one the service does not know.
function Chat:check() end
---Change: say something in every channel, in their order.
---@param text string
---@return {channel: string, ts: string?}[]
function Chat:say(text) end
