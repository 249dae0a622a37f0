-- keep reads, and journals, what is to be restored; verify must hold after run; undo takes it back. Try it with --break: the last
-- step fails, and the operator is offered the undo; without a terminal, add --on-failure undo, or type pgsh undo last afterwards.
procedure {
  name = "keep-verify-undo",
  summary = "Change a setting, with a way back",
}

local breaks = param.boolean { "break", "let the last step fail", default = false }
local place = param.string { "dir", "directory to work in", default = "/tmp" }
local path = place .. "/pgsh-example-03.conf"

local function setting()
  return sh.read { "cat", path }.out:match "work_mem=(%w+)"
end

step "A configuration to work on" {
  run = function() file.write(path, "work_mem=4MB\n") end,
  undo = function() sh.run { "rm", path } end,
}

step "More memory" {
  keep = function() return { was = setting() } end,
  run = function() file.write(path, "work_mem=64MB\n") end,
  verify = { "work_mem is 64MB", function() return setting() == "64MB", setting() end },
  undo = function(kept) file.write(path, "work_mem=" .. kept.was .. "\n") end,
  note = function(kept) return kept.was .. " → 64MB" end,
}

step "Restart" (function()
  if breaks then fail "the server does not start with it" end
end)
