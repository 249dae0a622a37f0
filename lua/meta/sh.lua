---@meta pgsh.sh
-- sh: commands on this machine. Both functions wait.
--
-- A command is a list of arguments, started as it is, or a string, given to /bin/sh -c. It runs in a process group of its own,
-- without a terminal; when its time is over or its task is cancelled the whole group gets TERM, and KILL two seconds later.
--
-- What a command does cannot be seen from outside: sh.read is your word that it changes nothing, and is made in a plan too.
-- Secrets do not belong into arguments, which every user of the machine can read: give them in env or as input.

---@class pgsh.ShReadOptions
---@field input? string|pgsh.Secret  # its standard input; default /dev/null
---@field env? table<string, string|number|pgsh.Secret|false>  # added to ours; false takes one away
---@field cwd? string
---@field timeout? number|string     # default: none but the step's
---@field limit? integer|string      # of each output. read: more is an error, default "16M". run: the end is kept, default "64K"
---@field ok? integer[]              # exit statuses that are success; default {0}
---@field what? string               # shown in place of the command

---@class pgsh.ShRunOptions: pgsh.ShReadOptions
---@field resolve? fun(): boolean?, table?  # asked when it was stopped half way. true and the result: it is done; false: it is not

---@class pgsh.ShResult
---@field exit integer
---@field out string
---@field err string
---@field truncated? boolean         # of sh.run: only the end of the output is here

---@class pgsh.sh
local sh = {}

---Run a command that only reads. Its output is given byte for byte.
---@param command string[]|string
---@param options? pgsh.ShReadOptions
---@return pgsh.ShResult
function sh.read(command, options) end

---Run a command that changes something. Its result is journaled: the end of each output, as text.
---@param command string[]|string
---@param options? pgsh.ShRunOptions
---@return pgsh.ShResult
function sh.run(command, options) end

---@class pgsh.ShPartOptions
---@field input? string|pgsh.Secret  # of sh.output: its standard input; default /dev/null
---@field env? table<string, string|number|pgsh.Secret|false>
---@field cwd? string
---@field ok? integer[]              # exit statuses that are success; default {0}
---@field what? string               # shown in place of the command
---@field stderr? fun(line: string)  # given each line of its standard error; may wait; an error it raises fails the pipe
---@field as? string                 # of sh.input: under which name the end of its output is given in result.text; default "stdout"

---What a command prints, as the source of a pipe. Your word that it changes nothing, as with sh.read.
---@param command string[]|string
---@param options? pgsh.ShPartOptions
---@return pgsh.PipePart
function sh.output(command, options) end

---A command that reads a stream, as the sink of a pipe. It has to read all of it and to end well.
---@param command string[]|string
---@param options? pgsh.ShPartOptions
---@return pgsh.PipePart
function sh.input(command, options) end

return sh
