-- Steps: the file's top level registers them, their bodies run later, in order. Try also: pgsh plan, pgsh checklist, --list.
procedure {
  name = "steps",
  summary = "Make a file in three steps",
}

local place = param.string { "dir", "directory to work in", default = "/tmp" }
local dir = place .. "/pgsh-example-01"

step "Make the directory" (function()
  sh.run { "mkdir", "-p", dir }
end)

step "Write a file" (function()
  file.write(dir .. "/hello", "hello\n")
end)

step "Read it back" (function()
  return file.read(dir .. "/hello"):gsub("\n", "") -- a text that is returned stands behind the step's line
end)
