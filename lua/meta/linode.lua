---@meta linode
-- linode: the Block Storage volumes of a Linode account: found by what a Kubernetes PersistentVolume says, cloned, waited for. The
-- credential is LINODE_TOKEN (scope volumes:read_write); PGSH_LINODE_URL redirects. What the service refuses for its rate is repeated
-- when it says so. When the answer to a clone is lost, the account decides: a volume of that label and of the source's size that was
-- not there before is ours.
linode = {}

---The account whose token LINODE_TOKEN is. Names the target "linode volumes"; to be called while the procedure loads.
---`settle` is how long the account is asked for a change whose answer was lost (default "20s").
---@param options? {settle: number|string?}
---@return linode.Account
function linode.account(options) end

---What a PersistentVolume's spec.csi.volumeHandle says: the volume's id and label. nil: it is not one of the Linode driver's.
---@param handle string             # "516140-pvc1a2b3c4d5e6f7a8b"
---@return integer? id
---@return string? label
function linode.parse_handle(handle) end
---Does the service take this label? Else false and why: 1 to 32 letters, digits, - and _, a letter first, no -- and no __.
---@param label string
---@return boolean
---@return string?
function linode.check_label(label) end

---@class linode.Volume
---@field id integer
---@field label string
---@field status string             # "creating", "active", "resizing", "key_rotating", "contact_support"
---@field size integer              # GiB
---@field region string
---@field linode_id? integer        # what it is attached to
---@field linode_label? string
---@field created string            # UTC, without a zone
---@field filesystem_path string
---@field tags string[]

---@class linode.Account
local Account = {}

---Raise what would make the first request fail: no credential, or one that may not read the volumes.
function Account:check() end
---All volumes; or those of a label.
---@param options? {label: string?}
---@return linode.Volume[]
function Account:volumes(options) end
---A volume by its id; nil when there is none.
---@param id integer
---@return linode.Volume?
function Account:volume(id) end
---The volume of a PersistentVolume's handle; nil when it is gone. Raises "refused" when the id belongs to a volume of another label.
---@param handle string             # spec.csi.volumeHandle
---@return linode.Volume?
function Account:find(handle) end
---Change: clone a volume; the source has to be active. The result's json.id is the clone's, which is being made for a while:
---wait_active. Give the ids that had the label before as `known`, from `keep`.
---@param id integer
---@param clone {label: string, known: integer[]?}
---@return {json: {id: integer, label: string, size: integer?, status: string?}}
function Account:clone(id, clone) end
---Wait until a volume is active. Raises at once when it is gone or in the state contact_support, kind "timeout" after `timeout`
---(default "30m").
---@param id integer
---@param options? {timeout: number|string?}
---@return linode.Volume
function Account:wait_active(id, options) end
