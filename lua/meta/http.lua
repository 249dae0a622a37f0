---@meta pgsh.http
-- http: HTTP services. `http(base, options)` makes a handle, which names a target; its methods wait.
--
-- A read (get, get_json, head) is repeated while that may help: no connection, 429, 502, 503, 504, a lost answer. A change is
-- repeated only when it was not processed for certain: nothing was sent, 429, 503 with Retry-After. A change that was sent and
-- not answered (or answered 502 or 504, by a gateway; 500 or 503 without Retry-After, unless it is idempotent) has an unknown outcome: `resolve` decides, else `idempotent`, else the operator.
--
-- The result of a change is journaled. So it holds the status, and of the answer only what `pick` names.

---@class pgsh.HttpOptions
---@field headers? table<string, string|pgsh.Secret>  # sent with every request
---@field auth? string|pgsh.Secret   # the value of Authorization: "Bearer …". Never shown
---@field timeout? number|string     # of one call, its repeats included; default "30s"
---@field name? string               # of the target; default: the host
---@field kind? string               # of the target; default: "http"
---@field detail? string             # of the target: a redirected address, say
---@field netrc? boolean             # look for the host in $NETRC or ~/.netrc when there is no Authorization; default true
---@field retry? integer             # how often to try in all; default 5, 1: once
---@field sigv4? {region:string, service:string, key:string, secret:string|pgsh.Secret, token:string|pgsh.Secret?, provider:string?}  # sign for AWS
---@field busy? string[]             # an error whose body has one of these texts means: not done, try later (as 429 does)

---@class pgsh.HttpReadOptions
---@field query? table<string, string|number|boolean|pgsh.Secret|table>  # sent sorted; a list repeats its name
---@field headers? table<string, string|pgsh.Secret>  # in place of the handle's
---@field timeout? number|string
---@field expect? integer|integer[]  # accepted statuses; default every 2xx. With a 3xx among them redirects are not followed
---@field decode? "json"|"text"      # default: JSON when the content type says so
---@field accept? string             # Accept
---@field range? string              # Range
---@field limit? integer|string      # of the answer's body; default "16M"
---@field what? string               # shown in place of the request

---@class pgsh.HttpChangeOptions: pgsh.HttpReadOptions
---@field json? any                  # the body, as JSON with sorted keys; secrets in it are sent, and shown as •••
---@field body? string|pgsh.Secret   # the body as it is
---@field pick? string[]             # fields of the decoded answer to keep: {"id", "incident.id"}
---@field idempotent? boolean        # may be sent twice without harm; default: put and delete may, post and patch may not
---@field resolve? fun(): boolean?, table?  # asked when the outcome is unknown. true and the result: it happened; false: it did not

---@class pgsh.HttpReply
---@field status integer
---@field headers table<string, string>  # names in lower case; a repeated one joined by ", "
---@field json? any                  # the decoded body
---@field body? string               # the body, when it was not decoded
---@field url string                 # after redirects

---@class pgsh.HttpResult
---@field status integer
---@field json? table                # what was picked

---@class pgsh.Http
local handle = {}

---GET. A path, or an absolute address of the same origin (the next page of a list).
---@param path string
---@param options? pgsh.HttpReadOptions
---@return pgsh.HttpReply
function handle:get(path, options) end
---GET of JSON: the value, and the whole reply.
---@param path string
---@param options? pgsh.HttpReadOptions
---@return any, pgsh.HttpReply
function handle:get_json(path, options) end
---HEAD.
---@param path string
---@param options? pgsh.HttpReadOptions
---@return pgsh.HttpReply
function handle:head(path, options) end
---POST. A change.
---@param path string
---@param options? pgsh.HttpChangeOptions
---@return pgsh.HttpResult
function handle:post(path, options) end
---PUT. A change, that may be sent twice.
---@param path string
---@param options? pgsh.HttpChangeOptions
---@return pgsh.HttpResult
function handle:put(path, options) end
---PATCH. A change.
---@param path string
---@param options? pgsh.HttpChangeOptions
---@return pgsh.HttpResult
function handle:patch(path, options) end
---DELETE. A change, that may be sent twice.
---@param path string
---@param options? pgsh.HttpChangeOptions
---@return pgsh.HttpResult
function handle:delete(path, options) end

---@class pgsh.http
---@overload fun(base: string|pgsh.Secret, options?: pgsh.HttpOptions): pgsh.Http
local http = {}

---Percent-encode a text (one part of a path), or make a query of a table.
---@param value string|table
---@return string
function http.encode(value) end
---A query as a table; a name that comes again gives a list.
---@param query string
---@return table<string, string|string[]>
function http.decode(query) end

return http
