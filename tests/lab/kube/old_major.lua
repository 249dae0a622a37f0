-- Two majors of the PostgreSQL server. Where the machine has two (PGSH_LAB_OLD_BIN, PGSH_LAB_NEW_BIN, or two below /usr/lib/postgresql),
-- those; else the old one is derived: a copy of the programs whose version says one less. The copy's server reports the older version
-- everywhere (server_version, server_version_num, version(), --version), accepts only data directories of the older major and is refused
-- theirs by the newer one, each with PostgreSQL's own message. What it is not: another catalog. The clients inside the old pod are the
-- newer
-- ones with an older name, which take the code paths for the older server (they ask server_version_num).
local lfs = require "lfs"
local proc = require "core.proc"

local old_major = {}

local function version_of(bin)
  local status, text = proc.run(proc.quote(bin .. "/postgres") .. " -V")
  if status ~= 0 then return nil end
  local full = text:match "%(PostgreSQL%) ([^\n]*)"
  local major, minor = full:match "^(%d+)%.(%d+)"
  return { bin = bin, full = full, major = tonumber(major), minor = tonumber(minor) }
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  assert(file:close())
end

-- The version as the number that the server keeps three times in a row: default, least, greatest value of server_version_num.
local function patch_number(text, from, to)
  local word = ("<i4"):pack(from)
  local first, last = text:find(word .. word .. word, 1, true)
  assert(first, "server_version_num not found in the server program")
  return text:sub(1, first - 1) .. ("<i4"):pack(to):rep(3) .. text:sub(last + 1)
end

-- The sections of an ELF file for x86-64: { [name] = { address, offset, size } }.
local function sections(text)
  if text:sub(1, 5) ~= "\127ELF\2" or ("<I2"):unpack(text, 19) ~= 62 then return nil end
  local at, count, names = ("<I8"):unpack(text, 0x29), ("<I2"):unpack(text, 0x3d), ("<I2"):unpack(text, 0x3f)
  local list, out = {}, {}
  for i = 0, count - 1 do
    local name, _, _, address, offset, size = ("<I4I4I8I8I8I8"):unpack(text, at + i * 64 + 1)
    list[i] = { name = name, address = address, offset = offset, size = size }
  end
  for _, section in pairs(list) do out[("z"):unpack(text, list[names].offset + section.name + 1)] = section end
  return out
end

-- CREATE DATABASE writes the major into a new PG_VERSION from a literal, which the linker has laid over the end of a longer one. It is the
-- text "15\0" whose very address an instruction takes (lea, relative to the next one).
local function patch_literal(text, from, to)
  local found = sections(text)
  if not found then return nil, "only programs for x86-64 can be derived" end
  local code, data = found[".text"], found[".rodata"]
  local literal, targets, at = from .. "\0", {}, data.offset + 1
  while true do
    local first = text:find(literal, at, true)
    if not first or first > data.offset + data.size then break end
    targets[first - 1 - data.offset + data.address] = first
    at = first + 1
  end
  local places, position, stop = {}, code.offset + 1, code.offset + code.size
  while true do
    local first, last = text:find("[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", position)
    if not first or last + 4 > stop then break end
    local target = last - code.offset + code.address + 4 + ("<i4"):unpack(text, last + 1)
    if targets[target] then places[targets[target]] = true end
    position = first + 1
  end
  if not next(places) then return nil, "the literal of the major was not found" end
  for place in pairs(places) do text = text:sub(1, place - 1) .. to .. text:sub(place + #from) end
  return text
end

local function replace_all(text, from, to)
  local out, at = {}, 1
  while true do
    local first, last = text:find(from, at, true)
    if not first then break end
    out[#out + 1] = text:sub(at, first - 1)
    out[#out + 1], at = to, last + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

-- initdb checks its server against its own version, and writes its major: the real pair makes the directory, then the files that name the
-- major are rewritten. PG_VERSION is all that differs.
local INITDB = [==[
#!/bin/sh
# initdb of the derived major: the real one, then the version files.
case "$*" in *-V*|*--version*) echo "initdb (PostgreSQL) %s"; exit 0 ;; esac
%s "$@" || exit
for word; do
  case $previous in -D|--pgdata) data=$word ;; esac
  case $word in -D?*) data=${word#-D} ;; --pgdata=*) data=${word#*=} ;; esac
  previous=$word
done
for file in "${data:-$PGDATA}"/PG_VERSION "${data:-$PGDATA}"/base/*/PG_VERSION; do echo %d >"$file"; done
]==]

-- Makes the copy below dir; bin must be …/lib/postgresql/N/bin so that the programs find their share directory by its place.
local function derive(new, dir)
  local prefix, below = new.bin:match "^(.-)(/lib/postgresql/[^/]+/bin)$"
  if not prefix then return nil, "the programs are not below lib/postgresql/N/bin" end
  local major = new.major - 1
  if #tostring(major) ~= #tostring(new.major) then return nil, "the older major is shorter" end
  local full = new.full:gsub(("%d%%.%d"):format(new.major, new.minor), ("%d.%d"):format(major, new.minor))
  local bin = dir .. below
  proc.must(("mkdir -p %s %s/share/postgresql && ln -s %s %s && ln -s %s/share/postgresql/%d "
    .. "%s/share/postgresql/%d"):format(proc.quote(bin),
    proc.quote(dir), proc.quote(new.bin:gsub("/bin$", "/lib")), proc.quote((bin:gsub("/bin$", "/lib"))), proc.quote(prefix), new.major,
    proc.quote(dir), new.major))
  for name in lfs.dir(new.bin) do
    local path = new.bin .. "/" .. name
    if lfs.attributes(path, "mode") == "file" then
      local text = read(path)
      if name == "initdb" then
        text = INITDB:format(full, proc.quote(path), major)
      elseif text:find(new.full, 1, true) then
        text = replace_all(text, new.full, full)
        if name == "postgres" then
          text = patch_number(text, new.major * 10000 + new.minor, major * 10000 + new.minor)
          local why
          text, why = patch_literal(text, tostring(new.major), tostring(major))
          if not text then return nil, why end
        end
      end
      write(bin .. "/" .. name, text)
    end
  end
  proc.must("chmod 755 " .. proc.quote(bin) .. "/*")
  local old = assert(version_of(bin))
  assert(old.major == major, "the derived server says " .. old.full)
  old.derived = true
  return old
end

local function installed()
  local _, output = proc.run "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V"
  local out = {}
  for path in output:gmatch "%S+" do
    if lfs.attributes(path .. "/postgres") then out[#out + 1] = path end
  end
  return out
end

-- { old = { bin, full, major, minor, derived }, new = … }
function old_major.find(dir)
  local there = installed()
  local function given(name)
    local value = os.getenv(name)
    return value and value ~= "" and value or nil
  end
  local new_bin = given "PGSH_LAB_NEW_BIN" or given "PGSH_LAB_BIN" or there[#there]
  if not new_bin then error("no PostgreSQL server programs: set PGSH_LAB_NEW_BIN or install postgresql", 0) end
  local new = version_of(new_bin) or error("no PostgreSQL server in " .. new_bin, 0)
  local old_bin = given "PGSH_LAB_OLD_BIN" or #there > 1 and there[#there] == new_bin and there[#there - 1] or nil
  if old_bin then
    local old = version_of(old_bin) or error("no PostgreSQL server in " .. old_bin, 0)
    return { old = old, new = new }
  end
  local old, why = derive(new, dir)
  if not old then error("no older PostgreSQL: " .. why .. "; set PGSH_LAB_OLD_BIN", 0) end
  return { old = old, new = new }
end

return old_major
