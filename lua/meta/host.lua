---@meta pgsh.host
-- pgsh.host: what the C host gives to the Lua part of pgsh (engine, services). Scripts do not see it: their globals are made of it.
-- Functions marked "waits" may only be called in a task.

---@class pgsh.host
---@field version string            # "0.1.0"
---@field pid integer
---@field user string               # login name of the operator
---@field hostname string
local host = {}

---How effects are treated: "direct" (at once, no journal), "plan" (reads made, changes shown), "real" (journaled).
---@return "direct"|"plan"|"real"
function host.mode() end
---Set before the script is loaded.
---@param mode "direct"|"plan"|"real"
---@param options? {step_by_step: boolean}
function host.set_mode(mode, options) end

---Emit an event (src/run/event.def names the types and their fields). Raises ERR_JOURNAL when it must be on disk and is not.
---@param type string               # "step.started"
---@param body? table               # JSON-able; secrets are removed on the way
function host.emit(type, body) end

---@class pgsh.Scope
---@field branch string             # path by which effects are matched in a replay: "stop-the-worker/run"
---@field step? string              # id of the step the effects belong to
---@field phase string              # "preflight" "fact" "keep" "run" "verify" "undo" "direct"
---@field changes "allow"|"refuse"|"show"  # refuse: a change raises ERR_READ_ONLY. show: as in a plan, whatever the mode
---@field reads? integer            # filled when it ends: reads made
---@field changed? integer          # filled when it ends: changes made (not replayed ones)
---@field replayed? integer         # filled when it ends: changes answered from the journal

---Call f(...) in a scope; waits. The order of effects in the branch begins at 1 again, effects recorded as completed in this
---branch are replayed. Children started inside inherit it. Raises what f raises; the scope's counters are filled either way.
---@param scope pgsh.Scope
---@param f function
---@return any ...
function host.within(scope, f, ...) end
---Call f(...) in a branch below the current one; what it counts counts there too. For what runs beside something else: the changes of a branch
---are numbered by themselves, so that a replay finds them in whatever order the branches went on.
---@param name string              # the same when the step is entered again, and no other's below this branch
---@param f function
---@return any ...
function host.branch(name, f, ...) end
---1, 2, … for each call inside the current scope: to tell its parts apart, the same when it is entered again.
---@return integer
function host.ordinal() end
---How many changes of the current scope were answered from the journal so far.
---@return integer
function host.replayed() end
---What the journal has of the change that the current scope will ask for next; nil: nothing. For a change that is only made when
---something is not there yet: in a resumed run it may be there because of that change.
---@return "pending"|"ok"|"failed"|"unknown"|nil
function host.recorded() end
---The last change of the current scope has failed for certain, and what it failed for is mended (a credential was renewed): the next
---change takes its place, so that a resumed run finds one change there, not two. Raises ERR_USAGE when it has not failed.
function host.again() end
---Forget what is recorded for every branch that begins with prefix .. "/" (the step was undone, or is to be made anew).
---@param prefix string             # a step's id
function host.forget(prefix) end
---Is a change recorded in this branch whose outcome is not known (intent without outcome, or outcome unknown)?
---@param prefix string
---@return {branch:string, order:integer, show:string, target:string}[]
function host.unknowns(prefix) end

---Settle a change whose outcome was not known, by what the operator or a verify says. Journaled; the next attempt replays it
---("ok", with the result given) or lets it out anew ("failed").
---@param branch string
---@param order integer
---@param outcome "ok"|"failed"
---@param how string                # "operator", "verify"
function host.settle(branch, order, outcome, how) end

---Sleep; waits.
---@param seconds number
function host.sleep(seconds) end
---Set the deadline of the current task; ms from now, nil: none. Returns the former one, to be given to restore_deadline.
---@param ms? integer
---@param name? string              # "timeout of step stop-the-worker"
---@return table former
function host.deadline(ms, name) end
---@param former table
function host.restore_deadline(former) end

---@class pgsh.Task
local task = {}
---Waits for its end; returns what the function returned or raises its error.
function task:join() end
---Ask it to stop (error kind "cancelled").
function task:cancel() end
---@return boolean
function task:done() end
---Make it nobody's child: it ends by itself, by its own cancel, or with the process.
---@return pgsh.Task
function task:detach() end
---Start f(...) as a child task.
---@param name string
---@param f function
---@return pgsh.Task
function host.spawn(name, f, ...) end
---Call f(...) in a shield: a cancel is delivered after it; waits.
function host.shield(f, ...) end
---How often Ctrl-C was pressed since the last call; also clears the current task's cancel, so that the operator can be asked.
---@param look? boolean              # only say it: they stay as they are
---@return integer
function host.interrupts(look) end

---The targets of the run, in the order they were named.
---@return {kind:string, name:string, detail:string?}[]
function host.targets() end
---Name a target (handles do it themselves; for services that have no handle of their own).
---@param kind string
---@param name string
---@param detail? string
function host.target(kind, name, detail) end
function host.seal() end

---Compile a script. Returns the function, or nil and an error object with file, line, message, hint (the source line and caret).
---@param text string
---@param chunkname string          # "@path/file.lua"
---@param env table                 # its _ENV
---@return function?, table?
function host.compile(text, chunkname, env) end
---Read a file of the operator's (script, parameter file). Not an effect. nil and an error object when it cannot be read.
---@param path string
---@param limit? integer            # bytes; default 4 MiB
---@return string?, table?
function host.read_file(path, limit) end
---An embedded file ("pgsh/engine.lua", "procedures/heroku-primary.lua"); nil when there is none.
---@param name string
---@return string?
function host.embedded(name) end
---Names of the embedded files, sorted.
---@return string[]
function host.embedded_names() end
---@param name string
---@return string?
function host.getenv(name) end

---Ask the operator; waits. Raises ERR_ANSWER, naming the flag, when there is no terminal or --no-input. Emits nothing by itself.
---@param question {text:string, flag:string?, options:string?, labels:string?, expect:string?, secret:boolean?}
---@return string answer            # a letter of options; the text
function host.ask(question) end

---Is there somebody to ask (a terminal, and no --no-input)?
---@return boolean
function host.interactive() end

---Read a line with the line editor; waits. nil at the end of input, false when Ctrl-C threw the line away. Raises ERR_ANSWER without a
---terminal. Forgets interrupts that were not dealt with.
---@param prompt string             # colours between \1 and \2
---@param preset? string            # stands in the line at first
---@return string|false|nil
function host.line(prompt, preset) end
---The line that is being read, with another prompt.
---@param prompt string
function host.set_prompt(prompt) end
---An entry that the arrow keys and Ctrl-R find; nil: forget all.
---@param entry? string
function host.remember(entry) end
---Called while a line is typed; must not wait.
---@param f fun(line: string, point: integer): {start: integer, matches: string[], append: string?, hint: string?}?
function host.completer(f) end
---Wait until a key is pressed (it is used up) or the terminal goes away; what was typed before is thrown away. Raises without a terminal.
function host.key() end
---While a key is waited for: show a text in place of the former one, cut to the screen. What stands between \1 and \2 is emphasised.
---@param text string
function host.frame(text) end
---@return {columns: integer, rows: integer, terminal: boolean, colour: boolean, redraws: boolean}
function host.terminal() end
---Run a program that has the terminal (pager, editor); waits. Its exit status.
---@param argv string[]
---@param input? string             # its standard input; nil: the terminal
---@return integer
function host.program(argv, input) end
---Whom Ctrl-C is for; nil: the main task. `patience`: how many interrupts that were not dealt with are borne before the next one ends pgsh.
---@param whom? pgsh.Task
---@param patience? integer         # default 1
function host.foreground(whom, patience) end
---Show every change to f before it is let out; f may wait, and raises to refuse. nil: to nobody. Returns the former one.
---@param f? fun(change: {target: string, kind: string, name: string, address: string?, verb: string, show: string, detail: string?,
---       handle: pgsh.Psql?, statements: table[]?, secret: boolean?, at_most: fun(rows: integer)?})  # of SQL also: { sql, parameters as texts…,
---       n = how many }; at_most: roll it back when a single statement affects more
---@return function? former
function host.gate(f) end
---Who is asked when a server wants a password that nobody has given: f returns it, or raises; `again`: the first one was wrong. nil: nobody.
---@param f? fun(target: string, user: string, again: boolean): string|pgsh.Secret
function host.passwords(f) end
---What a statement is: "read", "empty", "statement", "function", "many", "broken", and the word or function that makes it so.
---@param sql string
---@return string verdict, string name
function host.sql_guard(sql) end
---Why it may not be possible to take a statement back ("drop", "delete without where"), or nil; whether that is sure; whether it is an
---UPDATE or DELETE, so that the planner can say how many rows; how it locks, as a sentence, when that is what matters.
---@param sql string
---@return string? what, boolean told, boolean rows, string? locks
function host.sql_danger(sql) end
---A statement with its passwords hidden; they are known as secrets from now on. nil: it holds none.
---@param sql string
---@return string?
function host.sql_hide(sql) end
---Another connection to the same database, on the same target; nil while nobody has asked yet where a late-bound handle leads.
---@param db pgsh.Psql
---@return pgsh.Psql?
function host.psql_twin(db) end
---A handle on another database of the same server, or for another user there; nil while nobody has asked yet where a late-bound handle
---leads. A password in the connection string goes along only to the same user.
---@param db pgsh.Psql
---@param database? string
---@param user? string
---@return pgsh.Psql?
function host.psql_beside(db, database, user) end
---What is known of its connection, without asking anybody: database and user from the first contact on; the others only while there is a
---connection. role is what the server said with its last answer (from PostgreSQL 14), else when it connected.
---@param db pgsh.Psql
---@return {database: string?, user: string?, role: "primary"|"standby"?, host: string?, address: string?, port: string?, tls: string?, cipher: string?, pid: integer?}
function host.psql_known(db) end
---Write a file of the operator's own (0600). "new" fails when it exists; the others make its directories (0700). nil and why when it
---cannot be written.
---@param path string
---@param text string
---@param how? "append"|"new"|"replace"
---@return boolean?, string?
function host.keep(path, text, how) end
---Names in a directory, a slash behind those of directories; empty when it cannot be read. At most 2,000.
---@param dir string
---@return string[]
function host.files(dir) end
---The end of a file, from the beginning of a line; nil when it cannot be read.
---@param path string
---@param bytes integer
---@return string?
function host.tail(path, bytes) end
---Where runs are kept.
---@return string
function host.state() end
---Versions of pgsh and of the libraries it uses, a line each.
---@return string
function host.versions() end
---Rows as aligned columns: grid:widths() is how wide each is, grid:lines(from, to) the lines of these rows. When a line is wider than
---`room`, the widest columns are narrowed, none below `least`, and what they hold is cut. texts[i] makes the values of a column into text.
---@param rows table[]
---@param columns string[]
---@param options? {to: integer?, room: integer?, least: integer?, null: string?, texts: table<integer, function>?}
---@return pgsh.Grid
function host.grid(rows, columns, options) end
---@class pgsh.Grid
local grid = {}
---@return integer[]
function grid:widths() end
---@param from integer
---@param to integer
---@return string
function grid:lines(from, to) end
---Columns that a text takes on a terminal.
---@param text string
---@return integer
function host.width(text) end

---@class pgsh.RunInfo
---@field id string
---@field dir string
---@field live boolean              # another process holds it now
---@field holder? string            # who: "ana@db1 pid 4711"

---Begin a new run: make its directory (0700) and journal, take its lock. Returns the id. Nothing is emitted.
---@return string id
function host.run_begin() end
---Open an existing run to go on with it: takes its lock (raises ERR_LOCKED naming the holder), repairs a torn tail, loads the
---record of effects for the replay, appends from now on. Returns all its events, decoded.
---@param id string                 # or an unambiguous beginning of it, or "last"
---@return table[] events, string id
function host.run_resume(id) end
---The events of a run, read only, and whether somebody is at it.
---@param id string
---@return table[] events, pgsh.RunInfo info
function host.run_read(id) end
---All runs, newest first.
---@return pgsh.RunInfo[]
function host.runs() end
---Take the locks of the targets for this run. Raises ERR_LOCKED with who holds which.
---@param keys string[]             # "heroku crates-io"
function host.lock(keys) end
---Give such locks back; else they are kept until the process ends.
---@param keys string[]
function host.unlock(keys) end

---@return integer ms               # milliseconds since 1970, UTC
function host.now() end
---@return integer ms               # monotonic
function host.mono() end
---"5m" or a number of seconds → milliseconds; nil when it is not a duration.
---@param text string|number
---@return integer?
function host.duration(text) end
---RFC 3339 → ms since 1970; nil when it is not one.
---@return integer?
function host.parse_time(text) end
---@return string                   # "2026-11-21T14:00:03.120Z"
function host.iso(ms) end
---@return string                   # "2:05"
function host.span(ms) end
---@return string                   # lower-case hex
function host.sha256(text) end
---Is this text one query that only reads, so that it may stand in parentheses? nil and its length without a semicolon; else why not.
---@param sql string
---@return string? why
---@return integer? length
function host.not_a_query(sql) end

---Build an error object, as C does. fields: message, target, hint, detail, …
---@param code string               # a code of the catalogue in lower case: "refused", "usage", "answer"
---@param fields table|string
---@return table
function host.error(code, fields) end
---The error catalogue: code → {kind, exit, retryable, text}.
---@type table<string, {kind:string, exit:integer, retryable:boolean, text:string}>
host.errors = {}

return host
