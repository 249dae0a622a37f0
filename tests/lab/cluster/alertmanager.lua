-- The real Alertmanager, with a directory and a port of its own and nobody to notify.
local proc = require "core.proc"
local nodes = require "cluster.nodes"

local alertmanager = {}

local CONFIG = [[
route:
  receiver: 'null'
  group_wait: 0s
receivers:
  - name: 'null'
]]

function alertmanager.start(cluster)
  local dir = cluster.dir .. "/alertmanager"
  cluster.alertmanager_port = cluster.alertmanager_port or nodes.free_port "127.0.0.1"
  proc.must(("mkdir -p %s/data && printf %%s %s >%s/am.yml"):format(dir, proc.quote(CONFIG), dir))
  proc.must(("cd %s; setsid prometheus-alertmanager --config.file=%s/am.yml --storage.path=%s/data --web.listen-address=127.0.0.1:%d "
    .. "--cluster.listen-address= </dev/null >%s/log 2>&1 & echo $! >%s/pid"):format(dir, dir, dir, cluster.alertmanager_port, dir, dir))
  nodes.wait_until("Alertmanager is ready", function()
    return proc.run(("curl -fs -m 1 http://127.0.0.1:%d/-/ready"):format(cluster.alertmanager_port)) == 0
  end, 10)
end

function alertmanager.stop(cluster)
  proc.run(("cd %s/alertmanager && kill -KILL $(cat pid)"):format(cluster.dir))
end

function alertmanager.reset(cluster)
  alertmanager.stop(cluster)
  proc.must(("rm -rf %s/alertmanager/data"):format(cluster.dir))
  alertmanager.start(cluster)
end

return alertmanager
