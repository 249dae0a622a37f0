#!/bin/bash
# Runs the real AWS CLI (Debian's awscli, /usr/bin/aws) against the lab's simulator: what the simulator answers must satisfy the tool that
# it imitates the server of, the tool's signatures must be what it computes, and the tool's effects must show in the state.
#   tests/lab/aws_cli.sh             needs awscli, curl, jq, lua5.4
set -u

AWS=${AWS:-/usr/bin/aws}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cli.sh"

needs "$AWS" curl jq lua5.4

# asg ARGUMENT...: aws autoscaling, captured.
# 2.9 does not read AWS_ENDPOINT_URL, so the address is an argument.
asg() {
  capture env -i PATH="$PATH" HOME="$work/home" AWS_EC2_METADATA_DISABLED=true AWS_PAGER= AWS_MAX_ATTEMPTS="${attempts:-1}" \
    AWS_ACCESS_KEY_ID="$key" AWS_SECRET_ACCESS_KEY="$secret" ${token:+AWS_SESSION_TOKEN="$token"} AWS_DEFAULT_REGION="$region" \
    timeout 60 "$AWS" --endpoint-url "$url" autoscaling "$@"
}

# answers JQ-FILTER WHAT: the last command exited 0, and the filter is true of what it printed.
answers() {
  [ "$status" = 0 ] && jq -e "$1" <<<"$data" >/dev/null
  verdict $? "$2"
}

# refused TEXT WHAT: the last command exited 254 (the service said no) and printed the text.
refused() {
  [ "$status" = 254 ] && [[ "$out" == *"$1"* ]]
  verdict $? "$2"
}

# state JQ-FILTER WHAT: the filter is true of the lab's state.
state() {
  curl -sS "$control/_lab/state" | jq -e "$1" >/dev/null
  verdict $? "$2"
}

use() {
  key=$(jq -r "$1.key // .env.AWS_ACCESS_KEY_ID" "$work/lab.json")
  secret=$(jq -r "$1.secret // .env.AWS_SECRET_ACCESS_KEY" "$work/lab.json")
  token=$(jq -r "if $1.key then ($1.token // \"\") else .env.AWS_SESSION_TOKEN end" "$work/lab.json")
}

one=production-2-workers-org
other=precise-production-2-workers-org

check_groups() {
  post reset ''
  asg describe-auto-scaling-groups
  answers '[.AutoScalingGroups[].AutoScalingGroupName] | length == 2' "both groups are listed"
  asg describe-auto-scaling-groups --auto-scaling-group-names $one nobody
  answers '.AutoScalingGroups | length == 1 and .[0].DesiredCapacity == 3 and (.[0].Instances | length) == 3' "one by its name"
  for i in 1 2 3 4 5; do post group "{\"name\":\"group-$i\",\"action\":\"add\"}"; done
  post options '{"page_size":2}'
  asg describe-auto-scaling-groups
  answers '.AutoScalingGroups | length == 7' "a list of four pages is read to its end"
  [ "$(curl -sS "$control/_lab/log" | jq length)" = 6 ]
  verdict $? "page by page"
  asg describe-auto-scaling-groups --cli-input-json '{"NextToken":"nonsense"}' --no-paginate
  refused "InvalidNextToken" "a token that was never given"
}

check_processes() {
  post reset ''
  asg suspend-processes --auto-scaling-group-name $one --scaling-processes Terminate
  [ "$status" = 0 ] && [ -z "$data" ]
  verdict $? "suspend-processes prints nothing"
  state ".groups[\"$one\"].suspended == [\"Terminate\"] and .groups[\"$other\"].suspended == []" "it is suspended, there only"
  asg describe-auto-scaling-groups --auto-scaling-group-names $one
  answers '.AutoScalingGroups[0].SuspendedProcesses | length == 1 and .[0].ProcessName == "Terminate"
    and (.[0].SuspensionReason | startswith("User suspended at"))' "and shows"
  asg suspend-processes --auto-scaling-group-name $one
  state ".groups[\"$one\"].suspended | length == 9" "without a name it is all of them"
  asg resume-processes --auto-scaling-group-name $one --scaling-processes Launch Terminate
  state ".groups[\"$one\"].suspended | length == 7" "two are resumed"
  asg resume-processes --auto-scaling-group-name $one
  state ".groups[\"$one\"].suspended == []" "all are resumed"
  asg suspend-processes --auto-scaling-group-name nobody --scaling-processes Terminate
  refused "AutoScalingGroup name not found" "a group that is not there"
  asg suspend-processes --auto-scaling-group-name $one --scaling-processes Nonsense
  refused "ValidationError" "a process that there is not"
  asg set-desired-capacity --auto-scaling-group-name $one --desired-capacity 1
  refused "InvalidAction" "an action that the simulator has not"
}

check_credentials() {
  post reset ''
  use .static
  asg describe-auto-scaling-groups
  answers '.AutoScalingGroups | length == 2' "a key without a session"
  secret=wrong
  asg describe-auto-scaling-groups
  refused "SignatureDoesNotMatch" "a wrong secret"
  use .second
  asg describe-auto-scaling-groups
  answers '.AutoScalingGroups | length == 2' "another session"
  post credential "{\"key\":\"$key\",\"expired\":true}"
  asg describe-auto-scaling-groups
  refused "ExpiredToken" "a session that has ended"
  token=other
  asg describe-auto-scaling-groups
  refused "InvalidClientTokenId" "a session's key with another token"
  key=AKIANOBODY
  asg describe-auto-scaling-groups
  refused "InvalidClientTokenId" "a key of nobody"
  use .none
  region=eu-west-1
  asg describe-auto-scaling-groups
  refused "valid region" "another region"
  region=us-east-1
  post options '{"clock_ahead_s":400}'
  asg describe-auto-scaling-groups
  refused "Signature expired" "a date of long ago"
  post options '{"clock_ahead_s":-400}'
  asg describe-auto-scaling-groups
  refused "Signature not yet current" "a date that is to come"
}

check_throttling() {
  post reset ''
  post options '{"rate_burst":1,"rate_per_s":0}'
  asg describe-auto-scaling-groups
  asg describe-auto-scaling-groups
  refused "(Throttling) when calling the DescribeAutoScalingGroups operation" "one request too many"
  post reset ''
  local words='<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>'
  post faults "[{\"action\":\"status\",\"code\":400,\"times\":2,\"headers\":{\"Content-Type\":\"text/xml\"},\"body\":\"$words\"}]"
  attempts=5
  asg describe-auto-scaling-groups
  answers '.AutoScalingGroups | length == 2' "the CLI asks again and gets in"
  [ "$(curl -sS "$control/_lab/log" | jq length)" = 3 ]
  verdict $? "the third time"
  attempts=
  post reset ''
  post faults '[{"path":"/SuspendProcesses","action":"reset_after"}]'
  attempts=3
  asg suspend-processes --auto-scaling-group-name $one --scaling-processes Terminate
  attempts=
  state ".groups[\"$one\"].suspended == [\"Terminate\"]" "an answer that is lost"
}

start_lab "$here/aws/lab.lua" || exit 1
url=$(jq -r .url "$work/lab.json")
region=$(jq -r .region "$work/lab.json")
use .none
check_groups
check_processes
check_credentials
check_throttling

conclude
