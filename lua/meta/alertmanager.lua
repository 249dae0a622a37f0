---@meta alertmanager
-- alertmanager: alerts and silences of a Prometheus Alertmanager (API v2). The run's id is written into the comment of a silence: when
-- the answer to its creation is lost, or the run was killed, the list of silences decides, and no second one is made.
alertmanager = {}

---An Alertmanager by its address; ALERTMANAGER_URL unless given. Names the target "alertmanager HOST". `settle` is how long it is asked
---for a change whose answer was lost (default "20s"); `run` marks silences in place of the run's id.
---@param url? string
---@param options? {name: string?, settle: number|string?, run: string?}
---@return alertmanager.Server
function alertmanager.at(url, options) end

---@class alertmanager.Server
---@field url string
local Server = {}

---Its version; raises when it is not there.
---@return string
function Server:version() end
---The alerts that fire. filter: matchers, all must fit; silenced = false: only those that nobody has silenced.
---@param options? {filter: string[]|string?, silenced: boolean?}
---@return {name: string, state: string, labels: table, annotations: table, since: string, silenced_by: string[]}[]
function Server:alerts(options) end
---Does no alert fire? With the names of those that do. Options as for alerts.
---@param options? {filter: string[]|string?, silenced: boolean?}
---@return boolean, string
function Server:is_quiet(options) end
---The silences that are active or to come. expired: those, too; mine: made by this run; comment: containing this.
---@param options? {expired: boolean?, mine: boolean?, comment: string?}
---@return {id: string, state: string, from: string, until: string, by: string, comment: string, matchers: string[]}[]
function Server:silences(options) end
---One silence; nil when there is none of that id.
---@param id string
---@return table?
function Server:get(id) end
---What this run writes into the comments of its silences; nil outside of a run.
---@return string?
function Server:mark() end
---Change: make a silence. Matchers are texts: alertname=PgDown, instance=~"db.*", severity!=info, team!~"a|b". It lasts from now, or
---from `from`, as long as `lasts` says, or until `until` (RFC 3339, or ms since 1970). The result's json.silenceID is its id.
---@param silence {matchers: string[]|string, lasts: number|string?, until: string|integer?, from: string|integer?, comment: string?, by: string?, known: string[]?}
---@return {json: {silenceID: string}}
function Server:silence(silence) end
---Change: end a silence. One that has ended is no error.
---@param id string
function Server:expire(id) end
