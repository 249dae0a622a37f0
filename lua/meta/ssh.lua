---@meta pgsh.ssh
-- ssh: commands on other hosts. Everything that talks to one waits.
--
-- The user's own configuration counts, as `ssh -G HOST` says it: aliases, users, ports, keys, agent, ProxyJump. Hosts are strict: a
-- host whose key is not known, or is another one than is known, is refused, whatever StrictHostKeyChecking says. Keys log in
-- (agent, files; a passphrase is asked for once, but never for the user's own ssh: then ssh-add), never a password.
--
-- A handle keeps one connection, made when it is first needed; any number of commands may run over it at once. Two transports do the
-- work: the library (libssh2: fast) and, for what that cannot do (RSA keys with an old library, certificates, FIDO keys, GSSAPI,
-- ProxyCommand), the user's own ssh. Which one is found out by itself; the log says when it is the second.
--
-- A server that hangs up before it has said who it is (sshd's MaxStartups) is asked again for some seconds. Hosts behind one bastion
-- (ProxyJump) share one connection to it.
--
-- A command is a list of arguments, quoted for the far side, or a string for its /bin/sh. It runs in a process group of its own,
-- without a terminal. When its time is over or its task is cancelled the far group gets TERM, and KILL two seconds later. When the
-- line is lost after a change had begun, its outcome is unknown; before, it is tried once more over a new connection.

---@class pgsh.SshOptions
---@field host? string               # as ssh takes it: an alias, user@host, ssh://user@host:port
---@field name? string               # how the target is called; default: the host as given
---@field config? string             # another configuration file, as ssh -F
---@field transport? "auto"|"lib"|"openssh"  # default "auto"
---@field connect_timeout? number|string     # default: ConnectTimeout of the configuration, else 10 s
---@field become? string|{ [1]: string, password: string|pgsh.Secret? }  # run commands as this user, by sudo
---@field timeout? number|string     # of each command; default: none but the step's

---@class pgsh.SshReadOptions: pgsh.ShReadOptions
---@field become? string|{ [1]: string, password: string|pgsh.Secret? }

---@class pgsh.SshRunOptions: pgsh.ShRunOptions
---@field become? string|{ [1]: string, password: string|pgsh.Secret? }

---@class pgsh.SshPartOptions: pgsh.ShPartOptions
---@field become? string|{ [1]: string, password: string|pgsh.Secret? }

---@class pgsh.SshFileOptions
---@field mode? integer              # of the file; default 0644
---@field become? string|{ [1]: string, password: string|pgsh.Secret? }
---@field timeout? number|string
---@field what? string               # shown in place of the two names

---@class pgsh.ssh
---@overload fun(host: string, options?: pgsh.SshOptions): pgsh.Ssh
---@overload fun(options: pgsh.SshOptions): pgsh.Ssh
local ssh = {}

---A handle: local db1 = ssh "db1". Nothing is connected yet.
---@class pgsh.Ssh
local Ssh = {}

---Run a command that only reads. Its output is given byte for byte.
---@param command string[]|string
---@param options? pgsh.SshReadOptions
---@return pgsh.ShResult
function Ssh:read(command, options) end

---Run a command that changes something. Its result is journaled: the end of each output, as text.
---@param command string[]|string
---@param options? pgsh.SshRunOptions
---@return pgsh.ShResult
function Ssh:run(command, options) end

---Read what a command prints, line by line, as it comes, until it ends, f returns false, or the task ends; then it ends there, too.
---While f works or waits, the far side waits.
---@param command string[]|string
---@param f fun(line: string): boolean?
---@param options? pgsh.SshReadOptions
function Ssh:follow(command, f, options) end

---What a command prints, as the source of a pipe. Your word that it changes nothing.
---@param command string[]|string
---@param options? pgsh.SshPartOptions
---@return pgsh.PipePart
function Ssh:output(command, options) end

---A command that reads a stream, as the sink of a pipe. It has to read all of it and to end well.
---@param command string[]|string
---@param options? pgsh.SshPartOptions
---@return pgsh.PipePart
function Ssh:input(command, options) end

---Replace a far file by one of ours: a temporary name beside it, size and (where the far side has sha256sum) SHA-256 compared, synced,
---renamed. A change. Cut short or timed out it has failed, and nothing is there; when only the answer was lost, the far file is looked
---at. It is never begun again by itself; tried again, or by a resumed run, it is made anew.
---@param here string
---@param there string
---@param options? pgsh.SshFileOptions
---@return { path: string, bytes: integer, sha256: string, ms: integer }
function Ssh:upload(here, there, options) end

---Replace a file of ours by a far one, in the same way. A change.
---@param there string
---@param here string
---@param options? pgsh.SshFileOptions
---@return { path: string, bytes: integer, sha256: string?, ms: integer }
function Ssh:download(there, here, options) end

---"ana@db1.example:22 (lib)" once it is connected, else the host as given.
---@return string
function Ssh:where() end

---End the connection; what still runs fails. Also by <close>.
function Ssh:close() end

---Do something on many hosts in parallel: f is given a handle (closed afterwards) and the host's name. Never all or nothing: results
---and errors by host. For changes make the handles at the top level, where they name the targets, and give those.
---@param hosts (string|pgsh.Ssh)[]
---@param f fun(handle: pgsh.Ssh, host: string|pgsh.Ssh): any
---@param options? { at_once: integer?, config: string?, transport: string?, connect_timeout: number|string?, become: any, timeout: number|string? }
---@return table<string|pgsh.Ssh, any> results, table<string|pgsh.Ssh, pgsh.Error> errors
function ssh.each(hosts, f, options) end

---One word, quoted for a far shell.
---@param word string
---@return string
function ssh.quote(word) end

return ssh
