---@meta aws
-- aws: Amazon's services, as far as the procedures need them: the groups of EC2 Auto Scaling.
--
-- Credentials are looked for where AWS's own tools look: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; the profile
-- (AWS_PROFILE) in ~/.aws/credentials and ~/.aws/config (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE), its credential_process; else what
-- `aws configure export-credentials` prints, which knows sso and roles. A session that expires in the middle is looked for anew.
-- The region: the option, AWS_REGION, AWS_DEFAULT_REGION, the profile's. AWS_ENDPOINT_URL redirects.
aws = {}

---An Auto Scaling group by its name: the target "autoscaling NAME". `settle` is how long the service is asked for a change whose answer was
---lost (default "20s").
---@param name string
---@param options? {region: string?, profile: string?, settle: number|string?}
---@return aws.Group
function aws.group(name, options) end

---The Auto Scaling groups of the region, as info gives them: all, or those of these names; a name that is not there is left out.
---@param names? string[]
---@param options? {region: string?, profile: string?}
---@return aws.GroupInfo[]
function aws.groups(names, options) end

---@class aws.GroupInfo
---@field name string
---@field min integer
---@field max integer
---@field desired integer
---@field instances integer
---@field states table<string, integer>  # LifecycleState → how many instances
---@field suspended string[]             # names of its suspended processes, sorted
---@field status? string                 # "Delete in progress"

---Processes are AZRebalance, AddToLoadBalancer, AlarmNotification, HealthCheck, InstanceRefresh, Launch, ReplaceUnhealthy,
---ScheduledActions, Terminate; one name, or a list. The service does not keep who suspended one: keep what `active` says, suspend that,
---and resume that.
---@class aws.Group
---@field name string
local Group = {}

---The group; nil when there is none of that name.
---@return aws.GroupInfo?
function Group:find() end
---The group; raises when there is none of that name.
---@return aws.GroupInfo
function Group:info() end
---The names of its suspended processes, sorted.
---@return string[]
function Group:suspended() end
---Those of these processes that are not suspended: what suspend would change. For keep.
---@param processes string|string[]
---@return string[]
function Group:active(processes) end
---Are these processes suspended? Else with those that are not.
---@param processes string|string[]
---@return boolean, string?
function Group:is_suspended(processes) end
---Is none of these processes suspended? Else with those that are.
---@param processes string|string[]
---@return boolean, string?
function Group:is_active(processes) end
---Change: suspend these processes. An empty list changes nothing.
---@param processes string|string[]
---@return pgsh.HttpResult?
function Group:suspend(processes) end
---Change: resume these processes, whoever suspended them. An empty list changes nothing.
---@param processes string|string[]
---@return pgsh.HttpResult?
function Group:resume(processes) end
---Raises what would make the first request fail: no credentials, no region. Where the credentials come from, and the region.
---@return string, string
function Group:check_credential() end
