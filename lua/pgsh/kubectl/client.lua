-- How kubectl is called, and what its failures mean.
--
-- Its exit status is 1 for nearly everything, so the reason that the API server gave, which kubectl prints in brackets, is the measure.
-- Sentences are only looked at where there is no reason: to tell that nothing can have been sent, and who cannot be reached.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local json = require "pgsh.json"
local unknown = require "pgsh.unknown"

local client = {}

-- Reasons with which the API server says that it did nothing.
local REFUSING = {
  "NotFound", "Forbidden", "Conflict", "AlreadyExists", "Invalid", "BadRequest", "Unauthorized", "MethodNotAllowed", "Gone",
    "NotAcceptable",
  "RequestEntityTooLarge", "UnsupportedMediaType", "TooManyRequests",
}

-- Reasons that may pass.
local PASSING = { Timeout = true, ServerTimeout = true, ServiceUnavailable = true, InternalError = true, TooManyRequests = true,
  Connection = true }

-- What kubectl says when it never got so far as to ask for anything.
local UNSENT = {
  " is invalid: ", "error: Expected replicas to be ", "error validating ", "error: error parsing ", "error: the path ",
    "error: no objects passed",
  "was refused - did you specify the right host or port?", "no such host", "error: unknown flag", "error: unknown command",
  "does not match the namespace", "no matches for kind", "the server doesn't have a resource type", "error: context ",
  "error: current-context", "invalid configuration: ", "error: error loading config", "certificate signed by unknown authority",
  "error: stat ", "executable ", "error: You must be logged in", "error: must be ", "error: required flag", "Error: ",
}

---For the option `refused` of a change: the texts that say that it did nothing.
---@type string[]
client.REFUSED = {}
for _, reason in ipairs(REFUSING) do table.insert(client.REFUSED, ("Error from server (%s)"):format(reason)) end
for _, text in ipairs(UNSENT) do table.insert(client.REFUSED, text) end

-- The same for a command in a pod: what is said before it could be started.
client.NOT_STARTED = {
  "unable to upgrade connection", "OCI runtime exec failed", "error: cannot exec into", "timed out waiting for the condition",
  "error: container ",
}
for _, text in ipairs(client.REFUSED) do table.insert(client.NOT_STARTED, text) end

local CONNECTION = {
  "Unable to connect to the server", "The connection to the server", "error dialing backend", "connection refused", "no such host",
    "i/o timeout",
  "TLS handshake timeout", "unexpected EOF", "connection reset", "http2: ", "context deadline exceeded", "net/http: ",
}

local function reason_of(said)
  local reason = said:match "Error from server %((%w+)%)"
  if reason then return reason end
  if said:find("(Unauthorized)", 1, true) then return "Unauthorized" end
  if said:find(" is invalid: ", 1, true) then return "Invalid" end
  if said:find "field is immutable" then return "Invalid" end
  for _, text in ipairs(CONNECTION) do
    if said:find(text, 1, true) then return "Connection" end
  end
end

-- The line that says it, of all that kubectl and its plugins wrote.
local function line_of(said)
  local last
  for line in said:gmatch "[^\n]+" do
    if line:find "^[Ee]rror" or line:find "^The " or line:find "^Unable " then return line end
    if not line:find "^%u%d%d%d%d " then last = line end
  end
  return last
end

local HINTS = {
  Unauthorized = "log in again: the credentials of this context have expired, or are another cluster's",
  Connection = "is the context right, the VPN up? try: kubectl --context CONTEXT version",
  Forbidden = "the account of this context lacks the right; kubectl auth can-i --list shows what it has",
}

---A failure of kubectl as a script gets it. Others are passed on.
---@param self table
---@param verb string
---@param e table
---@return table
function client.failure(self, verb, e)
  if type(e) ~= "table" then return e end
  if e.code == "spawn" then
    return host.error("kubectl", {
      message = ("there is no %s: %s"):format(self.options.binary, e.message), target = tostring(self),
      hint = "install kubectl (on Debian: kubernetes-client), or say where it is: kubectl { binary = … }",
    })
  end
  if e.code ~= "process" and e.code ~= "lost" then return e end
  local said = e.detail or ""
  local reason = reason_of(said)
  local passing = e.code == "lost" and (reason == nil or PASSING[reason]) or PASSING[reason]
  local line = line_of(said)
  return host.error(passing and "kubectl_connect" or "kubectl", {
    message = ("kubectl %s: %s"):format(verb, line or e.message), target = tostring(self),
      reason = reason or e.code == "lost" and "Connection" or nil,
    exit = e.exit, signal = e.signal, detail = line ~= said and said ~= "" and said or nil, hint = HINTS[reason],
  })
end

---Call f(…); what kubectl failed with is worded anew.
function client.guard(self, verb, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  error(client.failure(self, verb, results[2]), 0)
end

-- A read may be made again.
local ATTEMPTS, FIRST_PAUSE_S = 3, 0.3

---Call f(…) once more, and again, when it fails with what may pass.
function client.again(f, ...)
  for attempt = 1, ATTEMPTS do
    local results = table.pack(pcall(f, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    local e = results[2]
    if attempt == ATTEMPTS or type(e) ~= "table" or e.code ~= "kubectl_connect" then error(e, 0) end
    host.sleep(FIRST_PAUSE_S * attempt)
  end
end

---Words that end in flags for the namespace and the time a request may take.
---@param self table
---@param words string[]
---@param options? table
---@return string[]
function client.words(self, words, options)
  options = options or {}
  local all = { table.unpack(words) }
  if options.namespace then
    all[#all + 1] = "--namespace=" .. options.namespace
  end
  local ms = host.duration(options.timeout or self.options.timeout)
  if not ms then errors.usage("kubectl: timeout: %s is not a duration", tostring(options.timeout)) end
  all[#all + 1] = ("--request-timeout=%dms"):format(ms)
  return all
end

local function shown(words)
  local out = { "kubectl" }
  for i, word in ipairs(words) do out[i + 1] = tostring(word) end
  return table.concat(out, " ")
end

---Read.
---@return pgsh.ShResult
function client.read(self, words, options)
  return client.again(client.guard, self, tostring(words[1]), function()
    return self.tool:read(client.words(self, words, options), {
      ok = options and options.ok, limit = options and options.limit or "256M", what = options and options.what or shown(words),
    })
  end)
end

---Change. resolve: as sh.run's.
---@return pgsh.ShResult
function client.change(self, words, options)
  self.seen = {}
  return client.guard(self, tostring(words[1]), function()
    return self.tool:run(client.words(self, words, options), {
      what = options.what or shown(words), detail = options.detail, resolve = options.resolve, refused = client.REFUSED,
        input = options.input,
    })
  end)
end

local function plain(value)
  if type(value) ~= "table" then return value end
  for key, item in pairs(value) do
    if item == json.null then value[key] = nil else plain(item) end
  end
  return value
end

---The JSON that kubectl printed; null is left out.
function client.decode(result)
  if unknown.is(result) then return result end
  return plain(json.decode(result.out))
end

---@param what string               # "k:get"
function client.check_name(what, name)
  if unknown.is(name) then return name end
  if type(name) ~= "string" or not name:find "^%a[%w.-]*/[%w][%w.:_-]*$" then
    errors.usage("%s: KIND/NAME expected (\"deployment/site\"), got %s", what, tostring(name))
  end
  return name
end

---@param what string
---@param options? table
---@param known table<string, any>
function client.check_options(what, options, known)
  if options ~= nil and type(options) ~= "table" then errors.usage("%s: a table of options expected, got %s", what, type(options)) end
  for key in pairs(options or {}) do
    if not known[key] then errors.usage("%s: unknown option %s", what, tostring(key)) end
  end
  return options or {}
end

return client
