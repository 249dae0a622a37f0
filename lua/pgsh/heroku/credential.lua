-- The credential of this process, one for all apps. Heroku's tokens expire, also in the middle of a run: then it is looked for again
-- where it was found, and when nobody has renewed it there, the operator is asked for one. What is typed is kept in memory only: a
-- resumed run looks and asks again.
local address = require "pgsh.heroku.address"
local ask = require "pgsh.ask"
local host = require "pgsh.host"
local secret = require "pgsh.secret"
local session = require "pgsh.session"

local credential = {}

---@class pgsh.HerokuCredential
---@field header pgsh.Secret        # the value of Authorization
---@field from string               # where it was found
---@field number integer            # 1, 2, …: which of this process
---@field typed? integer            # so many were typed in a row, and none was taken yet

local TRIES = 3

local held = {}     -- machine → the credential in use
local refused = {}  -- header's text → true: Heroku does not take it any more
local renewing = {} -- machine → true while somebody looks or asks

local function hold(machine, header, from)
  local former = held[machine]
  held[machine] = { header = header, from = from, number = former and former.number + 1 or 1 }
  return held[machine]
end

---The credential for a machine's name in netrc. Raises "usage" naming every place that was looked at.
---@param machine string
---@return pgsh.HerokuCredential
function credential.get(machine)
  return held[machine] or hold(machine, address.authorization(machine))
end

-- What is there by now where the CLI keeps it; nil when it is not there, or refused already.
local function look_again(machine)
  local ok, header, from = pcall(address.authorization, machine)
  if ok and not refused[secret.reveal(header)] then return hold(machine, header, from) end
end

-- The time the operator takes is not the time of the step or wait in which the token expired: a question has no deadline, and the one
-- that is waiting behind it is put off.
local function unhurried(f, ...)
  local former, began = host.deadline(), host.mono()
  local results = table.pack(pcall(f, ...))
  if former.at_ms ~= 0 then former.at_ms = former.at_ms + (host.mono() - began) end
  host.restore_deadline(former)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local QUESTION = "Heroku does not take the credential from %s any more. A new token (heroku auth:token)"

local function ask_for_one(machine, from, typed)
  for number = typed + 1, TRIES do
    local token = secret.reveal(ask.secret(QUESTION:format(from))):match "^%s*(%g+)%s*$"
    local header = token and secret("Bearer " .. token)
    if token then secret(token) end
    if header and not refused[secret.reveal(header)] then
      local found = hold(machine, header, "the operator")
      found.typed = number
      return found
    end
    from = token and "the operator" or from
  end
end

local function renew(machine, former)
  refused[secret.reveal(former.header)] = true
  local found = look_again(machine)
  if found or not session.current or session.shows() or not host.interactive() then return found end
  found = unhurried(ask_for_one, machine, former.from, former.typed or 0)
  if not found then former.typed = nil end -- who tries the step again is asked again
  return found
end

---It was taken.
---@param found pgsh.HerokuCredential
function credential.accepted(found)
  found.typed = nil
end

---Heroku answered 401 to a request that was made with this credential: another one, or nil when there is none to be had (nobody to
---ask, or a plan, which asks nothing). Tasks that meet the same refusal at the same time get the same answer, and one question is asked.
---@param machine string
---@param former pgsh.HerokuCredential
---@return pgsh.HerokuCredential?
function credential.renew(machine, former)
  while renewing[machine] do host.sleep(0.05) end
  if held[machine] and held[machine].number ~= former.number then return held[machine] end
  renewing[machine] = true
  local ok, found = pcall(renew, machine, former)
  renewing[machine] = nil
  if not ok then error(found, 0) end
  return found
end

return credential
