-- Several things at once: spawn starts a task, join waits for it. A tripwire watches something while a step runs, and stops the step
-- when it no longer holds.
procedure {
  name = "parallel",
  summary = "Three at once, watched",
}

local place = param.string { "dir", "directory to work in", default = "/tmp" }
local path = place .. "/pgsh-example-10"

step "A sign of life" (function() file.write(path, "alive\n") end)

step "Three at once" {
  tripwire = tripwire { "the sign of life is there", function() return sh.read { "cat", path } ~= nil end, every = "100ms" },
  run = function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = spawn(function() return sh.read("sleep 0.2; echo " .. i).out:match "%d+" end)
    end
    local answers = {}
    for i, task in ipairs(tasks) do answers[i] = task:join() end
    return table.concat(answers, " ")
  end,
}
