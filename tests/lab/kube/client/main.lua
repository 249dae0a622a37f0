-- Finds the command, reads its flags, runs it, ends with its status.
local config = require "kube.client.config"
local fail = require "kube.client.fail"
local flags = require "kube.client.flags"
local json = require "core.json"
local rpc = require "kube.client.rpc"

local main = {}

-- Command → the file that has it and, where there are any, its subcommands.
local COMMANDS = {
  get = "get", describe = "describe", scale = "scale", rollout = "rollout", apply = "apply", create = "apply", diff = "apply",
    delete = "delete",
  exec = "exec", cp = "cp", logs = "logs", wait = "wait", auth = "small", set = "change", patch = "change", version = "small",
    config = "small",
}

local function leave(client, status)
  io.stdout:flush()
  if client then client:done(status) end
  os.exit(status)
end

local function pick(words)
  local at = flags.command_at(words, 1)
  if not at then fail.exit(0, "kubectl controls the Kubernetes cluster manager.") end
  local name = words[at]
  if not COMMANDS[name] then fail.exit(1, ('%s unknown command "%s" for "kubectl"'):format(fail.old and "Error:" or "error:", name)) end
  local command = require("kube.client.verbs." .. COMMANDS[name])[name]
  local path, rest = name, {}
  for i, word in ipairs(words) do if i ~= at then rest[#rest + 1] = word end end
  if command.sub then
    local second = flags.command_at(rest, 1)
    local sub = second and rest[second]
    if not sub then fail.exit(1, ("Usage:\n  kubectl %s SUBCOMMAND [options]"):format(name)) end
    if not command.sub[sub] then fail.raise(('unknown command "%s"\nSee \'kubectl %s -h\' for help and examples'):format(sub, name)) end
    command, path = command.sub[sub], name .. " " .. sub
    table.remove(rest, second)
  end
  return command, path, rest
end

function main.run(argv)
  local words, client = { table.unpack(argv) }, nil
  math.randomseed()
  local ok, result = xpcall(function()
    local command, path, rest = pick(words)
    local values, positional, dash = flags.parse(rest, command.flags or {}, path)
    if values.help then fail.exit(0, ("Usage:\n  kubectl %s [options]"):format(path)) end
    for _, name in ipairs(command.required or {}) do
      if values[name] == nil then
        fail.exit(1, ('%s required flag(s) "%s" not set'):format(fail.old and "Error:" or "error:", name))
      end
    end
    local context = command.offline and {} or config.resolve(values)
    if not command.offline then client = rpc.new(values, context, path:match "^%S+", argv) end
    return command.run { client = client, values = values, words = positional, dash = dash, namespace = context.namespace,
      context = context,
      path = path, argv = json.array(words) }
  end, function(problem)
    if fail.is(problem) then return problem end
    return debug.traceback(tostring(problem))
  end)
  if ok then leave(client, result or 0) end
  io.stdout:flush()
  if fail.is(result) then
    if result.text then io.stderr:write(result.text, "\n") end
    leave(client, result.status)
  end
  io.stderr:write("kubectl (lab): ", result, "\n")
  leave(client, 1)
end

return main
