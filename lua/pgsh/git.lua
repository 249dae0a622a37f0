-- git: a working copy. git { dir = "…" }: is it clean, what would be pushed, commit, push. When a push was cut off, the remote
-- itself is asked (ls-remote) whether it has the commit.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local options_of = require "pgsh.options"
local plain = require "pgsh.plain"
local settle = require "pgsh.settle"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local Repo = {}
Repo.__index = Repo
Repo.__name = "git.repository"

function Repo:__tostring() return "git " .. self.dir end

-- Nobody is there to be asked, and its words do not depend on the operator's language.
local ENV = { GIT_TERMINAL_PROMPT = "0", GIT_EDITOR = "true", GIT_PAGER = "cat", LC_ALL = "C" }

local function argv_of(...) return { "git", ... } end

local function read(self, argv, options)
  options = options or {}
  options.cwd, options.env = self.dir, ENV
  return sh.read(argv, options)
end

local function line(self, ...)
  return plain.trim(read(self, argv_of(...)).out)
end

-- The branch that is checked out.
function Repo:branch()
  local result = read(self, argv_of("symbolic-ref", "--short", "-q", "HEAD"), { ok = { 0, 1 } })
  if result.exit == 1 then
    errors.raise("script", "%s: HEAD is detached, no branch is checked out", tostring(self))
  end
  return plain.trim(result.out)
end

-- The commit that is checked out (or another name's): 40 hex digits.
function Repo:head(name) return line(self, "rev-parse", "--verify", (name or "HEAD") .. "^{commit}") end

-- What is not as it was committed, as `git status` lists it; untracked files too.
function Repo:changes()
  local out = {}
  for entry in read(self, argv_of("status", "--porcelain=v1", "--untracked-files=normal")).out:gmatch "[^\n]+" do out[#out + 1] = entry end
  return out
end

-- Is everything committed? With what is not.
function Repo:is_clean()
  local list = self:changes()
  return #list == 0, table.concat(list, ", ")
end

-- Where the branch is pushed to: the remote's name, and the branch's there.
function Repo:upstream()
  local branch = self:branch()
  local function config(key, default)
    local result = read(self, argv_of("config", "--get", ("branch.%s.%s"):format(branch, key)), { ok = { 0, 1 } })
    return result.exit == 0 and plain.trim(result.out) or default
  end
  return config("remote", "origin"), (config("merge", "refs/heads/" .. branch):gsub("^refs/heads/", ""))
end

-- The commit that the remote's branch has now; nil when it has no such branch. Asks the remote.
function Repo:remote_head()
  local remote, branch = self:upstream()
  local result = read(self, argv_of("ls-remote", remote, "refs/heads/" .. branch))
  return result.out:match "^(%x+)"
end

-- Has the remote what is checked out?
function Repo:is_pushed() return self:remote_head() == self:head() end

local function is_ancestor(self, old, new)
  return read(self, argv_of("merge-base", "--is-ancestor", old, new), { ok = { 0, 1, 128 } }).exit == 0
end

-- What would keep a push from being taken, or nil.
function Repo:push_problem()
  local there = self:remote_head()
  if not there or is_ancestor(self, there, "HEAD") then return nil end
  local remote, branch = self:upstream()
  return ("%s/%s has commits that are not here: git pull --rebase, and look again"):format(remote, branch)
end

-- A unified diff. Without options: what a push would bring (from the remote's commit to HEAD). options: from, to, path; worktree
-- (what is not committed).
function Repo:diff(options)
  options = options or {}
  local argv = argv_of("diff", "--no-color", "--no-ext-diff")
  if options.worktree then
    argv[#argv + 1] = "HEAD"
  else
    local from = options.from or self:remote_head()
    if not from then return "" end
    argv[#argv + 1] = ("%s..%s"):format(from, options.to or "HEAD")
  end
  argv[#argv + 1] = "--"
  argv[#argv + 1] = options.path
  return read(self, argv).out
end

-- The newest commits: { commit, author, time, subject }. options: count (10), range ("origin/master..HEAD"), path.
function Repo:log(options)
  options = options or {}
  local argv = argv_of("log", ("-n%d"):format(options.count or 10), "--format=%H%x09%an%x09%aI%x09%s", options.range or "HEAD", "--",
    options.path)
  local out = {}
  for entry in read(self, argv).out:gmatch "[^\n]+" do
    local commit, author, time, subject = entry:match "^(%x+)\t([^\t]*)\t([^\t]*)\t(.*)$"
    if commit then out[#out + 1] = { commit = commit, author = author, time = time, subject = subject } end
  end
  return out
end

-- A file as a commit has it.
function Repo:file(path, name) return read(self, argv_of("show", ("%s:%s"):format(name or "HEAD", path))).out end

-- Commit these files with this message. Nothing to commit is no error: false. The result: commit.
function Repo:commit(message, files)
  if not unknown.is(message) and (type(message) ~= "string" or message == "") then errors.usage "git commit: a message is needed" end
  if type(files) ~= "table" or #files == 0 then errors.usage "git commit: which files?" end
  local function differs() return read(self, argv_of("diff", "--quiet", "HEAD", "--", table.unpack(files)), { ok = { 0, 1 } }).exit == 1 end
  local function is_last() return line(self, "log", "-1", "--format=%B") == message end
  -- When this very commit is there already, a resumed run has to meet it again in its journal.
  if not differs() and not is_last() and host.mode() ~= "plan" then return false end
  local result = sh.run(argv_of("commit", "-q", "-m", message, "--only", "--", table.unpack(files)), {
    cwd = self.dir, env = ENV,
    resolve = function() return is_last() and not differs(), { exit = 0, out = "", err = "" } end,
  })
  if unknown.is(result) then return result end
  return { commit = self:head() }
end

-- Push what is checked out to where its branch belongs: never by force. The remote decides when the answer was lost, and when git
-- fails after the remote has taken it.
function Repo:push()
  local remote, branch = self:upstream()
  local commit = self:head()
  local function done() return self:remote_head() == commit end
  local argv = argv_of("push", "--porcelain", remote, ("%s:refs/heads/%s"):format(commit, branch))
  local result = settle.despite(("git push failed, but %s/%s has the commit"):format(remote, branch), done, sh.run, argv, {
    cwd = self.dir, env = ENV, what = ("git push %s %s:%s"):format(remote, commit:sub(1, 10), branch),
    resolve = function() return settle.look(self.settle, done), { exit = 0, out = "", err = "" } end,
  })
  if unknown.is(result) then return result end
  return { commit = commit, remote = remote, branch = branch }
end

-- options: dir, settle.
return setmetatable({}, { __call = function(_, options)
  if type(options) == "string" then options = { dir = options } end
  if type(options) ~= "table" or type(options.dir) ~= "string" then errors.usage "git { dir = \"…\" }: dir is missing" end
  options_of.check("git", options, { dir = true, settle = true })
  return setmetatable({ dir = options.dir, settle = options.settle }, Repo)
end })
