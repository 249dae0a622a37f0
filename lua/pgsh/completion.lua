-- completion: `pgsh completion bash|zsh|fish` prints a script for the shell; `pgsh completion words FILE` what it asks back for:
-- the flags of a procedure, the ids of its steps, the recorded runs.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local completion = {}


local SCRIPTS = {
  bash = [=[
_pgsh() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} file= w
  for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do case $w in *.lua) file=$w ;; esac; done
  case $prev in
    --on-failure) COMPREPLY=($(compgen -W "ask stop undo" -- "$cur")); return ;;
    --output|-o) COMPREPLY=($(compgen -W "text json jsonl" -- "$cur")); return ;;
    --color) COMPREPLY=($(compgen -W "auto always never" -- "$cur")); return ;;
    --from|--until|--skip) COMPREPLY=($(compgen -W "$(pgsh completion steps "$file" 2>/dev/null)" -- "$cur")); return ;;
    show|status|resume|undo|report) COMPREPLY=($(compgen -W "last $(pgsh completion runs 2>/dev/null)" -- "$cur")); return ;;
    help) COMPREPLY=($(compgen -W "$(pgsh completion topics 2>/dev/null)" -- "$cur")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")); return ;;
  esac
  case $cur in
    -*) COMPREPLY=($(compgen -W "@FLAGS@ $([ -n "$file" ] && pgsh completion flags "$file" 2>/dev/null)" -- "$cur")); return ;;
  esac
  [ "$COMP_CWORD" = 1 ] && COMPREPLY=($(compgen -W "@COMMANDS@" -- "$cur"))
  compopt -o filenames 2>/dev/null
  COMPREPLY+=($(compgen -d -- "$cur") $(compgen -f -X '!*.lua' -- "$cur"))
}
complete -F _pgsh pgsh
]=],
  zsh = [=[
#compdef pgsh
_pgsh() {
  local file= w prev=${words[CURRENT-1]}
  for w in ${words[2,CURRENT-1]}; do case $w in *.lua) file=$w ;; esac; done
  case $prev in
    --on-failure) compadd ask stop undo; return ;;
    --output|-o) compadd text json jsonl; return ;;
    --color) compadd auto always never; return ;;
    --from|--until|--skip) compadd ${(f)"$(pgsh completion steps $file 2>/dev/null)"}; return ;;
    show|status|resume|undo|report) compadd last ${(f)"$(pgsh completion runs 2>/dev/null)"}; return ;;
    help) compadd ${(f)"$(pgsh completion topics 2>/dev/null)"}; return ;;
    completion) compadd bash zsh fish; return ;;
  esac
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- @FLAGS@
    [ -n "$file" ] && compadd -- ${(f)"$(pgsh completion flags $file 2>/dev/null)"}
    return
  fi
  (( CURRENT == 2 )) && compadd @COMMANDS@
  _files -g '*.lua'
}
compdef _pgsh pgsh
]=],
  fish = [=[
function __pgsh_file
  for w in (commandline -opc); string match -q '*.lua' -- $w; and echo $w; end
end
function __pgsh_after; set -l w (commandline -opc); contains -- $w[-1] $argv; end
complete -c pgsh -n 'test (count (commandline -opc)) = 1' -a '@COMMANDS@'
complete -c pgsh -n '__pgsh_after show status resume undo report' -f -a 'last (pgsh completion runs 2>/dev/null)'
complete -c pgsh -n '__pgsh_after help' -f -a '(pgsh completion topics 2>/dev/null)'
complete -c pgsh -n '__pgsh_after completion' -f -a 'bash zsh fish'
complete -c pgsh -n '__pgsh_after --from --until --skip' -f -a '(pgsh completion steps (__pgsh_file) 2>/dev/null)'
complete -c pgsh -n 'test -n "(__pgsh_file)"' -a '(pgsh completion flags (__pgsh_file) 2>/dev/null)'
for f in @FLAGS@; complete -c pgsh -l (string sub -s 3 -- $f); end
]=],
}

local function output_words(words)
  if #words > 0 then host.emit("output", { text = table.concat(words, "\n") .. "\n" }) end
end

local function loaded(file, invocation)
  local current = require("pgsh.session").new({ options = {}, known = invocation.known }, { bodies = false })
  host.set_mode "plan"
  require("pgsh.load").procedure(current, file, true)
  return current
end

local ANSWERS = {}

function ANSWERS.flags(file, invocation)
  return loaded(file, invocation).params:names()
end

function ANSWERS.steps(file, invocation)
  local ids = {}
  for i, step in ipairs(loaded(file, invocation).steps) do ids[i] = step.id end
  return ids
end

function ANSWERS.runs()
  local ids = {}
  for i, run in ipairs(host.runs()) do ids[i] = run.id end
  return ids
end

function ANSWERS.topics()
  return require("pgsh.help").topics()
end

---`pgsh completion SHELL`
---@param invocation table
function completion.command(invocation)
  local what, file = table.unpack(invocation.words or {})
  if ANSWERS[what] then return output_words(ANSWERS[what](file, invocation)) end
  local script = SCRIPTS[what]
  if not script then errors.raise("usage", "pgsh completion bash|zsh|fish") end
  local words = { FLAGS = table.concat(invocation.known, " "), COMMANDS = table.concat(require("pgsh.commands").names(), " ") }
  host.emit("output", { text = (script:gsub("@(%u+)@", words)) })
end

return completion
