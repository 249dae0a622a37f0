-- Commands in a pod.
--
-- kubectl exec says nothing that can be trusted about how the command ended: when the line is lost it ends with 0 or 1, and the data
-- stop anywhere. So the command is started by a small shell there, which prints a nonce and the exit status as the last bytes of the
-- output (sh's option `proof`). Arguments are handed over as such, nothing is quoted; the environment comes as the first lines of the
-- input, so that no process list shows it.
local client = require "pgsh.kubectl.client"
local errors = require "pgsh.errors"
local hash = require "pgsh.hash"
local host = require "pgsh.host"
local secret = require "pgsh.secret"
local settle = require "pgsh.settle"
local unknown = require "pgsh.unknown"
local wait = require "pgsh.wait"

local exec = {}

local SHOW_BYTES = 300
local SEEN_MS = 2000
local DONE = { exit = 0, out = "", err = "" }

-- Nobody has to guess it: it only has to be no part of any output by chance.
local made = 0
local function nonce()
  made = made + 1
  return hash.sha256(("%d %d %d %d"):format(host.pid, host.now(), host.mono(), made)):sub(1, 24)
end

-- ---- the command ----

local function check_argv(what, argv)
  if type(argv) ~= "table" or unknown.is(argv) or #argv == 0 then
    errors.usage("%s: a list of arguments expected, got %s", what, type(argv))
  end
  return argv
end

local function quoted(word)
  word = tostring(word)
  if word:find "^[%w@%%+=:,./_‹›-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- One line, at most so long, cut at a character.
local function one_line(text)
  text = text:gsub("%c", " ")
  if #text <= SHOW_BYTES then return text end
  local last = SHOW_BYTES
  while last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return ("%s… (%d bytes)"):format(text:sub(1, last), #text)
end

-- What is shown, and what a resumed run is matched by: without nonce, and without the name of the one pod that a workload has today.
function exec.shown(verb, pod, argv, options)
  if options.what then return options.what end
  local words = { "kubectl", verb, tostring(pod) }
  if options.container then words[#words + 1] = "-c " .. options.container end
  words[#words + 1] = "--"
  for _, word in ipairs(argv) do words[#words + 1] = quoted(word) end
  return one_line(table.concat(words, " "))
end

-- A line that the far `printf %b` makes the value of again.
local function encoded(value)
  return (secret.reveal(value):gsub("\\", "\\\\"):gsub("\n", "\\n"))
end

-- The script's lines and the input's that give the command its environment.
local function environment(env)
  local names, script, input = {}, {}, {}
  for name in pairs(env or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = env[name]
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      errors.usage("env: %s is no name that a shell can export", tostring(name))
    end
    if value == false then
      script[#script + 1] = "unset " .. name
    else
      if type(value) == "number" then value = tostring(value) end
      if type(value) ~= "string" and not secret.is(value) then errors.usage("env: %s: a string (or false) expected", name) end
      if secret.reveal(value):find "\0" then errors.usage("env: %s holds a zero byte", name) end
      script[#script + 1] = ("IFS= read -r v || exit 1\nv=$(printf '%%b.' \"$v\")\n%s=${v%%.}\nexport %s"):format(name, name)
      input[#input + 1] = encoded(value) .. "\n"
    end
  end
  script[#script + 1] = "unset v"
  return table.concat(script, "\n"), table.concat(input)
end

-- What was not read of the input is a failure, and is read: else kubectl might wait for ever, or lose what was said.
local LEFT_OVER = [[
if [ "$s" = 0 ] && [ "$(head -c 1 | wc -c)" -gt 0 ]; then
  echo "the command ended before it had read everything" >&2
  s=125
fi]]

local SCRIPT = [[
%s
%s
s=$?
%s
printf '%s:%%03d\n' "$s"
%s
exit 0]]

-- The words for kubectl, and sh's options for them. `body`: the script's line that runs "$@".
local function wrapped(pod, argv, options, body, reads_input)
  local proof = nonce()
  local env = options.env
  if unknown.within(env) then env = nil end -- in a plan: nothing is started
  local before, input = environment(env)
  local words = { "exec", pod }
  if options.container then
    words[#words + 1] = "-c"
    words[#words + 1] = options.container
  end
  local wants_input = reads_input or options.input ~= nil or input ~= ""
  if wants_input then words[#words + 1] = "-i" end
  local tail = { "--", "/bin/sh", "-c",
    SCRIPT:format(before, body or '"$@"', wants_input and LEFT_OVER or "", proof, wants_input and "cat >/dev/null" or ""), "pgsh" }
  table.move(tail, 1, #tail, #words + 1, words)
  table.move(argv, 1, #argv, #words + 1, words)
  local whole = input
  if options.input ~= nil then whole = input == "" and options.input or input .. options.input end
  return words, { proof = proof, input = wants_input and whole ~= "" and whole or nil, ok = options.ok, timeout = options.timeout,
    limit = options.limit }
end

-- ---- which pod ----

-- The pod's name, for kubectl. In a plan, and where the journal may have the answer, the workload's has to do.
local function pod_of(self, pod, strict)
  if unknown.is(pod) then return pod end
  if type(pod) == "table" and type(pod.metadata) == "table" then return pod.metadata.name end
  if type(pod) ~= "string" or pod:find "^%-" or pod == "" then errors.usage("kubectl: a pod expected, got %s", tostring(pod)) end
  if not pod:find "/" then return pod end
  local kind, name = pod:match "^(%a[%w.-]*)/(.+)$"
  if kind == "pod" or kind == "pods" or kind == "po" then return name end
  -- A read may go where the one before it went a moment ago, if nothing was changed since.
  local seen = strict and self.seen[pod]
  if seen and host.mono() - seen.at < SEEN_MS then return seen.name end
  local ok, found, why, several = pcall(self.pod, self, pod)
  if ok and found then
    self.seen[pod] = { name = found.metadata.name, at = host.mono() }
    return found.metadata.name
  end
  if not strict and (host.mode() == "plan" or ok and not several) then return pod end
  if not ok then error(found, 0) end
  error(host.error("kubectl", { message = ("no pod of %s to run a command in: %s"):format(pod, why), target = tostring(self) }), 0)
end

-- A workload without a pod: kubectl is not to wait a minute for one.
local function add_limit(words, name)
  if type(name) == "string" and name:find "/" then table.insert(words, 3, "--pod-running-timeout=1s") end
end

-- ---- reading and running ----

local READ_OPTIONS = { container = true, input = true, env = true, ok = true, timeout = true, limit = true, what = true }
local RUN_OPTIONS = { resolve = true, record = true, progress = true, every = true }
for key in pairs(READ_OPTIONS) do RUN_OPTIONS[key] = true end

local function read(self, pod, argv, options, body)
  return client.again(client.guard, self, "exec", function()
    local words, how = wrapped(pod_of(self, pod, true), argv, options, body)
    how.what = exec.shown("exec", pod, argv, options)
    local ok, result = pcall(self.tool.read, self.tool, words, how)
    if ok then return result end
    self.seen = {}
    error(result, 0)
  end)
end

function exec.read(self, pod, argv, options)
  options = client.check_options("k:read", options, READ_OPTIONS)
  return read(self, pod, check_argv("k:read", argv), options)
end

local function run(self, pod, argv, options, body, resolve)
  return client.guard(self, "exec", function()
    local name = pod_of(self, pod)
    local words, how = wrapped(name, argv, options, body)
    add_limit(words, name)
    how.what, how.resolve, how.refused = exec.shown("exec", pod, argv, options), resolve, client.NOT_STARTED
    self.seen = {}
    return self.tool:run(words, how)
  end)
end

-- ---- a command that leaves a record ----

-- $1: the record; $2: which attempt it is; then the command. It is started in a session of its own, and the first thing it does is to
-- say who it is: the process and when it was started, so that another one of the same number is not taken for it.
local START = [[r=$1; shift
rm -f "$r.exit" "$r.out" "$r.err" "$r.pid" "$r.tmp" && : >"$r.out" && export r a="$1" || exit 1; shift
job='echo "$a $$ $(sed "s/.*) //" /proc/$$/stat | cut -d" " -f20)" >"$r.tmp" && mv -f "$r.tmp" "$r.pid" || exit 1
p=$r; unset r a; "$@" >"$p.out" 2>"$p.err" </dev/null; echo $? >"$p.tmp"; mv -f "$p.tmp" "$p.exit"'
d=; command -v setsid >/dev/null 2>&1 && d=setsid
$d /bin/sh -c "$job" pgsh "$@" </dev/null >/dev/null 2>&1 &
i=0
while [ ! -e "$r.pid" ] && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.1 2>/dev/null || sleep 1; done
[ -e "$r.pid" ] ]]

-- What the record says: the attempt, and "running", "gone" or "exit N"; behind it what was printed.
local STATE = [[r=$1
[ -e "$r.pid" ] || { echo none; exit 0; }
read -r a p t <"$r.pid" || exit 1
if [ ! -e "$r.exit" ] && [ "$(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null | cut -d' ' -f20)" = "$t" ]; then
  echo "$a running"; tail -c 400 "$r.err" >&2
elif [ -e "$r.exit" ]; then
  echo "$a exit $(cat "$r.exit")"; tail -c 65536 "$r.out"; tail -c 65536 "$r.err" >&2
else
  echo "$a gone"
fi]]

local FORGET = [[r=$1
if [ -e "$r.pid" ] && [ ! -e "$r.exit" ]; then
  read -r a p t <"$r.pid"
  if [ "$(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null | cut -d' ' -f20)" = "$t" ]; then
    kill -TERM "-$p" 2>/dev/null || kill -TERM "$p"
    i=0
    while [ -e "/proc/$p" ] && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.1 2>/dev/null || sleep 1; done
    kill -KILL "-$p" 2>/dev/null
  fi
fi
rm -f "$r.exit" "$r.out" "$r.err" "$r.pid" "$r.tmp"]]

local function check_record(record)
  if type(record) ~= "string" or not record:find "^/[%w/._-]+$" or record:find "/$" then
    errors.usage("record: an absolute path of letters, digits, dots and dashes expected, got %s", tostring(record))
  end
  return record
end

local function state_of(self, pod, options)
  local result = read(self, pod, { "-c", STATE, "pgsh", options.record }, {
    container = options.container, limit = "1M", what = ("the record %s in %s"):format(options.record, tostring(pod)) }, '/bin/sh "$@"')
  if unknown.is(result) then return { state = "none" }, result end
  local attempt, state, exit = result.out:match "^(%d+) (%a+) ?(%d*)\n"
  local state_line = result.out:match "^[^\n]*\n" or ""
  return { attempt = tonumber(attempt), state = state or "none", exit = tonumber(exit), out = result.out:sub(#state_line + 1),
    err = result.err }
end

local function last_line(text)
  local line
  for found in text:gmatch "[^\r\n]+" do line = found end
  return line
end

-- Wait for the end of an attempt. The pod may be out of reach for a while.
local function await_end(self, pod, options, attempt, shown)
  return wait.upto(options.timeout or "24h", "the end of " .. shown, function()
    local found = state_of(self, pod, options)
    if found.state == "running" then return false, options.progress and options.progress() or last_line(found.err) or "it runs" end
    if found.attempt == attempt and found.state == "none" then return false, "there is no record yet" end
    return found
  end, { every = options.every })
end

local function gone(self, shown, record)
  return host.error("unknown", {
    message = ("%s was cut off in the pod: it was killed, or the container was restarted"):format(shown), target = tostring(self),
    hint = ("look what it has done; it is started again when its record is gone: rm %s.* in the pod"):format(record),
  })
end

local function accepted(options, exit)
  for _, one in ipairs(options.ok or { 0 }) do
    if one == exit then return true end
  end
  return false
end

function exec.forget(self, pod, record, options)
  options = client.check_options("k:forget", options, { container = true })
  return run(self, pod, { "-c", FORGET, "pgsh", check_record(record) }, {
    container = options.container, what = ("kubectl exec %s -- rm -f %s.*"):format(tostring(pod), record) }, '/bin/sh "$@"',
    function() return false end)
end

-- A record of an earlier call must not be taken for this one's: so it is removed first, as a change of its own.
local function start(self, pod, argv, options, attempt, shown)
  exec.forget(self, pod, options.record, { container = options.container })
  local before = host.replayed()
  local words = { options.record, tostring(attempt), table.unpack(argv) }
  local result = run(self, pod, words, { container = options.container, env = options.env, what = shown, timeout = "2m" },
    ("(\n%s\n)"):format(START), options.resolve or function()
      return settle.look(self.options.settle, function() return state_of(self, pod, options).attempt == attempt end), DONE
    end)
  return result, host.replayed() > before
end

-- The start is a short change; the end is waited for by short reads, so nothing is lost with a line. An attempt that failed is met in the
-- journal when the step is tried again: behind it there is the next.
local function recorded(self, pod, argv, options)
  check_record(options.record)
  if options.input ~= nil then errors.usage "k:exec: a command that leaves a record has no input" end
  local shown = exec.shown("exec", pod, argv, options)
  local attempt = 0
  local found, past, replayed
  repeat
    attempt = attempt + 1
    local result
    result, replayed = start(self, pod, argv, options, attempt, shown)
    if unknown.is(result) then return result end
    local state = replayed and state_of(self, pod, options) or { attempt = attempt }
    -- A later one has been started, or somebody has taken the record away.
    past = state.state == "none" or state.attempt > attempt
    if not past then
      found = await_end(self, pod, options, attempt, shown)
      if unknown.is(found) then return found end
      if found.state ~= "exit" then error(gone(self, shown, options.record), 0) end
      if accepted(options, found.exit) then return { exit = found.exit, out = found.out, err = found.err } end
    end
  until not past and not replayed
  error(host.error("kubectl", {
    message = ("%s exited with %d%s"):format(shown, found.exit, last_line(found.err) and ": " .. last_line(found.err) or ""),
    target = tostring(self), exit = found.exit, detail = found.err ~= "" and found.err or nil,
  }), 0)
end

function exec.exec(self, pod, argv, options)
  options = client.check_options("k:exec", options, RUN_OPTIONS)
  check_argv("k:exec", argv)
  if options.record then return recorded(self, pod, argv, options) end
  return run(self, pod, argv, options, nil, options.resolve)
end

-- ---- the ends of a pipe ----

local OUTPUT_OPTIONS = { container = true, input = true, env = true, ok = true, what = true, stderr = true }
local INPUT_OPTIONS = { container = true, env = true, ok = true, what = true, stderr = true, as = true }

function exec.output(self, pod, argv, options)
  options = client.check_options("k:output", options, OUTPUT_OPTIONS)
  local name = pod_of(self, pod)
  local words, how = wrapped(name, check_argv("k:output", argv), options)
  add_limit(words, name)
  return self.tool:output(words, {
    proof = how.proof, input = how.input, ok = options.ok, stderr = options.stderr, what = exec.shown("exec", pod, argv, options) })
end

function exec.input(self, pod, argv, options)
  options = client.check_options("k:input", options, INPUT_OPTIONS)
  local name = pod_of(self, pod)
  local words, how = wrapped(name, check_argv("k:input", argv), options, nil, true)
  add_limit(words, name)
  return self.tool:input(words, {
    proof = how.proof, refused = client.NOT_STARTED, input = how.input, ok = options.ok, stderr = options.stderr, as = options.as,
    what = exec.shown("exec -i", pod, argv, options) })
end


return exec
