# gitlab-ctl reconfigure: writes what the node's attributes say, restarts or reloads what runs, and, as Omnibus does where
# bootstrap['enable'] is not false, starts a PostgreSQL that is down: read-write, if nothing says that it is a standby.
if fault reconfigure-fails; then
  echo "Starting Chef Client, version 12.21.12"
  echo "Running handlers:"
  echo "There was an error running gitlab-ctl reconfigure:" >&2
  echo "gitlab_rb (line 42): undefined method \`[]' for nil:NilClass" >&2
  exit 1
fi
echo "Starting Chef Client, version 12.21.12"
echo 'resolving cookbooks for run list: ["gitlab-ee"]'
echo "Synchronizing Cookbooks:"
echo "  - postgresql (0.1.0)"
echo "  - repmgr (0.1.0)"
echo "Recipe: gitlab::postgresql"
updated=0
install_file() { # new old: true when it is another
  if cmp -s "$1" "$2"; then
    echo "  * template[$2] action create (up to date)"
    rm -f "$1"
    return 1
  fi
  echo "  * template[$2] action create"
  diff -u "$2" "$1" 2>/dev/null | sed -n '3,$s/^/    /p'
  mv "$1" "$2"
  updated=$((updated + 1))
}
"$lua" "$commands/settings.lua" "$node/attributes.json" "$node/new.restart" "$node/new.reload" "$node/new.env" || exit 1
bootstrap=true
. "$node/new.env"
chmod 644 "$node/new.restart" "$node/new.reload"
restart=no reload=no
install_file "$node/new.restart" "$node/postgresql.gitlab.conf" && restart=yes
install_file "$node/new.reload" "$node/runtime.conf" && reload=yes
if is_up postgresql; then
  if [ $restart = yes ]; then
    echo "  * service[postgresql] action restart"
    restart_one postgresql >/dev/null || exit 1
  elif [ $reload = yes ]; then
    echo "  * execute[reload postgresql] action run"
    hup_one postgresql
  fi
elif [ "$bootstrap" = true ]; then
  echo "  * execute[/opt/gitlab/bin/gitlab-ctl start postgresql] action run"
  start_one postgresql || exit 1
fi
echo
echo "Running handlers:"
echo "Running handlers complete"
echo "Chef Client finished, $updated/118 resources updated in 01 seconds"
echo "gitlab Reconfigured!"
