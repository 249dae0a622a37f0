#!/bin/sh
# Runs a command the way a container runtime does: looked up in PATH, and told apart: missing, not executable, started. Says which on
# descriptor 3.
path=$1
case $path in
*/*) ;;
*)
  path=
  ifs=$IFS
  IFS=:
  for dir in $PATH; do
    if [ -f "$dir/$1" ] && [ -x "$dir/$1" ]; then
      path=$dir/$1
      break
    fi
  done
  IFS=$ifs
  ;;
esac
if [ -z "$path" ] || [ ! -e "$path" ]; then
  echo missing >&3
  exit 1
elif [ ! -x "$path" ] || [ -d "$path" ]; then
  echo denied >&3
  exit 1
fi
echo started >&3
exec 3>&-
exec "$@"
