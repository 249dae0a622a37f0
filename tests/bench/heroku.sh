#!/bin/bash
# The checklist of the primary's maintenance as people type it: the Heroku CLI, and curl for the status page. It stops at the
# first command that fails. $HEROKU is the CLI (version 10); the environment points it and curl at the lab.
set -eu
app=$1
page=$2
status() { curl -fsS -o "$3" -X "$1" -H "Authorization: OAuth $STATUSPAGE_API_KEY" -H 'Content-Type: application/json' --data "$4" "$PGSH_STATUSPAGE_URL/pages/$page/$2"; }

$HEROKU ps:scale -a "$app" background_worker=0
status POST incidents incident.json '{"incident":{"name":"Database maintenance","status":"investigating","body":"Scheduled maintenance on our database is starting."}}'
incident=$(jq -r .id incident.json)
$HEROKU config:set -a "$app" READ_ONLY_MODE=1 DB_OFFLINE=follower
$HEROKU ps:wait -a "$app"
$HEROKU pg:maintenance:run --force -a "$app"
$HEROKU pg:wait -a "$app"
$HEROKU pg:info -a "$app"
echo "SELECT pg_is_in_recovery();" | $HEROKU pg:psql -a "$app" DATABASE
$HEROKU config:unset -a "$app" READ_ONLY_MODE
$HEROKU ps:wait -a "$app"
status PATCH "incidents/$incident" /dev/null '{"incident":{"status":"resolved","body":"Scheduled maintenance finished successfully."}}'
$HEROKU ps:scale -a "$app" background_worker=1
echo "SELECT 1;" | $HEROKU pg:psql -a "$app" READ_ONLY_REPLICA
$HEROKU config:unset -a "$app" DB_OFFLINE
$HEROKU ps:wait -a "$app"
