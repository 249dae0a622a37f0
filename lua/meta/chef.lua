---@meta chef
-- chef: chef-client on a host, over an ssh handle, and roles, by knife in the directory of the chef repository.
chef = {}

---chef-client of a host: chef.client(ssh "db1"). `service` and `command` say how they are called there ({ "sudo", "service" }).
---@param handle pgsh.Ssh
---@param options? {name: string?, service: string[]?, command: string[]?, settle: number|string?}
---@return chef.Client
function chef.client(handle, options) end
---The roles, by knife in that directory. `settle` is how long the server is asked for a change whose answer was lost.
---@param options {dir: string, settle: number|string?}
---@return chef.Roles
function chef.roles(options) end

---@class chef.Client
local Client = {}

---Does the daemon run? And what was said.
---@return boolean, string
function Client:runs() end
---Change: stop the daemon; nothing when it does not run. A chef-client started by hand or by cron is not stopped.
function Client:stop() end
---Change: start the daemon; nothing when it runs.
function Client:start() end
---Change: chef-client once. Made again when its answer was lost.
---@param options? {timeout: number|string?}
---@return {updated: integer?}
function Client:run(options) end

---@class chef.Roles
---@field dir string
local Roles = {}

---The role as the server has it: its text (for put_back), and the same decoded; nil when there is none.
---@param name string
---@return string?, table?
function Roles:show(name) end
---The role as a file of the repository has it, decoded, and its text. Raises when it is no JSON or no role.
---@param path string
---@return table, string
function Roles:file(path) end
---Does the server have what the file says?
---@param path string
---@return boolean
function Roles:matches(path) end
---Change: knife role from file. It replaces the whole role: keep what show gives before, as undo. When knife fails or its answer is
---lost, the server's role decides.
---@param path string
function Roles:from_file(path) end
---Change: the role is again what show gave; with nil it is taken away.
---@param name string
---@param text string?
function Roles:put_back(name, text) end
