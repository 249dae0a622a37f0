-- preflight: whatever can be checked beforehand is, and all that is wrong is told at once; nothing has been changed then. Try
-- --need 999999999. fact: a value that is read while the file loads; it is journaled, so that a resumed run sees the same.
procedure {
  name = "preflight-and-fact",
  summary = "Look before you leap",
}

local need = param.integer { "need", "free space needed, in kilobytes", default = 100 }
local kernel = fact "kernel" (function() return sh.read { "uname", "-s" }.out:match "%S+" end)

preflight "The tools are there" (function()
  for _, tool in ipairs { "sh", "df" } do
    if not pcall(sh.read, "command -v " .. tool) then problem("%s is not installed", tool) end
  end
end)

preflight "There is room" (function()
  local free = tonumber(sh.read("df -k --output=avail /tmp | tail -1").out)
  if free < need then problem("/tmp has %d kB free, %d are needed", free, need) end
end)

step "Go ahead" (function() return "on " .. kernel end)
