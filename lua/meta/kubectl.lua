---@meta kubectl
---@class pgsh.KubectlOptions
---@field context? string            # default: the kubeconfig's current one, read once when the script loads; a resumed run keeps it
---@field namespace? string          # default: the context's, else "default"
---@field kubeconfig? string         # default: as kubectl finds it
---@field timeout? number|string     # of each request to the API server; default "30s"
---@field binary? string             # default "kubectl"
---@field env? table<string, string|number|pgsh.Secret|false>  # for kubectl and its plugins
---@field settle? number|string      # how long a change whose answer was lost is looked for; default "10s"

---kubectl: a Kubernetes cluster and namespace, by the kubectl binary: its contexts, its authentication plugins. Everything waits.
---
---    local k = kubectl { context = "prod", namespace = "databases" }
---    k:scale("deployment/site", 0)
---    k:exec("deployment/postgres", { "pg_dump", "-Fc", "-f", "/data/dump", "app" })
---
---Objects are named KIND/NAME as kubectl takes them ("deploy/site", "pvc/data"). Where a pod is expected, a bare name is a pod, and a workload
---("deployment/postgres") stands for its one pod that runs: none, or several, is an error.
---
---How a change ended is not left to kubectl's exit status, which is 0 or 1 at random when the line is lost. A command in a pod is wrapped by
---a small /bin/sh there, which says on the last line of the output how the command has ended: without that a read has failed (and is made
---again), a change is *unknown*. Changes of objects whose answer was lost are decided by the object itself.
---
---Errors have the kind "kubectl", and where the API server gave one its `reason` ("NotFound", "Forbidden", "Conflict", "AlreadyExists", "Invalid",
---"Unauthorized", "Timeout" …; "Connection": it cannot be reached), and `exit`, kubectl's or the far command's exit status. The code is
---"kubectl_connect" for what may pass: a wait goes on.
---@param options? pgsh.KubectlOptions
---@return pgsh.Kubectl
function kubectl(options) end

---The target is "kubectl CONTEXT/NAMESPACE"; tostring() is that.
---@class pgsh.Kubectl
---@field context string
---@field namespace string
local Kubectl = {}

---@class pgsh.KubeOptions
---@field namespace? string          # default: the handle's
---@field timeout? number|string     # of this call; default: the handle's

-- Reads ------------------------------------------------------------------------------------------------------------------------

---The versions. Raises when there is no kubectl, when it is older than 1.20, and when the server cannot be reached or does not let us in: for a
---preflight.
---@param options? {server: boolean?} # server = false: kubectl's alone
---@return {client: string, server: string?}  # "v1.32.4"
function Kubectl:version(options) end

---One object, as the API has it; nil when there is none. JSON's null is left out.
---@param name string                # "deployment/site"
---@param options? pgsh.KubeOptions
---@return table?
function Kubectl:get(name, options) end

---@class pgsh.KubeListOptions: pgsh.KubeOptions
---@field selector? string           # of labels: "app=site,tier!=cache"
---@field fields? string             # "status.phase=Running"
---@field all_namespaces? boolean

---Objects of a kind; an empty list when there are none.
---@param kind string                # "pods"
---@param options? pgsh.KubeListOptions
---@return table[]
function Kubectl:list(kind, options) end

---What a container has printed.
---@param pod string
---@param options? {container: string?, since: number|string?, since_time: string?, tail: integer?, previous: boolean?, namespace: string?, limit: integer|string?}  # since: a duration; since_time: RFC 3339; previous: of the container before its restart
---@return string
function Kubectl:logs(pod, options) end

---May we? For a preflight.
---@param verb string                # "create"
---@param resource string            # "pods/exec", "deployments.apps"
---@param options? {namespace: string?}
---@return boolean
function Kubectl:can(verb, resource, options) end

---How the cluster differs from a manifest, as `kubectl diff` says it; "" when it does not.
---@param path string                # a file or directory
---@return string
function Kubectl:diff(path) end

---The one pod of a workload that runs and is not on its way out, as the API has it. With what is in the way instead: nil and a text.
---@param name string                # "deployment/postgres", "statefulset/postgres", a pod
---@param options? {ready: boolean?} # ready: its containers have to be ready, too; default false
---@return table? pod
---@return string? why
function Kubectl:pod(name, options) end

---The pods of a workload: those that its selector selects and that it owns, also those on their way out.
---@param name string
---@return table[]
function Kubectl:pods(name) end

---What holds an object up, in a few words: conditions, containers that wait (image, crash and its last log lines), events of the last
---minutes, finalizers. "" when nothing is known.
---@param name string
---@return string
function Kubectl:trouble(name) end

-- Commands in a pod --------------------------------------------------------------------------------------------------------------

---@class pgsh.KubeReadOptions
---@field container? string          # default: the pod's default one
---@field input? string|pgsh.Secret  # its standard input
---@field env? table<string, string|number|pgsh.Secret>  # of the command. Travels as input: no process list, there or here, shows it
---@field ok? integer[]              # exit statuses that are success; default {0}
---@field timeout? number|string     # default: none but the step's
---@field limit? integer|string      # of each output; read: default "16M", exec: the end is kept, default "64K"
---@field what? string               # shown in place of the command

---@class pgsh.KubeExecOptions: pgsh.KubeReadOptions
---@field resolve? fun(): boolean?, table?  # asked when the outcome is not known: true and the result, false: it did not happen
---@field record? string             # a path in the pod without suffix ("/data/.restore"): the command runs there by itself, detached, and leaves
---its outputs and its exit status in files of that name. When the line is lost, or pgsh dies, it goes on, and its record is waited for. For
---what takes long. Removed by k:forget. Not with `input`
---@field progress? fun(): string?   # with record: how far it is, shown while it is waited for; default: the last line of its standard error
---@field every? number|string       # with record: how often it is looked at

---Run a command that only reads. When the line was lost it is made again.
---@param pod string
---@param argv string[]
---@param options? pgsh.KubeReadOptions
---@return pgsh.ShResult
function Kubectl:read(pod, argv, options) end

---Run a command that changes something (a change).
---@param pod string
---@param argv string[]
---@param options? pgsh.KubeExecOptions
---@return pgsh.ShResult
function Kubectl:exec(pod, argv, options) end

---Remove the files of a `record` (a change; no error when there are none).
---@param pod string
---@param record string
---@param options? {container: string?}
function Kubectl:forget(pod, record, options) end

---@class pgsh.KubePartOptions
---@field container? string
---@field input? string|pgsh.Secret  # of output: its standard input
---@field env? table<string, string|number|pgsh.Secret>
---@field ok? integer[]
---@field what? string
---@field stderr? fun(line: string)
---@field as? string                 # of input: as sh.input's

---What a command in a pod prints, as the source of a pipe: a stream that was cut off fails it. Your word that it changes nothing.
---@param pod string
---@param argv string[]
---@param options? pgsh.KubePartOptions
---@return pgsh.PipePart
function Kubectl:output(pod, argv, options) end

---A command in a pod as the sink of a pipe. It has to read everything and to end well; when the line is lost the pipe's outcome is *unknown*.
---@param pod string
---@param argv string[]
---@param options? pgsh.KubePartOptions
---@return pgsh.PipePart
function Kubectl:input(pod, argv, options) end

---@class pgsh.KubeCopyOptions
---@field container? string
---@field timeout? number|string
---@field stall? number|string       # default "5m"
---@field piece? integer|string      # how much is sent in one go; default "256M"
---@field mode? integer              # default 0600

---Copy a file into a pod (a change): in pieces, each appended only where the last verified one ended, SHA-512 compared at the end, synced, renamed.
---What is there of an earlier attempt is used if it is a beginning of our file. Nothing is done when the file is there already.
---@param here string
---@param pod string
---@param there string               # absolute
---@param options? pgsh.KubeCopyOptions
---@return {path: string, bytes: integer, sha512: string, sent: integer}  # sent: bytes that were sent now
function Kubectl:upload(here, pod, there, options) end

---Copy a file out of a pod (a change here): SHA-512 compared, a temporary name (HERE.pgsh-part), renamed. Goes on behind what an earlier attempt has
---brought, if that is a beginning of the file.
---@param pod string
---@param there string
---@param here string
---@param options? pgsh.KubeCopyOptions
---@return {path: string, bytes: integer, sha512: string, sent: integer}
function Kubectl:download(pod, there, here, options) end

-- Changes of objects ---------------------------------------------------------------------------------------------------------------

---Set the number of replicas (a change). Refused when somebody else changes it between the look and the change. `was` is of this look: what an undo
---needs belongs into the step's keep.
---@param name string                # "deployment/site"
---@param replicas integer
---@return {was: integer, replicas: integer}
function Kubectl:scale(name, replicas) end

---Apply a manifest (a change); `kubectl diff` is shown. objects: how each was called and what became of it.
---@param path string                # a file or directory
---@param options? {server_side: boolean?, timeout: number|string?}
---@return {objects: {name: string, became: string}[]}   # became: "created", "configured", "unchanged"
function Kubectl:apply(path, options) end

---Delete an object (a change). What is gone already is no error: existed is false. Does not wait until it is gone: wait_gone does.
---@param name string                # "pvc/data"
---@param options? {uid: string?, grace: number|string?}  # uid: refused when it is another one by now
---@return {existed: boolean, uid: string?}
function Kubectl:delete(name, options) end

---Restart the pods of a workload one after the other (a change).
---@param name string
---@return {at: string}              # the annotation that does it
function Kubectl:restart(name) end

---Set the image of a container (a change).
---@param name string
---@param container string
---@param image string
---@return {was: string, image: string}
function Kubectl:set_image(name, container, image) end

-- Waits -------------------------------------------------------------------------------------------------------------------------

---@class pgsh.KubeWaitOptions
---@field timeout? number|string     # default "5m"
---@field every? number|string       # between two looks

---Wait until a workload is as its manifest says, all of it new, available, and nothing old left. Fails at once when its progress deadline has
---passed. The time-out says what holds it up.
---@param name string
---@param options? pgsh.KubeWaitOptions
function Kubectl:wait_rollout(name, options) end

---Wait until an object is gone, or the pods of a workload, or what a selector selects: { kind = "pods", selector = "app=site" }.
---@param name string|{kind: string, selector: string}  # "pvc/data"; "pods of deployment/site"
---@param options? pgsh.KubeWaitOptions|{uid: string?}  # uid: one of the same name that was made since is no matter
function Kubectl:wait_gone(name, options) end

---Wait until a claim (or volume) is bound. Returns it.
---@param name string                # "pvc/data"
---@param options? pgsh.KubeWaitOptions
---@return table
function Kubectl:wait_bound(name, options) end

---Wait until the one pod of a workload, or a pod, runs with all its containers ready. Returns it. ready = false: running is enough.
---@param name string
---@param options? pgsh.KubeWaitOptions|{ready: boolean?}
---@return table
function Kubectl:wait_ready(name, options) end
