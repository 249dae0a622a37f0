-- commands: what begins with a backslash, for fingers that know psql; and help.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local commands = {}

local function out(text) host.emit("output", { text = text }) end
local function say(text) host.emit("log", { level = "info", text = text }) end

local HELP = [[
What is typed is Lua, or SQL up to its semicolon. Reads work at once; a change is shown and asked about.

  db = psql "service=prod"      the database that SQL goes to; also \c
  select … ;                    runs on db; update … ; is shown, with the number of rows, and asked about
  db:rows "…"  db:execute "…"   the same from Lua; also :row :value :each :transaction
  rw(db, "reason", 10)          changes to db are not asked about for 10 minutes; ro(db) ends that

  pg.activity(db)  pg.locks(db)  pg.replication(db)  pg.progress(db)  pg.bloat(db)  pg.terminate(db, pid)
  ssh "host":read "uptime"      on another host; sh.read "df -h" here; http, kubectl, heroku … : help "ssh"

  _  _1 … _9  _rs  _err         the last value, earlier ones, the last rows, the last error
  full()  as "csv"  to "x.csv"  the last rows: all of them, in another format, into a file
  spawn(f)  jobs()              in the background, and what runs there
  watch(2, f)                   the same look every 2 s, in place, until a key
  edit()  edit "text"           the last entry, or a text, in the editor; what it leaves stands at the prompt
  save "fix.lua"                the changes of this session as a procedure; transcript "x.lua": all of it
  help "step"  ?db  apropos "dump"  the reference
  history()  timing()  format "json"  max_rows(0)  dry_run()  tb()  doctor()  idle "5m"  history.mode "skip"

  \d [PATTERN]  \dt \di \dv \dm \ds \df \dn \dx \dT \db \dp \du \l   what there is; with + more, with S the system's own
  \sf FUNCTION  \sv VIEW  \c [HANDLE|DATABASE [USER]|CONNINFO]  \conninfo
  \x [on|off|auto]  \timing  \watch [SECONDS]  \e  \i FILE  \q  \?

Ctrl-C cancels what runs, on the server too, and keeps the connection; again: stops waiting for that.
Ctrl-\ leaves at once.
]]

-- What psql has and is done otherwise here: what to type.
local INSTEAD = {
  ["!"] = 'sh.read "…" runs a command that only reads, sh.run "…" any other',
  a = 'format "csv" or as "csv"', C = 'as "markdown" and others show the last rows in another format', cd = "cd before pgsh is started",
  copy = 'pipe { db:copy_out "select …", file.writer "x" } and db:copy_in: see help "pipe"',
  crosstabview = "group in SQL", echo = 'print "…"', ef = "\\sf NAME shows it, \\e edits the last entry",
  encoding = "everything is UTF-8", errverbose = "_err is the last error, tb() its traceback",
  ev = "\\sv NAME shows it, \\e edits the last entry", f = 'format "csv" or format "tsv"',
  g = 'a semicolon runs the statement; to "FILE" writes its rows', gdesc = 'db:rows("…").columns',
  gexec = 'for row in db:each "…" do db:execute(row[1]) end', gset = 'row = db:row "…" keeps a row: row.name',
  gx = 'as "expanded" shows the last rows so; \\gx behind a statement does, too', H = 'as "markdown"', ["if"] = "if … then … end, in Lua",
  ir = "\\i FILE", o = 'to "FILE" writes the last rows into a file', p = "history(1)",
  password = "psql's own \\password: it never sends the password itself", prompt = 'x = ask.text "…"',
  pset = 'format "csv", max_rows(0), \\x: how rows are shown', qecho = 'print "…"', r = "Ctrl-C clears what is typed", s = "history()",
  set = 'x = 1 makes a name of the session; db:rows("… $1", x) uses it', setenv = "export it before pgsh is started",
  t = 'format "tsv" or as "tsv"', unset = "x = nil", w = 'save "fix.lua", transcript "all.lua"', warn = 'log.warn "…"',
}
INSTEAD.elif, INSTEAD["else"], INSTEAD.endif, INSTEAD.ed = INSTEAD["if"], INSTEAD["if"], INSTEAD["if"], INSTEAD.ef

-- What each is for: ?\d. Lists take the letters + (more) and S (the system's own, too).
local LIST = " [PATTERN]"
local ABOUT = {
  ["?"] = { "", "this shell's help" }, h = { "", "the same as \\?" }, q = { "", "leaves; so does Ctrl-D" },
  x = { " [on|off|auto]", "rows one below the other: always, never, or when they are too wide; \\gx behind a statement: this time" },
  timing = { " [on|off]", "how long each entry took" },
  c = { " [HANDLE|DATABASE [USER]|CONNINFO]", "goes to another database; - stays with the one at hand" },
  conninfo = { "", "what the database at hand is, and how it is reached" },
  watch = { " [SECONDS] [i=SECONDS] [c=COUNT]", "the last entry again and again, every 2 s, until a key or for so many looks" },
  i = { " FILE", "runs the entries in a file" }, e = { "", "the last entry in the editor; what it leaves stands at the prompt" },
  d = { LIST, "tables, views and sequences; with a name: its columns, indexes, constraints, triggers …" },
  dt = { LIST, "tables" }, di = { LIST, "indexes" }, dv = { LIST, "views" }, dm = { LIST, "materialized views" },
  ds = { LIST, "sequences" }, dE = { LIST, "foreign tables" }, df = { LIST, "functions" },
  dT = { LIST, "types; \\dT+ with the values of an enum" },
  dn = { LIST, "schemas" }, dx = { LIST, "extensions" }, db = { LIST, "tablespaces" }, dp = { LIST, "privileges" },
  z = { LIST, "privileges, as \\dp" }, du = { LIST, "roles" }, dg = { LIST, "roles, as \\du" }, l = { LIST, "databases" },
  sf = { " FUNCTION", "the source of a function" }, sv = { " VIEW", "the source of a view" },
}

local on = {}

on["?"] = function() out(HELP) end
on.h = on["?"]
function on.q(shell) shell.over = shell.over or (shell.inside and "question" or "left") end

function on.x(shell, rest)
  local format = shell.format
  local always = format.expanded == "on" or format.format == "expanded"
  if rest == "" then rest = always and "off" or "on" end
  if rest ~= "on" and rest ~= "off" and rest ~= "auto" then errors.raise("usage", "\\x on, off or auto") end
  format.expanded = rest
  if rest ~= "on" and format.format == "expanded" then format.format = format.before or "auto" end
  say(("expanded display is %s"):format(rest))
end

function on.timing(shell, rest)
  if rest == "" or rest == "toggle" then rest = shell.timing and "off" or "on" end
  if rest ~= "on" and rest ~= "off" then errors.raise("usage", "\\timing on, off or toggle") end
  shell.timing = rest == "on"
  say(("timing is %s"):format(rest))
end

-- The words of \c: quotes hold one together.
local function words_of(text)
  local words, i = {}, 1
  while true do
    local from, quote = text:match("^%s*()([\"']?)", i)
    if from > #text then return words end
    local word, behind = text:match(quote ~= "" and "^([^" .. quote .. "]*)" .. quote .. "?()" or "^(%S+)()", from + #quote)
    words[#words + 1] = { text = word, quoted = quote ~= "" }
    i = behind
  end
end

-- A handle of the session, a connection string, or a database, a user of the server at hand; "-": as it is.
local function place_of(shell, rest)
  local whole = rest:match '^"([^"]*)"$' or rest:match "^'([^']*)'$" or rest
  if whole:find "^postgres%l*://" or whole:find "=" then return shell.env.psql(whole) end
  local words = words_of(rest)
  if #words > 2 then errors.raise("usage", "\\c HANDLE, \\c DATABASE [USER], or \\c CONNINFO (host=… port=… dbname=…)") end
  local function chosen(i) return words[i] and (words[i].quoted or words[i].text ~= "-") and words[i].text or nil end
  local database, user = chosen(1), chosen(2)
  local handle = database and not user and not words[1].quoted and rawget(shell.vars, database)
  if type(handle) == "userdata" and tostring(handle):find "^psql " then return handle end
  local at_hand = shell:database()
  if not database and not user then return at_hand end
  local other = host.psql_beside(at_hand, database, user)
  if not other then errors.raise("usage", "%s has not been used yet: nobody knows which server it leads to", tostring(at_hand)) end
  return other
end

local WHO = [[select current_database() as database, session_user as user, pg_is_in_recovery() as standby, version() as version,
  current_setting('server_version') as server, pg_backend_pid() as pid]]

function on.c(shell, rest)
  if rest == "" then return on.conninfo(shell) end
  local db = place_of(shell, rest)
  return shell:run("\\c " .. rest, function()
    local who = db:row(WHO)
    local name = require("pgsh.shell.catalog").label(db)
    if name:sub(1, #who.user + 1) == who.user .. "@" then name = name:sub(#who.user + 2) end
    say(("connected to %s as %s, %s\n%s"):format(name, who.user, who.standby and "a standby" or "a primary", who.version))
    shell.vars.db = db -- only now: the former one stays when this one cannot be reached
  end, {})
end

function on.conninfo(shell)
  local db = shell:database()
  return shell:run("\\conninfo", function()
    local who, rows = db:row(WHO), {}
    local known = host.psql_known(db)
    local function add(name, value)
      if value ~= nil then rows[#rows + 1] = { connection = name, value = value } end
    end
    add("target", (tostring(db):gsub("^psql ", "")))
    add("host", known.host)
    add("address", known.address ~= known.host and known.address or nil)
    add("port", known.port)
    add("database", who.database)
    add("user", who.user)
    add("TLS", known.tls and ("%s, %s"):format(known.tls, known.cipher or "?") or "none")
    add("server", "PostgreSQL " .. who.server)
    add("role", who.standby and "standby" or "primary")
    add("pid", who.pid)
    return setmetatable(rows, { __index = { columns = { "connection", "value" } } })
  end, { show = true })
end

-- The last entry that was no command; of several statements the last.
local function last_entry(shell)
  for i = #shell.texts, 1, -1 do
    if not shell.texts[i]:find("^%s*\\") then
      local entry = shell:parse(shell.texts[i])
      for k = #(entry.parts or {}), 1, -1 do
        if entry.parts[k].kind ~= "command" then return entry.parts[k] end
      end
      return entry
    end
  end
  errors.raise("usage", "\\watch repeats the last entry: there is none")
end

-- \watch 5, \watch i=5 c=3: how often, and how many times.
local function watch_options(rest)
  local seconds, count
  for word in rest:gmatch "%S+" do
    local key, value = word:match "^(%l+)=(.+)$"
    local number = tonumber(value or word)
    if (key == nil or key == "i" or key == "interval") and not seconds and (number or host.duration(word)) then
      seconds = number or word
    elseif (key == "c" or key == "count") and not count and math.type(number) == "integer" and number > 0 then
      count = number
    else
      errors.raise("usage", "\\watch %s: \\watch 5, or i=SECONDS for how often and c=COUNT for how many times", rest)
    end
  end
  return seconds or 2, count
end

function on.watch(shell, rest)
  local seconds, count = watch_options(rest)
  local entry = last_entry(shell)
  local f = entry.f
  if entry.kind == "sql" then
    local db, sql = shell:database(), entry.text:gsub("%s*;%s*$", "")
    f = function() return db:rows(sql) end
  end
  if not f then errors.raise("usage", "\\watch repeats Lua or SQL") end
  return shell:run("\\watch " .. rest, function() return require("pgsh.shell.watch").run(shell, seconds, f, count) end, {})
end

function on.i(shell, rest)
  if rest == "" then errors.raise("usage", "\\i FILE") end
  local text, problem = host.read_file(rest)
  if not text then error(problem, 0) end
  text = text:gsub("^\239\187\191", "")
  local entry = shell:parse(text)
  if entry.kind == "incomplete" then errors.raise("usage", "%s is not complete", rest) end
  if not shell:accepts(text, entry) then return end
  return shell:evaluate(text, entry)
end

function on.e(shell) shell.preset = nil end

---@return string[]
function commands.names()
  local names = {}
  for name in pairs(on) do names[#names + 1] = name end
  for _, name in ipairs(require("pgsh.shell.describe").names()) do names[#names + 1] = name end
  return names
end

local function find(word)
  return on[word] or require("pgsh.shell.describe").find(word)
end

local function unknown(word)
  if word:find "^!" then word = "!" end
  local instead = INSTEAD[word]
  if instead then return ("\\%s is psql's; here: %s"):format(word, instead) end
  local near = require("pgsh.nearest").to(word, commands.names())
  return ("there is no \\%s%s; \\? lists them"):format(word, near and (" (did you mean \\%s?)"):format(near) or "")
end

---What is wrong with the word of a command, before anything is run.
---@param word string
---@return table? problem
function commands.check(word)
  word = #word > 1 and word:gsub(";+$", "") or word
  return not find(word) and host.error("usage", { message = unknown(word) }) or nil
end

---What a command is for, in a line.
---@param word string               # without its backslash
---@return string
function commands.about(word)
  local about, name = ABOUT[word], word
  if not about and find(word) then
    name = word:match "^(.-)[S+]*$"
    about = ABOUT[name] or { LIST, "several of \\dt \\di \\dv \\dm \\ds \\dE at once" }
  end
  if not about then errors.raise("usage", "%s", unknown(word)) end
  return ("\\%s%s   %s\n"):format(name, about[1], about[2])
end

---@param shell pgsh.Shell
---@param word string
---@param rest string
---@return boolean ok
---@return table? problem
function commands.run(shell, word, rest)
  word = #word > 1 and word:gsub(";+$", "") or word
  local command = find(word)
  if not command then return false, host.error("usage", { message = unknown(word) }) end
  local tried, ok, problem = errors.try(command, shell, rest)
  if not tried then return false, ok end
  return ok ~= false, problem
end

-- What the reference calls the class of a value.
local function class_of(value)
  local kind = type(value) == "userdata" and tostring(value):match "^(%a[%w_]*) "
  if kind then return ({ psql = "db", http = "handle" })[kind] or kind:gsub("^%l", string.upper) end
  local meta = type(value) == "table" and debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  if type(name) ~= "string" then return nil end
  name = name:match("%w+$"):gsub("^%l", string.upper)
  return ({ Repository = "Repo", Alertmanager = "Server" })[name] or name
end

-- A field of a value: db:rows, db.rows, app.scale, by the value's class or the value's own name.
local function text_of_field(shell, name)
  local meta = require "pgsh.meta"
  local root, field = name:match("^([%a_][%w_]*)[.:]([%w_.:]+)$")
  if not root then return nil end
  local value = rawget(shell.vars, root)
  local class = value ~= nil and class_of(value) or root
  if value == nil and root == "db" then class = "db" end
  return meta.text(class .. ":" .. field) or meta.text(class .. "." .. field)
end

-- _1 … _9 are written about under _.
local function word_of(name) return (name:gsub("^_%d$", "_")) end

local function one_line(text)
  local line = text:match "^[^\n]*"
  if utf8.len(line) and utf8.len(line) > 100 then line = line:sub(1, utf8.offset(line, 98) - 1) .. "…" end
  return line .. (#line < #text and line:sub(-3) ~= "…" and " …" or "")
end

---`?name`: what is written about it, or the value's own.
---@param shell pgsh.Shell
---@param name string
function commands.help(shell, name)
  if name == "" then return out(HELP) end
  if name:find "^\\." then return out(commands.about(name:sub(2))) end
  local meta = require "pgsh.meta"
  local value = rawget(shell.vars, name)
  if name:find "^_" and value ~= nil then
    return out(("%s is %s\n\n%s"):format(name, one_line(require("pgsh.shell.show").text(value)), meta.text(word_of(name)) or ""))
  end
  name = word_of(name)
  local class = value ~= nil and class_of(value)
  local text = text_of_field(shell, name) or not class and meta.text(name)
  if text then return out(text) end
  if value ~= nil then
    text = class and meta.text(class)
    return out(("%s is %s\n%s"):format(name, require("pgsh.shell.show").text(value), text and "\n" .. text or ""))
  end
  local ok, problem = errors.try(require("pgsh.help").command, { words = { name } })
  if ok then return end
  if problem.kind == "usage" and not problem.hint then problem.hint = ("apropos %q looks for it"):format(name) end
  error(problem, 0)
end

---Every entry of the reference that speaks of it.
---@param part string
function commands.apropos(part)
  if type(part) ~= "string" or part == "" then errors.usage("apropos \"word\"") end
  local low, lines = part:lower(), {}
  for _, entry in ipairs(require("pgsh.meta").entries()) do
    local said = table.concat(entry.comment, " ")
    if not entry.class and #entry.comment > 0 and (entry.name:lower() .. " " .. said:lower()):find(low, 1, true) then
      local first = said:gsub("^%s+", ""):match("^(.-[.:])%s") or said:gsub("^%s+", "")
      lines[#lines + 1] = ("%-28s %s"):format(entry.name, first:sub(1, 100))
    end
  end
  table.sort(lines)
  out(#lines > 0 and table.concat(lines, "\n") .. "\n" or ("nothing is written about %s\n"):format(part))
end

return commands
