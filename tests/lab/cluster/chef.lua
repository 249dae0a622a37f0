-- The chef side: a bare repository of roles with the operator's clone, and the chef server, which is a directory that knife and
-- chef-client read and write. In the clone one commit is ready to be pushed: the change that is to be rolled out.
local proc = require "core.proc"

local chef = {}

chef.ENVIRONMENT = "gprd"

-- Valid JSON as people write it: comments in descriptions, an escaped slash, empty objects on one line, odd spaces, tabs, a list
-- broken as nobody would, no final line break.
local POSTGRES = [[
{
  "name": "%s-base-db-postgres",
  "description": "Postgres in production. # DO NOT edit work_mem: ask \"database\" first, see https:\/\/gitlab.com\/gitlab-com",
  "json_class": "Chef::Role",
  "default_attributes": {
  },
  "override_attributes": {
    "omnibus-gitlab": {
      "gitlab_rb": {
        "bootstrap": { "enable": %s },
        "postgresql": {
          "max_connections":%d,
          "shared_buffers": "12MB",
          "work_mem":   "%s",
          "checkpoint_completion_target": "0.9"
        }
      }
    }
  },
  "chef_type": "role",
  "run_list": [
    "role[%s-base-db]",
    "recipe[gitlab-server::postgresql]"
  ],
  "env_run_lists": {

  }
}
]]

local DEPLOY = [[
{
  "name": "%s-base-deploy-node",
  "description": "deploy node: runs migrations. db_host is the PRIMARY (\"db_host\": \"...\"), dbconsole_db_host a replica!",
  "json_class": "Chef::Role",
  "chef_type": "role",
  "default_attributes": {
    "gitlab_users": {
      "dbconsole_db_host":   "%s",
      "sudoers": [ "deploy",
                   "caf\u00e9" ],
      "limits": {"nofile": 1.0e4, "db_host": "not this one"}
    }
  },
  "override_attributes": {
	"omnibus-gitlab": {
	  "gitlab_rb": {
		"gitlab-rails": {
		  "db_port": %d,
		  "db_host" : "%s",
		  "db_pool": 20
		}
	  }
	}
  },
  "run_list": [ "role[%s-base]" , "recipe[gitlab_users]" ],
  "env_run_lists": {}
}]]

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  assert(file:close())
end

local function git(dir, words)
  return proc.must(("cd %s && HOME=%s GIT_CONFIG_NOSYSTEM=1 git %s"):format(proc.quote(dir), proc.quote(dir), words), "git " .. words)
end

local function role_texts(cluster, settings)
  local env = chef.ENVIRONMENT
  return POSTGRES:format(env, tostring(settings.bootstrap), settings.max_connections, settings.work_mem, env),
    DEPLOY:format(env, cluster[2].address, cluster[1].port, cluster[1].address, env)
end

-- options.bootstrap: whether reconfigure starts a PostgreSQL that is down.
function chef.make(cluster, options)
  local lab, env = cluster.lab, chef.ENVIRONMENT
  local made = lab .. "/pristine"
  cluster.repository, cluster.chef = lab .. "/chef-repo", lab .. "/chef"
  proc.must(("mkdir -p %s && cd %s && mkdir -p roles.git chef-repo/roles chef/roles chef/faults"):format(made, made))
  local before = { bootstrap = options.bootstrap, max_connections = 60, work_mem = "4MB" }
  local after = { bootstrap = options.bootstrap, max_connections = 80, work_mem = "8MB" }
  local repo = made .. "/chef-repo"
  local function roles(settings)
    local postgres, deploy = role_texts(cluster, settings)
    write_file(("%s/roles/%s-base-db-postgres.json"):format(repo, env), postgres)
    write_file(("%s/roles/%s-base-deploy-node.json"):format(repo, env), deploy)
  end
  git(made, "init -q --bare -b master roles.git")
  git(repo, "init -q -b master .")
  git(repo, "config user.name Operator")
  git(repo, "config user.email operator@example.com")
  git(repo, ("remote add origin %s/roles.git"):format(lab))
  roles(before)
  git(repo, "add -A")
  git(repo, "commit -q -m 'roles of the database hosts'")
  git(repo, ("push -q %s/roles.git master"):format(made))
  git(repo, ("fetch -q %s/roles.git master:refs/remotes/origin/master"):format(made))
  git(repo, "config branch.master.remote origin")
  git(repo, "config branch.master.merge refs/heads/master")
  for _, name in ipairs { "base-db-postgres", "base-deploy-node" } do
    proc.must(("cd %s && LAB_CHEF=%s/chef %s/../operator/knife role from file %s-%s.json"):format(repo, made, cluster.commands, env, name))
  end
  roles(after)
  git(repo, "commit -q -a -m 'db: more connections, more work_mem'")
  proc.must(("rm -f %s/chef/log && chmod -R a+rX %s && git config --file %s/roles.git/config receive.denyNonFastForwards true"):format(
    made, made, made))
  chef.reset(cluster)
end

-- As on the first day, on the nodes too.
function chef.reset(cluster)
  local lab = cluster.lab
  proc.must(("cd %s && rm -rf roles.git chef-repo chef && cp -a pristine/roles.git pristine/chef-repo pristine/chef ."):format(lab))
  for _, node in ipairs(cluster) do
    node:command "chef-client"
    os.remove(node.dir .. "/postgresql.gitlab.conf")
    os.remove(node.dir .. "/runtime.conf")
    proc.must(("%s %s/settings.lua %s/attributes.json %s/postgresql.gitlab.conf %s/runtime.conf /dev/null"):format("lua5.4",
      cluster.commands, node.dir, node.dir, node.dir))
  end
end

return chef
