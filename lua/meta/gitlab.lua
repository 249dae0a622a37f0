---@meta gitlab
-- gitlab: the database hosts of a GitLab Omnibus cluster with repmgr, by gitlab-ctl over an ssh handle.
--
-- gitlab-ctl says nothing and succeeds when a service's name is not an enabled one: such a name is refused before anything is
-- changed, and a start or stop is believed only when runit says "ok: run: NAME" or "ok: down: NAME". That says that the process
-- runs, not that the server takes connections: ask the server.
gitlab = {}

---A node, over an ssh handle: gitlab.node(ssh "db1"). `ctl` is how gitlab-ctl is called there, { "sudo", "gitlab-ctl" }; `settle` how
---long a host is asked for a change whose answer was lost (default "20s"); `name` how errors call it.
---@param handle pgsh.Ssh
---@param options? {name: string?, ctl: string[]?, settle: number|string?}
---@return gitlab.Node
function gitlab.node(handle, options) end

---The nodes in what `repmgr cluster show` prints, of any version, by its header. nil and why, when there is no table.
---@param text string
---@return gitlab.Row[]?, string?
function gitlab.parse_cluster(text) end
---What is wrong with a cluster, as texts. None: one primary runs, and everything else is a standby of it that runs.
---@param rows gitlab.Row[]
---@return string[]
function gitlab.problems(rows) end
---The services in what `gitlab-ctl status`, start or stop print, by name.
---@param text string
---@return table<string, gitlab.Service>
function gitlab.parse_status(text) end

---@class gitlab.Row
---@field name string
---@field role? string              # as recorded: "primary", "standby", "witness" (3.x: as found)
---@field is? string                # what it is now, "primary" or "standby"; nil: it cannot be reached
---@field up boolean                # it can be reached
---@field status string             # as printed
---@field problem? string           # what is wrong with it
---@field id? integer
---@field upstream? string
---@field location? string
---@field priority? integer
---@field timeline? integer         # from the control file: late until the next checkpoint, no test of a failover
---@field conninfo? string
---@field host? string              # of the conninfo
---@field port? integer

---@class gitlab.Service
---@field name string
---@field state "run"|"down"
---@field said string               # "ok", "timeout", "warning" or "": how the line begins
---@field pid? integer
---@field seconds? integer          # since when
---@field text string

---@class gitlab.Node
---@field name string
local Node = {}

---Every enabled service by name; or one: nil when it is not enabled.
---@param service? string
---@return gitlab.Service|table<string, gitlab.Service>|nil
function Node:status(service) end
---Change: start a service. It fails unless runit says that it runs.
---@param service string
---`anew`: one that an earlier attempt at the step has started, and that is down by now, is started anew.
---@param options? {timeout: number|string?, anew: boolean?}
---@return gitlab.Service
function Node:start(service, options) end
---Change: stop a service. It fails unless runit says that it is down.
---@param service string
---@param options? {timeout: number|string?}
---@return gitlab.Service
function Node:stop(service, options) end
---Change: restart a service. Made again when its answer was lost.
---@param service string
---@param options? {timeout: number|string?}
---@return gitlab.Service
function Node:restart(service, options) end
---Change: gitlab-ctl reconfigure. Made again when its answer was lost. Where bootstrap['enable'] is not false in gitlab.rb it STARTS
---a PostgreSQL that is down: a former primary read-write, unless its data directory says that it is a standby.
---@param options? {timeout: number|string?}
---@return {updated: integer?}
function Node:reconfigure(options) end
---The cluster as this host's repmgr shows it, and the exit status: 25 (4.1 and later) when repmgr found anything wrong.
---@return gitlab.Row[] rows, integer exit
function Node:cluster() end
---Is the cluster in order, as this host's repmgr sees it? With what it says otherwise.
---@return boolean, string
function Node:cluster_ok() end
---Change: gitlab-ctl repmgr standby follow NAME. `done` tells whether it follows, and is asked
---for a while when the answer was lost: a second call may be refused by repmgr. Without it the operator decides.
---@param name string
---@param options? {timeout: number|string?, done: (fun(): boolean)?}
---@return pgsh.ShResult
function Node:follow(name, options) end
