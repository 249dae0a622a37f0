---@meta sqitch
-- sqitch { dir = "…", database = … }: the changes of a sqitch project, and which of them a database has.
--
-- Where the database is, is given to sqitch in libpq's variables (PGHOST, PGPASSWORD, …), never in an argument, which every user of the
-- machine could read. Its lines are shown as they come. When a deployment was cut off, sqitch's own tables decide, once no other
-- sqitch is at work on the database: what is there is done, and for the rest it is let out again and goes on where it stopped.

---A project and a database. dir: where sqitch.plan is. database: a connection string, a function that returns one, or what has
---:url() or :conninfo(), as app:database "LOGS_DATABASE" and a throwaway server have. name: of the target "sqitch NAME"; a function needs
---one. registry: the schema of sqitch's tables (default "sqitch"). settle: how long they are asked for a deployment that was cut off (default "20s").
---@param options {dir: string, database: any, name: string?, registry: string?, settle: number|string?}
---@return sqitch.Project
function sqitch(options) end

---@class sqitch.Project
---@field dir string
---@field name string
local Project = {}

---The changes of sqitch.plan, in order. word is what sqitch calls one by: its name, or the id when several have that name.
---@return {id: string, name: string, word: string}[]
function Project:plan() end
---The changes that the database has, by sqitch's tables, in the order of their deployment.
---@return {id: string, name: string, at: string, by: string}[]
function Project:deployed() end
---The words of the changes that the database has not: of all, or of those up to one.
---@param to? string
---@return string[]
function Project:undeployed(to) end
---Has the database every change (up to one)? Else with those that it has not.
---@param to? string
---@return boolean, string?
function Project:is_deployed(to) end
---Is a sqitch at work on the database now?
---@return boolean
function Project:is_busy() end
---What `sqitch status` says. name (of the last change) is nil when nothing was deployed.
---@return {project: string, change: string?, name: string?, deployed_at: string?, by: string?, undeployed: string[]}
function Project:status() end
---What sqitch did to the database, newest first; event is "deploy", "revert" or "fail".
---@param options? {limit: integer?}     # default 100
---@return {event: string, id: string, name: string, note: string, at: string, by: string}[]
function Project:log(options) end
---Change: deploy the changes that the database has not: all, or those up to `to`. log_only writes down that they are deployed, and runs
---nothing. verify runs each one's test. timeout: of each. Nothing to deploy is no error. sqitch is called for each change by itself: an
---error names the one that failed, and those before it stay, where sqitch by itself would revert all that it was given at once.
---@param options? {to: string?, log_only: boolean?, verify: boolean?, timeout: number|string?}
---@return {deployed: string[]}
function Project:deploy(options) end
