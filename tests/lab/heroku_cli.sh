#!/bin/bash
# Runs the real Heroku CLI (npm heroku, versions 10 and 11) against the lab's simulator: what the simulator
# answers must satisfy the tool that it imitates the server of, and the tool's effects must show in the state.
#   tests/lab/heroku_cli.sh          needs node >= 20, npm, curl, jq, psql; installs the CLI once under build/
set -u

HEROKU_10=${HEROKU_10:-10.17.0}
HEROKU_11=${HEROKU_11:-11.10.0}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HEROKU_CLI_CACHE:-$here/../../build/heroku-cli}
app=crates-io
. "$here/cli.sh"

needs node npm curl jq psql lua5.4

# install MAJOR VERSION: once; a finished installation is known by its package file.
install() {
  local prefix=$cache/$1
  local package=$prefix/node_modules/heroku/package.json
  if [ -f "$package" ] && [ "$(jq -r .version "$package")" = "$2" ]; then return 0; fi
  mkdir -p "$prefix" || return 1
  npm install --prefix "$prefix" --no-audit --no-fund --no-progress --loglevel=error "heroku@$2" >"$prefix.log" 2>&1 || {
    cat "$prefix.log" >&2
    return 1
  }
}

# The CLI needs Node 20; Debian 12 has 18. npm carries a newer one as a package.
modern_node() {
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] && return 0
  local prefix=$cache/node
  local binary=$prefix/node_modules/node-linux-$(node -p process.arch)/bin
  [ -x "$binary/node" ] || npm install --prefix "$prefix" --no-audit --no-fund --loglevel=error \
    "node-linux-$(node -p process.arch)@20" >&2 || return 1
  PATH=$binary:$PATH
}

# heroku MAJOR ARGUMENT...: captured.
heroku() {
  local major=$1
  shift
  capture env -i PATH="$PATH" HOME="$work/home" NO_COLOR=1 PGSSLMODE=disable \
    HEROKU_HOST="$heroku_host" HEROKU_DATA_HOST=127.0.0.1 HEROKU_API_KEY="$heroku_key" \
    HEROKU_PARTICLEBOARD_URL="$heroku_host" DISABLE_TELEMETRY=true IS_HEROKU_TEST_ENV=true \
    HEROKU_SKIP_NEW_VERSION_CHECK=true HEROKU_DISABLE_AUTOUPDATE=1 \
    timeout 60 "$cache/$major/node_modules/.bin/heroku" "$@"
}

# says TEXT WHAT: the last command exited 0 and printed the text.
says() {
  [ "$status" = 0 ] && [[ "$out" == *"$1"* ]]
  verdict $? "$2"
}

# state JQ-FILTER WHAT: the filter is true of the lab's state, at once or within two seconds (servers take a while).
state() {
  local holds=1
  for _ in $(seq 20); do
    curl -sS "$control/_lab/state" | jq -e "$1" >/dev/null && { holds=0; break; }
    sleep 0.1
  done
  verdict $holds "$2"
}

# effects JSON WHAT: the changing requests since the last reset, as "METHOD path".
effects() {
  local seen
  seen=$(curl -sS "$control/_lab/log?effect=1" | jq -c '[.[] | .method + " " + .path]')
  [ "$seen" = "$1" ] || { out="$out"$'\n'"effects: $seen"; false; }
  verdict $? "$2"
}

# release OPTIONS SUFFIX: set the options as soon as a path that ends so has been asked for. What is held ends while the CLI waits for it,
# however long it took to start.
release() {
  curl -sS -X DELETE "$control/_lab/log" >/dev/null
  { until curl -sS "$control/_lab/log" | jq -e --arg suffix "$2" 'any(.[]; .path | endswith($suffix))' >/dev/null; do
      kill -0 "$lab" 2>/dev/null || break
      sleep 0.2
    done
    post options "$1"; } 9>&- &
  releasing=$!
}

check_scale() {
  post reset ''
  heroku "$major" ps:scale -a $app
  says "background_worker=1:Standard-1X web=2:Standard-2X" "ps:scale prints the formation"
  heroku "$major" ps:scale background_worker=0 -a $app
  says "now running background_worker at 0:Standard-1X" "ps:scale to zero"
  state '.formation.background_worker == {"quantity":0,"size":"Standard-1X"}' "the worker's quantity is 0"
  state '[.dynos[] | select(.type == "background_worker")] == []' "no dyno of the worker is left"
  heroku "$major" ps:scale background_worker=2:Standard-2X web+1 -a $app
  says "done, now running" "ps:scale of two types with a size and a step"
  state '.formation == {"background_worker":{"quantity":2,"size":"Standard-2X"},"web":{"quantity":3,"size":"Standard-2X"}}' \
    "quantities and size are the new ones"
  heroku "$major" ps:scale nothing=1 -a $app
  [ "$status" = 2 ] && [[ "$out" == *"Couldn't find that process type (nothing)"* ]]
  verdict $? "an unknown process type is refused"
}

check_config() {
  post reset ''
  heroku "$major" config:set READ_ONLY_MODE=1 DB_OFFLINE=follower -a $app
  says "done, v41" "config:set makes one release"
  state '.config.READ_ONLY_MODE == "1" and .config.DB_OFFLINE == "follower" and (.releases | length) == 41' "both are set"
  heroku "$major" config:get READ_ONLY_MODE -a $app
  says "1" "config:get"
  heroku "$major" config:unset READ_ONLY_MODE DB_OFFLINE -a $app
  says "done, v42" "config:unset makes one release"
  state '(.config | has("READ_ONLY_MODE") or has("DB_OFFLINE")) | not' "both are gone"
  effects "[\"PATCH /apps/$app/config-vars\",\"PATCH /apps/$app/config-vars\"]" "one PATCH each"
  heroku "$major" config:unset DATABASE_URL -a $app
  [ "$status" != 0 ] && [[ "$out" == *"DATABASE_URL"* ]]
  verdict $? "an attachment's config var is not unset"
  heroku "$major" config -a $app
  says "READ_ONLY_REPLICA_URL:        postgres://" "config lists the attachments' vars"
}

check_releases() {
  post reset ''
  post options '{"page_size":7}'
  heroku "$major" releases -a $app
  says "v40" "releases"
  heroku "$major" releases -a $app --json -n 20
  [ "$(jq 'length' <<<"$data" 2>/dev/null)" = 20 ]
  verdict $? "releases --json gives as many as asked"
  heroku "$major" addons -a $app --json
  [ "$(jq 'length' <<<"$data" 2>/dev/null)" = 3 ]
  verdict $? "addons lists all"
  post options '{"page_size":1}'
  heroku "$major" addons -a $app --json
  [ "$(jq 'length' <<<"$data" 2>/dev/null)" = 3 ]
  verdict $? "a list of several pages is read to its end"
}

check_wait() {
  post reset ''
  post options '{"dynos_held":true}'
  heroku "$major" config:set A=1 -a $app
  release '{"dynos_held":false}' /dynos
  heroku "$major" ps:wait -a $app
  wait $releasing
  says "v41... 3 / 3, done" "ps:wait sees the dynos come up"
  state '[.dynos[].version] == [41,41,41]' "every dyno runs the release"
  heroku "$major" ps -a $app
  says "web.1" "ps"
}

check_databases() {
  post reset ''
  heroku "$major" pg:info -a $app
  says "Available" "pg:info"
  [[ "$out" == *DATABASE_URL* && "$out" == *"Following:"* && "$out" == *postgresql-shaped-20477* ]]
  verdict $? "pg:info shows both databases and who follows"
  heroku "$major" pg:info READ_ONLY_REPLICA -a $app
  says "READ_ONLY_REPLICA_URL" "pg:info of one database"
  heroku "$major" pg:wait -a $app
  [ "$status" = 0 ]
  verdict $? "pg:wait returns when nothing is waited for"
  heroku "$major" pg:psql DATABASE -a $app -c "select 40 + 2, not pg_is_in_recovery()"
  says "42 | t" "pg:psql on the primary"
  heroku "$major" pg:psql READ_ONLY_REPLICA -a $app -c "select pg_is_in_recovery()"
  says " t" "pg:psql on the follower"
  post options '{"hand_copied_replica_url":true}'
  heroku "$major" pg:psql READ_ONLY_REPLICA -a $app -c "select 41 + 1"
  says "42" "pg:psql by a config var copied by hand"
}

check_maintenance_10() {
  post reset ''
  post options '{"maintenance_held":true}'
  heroku 10 pg:maintenance -a $app
  says "Maintenance required by" "pg:maintenance"
  heroku 10 pg:maintenance:run DATABASE -a $app
  [ "$status" = 2 ] && [[ "$out" == *"maintenance mode"* ]]
  verdict $? "pg:maintenance:run asks for maintenance mode"
  state '.maintenance["postgresql-concave-10231"].starts == 0' "nothing was started"
  heroku 10 pg:maintenance:run DATABASE -a $app --force
  says "Maintenance has been started" "pg:maintenance:run --force"
  release '{"maintenance_held":false}' /wait_status
  heroku 10 pg:wait DATABASE -a $app
  wait $releasing
  says "maintenance in progress" "pg:wait sees the maintenance"
  state '.maintenance["postgresql-concave-10231"] | .starts == 1 and .status == "completed"' "it ran once"
  heroku 10 pg:maintenance:run DATABASE -a $app --force
  [ "$status" = 2 ] && [[ "$out" == *"no pending maintenance"* ]]
  verdict $? "a second run is refused"
  heroku 10 pg:psql DATABASE -a $app -c "select not pg_is_in_recovery()"
  says " t" "the primary is back"
  heroku 10 pg:maintenance:window "Sunday 06:00" DATABASE -a $app
  says "Sunday" "pg:maintenance:window"
  post options '{"plan":"essential-0"}'
  heroku 10 pg:maintenance:run DATABASE -a $app --force
  [ "$status" = 2 ] && [[ "$out" == *"Essential"* ]]
  verdict $? "an essential plan is refused"
}

check_maintenance_11() {
  post reset ''
  post options '{"maintenance_held":true}'
  heroku 11 data:maintenances -a $app
  says "postgresql-concave-10231" "data:maintenances lists"
  heroku 11 data:maintenances:info postgresql-concave-10231 -a $app --json
  [ "$(jq -r .status <<<"$data" 2>/dev/null)" = ready ]
  verdict $? "data:maintenances:info says ready"
  heroku 11 data:maintenances:run DATABASE -a $app
  [ "$status" != 0 ]
  verdict $? "data:maintenances:run asks for maintenance mode"
  state '.maintenance["postgresql-concave-10231"].starts == 0' "nothing was started"
  heroku 11 data:maintenances:run DATABASE -a $app --force
  says "maintenance triggered" "data:maintenances:run --force"
  state '.servers.primary == "down"' "the primary is really down"
  local id
  id=$(curl -sS "$control/_lab/state" | jq -r '.maintenance["postgresql-concave-10231"].id')
  release '{"maintenance_held":false}' "/data/maintenances/v1/$id"
  heroku 11 data:maintenances:wait postgresql-concave-10231 -a $app
  wait $releasing
  says "maintenance completed" "data:maintenances:wait"
  state '.maintenance["postgresql-concave-10231"] | .starts == 1 and .status == "completed"' "it ran once"
  heroku 11 data:maintenances:history postgresql-concave-10231 -a $app --json
  [ "$(jq -r '.[0].status // .maintenances[0].status' <<<"$data" 2>/dev/null)" = completed ]
  verdict $? "data:maintenances:history holds it"
  heroku 11 data:maintenances:run READ_ONLY_REPLICA -a $app --confirm $app --wait
  [ "$status" = 0 ]
  verdict $? "data:maintenances:run --wait on the follower"
  state '.maintenance["postgresql-shaped-20477"] | .starts == 1 and .status == "completed"' "the follower's ran once"
  heroku 11 data:maintenances:window postgresql-concave-10231 -a $app
  says "Tuesday" "data:maintenances:window"
}

check_attach() {
  post reset ''
  heroku "$major" addons:attach postgresql-shaped-20477 --as LOGS_DATABASE -a $app
  says "Setting LOGS_DATABASE config vars and restarting" "addons:attach"
  state '[.attachments[] | select(.name == "LOGS_DATABASE").addon] == ["postgresql-shaped-20477"]' "it is attached"
  state '.config.LOGS_DATABASE_URL == .config.READ_ONLY_REPLICA_URL' "its config var is there"
  heroku "$major" addons:attach postgresql-concave-10231 --as LOGS_DATABASE -a $app --confirm $app
  says "done, v42" "addons:attach over a name in use, confirmed"
  state '.config.LOGS_DATABASE_URL == .config.DATABASE_URL' "the config var has changed"
  heroku "$major" addons:detach LOGS_DATABASE -a $app
  says "v43" "addons:detach"
  state '[.attachments[] | select(.name == "LOGS_DATABASE")] == []' "it is detached"
  post options '{"scheduler":false}'
  heroku "$major" addons:create scheduler:standard -a $app
  says "Created scheduler-" "addons:create"
  state '[.addons[] | select(.plan == "scheduler:standard")] | length == 1' "the scheduler is there"
  heroku "$major" addons:create scheduler:standard -a $app
  [ "$status" = 2 ]
  verdict $? "a second scheduler is refused"
}

# partman: the three apps of the fixture.
logs_app=logs-app
old=postgresql-deep-40411
new=postgresql-wide-52018

# Without waiting for anything that takes time by itself: a follower that lags holds its upgrade until it is released.
check_upgrade() {
  post reset ''
  post options '{"fixture":"partman","behind_commits":7}'
  heroku "$major" pg:info LOGS_READONLY_DATABASE -a $logs_app
  says "7 commits" "pg:info shows how far behind it is"
  heroku "$major" pg:upgrade:prepare LOGS_READONLY_DATABASE -a $logs_app --confirm $logs_app
  [ "$status" != 0 ]
  verdict $? "pg:upgrade:prepare of a follower is refused"
  heroku "$major" pg:upgrade:run LOGS_DATABASE -a $logs_app --confirm $logs_app
  [ "$status" = 2 ] && [[ "$out" == *"Error ID: bad_request"* ]]
  verdict $? "pg:upgrade:run of a leader that is not prepared is refused"
  heroku "$major" pg:upgrade:run LOGS_READONLY_DATABASE -a $logs_app --confirm $logs_app --version 14
  [ "$status" = 2 ] && [[ "$out" == *"already on Postgres version 14"* ]]
  verdict $? "pg:upgrade:run to what it runs is refused"
  state '[.databases[].starts] == [0,0]' "nothing was started"
  if [ "$major" = 10 ]; then
    heroku 10 pg:upgrade LOGS_DATABASE -a $logs_app --confirm $logs_app
    [ "$status" = 2 ]
    verdict $? "pg:upgrade of a leader is refused"
    heroku 10 pg:upgrade LOGS_READONLY_DATABASE -a $logs_app --confirm $logs_app
  else
    heroku 11 pg:upgrade:run LOGS_READONLY_DATABASE -a $logs_app --confirm $logs_app
  fi
  says "done" "the upgrade of a follower starts"
  state ".databases[\"$new\"] | .starts == 1 and .upgrade == \"running\"" "it runs once"
  heroku "$major" pg:upgrade:run LOGS_READONLY_DATABASE -a $logs_app --confirm $logs_app
  [ "$status" = 2 ] && [[ "$out" == *"already in progress"* ]]
  verdict $? "a second start is refused"
  heroku "$major" pg:promote LOGS_READONLY_DATABASE -a $logs_app
  [ "$status" = 2 ] && [[ "$out" == *"cannot be promoted while in state: upgrading"* ]]
  verdict $? "pg:promote of what is upgraded is refused"
  release '{"behind_commits":0}' /upgrade/wait_status
  heroku "$major" pg:upgrade:wait LOGS_READONLY_DATABASE -a $logs_app
  says "(1/3) Waiting for the replica to catch up" "pg:upgrade:wait shows the steps"
  wait $releasing
  state ".databases[\"$new\"] | .upgrade == \"completed\" and .version == \"15.15\" and .leader == null" "it is upgraded and follows nobody"
  heroku "$major" pg:wait LOGS_READONLY_DATABASE -a $logs_app
  [ "$status" = 0 ]
  verdict $? "pg:wait returns when it is available"
  heroku "$major" pg:psql LOGS_READONLY_DATABASE -a $logs_app -c "truncate log_parts; select pg_is_in_recovery(), count(*) from log_parts"
  says " f                 |     0" "it is a writable server"
  heroku "$major" pg:psql LOGS_DATABASE -a $logs_app -c "select count(*) from log_parts"
  says " 200" "the old one has its rows still"
}

# Goes on with what check_upgrade left.
check_promote() {
  heroku "$major" addons:attach $new --as LOGS_DATABASE -a $logs_app --confirm $logs_app
  [ "$status" != 0 ] && [[ "$out" == *"Cannot destroy last attachment to billing app"* ]]
  verdict $? "the old one's only name on the app that pays for it cannot be taken"
  # The CLI keeps what loses DATABASE attached, not what loses the name given by --as.
  if [ "$major" = 11 ]; then
    heroku 11 pg:promote LOGS_READONLY_DATABASE --as LOGS_DATABASE -a $logs_app
    [ "$status" = 2 ] && [[ "$out" == *"Cannot destroy last attachment to billing app"* ]]
    verdict $? "nor by pg:promote --as"
  fi
  heroku "$major" addons:attach $old -a $logs_app
  says "Setting HEROKU_POSTGRESQL_" "the old one gets another name"
  if [ "$major" = 11 ]; then
    heroku 11 pg:promote LOGS_READONLY_DATABASE --as LOGS_DATABASE -a $logs_app
    says "Promoting" "pg:promote --as"
  else
    heroku 10 addons:attach $new --as LOGS_DATABASE -a $logs_app --confirm $logs_app
    says "Setting LOGS_DATABASE config vars" "addons:attach takes the name from it"
  fi
  state "[.attachments[] | select(.name == \"LOGS_DATABASE\").addon] == [\"$new\"]" "the name is the new one's"
  heroku "$major" addons:attach $new --as LOGS_DATABASE -a api-app
  says "Setting LOGS_DATABASE config vars and restarting" "addons:attach to another app"
  state '.apps["api-app"].config.LOGS_DATABASE_URL == .config.LOGS_DATABASE_URL' "both apps have the same address"
  heroku "$major" pg:promote LOGS_DATABASE -a $logs_app
  says "Promoting" "pg:promote to DATABASE"
  state "[.attachments[] | select(.name == \"DATABASE\").addon] == [\"$new\"]" "DATABASE is there"
  heroku "$major" pg:promote LOGS_DATABASE -a $logs_app
  [ "$status" = 2 ] && [[ "$out" == *"already promoted"* ]]
  verdict $? "a second promotion is refused"
  heroku "$major" pg:unfollow LOGS_DATABASE -a $logs_app --confirm $logs_app
  [ "$status" != 0 ]
  verdict $? "what follows nobody cannot unfollow"
}

check_formation() {
  post reset ''
  post options '{"fixture":"partman"}'
  heroku "$major" ps:scale aggregate=0 aggregate_sweeper=0 archive=0 logs=0 purge=0 drain=0 web=0 -a $logs_app
  says "done, now running" "ps:scale of every type to 0"
  state '[.formation[].quantity] | add == 0' "all are 0"
  state '.dynos == []' "no dyno is left"
  heroku "$major" ps:scale aggregate=2:Standard-2X aggregate_sweeper=1:Standard-1X archive=1:Standard-1X drain=3:Standard-2X \
    logs=15:Standard-2X purge=1:Standard-1X web=2:Standard-1X -a $logs_app
  says "done, now running" "ps:scale of every type with sizes"
  state '[.formation[].quantity] | add == 25' "all are up again"
  effects "[\"PATCH /apps/$logs_app/formation\",\"PATCH /apps/$logs_app/formation\"]" "one PATCH each"
}

check_refusals() {
  post reset ''
  post faults '[{"action":"status","code":429,"body":{"id":"rate_limit","message":"Slow down"}}]'
  heroku "$major" config:get A -a $app
  [ "$status" = 2 ] && [[ "$out" == *"Slow down"* ]]
  verdict $? "a 429 ends the command"
  heroku "$major" config:get A -a nobodys-app
  [ "$status" != 0 ] && [[ "$out" == *"Couldn't find that app"* ]]
  verdict $? "an unknown app"
  local kept=$heroku_key
  heroku_key=wrong
  heroku "$major" config:get A -a $app
  [ "$status" != 0 ]
  verdict $? "a wrong token"
  heroku_key=$kept
}

modern_node || exit 2
install 10 "$HEROKU_10" || exit 2
install 11 "$HEROKU_11" || exit 2
[ -n "${HEROKU_INSTALL_ONLY:-}" ] && exit 0
start_lab "$here/lab.lua" || exit 1
heroku_host=$(jq -r .env.HEROKU_HOST "$work/lab.json")
heroku_key=$(jq -r .env.HEROKU_API_KEY "$work/lab.json")

# One part alone: ONLY="upgrade promote" MAJORS=11 tests/lab/heroku_cli.sh
for major in ${MAJORS:-10 11}; do
  about=v$major
  if [ -n "${ONLY:-}" ]; then
    for part in $ONLY; do "check_$part"; done
    continue
  fi
  check_scale
  check_config
  check_releases
  check_wait
  check_databases
  "check_maintenance_$major"
  check_attach
  check_upgrade
  check_promote
  check_formation
  check_refusals
done

conclude
