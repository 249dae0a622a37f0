-- Every wait says what it waits for, has a limit, and shows the last thing seen. Errors that may pass are waited out.
procedure {
  name = "wait",
  summary = "Wait for something that takes a moment",
}

local place = param.string { "dir", "directory to work in", default = "/tmp" }
local path = place .. "/pgsh-example-04"

step "Start something slow" (function()
  sh.run("rm -f " .. path .. "; (for i in 1 2 3; do sleep 0.2; echo $i >> " .. path .. "; done) >/dev/null 2>&1 &")
end)

step "Wait until it is through" (function()
  local lines = wait.upto("10s", "three lines", function()
    local count = tonumber(sh.read("wc -l < " .. path .. " || echo 0").out) or 0
    return count >= 3 and count, count .. " of 3 lines"
  end)
  return lines .. " lines"
end)
