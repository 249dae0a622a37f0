---@meta git
-- git { dir = "…" }: a working copy. Reads, and two changes: commit, and push, never by force. When the answer to a push is lost, or
-- git fails after the remote took it, the remote is asked what it has.

---A working copy. `settle` is how long the remote is asked for a push whose answer was lost (default "20s").
---@param options string|{dir: string, settle: number|string?}
---@return git.Repository
function git(options) end

---@class git.Repository
---@field dir string
local Repo = {}

---The branch that is checked out; raises when there is none.
---@return string
function Repo:branch() end
---The commit that is checked out, or that a name means: 40 hex digits.
---@param name? string
---@return string
function Repo:head(name) end
---What is not as it was committed, as `git status` lists it.
---@return string[]
function Repo:changes() end
---Is everything committed? With what is not.
---@return boolean, string
function Repo:is_clean() end
---Where the branch is pushed to: the remote's name, and the branch's name there.
---@return string, string
function Repo:upstream() end
---The commit that the remote's branch has now; nil when it has no such branch.
---@return string?
function Repo:remote_head() end
---Has the remote what is checked out?
---@return boolean
function Repo:is_pushed() end
---What would keep a push from being taken: commits that are not here. nil: nothing.
---@return string?
function Repo:push_problem() end
---A unified diff; without options what a push would bring. worktree: what is not committed.
---@param options? {from: string?, to: string?, path: string?, worktree: boolean?}
---@return string
function Repo:diff(options) end
---The newest commits. range: "origin/master..HEAD".
---@param options? {count: integer?, range: string?, path: string?}
---@return {commit: string, author: string, time: string, subject: string}[]
function Repo:log(options) end
---A file as a commit has it.
---@param path string
---@param name? string              # default HEAD
---@return string
function Repo:file(path, name) end
---Change: commit these files, as they are, with this message. false when there is nothing to commit.
---@param message string
---@param files string[]
---@return {commit: string}|false
function Repo:commit(message, files) end
---Change: push what is checked out to where its branch belongs.
---@return {commit: string, remote: string, branch: string}
function Repo:push() end
