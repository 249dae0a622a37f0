---@meta pgsh
-- What a procedure's file sees besides Lua and the service modules. `pgsh help NAME` and help(x) show these texts.

---What a procedure is called and does. Stands at the top of its file.
---@param body {name: string, summary: string, doc: string?}
function procedure(body) end

-- Parameters -----------------------------------------------------------------------------------------------------------------

---Parameters become flags: param.string { "app", "Heroku app", required = true } is --app. A value comes from the flag, else
---from --params FILE (JSON), else from PGSH_APP in the environment, else from `default`. It is returned at once. All that is
---wrong with the parameters is told at once, before anything runs. A resumed run keeps its parameters. A name of which pgsh has
---the flag or the variable itself (from, step, state, path …) is refused.
---Options: required, default, pattern (a Lua pattern for the whole text), looks_like (says what the pattern means), env (one more
---environment variable), secret, min, max, choices, of (type of a list's items), empty (may be empty), must_exist (files),
---changeable (a resumed run may be given another value), placeholder (stands in a checklist when it is missing).
---@class param
param = {}

---@class pgsh.Parameter
---@field [1] string               # name: letters, digits, -
---@field [2] string?              # help
---@field required boolean?
---@field default any?
---@field pattern string?
---@field looks_like string?
---@field env string?
---@field secret boolean?
---@field changeable boolean?

---A text of one line.
---@param declaration pgsh.Parameter
---@return string
function param.string(declaration) end
---A longer text; @FILE takes it from a file.
---@param declaration pgsh.Parameter
---@return string
function param.text(declaration) end
---A whole number; min, max.
---@param declaration pgsh.Parameter
---@return integer
function param.integer(declaration) end
---A number; min, max.
---@param declaration pgsh.Parameter
---@return number
function param.number(declaration) end
-----name, --no-name, --name=false.
---@param declaration pgsh.Parameter
---@return boolean
function param.boolean(declaration) end
---30s, 5m, 1h30m; the value is in seconds.
---@param declaration pgsh.Parameter
---@return number
function param.duration(declaration) end
---14:00 (today, UTC), +10m, 2026-11-21T14:00:00Z; the value is a text in RFC 3339, UTC.
---@param declaration pgsh.Parameter
---@return string
function param.time(declaration) end
---One of choices = { … }.
---@param declaration pgsh.Parameter
---@return string
function param.choice(declaration) end
---a,b,c or the flag several times; of = "integer" for another type of items.
---@param declaration pgsh.Parameter
---@return any[]
function param.list(declaration) end
---The path of a file that can be read; must_exist = false for one that is to be written.
---@param declaration pgsh.Parameter
---@return string
function param.file(declaration) end

-- Steps ----------------------------------------------------------------------------------------------------------------------

---@class pgsh.StepBody
---@field id string?                # default: the title in small letters with - between the words
---@field keep function?            # reads what undo and later steps need; journaled before run
---@field run function?             # run(kept): does it. What it returns is journaled; a text is shown behind the line
---@field verify function|table?    # verify(kept, result), or { "what must hold", function }
---@field verify_within number|string? # how long it may take until it holds; default 10s
---@field undo function|table|string?  # undo(kept, result), { "text", function }, or a text: undone by hand
---@field confirm string|function?  # a name the operator must type; confirm(kept) returns name and, if it likes, why
---@field at string?                # "start - 5m"
---@field opens pgsh.Clock?         # users are affected from here
---@field closes pgsh.Clock?        # and no longer from here
---@field timeout number|string?    # for keep, run and verify together
---@field when boolean|function|table? # false: left out. { condition, "why it is left out" }
---@field note function?            # note(kept, result) → text behind the line
---@field on_unknown function?      # on_unknown(kept) → true: it did happen, false: it did not, nil: cannot tell
---@field tripwire table?           # what must hold while run goes on (see tripwire); tripwires for several
---@field doc string?               # for the checklist

---@class pgsh.Step
---@field id string
---@field title string
---@field kept any                  # what keep read; also in a resumed run
---@field result any                # what run returned, as far as JSON can hold it; also in a resumed run
---@field done boolean

---A step: step "Title" { … } or step "Title" (function). The top level of a file only registers it; bodies run later, in order.
---keep reads first and is journaled; run changes; verify must hold afterwards (a false or nil value fails the step after a short
---time of trying again; returning nothing means that it would have raised); undo takes it back with what was kept.
---Fields: id keep run verify verify_within undo confirm at opens closes timeout when note on_unknown tripwire doc text.
---The value has id, title, kept, result, done: later steps use announced.result.id.
---@param title string
---@return fun(body: pgsh.StepBody|function): pgsh.Step
function step(title) end

---Something done by hand: manual "Title" { text = …, url = …, undo = …, at = … }. The operator is told exactly what to do,
---confirms, and may attach a line of evidence. --yes does not confirm it; --confirm ID or --confirm ID=EVIDENCE does.
---text and url may be functions of what was kept; they put texts together and read nothing.
---@param title string
---@return fun(body: table|string): pgsh.Step
function manual(title) end

---What can be checked beforehand: preflight "Title" (function(problem) … end). All preflights are run before the first step, they
---only read; each may find any number of problems: problem "…", or a text or a list of texts returned, or an error raised. Any
---problem refuses the run (exit 3) with the whole list. when = { condition, "why" } leaves one out.
---@param title string
---@return fun(body: table|function)
function preflight(title) end

---In a preflight: something is wrong. The check goes on.
---@param text string              # with string.format's directives
function problem(text, ...) end

---Raise an error with this text, without file and line.
---@param text string              # with string.format's directives
function fail(text, ...) end

---A value read while the file loads: local replica = fact "replica" (function() return … end). It is journaled: a resumed run
---sees the same. In a checklist nothing is read; the value shows as ‹replica›.
---@param name string
---@return fun(f: function): any
function fact(name) end

---@class pgsh.Clock

---How long users are affected: local read_only = clock { "read-only", budget = "5m" }. A step opens it, another closes it. While it
---is open every failure says so in capitals; over its budget it is said in capitals, too.
---@param declaration {[1]: string, budget: number|string?}
---@return pgsh.Clock
function clock(declaration) end

---The steps that follow are due at that time: at "start - 5m". With --start-at they are waited for; without, it is only shown.
---@param text string              # "start", "start - 5m", "start + 1h"
function at(text) end

---What must hold while a step runs: step "…" { tripwire = tripwire { "the follower streams", function() return … end, every = "5s" } }.
---When it returns false, or raises what cannot pass, the step is cancelled and fails.
---@param declaration {[1]: string, [2]: function, every: number|string?}
---@return table
function tripwire(declaration) end

-- Changing a procedure ---------------------------------------------------------------------------------------------------------

---Take another procedure, by name or path: extend "heroku-primary". Then change it with before, after, replace and skip.
---@param name string
function extend(name) end
---Other defaults for its parameters: defaults { worker = "jobs" }. Stands before extend.
---@param values table<string, any>
function defaults(values) end
---before "step-id" { step "…" { … }, … }: steps in front of one. Also with a function that registers them.
---@param id string
---@return fun(steps: table|function)
function before(id) end
---after "step-id" { step "…" { … }, … }: steps behind one.
---@param id string
---@return fun(steps: table|function)
function after(id) end
---replace "step-id" { step "…" { … } }: other steps in its place. A single one takes over the id.
---@param id string
---@return fun(steps: table|function)
function replace(id) end
---skip "step-id": leave it out.
---@param id string
---@param why string?
function skip(id, why) end

-- Waiting, asking, telling -----------------------------------------------------------------------------------------------------

---wait(60), wait "1m": a pause. Ctrl-C interrupts it.
---@class wait
wait = {}

---Wait until f returns something true, and return that: wait.upto("2m", "the primary accepts writes", function() … end).
---f may return false and a text: the last thing seen, which is shown. Errors that may pass (no connection, a timeout) are seen and
---waited out, others end the wait. Looked at once, then ever more seldom up to every 5 s, or as `every` says. Too late is an error
---of kind timeout that names what, how long, and the last thing seen. In a plan it is looked at once.
---@param limit number|string
---@param what string
---@param f fun(): any, string?
---@param options? {every: number|string?, shows: (fun(): string)?}
---@return any
function wait.upto(limit, what, f, options) end

---Wait until a time: wait.at "14:00" (UTC), or RFC 3339.
---@param time string|integer
---@param what string?
function wait.at(time, what) end

---ask "question?": yes or no, true or false; --yes says yes. Answers are journaled: a resumed step gets the same. In a plan yes is
---assumed.
---@class ask
ask = {}

---A line of text; default is taken on an empty line and by --yes.
---@param text string
---@param options? {default: string?}
---@return string
function ask.text(text, options) end
---One letter: ask.choice("what now?", { { "r", "restart" }, { "l", "leave it" } }).
---@param text string
---@param choices string[][]
---@return string letter
function ask.choice(text, choices) end
---A secret: not echoed, never journaled.
---@param text string
---@return pgsh.Secret
function ask.secret(text) end
---A name must be typed, or given by --confirm NAME; raises `refused` otherwise.
---@param name string
---@param why string
function ask.confirm(name, why) end

---log "text", log.warn("%d rows", n): messages for the operator, also in the journal.
---@class log
log = {}

---@param text string
function log.info(text, ...) end
---@param text string
function log.warn(text, ...) end
---@param text string
function log.error(text, ...) end
---Shown with --verbose.
---@param text string
function log.debug(text, ...) end

---Data for standard output.
function print(...) end

---"No value", where a service takes one: app:config { READ_ONLY_MODE = unset }.
unset = nil

---Start f(...) as a task beside this one: local t = spawn(f, …) … t:join(). It ends with the step that started it.
---@param f function|string         # or a name, and the function behind it
---@return pgsh.Task
function spawn(f, ...) end

---Show what is written about a name or a value: help "wait", help(wait).
---@param subject any
function help(subject) end
