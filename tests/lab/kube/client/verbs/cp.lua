-- kubectl cp: tar through exec, as the real one does; one file or folder.
local exec = require "kube.client.verbs.exec"
local fail = require "kube.client.fail"
local lfs = require "lfs"
local proc = require "core.proc"

local verbs = {}

local function parse(ctx, word)
  local pod, path = word:match "^([^:/]+/?[^:/]*):(.*)$"
  if not pod then return { path = word } end
  local namespace, name = pod:match "^([^/]+)/(.+)$"
  return { namespace = namespace or ctx.namespace, pod = name or pod, path = path }
end

-- The same kubectl, as a stage of a pipe.
local function again(ctx, spec, words)
  local argv = { "kubectl", "exec", "-i", "-n", spec.namespace, spec.pod }
  if ctx.values.container then argv[#argv + 1], argv[#argv + 2] = "-c", ctx.values.container end
  argv[#argv + 1] = "--"
  for _, word in ipairs(words) do argv[#argv + 1] = word end
  return proc.command(argv)
end

local function run(ctx)
  if #ctx.words ~= 2 then fail.raise "source and destination are required" end
  local from, to = parse(ctx, ctx.words[1]), parse(ctx, ctx.words[2])
  if (from.pod ~= nil) == (to.pod ~= nil) then fail.raise "one of src or dest must be a local file specification" end
  if from.path == "" or to.path == "" then fail.raise "filepath can not be empty" end
  local command
  if to.pod then
    if not lfs.attributes(from.path) then fail.raise(("%s doesn't exist in local filesystem"):format(from.path)) end
    local dir, name = from.path:match "^(.*)/([^/]+)/?$"
    local target = to.path:gsub("/$", "/" .. (name or from.path))
    command = ("tar -C %s -cf - %s | %s"):format(proc.quote(dir and (dir == "" and "/" or dir) or "."), proc.quote(name or from.path),
      again(ctx, to, { "sh", "-c", 'd=$(dirname "$1"); [ -d "$1" ] && exec tar -xmf - -C "$1"; tar -xmOf - >"$1"', "sh", target }))
  else
    command = ("%s >%s"):format(again(ctx, from, { "cat", from.path }), proc.quote(to.path))
  end
  local _, _, status = os.execute(command)
  return status
end

verbs.cp = { run = run, flags = {
  container = { type = "string", short = "c" }, ["no-preserve"] = { type = "bool" }, retries = { type = "int" },
} }
verbs.exec = exec

return verbs
