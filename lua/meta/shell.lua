---@meta pgsh.shell
-- Names that only the interactive shell has (`pgsh` without arguments). Everything a script sees is there too.

---The database that SQL goes to. db = psql "service=prod" sets it, and so does \c CONNINFO; else what the PG* variables say. Only in the
---shell.
---@type pgsh.Psql
db = nil

---Changes to a target, as the user that db (or the handle) is there, are not asked about for some minutes. Still asked about is what cannot
---be taken back, or is in a function so that nobody can tell, what locks a table against everybody (VACUUM FULL), and an UPDATE or DELETE of
---more than 10,000 rows or of half a table or more, as the planner thinks. Logged; the prompt shows what is left. A production target asks for its
---name to be typed; without a terminal it needs the flag that the change itself would need. Only in the shell.
---@param target? any                        # a handle, or the name of a target of this session; default db
---@param reason string                      # why; it is journaled
---@param minutes? number                    # default 10, at most 120
function rw(target, reason, minutes) end
---End such a window now.
---@param target? any                        # default db
function ro(target) end
---Such windows also end when nothing was entered, and nothing ran, for so long; default "10m". Also for init.lua. Only in the shell.
---@param duration string|number
function idle(duration) end
---More targets to treat as production: Lua patterns that their name or address is searched for, in lower case. Known are "prod"
---and "prd" as words or at the end of one as in shopprod, what begins with "production", and "live" as a word of its own, but not non-prod or
---pre-prod; PGSH_PRODUCTION holds more. Its place is init.lua. Only in the shell.
---@param ... string
function production(...) end
---Changes are only shown from now on; dry_run(false) ends it. Only in the shell.
---@param on? boolean
function dry_run(on) end

---The last value that an entry gave; _1 is the one before it, up to _9. Only in the shell.
_ = nil
---The last rows: what full(), as and to show once more. Only in the shell.
_rs = nil
---The last error, an object: _err.message, .code, .sqlstate, .detail, .hint; tb() has its traceback. In a failed step at first what went wrong
---there. Only in the shell.
_err = nil

---The jobs that spawn(f) began, and how they are. Only in the shell.
jobs = {}
---Ask a job to stop. Only in the shell.
---@param id integer
function jobs.cancel(id) end
---Wait for a job's end: its results, or its error. Only in the shell.
---@param id integer
---@return any ...
function jobs.wait(id) end
---The same look again and again, in place, until a key is pressed; rows that are new begin with ">", and what differs in them is emphasised; a
---failure is shown and survived. Where nothing can be redrawn (TERM=dumb, in a job) the looks follow each other, until Ctrl-C. Only in the
---shell.
---@param seconds number|string
---@param what fun(): any|string             # a function, or SQL
function watch(seconds, what) end

---The last rows once more, all of them, columns as wide as they are. Only in the shell.
function full() end
---The last rows once more in another format: grid, expanded, csv, tsv, json, jsonl, lua, markdown. Only in the shell.
---@param format string
function as(format) end
---The last rows into a new file. Only in the shell.
---@param path string
---@param format? string                     # default: what the file's name ends with; tsv when it ends with nothing
function to(path, format) end
---How rows are shown from now on: auto, which is a grid, expanded when it does not fit the screen, or one of the formats of `as`. Only in
---the shell.
---@param format string
function format(format) end
---How many rows are shown; 0 is all. Only in the shell.
---@param count integer
function max_rows(count) end
---Show how long each entry took, without the time at questions. Only in the shell.
---@param on? boolean                        # default true
function timing(on) end

---What was typed, also in earlier sessions. An entry that begins with a space, or that looks as if it
---held a secret, is not kept. history(20, "part") lists the last 20 that hold a text or Lua pattern. Only in the shell.
history = {}
---What of this session is written to the history's file: "keep" (all but entries that may hold a secret), "redact" (these too, with the
---secret hidden where it can be told apart), "skip" (nothing). Default "keep". Its place is init.lua. Only in the shell.
---@param mode "keep"|"redact"|"skip"
function history.mode(mode) end
---Forget all of it, also the file. Only in the shell.
function history.forget() end
---An entry in $VISUAL or $EDITOR, as \e: the last one, or the text given. What the editor leaves stands at the prompt; Enter runs it.
---Only in the shell.
---@param text? string
function edit(text) end
---Write the changes of this session as the skeleton of a procedure, into a new file. Only in the shell.
---@param path string
function save(path) end
---Write every entry that did not fail as a script for `pgsh < FILE`, into a new file. Only in the shell.
---@param path string
function transcript(path) end
---What the reference says that holds a word. Only in the shell.
---@param part string
function apropos(part) end
---What this shell is made of, where it keeps and finds things, and what it is connected to. Only in the shell.
function doctor() end
---Versions of pgsh and of the libraries it uses, as `pgsh --version -v`. Only in the shell.
function version() end
---The traceback of the last error (_err). Only in the shell.
function tb() end

---The shell in a failed step: try the step again. Only there.
function retry() end
---The shell in a failed step: undo what the run changed (asks). Only there.
function undo() end
---The shell in a failed step: stop the run here. Only there.
function abort() end
