-- What pgsh makes of ssh's configuration and of known_hosts, through a small C program (ssh_parse.c) around the very sources.
--
--   local parse = require "tests.spec.support.ssh_parse"
--   local config = parse.run("db1", "/tmp/config")       fields as in ssh_config.h; lists are lists; config.error when it failed
--   local config = parse.text("db1", "hostname x\n…")    the same of a text
--   parse.hosts("check", FILE, "db1", "ssh-ed25519", KEY)   one line
local postgres = require "tests.spec.support.postgres"
local must, quote = postgres.must, postgres.quote

local parse = {}
local LISTS = { "identity_file", "user_known_hosts", "global_known_hosts", "jump", "certificate_file", "unsupported" }
local SOURCES = "src/base/*.c src/loop/*.c src/net/ssh_config.c src/net/ssh_config_run.c src/net/ssh_expand.c src/net/ssh_limits.c "
  .. "src/net/ssh_hosts.c src/net/ssh_share.c src/net/ssh_files.c tests/spec/support/ssh_parse.c"

local program
local function binary()
  if not program then
    program = must "pwd":match "%S+" .. "/build/spec/ssh_parse"
    must(("mkdir -p build/spec && cc -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=address,undefined -fno-sanitize-recover=all -Isrc %s "
      .. "-luv -lcrypto -o %s.$$ && mv %s.$$ %s"):format(SOURCES, program, program, program))
  end
  return program
end

local function fields(output)
  local all = { text = output }
  for _, name in ipairs(LISTS) do all[name] = {} end
  all.error, all.message = output:match "^error (%S+) ([^\n]*)"
  all.detail = output:match "\ndetail (.*)$"
  if all.error then return all end
  for line in output:gmatch "[^\n]+" do
    local name, value = line:match "^([%w_]+)=(.*)$"
    if not name then error("ssh_parse: " .. output) end
    if type(all[name]) == "table" then table.insert(all[name], value) else all[name] = value end
  end
  return all
end

local function call(words, before)
  local list = { before or "", binary() }
  for i, word in ipairs(words) do list[i + 2] = quote(word) end
  return must(table.concat(list, " "))
end

-- env: a text in front of the command, "A=b "
function parse.run(host, file, env) return fields(call({ "run", host, file }, env)) end

function parse.text(host, text, env)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  local output = must(("%s %s config %s <%s"):format(env or "", binary(), quote(host), path))
  os.remove(path)
  return fields(output)
end

-- Of many hosts at once: { [host] = what ssh -G would have printed }, and how often ssh was really run. edit: a command that is run in
-- between; then the answers after it are the third result. words: more words that its ssh is given.
function parse.many(file, hosts, edit, words)
  local bin = must "mktemp -d":match "%S+"
  local f = assert(io.open(bin .. "/ssh", "w"))
  f:write(("#!/bin/sh\necho >>%s/count\nexec %s %s \"$@\"\n"):format(bin, must "command -v ssh":match "%S+", words or ""))
  f:close()
  must(("chmod 755 %s/ssh; : >%s/count"):format(bin, bin))
  local output = call({ "many", file, table.unpack(hosts) },
    ("PATH=%s:$PATH %s"):format(bin, edit and "EDIT=" .. quote(edit) or ""))
  local count = tonumber(must(("wc -l <%s/count; rm -rf %s"):format(bin, bin)):match "%d+")
  local rounds = { {} }
  for part in (output .. "== "):gmatch "(.-)== " do
    local host, text = part:match "^([^\n]*)\n(.*)$"
    if host == "edited" then rounds[2] = {} elseif host then rounds[#rounds][host] = text end
  end
  return rounds[1], count, rounds[2]
end

function parse.hosts(...) return (call({ ... }):gsub("\n$", "")) end

return parse
