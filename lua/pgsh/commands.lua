-- commands: what is written about pgsh's own commands. One source for `pgsh help`, `pgsh help COMMAND` and `pgsh COMMAND --help`; a
-- command without an entry here does not pass the specs.

local commands = {}

-- In the order of the overview. usage: how it is called; brief: the overview's line; text: what it does, exit statuses where they
-- are special; example: one call.
local ENTRIES = {
  {
    name = "shell", usage = "pgsh | pgsh shell [CONNINFO] [-c ENTRIES]",
    brief = "the interactive shell; without a terminal: entries from standard input",
    text = [[
Lua and SQL for an incident. Reads work at once; each change is shown and asked about, and all of it is journaled as a run.
CONNINFO, or PGHOST, PGSERVICE or PGDATABASE in the environment, makes the handle db. Inside: help, ?name, \?.
Without a terminal the entries come from standard input, with -c from the command line; the first that fails ends it.

Exit status: 0; of standard input also that of the entry that failed, 4 when a change needed an answer, 5 when
there were changes before it; 6 when the outcome of a change is not known.]],
    example = "pgsh shell service=prod",
  },
  {
    name = "run", usage = "pgsh FILE.lua [--PARAMETER VALUE …]", brief = "run a procedure (also: pgsh run FILE.lua)",
    text = [[
Run a procedure, by file or by the name of one that comes with pgsh: its targets are named and locked, its preflight looks,
it asks once, then does its steps in order. Everything is journaled before it is done: `pgsh resume` goes on, `pgsh undo`
goes back. Its parameters and steps: --help and --list behind the FILE. Options: pgsh help options.

Exit status: pgsh help exit.]],
    example = "pgsh heroku-primary --app crates-io --start-at 14:00",
  },
  {
    name = "plan", usage = "pgsh plan FILE.lua [--PARAMETER VALUE …]", brief = "reads are made, changes only shown (also -n)",
    text = [[
Go through a procedure without changing anything: reads are really made, changes, questions, verify and undo only shown, a wait
is looked at once. Places where the run may take another way than the plan are listed at the end. Nothing is recorded.

Exit status: 0; 1 when a step could not be planned; 3 when the run would be refused by its preflight.]],
    example = "pgsh plan heroku-primary --app crates-io",
  },
  {
    name = "checklist", usage = "pgsh checklist FILE.lua [--PARAMETER VALUE …]",
    brief = "the procedure as a Markdown checklist; reads nothing",
    text = [[
The steps of a procedure as a Markdown checklist, for the ticket or for doing it by hand. Nothing is read and nothing is changed;
a required parameter that is missing stands in the text by its name.]],
    example = "pgsh checklist heroku-primary --app crates-io >checklist.md",
  },
  {
    name = "runs", usage = "pgsh runs", brief = "recorded runs, newest first",
    text = [[
The recorded runs of this machine, or of a shared database (--state postgresql://…): when they began, their targets, how they
ended or at which step they are. -o json for programs.]],
    example = "pgsh runs --state postgresql://ops@db1/pgsh",
  },
  {
    name = "show", usage = "pgsh show ID|last", brief = "what happened in a run",
    text = [[
What happened in a run, step by step, with its reads, changes and their outcomes, also while it is in progress. ID may be the
beginning of one. -o jsonl gives its journal as it is, -o json the same as one array.]],
    example = "pgsh show last -o jsonl",
  },
  {
    name = "status", usage = "pgsh status ID|last", brief = "where a run is",
    text = [[
Where a run is, in one sentence: its step, what it waits for and saw last, how many changes are in effect, whether users are
affected, and who is at it. From another terminal, or with a shared --state from another machine. -o json for programs.]],
    example = "watch pgsh status last",
  },
  {
    name = "report", usage = "pgsh report ID|last", brief = "a run as Markdown for the post-mortem",
    text = [[
A run as a Markdown document with times (UTC), changes, answers, failures, and how long users were affected.]],
    example = "pgsh report last >post-mortem.md",
  },
  {
    name = "resume", usage = "pgsh resume ID|last [FILE]", brief = "go on where a run stopped; done steps stay done",
    text = [[
Go on with a run that failed, was stopped or was cut off, with the parameters it began with. Steps that are done stay done; of
the step it stopped in, the changes that were completed are answered from the journal, and one whose outcome is not known is
looked up where the service keeps a record. FILE: go on with an edited procedure; what differs is shown and asked about.

Exit status: as of a run (pgsh help exit); 7 when another process is at it.]],
    example = "pgsh resume last",
  },
  {
    name = "undo", usage = "pgsh undo ID|last [FILE]", brief = "take back what a run changed",
    text = [[
Take back what the steps of a run changed, the last one first, each by its own undo with what it kept. What will be done is
shown and asked about first; steps without an undo are named and stay as they are. Interrupted, it goes on where it was.

Exit status: 0; 3 when the operator does not want it; 5 when an undo failed; 7 when another process is at the run.]],
    example = "pgsh undo last",
  },
  {
    name = "lua", usage = "pgsh -e CODE | pgsh - | pgsh lua FILE", brief = "Lua: one line | from standard input | a program with plain Lua",
    text = [[
Lua with everything procedures have, at once and without a journal. -e prints the values of an expression; - takes a script from
standard input; both see the names of a procedure's file. `lua FILE` runs a program with Lua's own libraries and its arguments
behind it; what procedures have is there by require "pgsh.NAME".

Exit status: 0, or that of the error (pgsh help exit); of `lua FILE` also what os.exit is given.]],
    example = [[pgsh -e 'psql("service=prod"):value "select now()"']],
  },
  {
    name = "help", usage = "pgsh help TOPIC", brief = "a command, exit, options, environment, a procedure, a name scripts use",
    text = [[
What is written about a topic: a command; exit, options or environment; a procedure, with its parameters; or a name scripts
use, such as step, wait, psql or wait.upto. Without one: what there is. The shell has the same as help "NAME" and ?NAME.]],
    example = "pgsh help wait.upto",
  },
  {
    name = "completion", usage = "pgsh completion bash|zsh|fish", brief = "completion for your shell",
    text = [[
Print what makes a shell complete commands, options, a procedure's parameters and step ids, and the ids of runs.]],
    example = "source <(pgsh completion bash)",
  },
}

-- How -e and - are called inside.
local SAME = { eval = "lua", stdin = "lua" }

local function width(text)
  return utf8.len(text)
end

---The overview's lines.
---@return string
function commands.overview()
  local lines, column = {}, 0
  for _, entry in ipairs(ENTRIES) do column = math.max(column, width(entry.usage)) end
  for i, entry in ipairs(ENTRIES) do
    lines[i] = ("  %s%s  %s"):format(entry.usage, (" "):rep(column - width(entry.usage)), entry.brief)
  end
  return table.concat(lines, "\n") .. "\n"
end

---The names, in the order of the overview.
---@return string[]
function commands.names()
  local names = {}
  for i, entry in ipairs(ENTRIES) do names[i] = entry.name end
  return names
end

---The text about a command; nil when it is none.
---@param name string
---@return string?
function commands.text(name)
  for _, entry in ipairs(ENTRIES) do
    if entry.name == (SAME[name] or name) then
      local text = (entry.text .. "\n"):gsub("([^\n]+)", "    %1")
      return ("%s\n%s\n    %s\n"):format(entry.usage, text, entry.example)
    end
  end
end

return commands
