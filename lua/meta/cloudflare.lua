---@meta cloudflare
-- cloudflare: the routes of a zone by which Workers answer for it: a page that says "maintenance", say. The credential is
-- CLOUDFLARE_API_TOKEN (permissions Zone Read, Workers Routes Write); PGSH_CLOUDFLARE_URL redirects. What the service refuses for its
-- rate is repeated when it says so. When the answer to a creation is lost, the zone's list of routes decides: a pattern is there once.
cloudflare = {}

---A zone by its name or its id. Names the target "cloudflare NAME"; to be called while the procedure loads.
---`settle` is how long the zone is asked for a change whose answer was lost (default "20s").
---@param name string               # "example.com", or 32 hexadecimal digits
---@param options? {settle: number|string?}
---@return cloudflare.Zone
function cloudflare.zone(name, options) end

---@class cloudflare.Route
---@field id string
---@field pattern string            # "example.com/*"
---@field script? string            # the Worker's name; nil: no Worker answers there

---@class cloudflare.Zone
---@field name string
local Zone = {}

---Raise what would make the first change fail: no credential, one that may not read the routes, no such zone.
function Zone:check() end
---The zone's id, looked up once when its name was given.
---@return string
function Zone:id() end
---All routes.
---@return cloudflare.Route[]
function Zone:routes() end
---The route with exactly this pattern; nil when there is none.
---@param pattern string
---@return cloudflare.Route?
function Zone:find(pattern) end
---Change: make a route. Without script no Worker answers there. The result's json.result.id is its id. A pattern that another route
---has is refused by the service (409).
---@param route {pattern: string, script: string?}
---@return {json: {result: {id: string}}}
function Zone:create(route) end
---Change: remove a route by its id. One that is gone already is no error.
---@param id string
function Zone:delete(id) end
