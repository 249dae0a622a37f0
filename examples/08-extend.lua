-- A procedure is changed without copying it: extend takes it, then steps are put before or after others, replaced, or left out.
-- `defaults` stands before extend.
procedure { name = "extended", summary = "Example 3, the way our team does it" }

local notes = param.string { "notes", "directory for what was done", default = "/tmp" }

extend "03-keep-verify-undo"

before "more-memory" {
  step "Write down who did it" (function()
    file.write(notes .. "/pgsh-example-08.log", "memory changed\n")
  end),
}

replace "restart" {
  step "Reload" (function() return "no restart needed" end),
}
