-- Writes the C file of the embedded Lua files: lua5.4 embed.lua ROOT=PREFIX... FILE... > embedded.c
-- Source, not bytecode: tracebacks keep their lines, and what a user reads in lua/ is what runs.
local names = {}
for i = 1, #arg do
  local path = arg[i]
  names[#names + 1] = { path = path, name = path:gsub("^lua/", "") }
end
table.sort(names, function(a, b) return a.name < b.name end)

io.write('/* Made by the build from the Lua files; do not edit. */\n#include "vm/vm.h"\n\n')
for i, file in ipairs(names) do
  local handle = assert(io.open(file.path, "rb"))
  local text = handle:read "a"
  handle:close()
  io.write(("static const unsigned char file_%d[] = {"):format(i))
  for at = 1, #text do
    io.write((at - 1) % 24 == 0 and "\n" or "", text:byte(at), ",")
  end
  io.write "0};\n"
  file.len = #text
end
io.write "\nconst VmFile vm_files[] = {\n"
for i, file in ipairs(names) do io.write(('    {"%s", file_%d, %d},\n'):format(file.name, i, file.len)) end
io.write "    {NULL, NULL, 0},\n};\n"
