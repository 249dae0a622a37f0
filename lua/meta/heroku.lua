---@meta heroku
-- heroku: apps, their processes, config vars and databases, over Heroku's HTTP interfaces; no Heroku CLI is needed.
--
-- The credential is the one the CLI uses: HEROKU_API_KEY, else the entry of api.heroku.com in ~/.netrc. HEROKU_HOST and
-- HEROKU_DATA_HOST redirect as they do for the CLI (scheme and port of the second come from the first); the credential is sent to
-- Heroku's domains and to this machine only. Nothing is looked up or asked before the first call that needs it.
heroku = {}

---An app by name. Names the target "heroku NAME"; to be called while the procedure loads. `settle` is how long Heroku is asked for a
---change whose answer was lost (default "20s").
---@param name string
---@param options? {settle: number|string?}
---@return heroku.App
function heroku.app(name, options) end

---@class heroku.App
---@field name string
local App = {}

---Raise what would make every request fail: a refused address, a missing credential. Returns where the credential was found.
---@return string
function App:check_credential() end

---The app as the Platform API describes it: name, maintenance, region, stack, …
---@return table
function App:info() end

---@class heroku.Process
---@field quantity integer
---@field size? string             # "Standard-1X"; nil leaves it as it is

---Quantity and size of every process type, or of one. An unknown type is an error that names those there are.
---@param process? string
---@return heroku.Process|table<string, heroku.Process>
function App:formation(process) end

---Change: quantities (and sizes), all in one request. `app:scale { background_worker = 0 }`,
---`app:scale { web = { quantity = 2, size = "Standard-2X" } }`.
---@param processes table<string, integer|heroku.Process>
function App:scale(processes) end

---Are the processes scaled like this?
---@param processes table<string, integer|heroku.Process>
---@return boolean
function App:is_scaled(processes) end

---The dynos, or those of one type: name, type, state, size, release.version.
---@param process? string
---@return table[]
function App:dynos(process) end

---How many dynos of a type run or are about to.
---@param process string
---@return integer
function App:dynos_up(process) end

---Wait until exactly as many dynos of a type are up as its formation says.
---@param process string
---@param options? {timeout: number|string?}
function App:wait_for_dynos(process, options) end

---Without an argument: all config vars; every value that may be a credential is removed from whatever pgsh shows or writes.
---With one, a change: all in ONE request, which makes one release: `app:config { READ_ONLY_MODE = "1", DB_OFFLINE = unset }`.
---The result's `release` is the version of the release that the change made.
---@param changes? table<string, any>
---@return table
function App:config(changes) end

---Do the config vars have these values (unset: not there)?
---@param changes table<string, any>
---@return boolean
function App:config_is(changes) end

---"DB_OFFLINE=follower READ_ONLY_MODE unset"
---@param changes table<string, any>
---@return string
function App:config_text(changes) end

---The newest release.
---@return {version: integer, status: string, description: string}?
function App:release() end

---Wait until every dyno of the formation runs the release that the last app:config{…} of this process made, or the newest one.
---What `heroku ps:wait` does, but with an end: a failed release, dynos that stay crashed, and the time limit (which says what each
---dyno does) are errors; and an app that should have dynos and shows none is waited for.
---@param options? {timeout: number|string?, crashed: number|string?, version: integer?}
---@return integer version
function App:wait_for_release(options) end

---The add-ons: id, name, service, plan, web_url, state.
---@return table[]
function App:addons() end

---Every Postgres add-on attached to the app, as pg:info lists them: name, plan, status, attachments, config_vars, following,
---leader, waiting, version, info.
---@return heroku.DatabaseInfo[]
function App:databases() end

---For wait.upto: are all of them available? false and which are not.
---@return boolean, string?
function App:databases_available() end

---What a database's name means for this app, without raising: for `fact`. found; addon, copied; else why, and absent = true when the
---app certainly has no such database.
---@param name string
---@return {found: boolean, addon: string?, copied: string?, why: string?, absent: boolean?}
function App:lookup(name) end

---As lookup, for the add-on of a service ("scheduler"): name, web_url.
---@param service string
---@return {found: boolean, name: string?, web_url: string?, why: string?, absent: boolean?}
function App:lookup_service(service) end

---A database by attachment ("DATABASE"), config var ("DATABASE_URL") or add-on name; "other-app::NAME" is another app's. Names the
---target "psql APP NAME". Which add-on that is, and at which address, is asked when it is needed, and the address again for every
---new connection: a maintenance may change it.
---@param name string
---@return heroku.Database
function App:database(name) end

---@class heroku.DatabaseInfo
---@field id string
---@field name string               # of the add-on
---@field plan string               # "standard-0"
---@field status string             # "Available"
---@field attachments string[]
---@field following? string         # address of the leader, without credentials
---@field leader? string            # name of the leader's add-on
---@field waiting boolean
---@field version string
---@field connections integer
---@field info table<string, string> # the lines of pg:info

---@class heroku.Database
---@field name string
local Database = {}

---The add-on behind the name; `copied` is the config var, when it is a copy of the add-on's URL that somebody set by hand.
---@return {id: string, name: string, plan: string, attachment: string, app: string, copied: string?}
function Database:addon() end
---As App:lookup.
function Database:lookup() end
---@return heroku.DatabaseInfo
function Database:info() end
---@return string                   # "Available"
function Database:status() end
---Name of the add-on it follows; nil for a primary.
---@return string?
function Database:follower_of() end

---One value, row, all rows over a connection of its own (TLS unless on this machine or PGSSLMODE says otherwise). See psql.
function Database:value(sql, ...) end
function Database:row(sql, ...) end
function Database:rows(sql, ...) end
function Database:each(sql, ...) end
---Change.
function Database:execute(sql, ...) end

---For wait.upto: is it out of recovery, and may transactions write? false and what it says instead.
---@return boolean, string?
function Database:accepts_writes() end
---For wait.upto: does it answer a query? false and what it says instead.
---@return boolean, string?
function Database:answers() end

---The state of its maintenance. interface: "current" or "older" (prose in message, no times); status: none, pending, preparing,
---ready, running, completed.
---@return {interface: string, status: string?, message: string?, started_at: string?, completed_at: string?, scheduled_for: string?}
function Database:maintenance() end
---The same for `keep`: run_maintenance and wait_maintenance compare with it what they see later.
---@return table
function Database:maintenance_before() end
---What speaks against running its maintenance now: sentences, none when nothing does. any_state: also when none is ready.
---@param options? {any_state: boolean?}
---@return string[]
function Database:maintenance_problems(options) end
---Change: start the maintenance. Not idempotent: when the answer is lost, now or by a crash, Heroku's record decides whether it began,
---by comparison with `before`. force: although the app is not in maintenance mode.
---@param options {force: boolean?, before: table?}
function Database:run_maintenance(options) end
---Wait until the run that began after `before` is over. It is not taken in by a run that does not show yet. A run that failed, or
---that nothing was seen of for `settle` ("2m"), is an error; with `however` it is only over.
---@param options? {before: table?, timeout: number|string?, settle: number|string?, however: boolean?}
---@return string                   # how it ended
function Database:wait_maintenance(options) end
