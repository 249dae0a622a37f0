-- What a step returns is journaled, and later steps find it in `result`: also after a crash, in another process. In a plan it is
-- not known yet: the plan shows ‹…› and tells the lines from which on it is a guess.
procedure {
  name = "results",
  summary = "A later step needs what an earlier one made",
}

local made = step "Make a directory with a name nobody knows beforehand" {
  run = function()
    local made = sh.run({ "mktemp", "-d" }, { what = "make a directory" })
    return { path = made.out:match "%S+" }
  end,
  undo = function(_, result) sh.run { "rmdir", result.path } end,
}

step "Use it" (function()
  file.write(made.result.path .. "/data", "data\n")
end)

step "Clean up" (function()
  sh.run { "rm", "-r", made.result.path }
end)
