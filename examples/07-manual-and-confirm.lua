-- What has no interface is done by hand: the operator is told what to do and confirms it. What cannot be taken back needs its name
-- typed. Neither is a routine question: --yes does not answer it. Try it with --all in a terminal, or
--   pgsh 07-manual-and-confirm.lua --all -y --confirm tell-the-team=told --confirm example-07
procedure {
  name = "manual-and-confirm",
  summary = "Things that need a person",
}

local all = param.boolean { "all", "also the steps that need a person", default = false }
local place = param.string { "dir", "directory to work in", default = "/tmp" }
local data = place .. "/pgsh-example-07/data"
local only_if_all = { all, "only with --all" }

manual "Tell the team" {
  when = only_if_all,
  text = "Say in #database that example 07 begins.",
  url = "https://chat.example.org/database",
  undo = "Say in #database that it was called off.",
}

step "Make the database" (function() sh.run { "mkdir", "-p", data } end)

step "Drop the database" {
  when = only_if_all,
  confirm = "example-07",
  run = function() sh.run { "rm", "-r", data } end,
}
