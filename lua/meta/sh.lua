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
---@field proof? string              # of a command that stands for one far away, and may end anyhow when the line is lost: its output has
---to end with this text, a colon, the far command's exit status in three digits and a line break. They are taken off, and the status
---counts in place of its own. Without them it has failed; a change then is *unknown*

---@class pgsh.ShRunOptions: pgsh.ShReadOptions
---@field refused? string[]          # a failure with one of these texts on its standard error did nothing; any other (that is not proved) is *unknown*
---@field detail? string             # what it changes, in lines (a diff): shown in a plan and when it is let out
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
---@field input? string|pgsh.Secret  # of sh.output: its standard input; default /dev/null. Of sh.input: a little that comes before the stream
---@field env? table<string, string|number|pgsh.Secret|false>
---@field cwd? string
---@field ok? integer[]              # exit statuses that are success; default {0}
---@field what? string               # shown in place of the command
---@field proof? string              # as of sh.read: a stream that was cut off fails the pipe; of sh.input, which has taken it, it is then *unknown*
---@field refused? string[]          # of sh.input: as of sh.run
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

---@class pgsh.ToolOptions
---@field kind string                # of the target, and of the list of targets: "kubectl"
---@field name string                # what it acts upon: "prod/databases". Both together are the target
---@field argv string[]              # what every command begins with: the tool, and the flags that make it act upon just that
---@field shown? string              # what stands for argv where a command is shown; default: kind. A run is resumed by what was shown
---@field env? table<string, string|number|pgsh.Secret|false>
---@field detail? string             # shown beside the target: an address

---A command-line tool together with what it acts upon, as a target of its own: the list of targets then names the cluster, not this
---machine. Make it at the top level of a script. tostring() is the target.
---@param options pgsh.ToolOptions
---@return pgsh.Tool
function sh.tool(options) end

---Its methods are sh's functions of the same names, with the words that follow argv. There is no shell.
---@class pgsh.Tool
local Tool = {}

---@param words string[]
---@param options? pgsh.ShReadOptions
---@return pgsh.ShResult
function Tool:read(words, options) end

---@param words string[]
---@param options? pgsh.ShRunOptions
---@return pgsh.ShResult
function Tool:run(words, options) end

---@param words string[]
---@param options? pgsh.ShPartOptions
---@return pgsh.PipePart
function Tool:output(words, options) end

---@param words string[]
---@param options? pgsh.ShPartOptions
---@return pgsh.PipePart
function Tool:input(words, options) end

return sh
