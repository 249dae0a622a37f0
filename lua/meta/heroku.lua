---@meta heroku
-- heroku: apps, their processes, config vars and databases, over Heroku's HTTP interfaces; no Heroku CLI is needed.
--
-- The credential is the one the CLI uses: HEROKU_API_KEY, else the entry of api.heroku.com in ~/.netrc. HEROKU_HOST and
-- HEROKU_DATA_HOST redirect as they do for the CLI (scheme and port of the second come from the first); the credential is sent to
-- Heroku's domains and to this machine only. Nothing is looked up or asked before the first call that needs it. A token that Heroku
-- takes no longer is looked for again there, and else asked of the operator; nothing is done twice for it.
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

---Quantity and size of every process type, of one, or of those in a list. An unknown type is an error that names those there are.
---What it gives for a list is what app:scale takes: kept before a change, it restores quantities and sizes exactly.
---@param process? string|string[]
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

---The dynos, or those of one type, or of several: name, type, state, size, release.version.
---@param process? string|string[]
---@return table[]
function App:dynos(process) end

---How many dynos of a type, or of several, run or are about to.
---@param process string|string[]
---@return integer
function App:dynos_up(process) end

---Wait until exactly as many dynos of a type, or of each in a list, are up as the formation says: none, after a scaling to 0.
---@param process string|string[]
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

---What is attached to the app: id, name, addon (its name), addon_id, billed_to (the app that pays), namespace.
---@return heroku.Attachment[]
function App:attachments() end
---The attachment of that name (without another credential), or nil.
---@param name string
---@return heroku.Attachment?
function App:attachment(name) end

---Change: attach an add-on (its name, or a database of any app) under a name, which gives the app the config var NAME_URL and makes a
---release. Does nothing when it is attached so already. A name that another add-on has is refused unless `replace`. The result's
---`release` is what app:wait_for_release waits for.
---@param addon string|heroku.Database
---@param options {as: string, replace: boolean?}
function App:attach(addon, options) end
---Change: take an attachment away; does nothing when there is none.
---@param name string
function App:detach(name) end

---Change: create an add-on (`app:create_addon "scheduler:standard"`) where the app has none of that service, and wait until it is
---provisioned. Gives the one that there is.
---@param plan string
---@param options? {as: string?, name: string?, timeout: number|string?}
---@return {name: string, plan: string, state: string, web_url: string?}
function App:create_addon(plan, options) end

---Change: a database takes a name over (`as`, default DATABASE), what `heroku pg:promote` does. The add-on that loses its only name gets
---another one first, a colour. Refused while something runs on the database or it follows another, unless `force`. `before` is what
---promote_before gave, kept by the step: a resume needs it. Databases that were named before are found anew afterwards.
---@param db string|heroku.Database
---@param options? {as: string?, before: table?, force: boolean?}
function App:promote(db, options) end
---Which add-on has the name now, for `keep`.
---@param name? string
---@return {name: string, addon: string?, spare: boolean?}
function App:promote_before(name) end

---Ask again, at the next use, which add-on every database of this app is, and its address: attachments were changed elsewhere.
function App:forget_databases() end

---@class heroku.Attachment
---@field id string
---@field name string
---@field addon string
---@field addon_id string
---@field billed_to string
---@field namespace? string

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
---Forget which add-on it is and its address: both are asked for again.
function Database:forget() end
---The connection URL as it is now; TLS is asked for as for a connection of pgsh's own. A secret: give it to a tool in its environment or
---on its standard input, never as an argument.
---@return pgsh.Secret
function Database:url() end
---@return heroku.DatabaseInfo
function Database:info() end
---@return string                   # "Available"
function Database:status() end
---Name of the add-on it follows; nil for a primary.
---@return string?
function Database:follower_of() end

---How far behind its leader it is, as Heroku says: commits, and the text; nil for what follows nobody.
---@return integer? commits
---@return string? text
function Database:behind() end
---Change: it stops following and becomes writable. db:wait_available waits for it.
function Database:unfollow() end
---What pg:wait looks at.
---@return {waiting: boolean, failed: boolean, message: string?, step: string?}
function Database:wait_status() end
---Wait until no operation runs on it (pg:wait); an operation that failed is an error.
---@param options? {timeout: number|string?}  # "30m"
---@return string
function Database:wait_available(options) end

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

---The state to compare with after an upgrade, for `keep`. interface: "current" (upgrade/run) or "older" (upgrade); waiting, failed,
---message, step ("2/3"), version ("14.20"), following.
---@return table
function Database:upgrade_before() end
---What speaks against an upgrade now: sentences, none when nothing does. leader: one that follows nobody may be upgraded in place.
---@param options? {version: string|integer?, leader: boolean?}
---@return string[]
function Database:upgrade_problems(options) end
---Change: start the upgrade, to a major version or to the one Heroku chooses. A follower stops following and becomes writable; a leader is
---refused unless `leader`, and needs prepare_upgrade first. Started once: when the answer is lost, now or by a crash, Heroku's record
---(what waits, the version, whom it follows) decides whether it began, by comparison with `before`.
---@param options? {version: string|integer?, before: table?, leader: boolean?}
function Database:run_upgrade(options) end
---Wait until the upgrade that began after `before` is over and the database available: hours. A resumed run asks where it stands. One that
---failed, that ended without a new version, or that nothing was seen of for `settle` ("2m") is an error; with `however` it is only over.
---prepared: wait until it is scheduled (prepare_upgrade) only.
---@param options {before: table, version: string|integer?, timeout: number|string?, settle: number|string?, however: boolean?, prepared: boolean?}
---@return string                   # "14.20 → 15.15"
function Database:wait_upgrade(options) end
---Change: schedule the upgrade of a leader.
---@param options? {version: string|integer?, before: table?}
function Database:prepare_upgrade(options) end
---Change: take a scheduled upgrade back.
---@param options? {before: table?}
function Database:cancel_upgrade(options) end
