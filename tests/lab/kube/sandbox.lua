-- Where the processes of a pod run. Three ways, the best one that the machine allows (or PGSH_LAB_SANDBOX names):
--
--   root     a mount namespace and a root directory of the pod's own; needs root with CAP_SYS_ADMIN
--   user     the same in a user namespace, for an ordinary user
--   rewrite  no mounts (a container without privileges): the pod's paths (mount paths, /var/run/postgresql, /tmp) are replaced by the
--            directories behind them in the arguments and the environment of what is run. Paths that a program makes up by itself, and
--            stay as they are on the machine; in its output they are put back
--
-- Every process of a pod has PGSH_POD=<lab>/<uid> in its environment, which is how all of them are found.
local cqueues = require "cqueues"
local json = require "core.json"
local lfs = require "lfs"
local proc = require "core.proc"
local socket = require "cqueues.socket"

local sandbox = {}
local Sandbox = {}
Sandbox.__index = Sandbox

-- IPC too: a server that is killed leaves a segment of System V shared memory, which goes with the pod.
local UNSHARE = { root = "unshare -m -u -i", user = "unshare -r -m -u -i" }
local ETC = { "passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "localtime", "timezone", "alternatives" }

local function mode_works(dir, mode)
  local root = dir .. "/probe"
  local status, output = proc.run(("rm -rf %s; mkdir -p %s/x && timeout 5 %s sh -c 'mount --make-rprivate / 2>/dev/null; mount --bind %s "
    .. "%s && mount --rbind /usr %s/x && mount --rbind /proc %s/x'"):format(root, root, UNSHARE[mode], root, root, root, root))
  if status == 0 and mode == "user" then
    -- The server must not be root: a second namespace inside the first gives it another number. Not possible below a chroot.
    status, output = proc.run "timeout 5 unshare -r -m unshare -U --map-user=999 --map-group=999 true"
  end
  return status == 0, output
end

-- The way, and why not a better one. dir: of the lab.
function sandbox.detect(dir)
  local wanted = os.getenv "PGSH_LAB_SANDBOX"
  if wanted == "rewrite" then return "rewrite", "asked for" end
  local _, uid = proc.run "id -u"
  local mode = uid:match "%d+" == "0" and "root" or "user"
  local ok, why = mode_works(dir, mode)
  if ok then return mode, nil end
  return "rewrite", why
end

-- An ordinary user that the server can be, on this machine: its name and ids; nil when we are one already.
local function ordinary()
  local _, uid = proc.run "id -u"
  if uid:match "%d+" ~= "0" then return nil end
  for _, name in ipairs { "postgres", "nobody" } do
    local status, ids = proc.run(("id -u %s && id -g %s"):format(name, name))
    if status == 0 then
      local user, group = ids:match "(%d+)%s+(%d+)"
      return { name = name, uid = user, gid = group }
    end
  end
  error("running as root, and there is neither a user postgres nor a user nobody", 0)
end

-- What a pod's root directory has before anything is mounted: mount points, the machine's symbolic links (/bin -> usr/bin), places to
-- write.
local SKELETON = [[
set -e
cd %s
mkdir -p etc pods volumes images/cache skeleton
for name in %s; do [ -e "/etc/$name" ] && set -- "$@" "/etc/$name"; done
cp -a "$@" etc/
cp %s/pod/*.sh images/
chmod 755 images/*.sh
cd skeleton
mkdir -p etc mnt/images var/lib/postgresql var/tmp run/postgresql tmp root home
for dir in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /opt /proc /dev /sys; do
  if [ -L "$dir" ]; then ln -s "$(readlink "$dir")" ".$dir"; elif [ -d "$dir" ]; then mkdir -p ".$dir"; fi
done
ln -s /run var/run
chmod 1777 run/postgresql tmp var/tmp
]]

-- Prepares what pods share: an /etc, the scripts, caches, the older major. images: DIR/images.
function sandbox.prepare(cluster, here)
  local dir = cluster.dir
  cluster.mode, cluster.mode_reason = sandbox.detect(dir)
  cluster.ordinary = ordinary()
  proc.must("sh -c " .. proc.quote(SKELETON:format(proc.quote(dir), table.concat(ETC, " "), proc.quote(here))), "preparing the pods' files")
  if cluster.mode == "user" then
    -- The server's number inside, as in the official image.
    proc.must(("cd %s/etc && { grep -v -e '^postgres:' -e '^[^:]*:[^:]*:999:' /etc/passwd; echo "
      .. "postgres:x:999:999::/var/lib/postgresql:/bin/sh; } "
      .. ">passwd.new && mv passwd.new passwd"):format(dir))
  end
  if cluster.ordinary then proc.must(("chown %s %s/images/cache"):format(cluster.ordinary.uid, dir)) end
end

function sandbox.as_server(cluster)
  if cluster.mode == "user" then return "unshare -U --map-user=999 --map-group=999 --" end
  if not cluster.ordinary then return "" end
  return ("setpriv --reuid=%s --regid=%s --clear-groups --"):format(cluster.ordinary.uid, cluster.ordinary.gid)
end

-- mounts: { { path = "/data", dir = "…" } }. apart: whether the pod needs a root of its own where the machine allows one; a pod without
-- volumes and without a server is cheaper without.
function sandbox.new(cluster, pod, mounts, apart)
  local uid = pod.metadata.uid
  local self = setmetatable({
    cluster = cluster, mode = apart and cluster.mode or "rewrite", uid = uid, dir = ("%s/pods/%s"):format(cluster.dir, uid:sub(1, 8)),
      mounts = mounts,
    name = pod.metadata.name, mark = ("%s/%s"):format(cluster.dir, uid),
  }, Sandbox)
  self.root = self.dir .. "/root"
  self.sockets = self.mode == "rewrite" and self.dir .. "/run" or "/var/run/postgresql"
  return self
end

local function outside(bin)
  return not (bin:match "^/usr/" or bin:match "^/opt/" or bin:match "^/lib" or bin:match "^/bin")
end

-- Where the pod finds programs that are at this place on the machine.
function Sandbox:place(bin)
  if self.mode == "rewrite" then return bin end
  local below = self.cluster.dir .. "/images"
  if bin:sub(1, #below) == below then return "/usr/local/images" .. bin:sub(#below + 1) end
  return bin
end

local function mount_pairs(self)
  local out = { self.cluster.dir .. "/images", "/mnt/images", self.cluster.dir .. "/etc", "/etc", self.dir .. "/hosts", "/etc/hosts" }
  for _, which in ipairs { "old", "new" } do
    local bin = self.cluster.majors[which].bin
    if outside(bin) and bin:sub(1, #self.cluster.dir) ~= self.cluster.dir then
      local tree = bin:match "^(.-)/lib/postgresql/" or bin:match "^(.*)/[^/]+$"
      out[#out + 1], out[#out + 2] = tree, tree
    end
  end
  table.sort(self.mounts, function(a, b) return #a.path < #b.path end)
  for _, mount in ipairs(self.mounts) do out[#out + 1], out[#out + 2] = mount.dir, mount.path end
  return out
end

-- The images' directory as the pod sees it.
function Sandbox:images() return self.mode == "rewrite" and self.cluster.dir .. "/images" or "/mnt/images" end

-- Where the pod finds programs that are at this place on the machine.
function Sandbox:place(bin)
  local below = self.cluster.dir .. "/images"
  if self.mode ~= "rewrite" and bin:sub(1, #below) == below then return "/mnt/images" .. bin:sub(#below + 1) end
  return bin
end

-- Makes the pod's place; waits until it is there.
function Sandbox:open()
  local root, cluster = self.root, self.cluster
  if self.mode == "rewrite" then
    proc.must(("mkdir -p %s/run %s/tmp && chmod 1777 %s/run %s/tmp"):format(self.dir, self.dir, self.dir, self.dir))
    return
  end
  proc.must(("mkdir -p %s && cp -a %s/skeleton %s && : >%s/hosts"):format(self.dir, cluster.dir, root, self.dir))
  local words = { self.cluster.dir .. "/images/enter.sh", self.mode, root, self.name }
  for _, word in ipairs(mount_pairs(self)) do words[#words + 1] = word end
  local command = ("exec env PGSH_POD=%s setsid %s sh %s 2>&1 </dev/null"):format(proc.quote(self.mark), UNSHARE[self.mode],
    proc.command(words))
  local pipe = assert(io.popen(command, "r"))
  local reader = assert(socket.dup(pipe))
  reader:setmode("t", "b")
  local said = {}
  while true do
    local line = reader:read "*l"
    if not line then break end
    self.holder = tonumber(line:match "^ready (%d+)$")
    if self.holder then break end
    said[#said + 1] = line
  end
  reader:close()
  self.pipe = pipe
  if not self.holder then error("the sandbox of " .. self.name .. ": " .. table.concat(said, " "), 0) end
  cluster:write_hosts(self)
end

-- Longest mount path first, so that /data/x is not taken for /data.
local function substitutions(self)
  local out = { { "/var/run/postgresql", self.dir .. "/run" }, { "/run/postgresql", self.dir .. "/run" }, { "/tmp", self.dir .. "/tmp" } }
  for _, mount in ipairs(self.mounts) do out[#out + 1] = { mount.path, mount.dir } end
  table.sort(out, function(a, b) return #a[1] > #b[1] end)
  return out
end

-- A text with the pod's paths replaced, where they stand as a path: not after a character of a name, not before one.
function Sandbox:rewrite(text)
  if self.mode ~= "rewrite" then return text end
  local at, out = 1, {}
  local pairs_of, own = substitutions(self), self.cluster.dir
  while at <= #text do
    local hit
    if text:sub(at, at) == "/" and not text:sub(at - 1, at - 1):match "[%w_.%-/]" or at == 1 and text:sub(1, 1) == "/" then
      for _, pair in ipairs(pairs_of) do
        if text:sub(at, at + #pair[1] - 1) == pair[1] and not text:sub(at + #pair[1],
          at + #pair[1]):match "[%w_.%-]" then hit = pair break end
      end
    end
    if text:sub(at, at + #own - 1) == own then
      -- A path of the lab's is none of the pod's.
      out[#out + 1], at = own, at + #own
    elseif hit then
      out[#out + 1], at = hit[2], at + #hit[1]
    else
      out[#out + 1], at = text:sub(at, at), at + 1
    end
  end
  return table.concat(out)
end

-- The other way round, for what comes out: { directory, path of the pod } pairs; empty where paths are real.
function Sandbox:shown_paths()
  local out = json.array()
  if self.mode == "rewrite" then
    for _, pair in ipairs(substitutions(self)) do out[#out + 1] = json.array { pair[2], pair[1] } end
    table.sort(out, function(a, b) return #a[1] > #b[1] end)
  end
  return out
end

-- A text of the pod with its own paths put back.
function Sandbox:show(text)
  if self.mode ~= "rewrite" or not text:find(self.cluster.dir, 1, true) then return text end
  for _, pair in ipairs(self:shown_paths()) do
    local at = 1
    while true do
      local first, last = text:find(pair[1], at, true)
      if not first then break end
      text, at = text:sub(1, first - 1) .. pair[2] .. text:sub(last + 1), first + #pair[2]
    end
  end
  return text
end

-- A shell command that runs argv inside, with this environment and no other. The caller redirects.
function Sandbox:command(argv, env, workdir)
  -- The lab blocks and ignores signals that a pod's processes must get.
  local words = { "/usr/bin/env", "-i", "--default-signal", "PGSH_POD=" .. self.mark }
  for name, value in pairs(env) do words[#words + 1] = name .. "=" .. self:rewrite(value) end
  if self.mode == "root" then
    for _, word in ipairs { "/usr/bin/nsenter", "-t", tostring(self.holder), "-m", "-u", "-i", "-r", "-w", "--" } do
      words[#words + 1] = word
    end
  elseif self.mode == "user" then
    for _, word in ipairs { "/usr/bin/nsenter", "-t", tostring(self.holder), "-U", "-m", "-u", "-i", "-r", "-w", "--preserve-credentials",
      "--" } do
      words[#words + 1] = word
    end
  end
  if workdir then
    for _, word in ipairs { "env", "-C", self:rewrite(workdir) } do words[#words + 1] = word end
  elseif self.mode == "rewrite" then
    for _, word in ipairs { "env", "-C", "/" } do words[#words + 1] = word end
  end
  for _, word in ipairs(argv) do words[#words + 1] = self:rewrite(word) end
  return proc.command(words)
end

local function read_environment(pid)
  local file = io.open("/proc/" .. pid .. "/environ", "rb")
  if not file then return "" end
  local text = file:read "a" or ""
  file:close()
  return text
end

-- The processes whose environment has the mark (of a pod, or of the lab with a slash at its end).
function sandbox.processes(mark)
  local out, wanted = {}, "PGSH_POD=" .. mark
  for name in lfs.dir "/proc" do
    if name:match "^%d+$" and read_environment(name):find(wanted, 1, true) then out[#out + 1] = name end
  end
  return out
end

-- Kills them until there are none; backends of PostgreSQL hide their environment, but end with their parent.
function sandbox.kill_all(mark)
  for round = 1, 100 do
    local pids = sandbox.processes(mark)
    if #pids == 0 then return end
    if round % 10 == 1 then proc.run("kill -KILL " .. table.concat(pids, " ")) end
    cqueues.sleep(0.005)
  end
end

-- Whatever runs is killed, the namespaces and the pod's directory go; volumes stay.
function Sandbox:close()
  sandbox.kill_all(self.mark)
  if self.pipe then self.pipe:close() end
  self.pipe, self.holder = nil, nil
  proc.run("rm -rf --one-file-system " .. proc.quote(self.dir))
end

return sandbox
