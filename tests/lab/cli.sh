# shellcheck shell=bash disable=SC2034 # $data is for who sources this
# What heroku_cli.sh and aws_cli.sh, which run a service's real CLI against its simulator, have in common. Bash sources it.
#
#   needs TOOL...            ends the script when one is missing
#   start_lab FILE           starts that lab; $control is its address, $work/lab.json what it said, $work/home a home for the CLI.
#                            All of it is gone when the script ends, however that is.
#   capture COMMAND...       runs it: both streams in $out, stdout alone in $data, exit status in $status
#   post PATH BODY           to the lab's control address
#   verdict STATUS WHAT      counts whether it holds; what does not is shown with the last command, and with $about when that is set
#   conclude                 the count, and what the lab complained of; its status is the script's

passed=0
failed=0
about=

needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "${0##*/}: $tool is missing" >&2; exit 2; }
  done
}

# The lab lives as long as descriptor 9 is open, so it ends with this script however that ends.
start_lab() {
  work=$(mktemp -d)
  trap finish EXIT
  trap 'exit 130' INT TERM
  mkdir -p "$work/home"
  mkfifo "$work/stdin"
  lua5.4 "$1" <"$work/stdin" >"$work/lab.json" 2>"$work/lab.err" &
  lab=$!
  exec 9>"$work/stdin"
  for _ in $(seq 300); do
    [ -s "$work/lab.json" ] && { control=$(jq -r .control "$work/lab.json"); return 0; }
    kill -0 "$lab" 2>/dev/null || break
    sleep 0.1
  done
  echo "${0##*/}: the lab did not start" >&2
  cat "$work/lab.err" >&2
  return 1
}

finish() {
  exec 9>&-
  [ -n "${lab:-}" ] && wait "$lab" 2>/dev/null
  rm -rf "$work"
}

capture() {
  out=$("$@" 2>"$work/stderr" </dev/null 9>&-)
  status=$?
  data=$out
  out+=$'\n'$(cat "$work/stderr")
}

post() {
  curl -sS -X POST "$control/_lab/$1" -d "$2" >/dev/null
}

verdict() {
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  printf 'FAILED%s: %s\n  status %s, output:\n%s\n' "${about:+ $about}" "$2" "$status" "$out" | sed '3,$s/^/    /'
}

conclude() {
  if [ -s "$work/lab.err" ]; then
    echo "the lab complained:"
    cat "$work/lab.err"
    failed=$((failed + 1))
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
