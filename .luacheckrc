std = "lua54"
max_line_length = 140
exclude_files = { "build" }
files["tests/spec"] = { std = "+busted" }
files["lua/meta"] = { ignore = { "211", "212", "241", "111", "112", "113", "121", "122", "131", "631" } }
-- What scripts see (lua/pgsh/globals.lua).
local script = {
  read_globals = {
    "after", "alertmanager", "ask", "at", "aws", "before", "checksum", "chef", "clock", "cloudflare", "defaults", "extend", "fact",
    "fail", "file", "git", "gitlab", "gunzip", "gzip", "hash", "help", "heroku", "http", "json", "kubectl", "linode", "log", "manual",
    "param", "pg", "pipe", "postgres", "preflight", "problem", "procedure", "psql", "replace", "secret", "sh", "skip", "slack",
    "spawn", "sqitch", "ssh", "statuspage", "step", "tripwire", "unset", "wait", "yaml",
  },
}
files["examples"] = script
files["procedures"] = script
