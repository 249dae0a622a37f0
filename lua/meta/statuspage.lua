---@meta statuspage
-- statuspage: incidents and scheduled maintenances of an Atlassian Statuspage page. The credential is STATUSPAGE_API_KEY;
-- PGSH_STATUSPAGE_URL redirects. The service allows one request a second; what it refuses for that is repeated when it says so.
-- When the answer to a change is lost, the page is asked whether it is there already, so that no message is posted twice.
statuspage = {}

---A page by its id. Names the target "statuspage ID"; to be called while the procedure loads.
---`settle` is how long the page is asked for a change whose answer was lost (default "20s").
---@param id string
---@param options? {settle: number|string?}
---@return statuspage.Page
function statuspage.page(id, options) end

---@class statuspage.Page
---@field id string
local Page = {}

---Raise what would make every request fail: the missing credential.
function Page:check_credential() end

---@class statuspage.Incident
---@field name string
---@field body string
---@field components? string[]      # ids of components
---@field notify? boolean           # tell the subscribers; default true
---@field impact? string            # none, maintenance, minor, major, critical
---@field known? string[]           # ids that went on under this name before (page:before(name).known): give it from `keep`

---What goes on or is to come under a name: id, status, scheduled_for, scheduled_until, created_at, ahead (how long before its beginning a
---maintenance was announced, in seconds).
---@param name string
---@return table[]
function Page:find(name) end
---For `keep`: known, the ids that go on under a name, and scheduled, the id of the maintenance that is scheduled.
---@param name string
---@return {known: string[], scheduled: string?}
function Page:before(name) end
---The id of what goes on under a name and is not in `known`.
---@param name string
---@param known string[]
---@return string?
function Page:made(name, known) end
---The incident with its updates.
---@param id string
---@return table
function Page:get(id) end

---Change: announce a maintenance, from and until in RFC 3339 or ms since 1970. The result's json.id is its id.
---@param incident statuspage.Incident|{from: string|integer, until: string|integer}
---@return {json: {id: string}}
function Page:schedule(incident) end
---Change: begin. With `lasts` (seconds or "5m") a maintenance that is in progress; else an incident, "investigating" unless status
---says otherwise. The result's json.id is its id.
---@param incident statuspage.Incident|{lasts: number|string?, status: string?}
---@return {json: {id: string}}
function Page:start(incident) end
---Change: post an update.
---@param id string
---@param update {status: string?, body: string?, components: string[]?, component_status: string?, notify: boolean?}
---@return {json: {id: string}}
function Page:update(id, update) end
---Change: a maintenance is completed; its components are operational.
---@param id string
---@param body string
---@param options? {components: string[]?, notify: boolean?}
function Page:complete(id, body, options) end
---Change: an incident is resolved; its components are operational.
---@param id string
---@param body string
---@param options? {components: string[]?, notify: boolean?}
function Page:resolve(id, body, options) end
---Change: completed or resolved, whichever goes with what the page says it is.
---@param id string
---@param body string
---@param options? {components: string[]?, notify: boolean?}
function Page:close(id, body, options) end
