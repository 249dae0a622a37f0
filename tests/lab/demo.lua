-- make demo: a whole maintenance, for real, on the lab: ./pgsh lua tests/lab/demo.lua
package.path = "./tests/spec/?.lua;" .. package.path
local labs = require "support.lab"
local runs = require "support.run"

local work = runs.shell "mktemp -d"
local environment = work .. "/environment"

local function say(text, ...) print(("\n" .. text):format(...)) end

local function run(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = word:find "^[%w%-_/.=]+$" and word or runs.quote(word) end
  local command = "./pgsh " .. table.concat(quoted, " ")
  say("$ %s", command)
  io.flush()
  return os.execute((". %s; exec %s"):format(environment, command))
end

-- The simulators know nothing of Heroku's account or the page but what the lab says: show what became of them.
local function show(state, app, page)
  local worker, vars, incidents = state.formation.background_worker, state.config, state.incidents
  say("What the lab says of %s and of status page %s:", app, page)
  print(("  background_worker   %d:%s"):format(worker.quantity, worker.size))
  print(("  READ_ONLY_MODE      %s"):format(vars.READ_ONLY_MODE or "not set"))
  print(("  DB_OFFLINE          %s"):format(vars.DB_OFFLINE or "not set"))
  for _, incident in ipairs(incidents) do
    print(("  incident %s  %s, %d updates"):format(incident.id, incident.status, #incident.incident_updates))
  end
end

say "Starting the lab: simulators of Heroku and Statuspage, a PostgreSQL 15 primary and its streaming follower."
local lab = labs.start()
lab:reset { dyno_restart_ms = 1500, maintenance_ms = 3000, recovery_ms = 1000, rotate_credentials = true }
local file = assert(io.open(environment, "w"))
file:write("export XDG_STATE_HOME=", work, "\n")
for name, value in pairs(lab.env) do file:write("export ", name, "=", runs.quote(value), "\n") end
file:close()

local procedure = { "procedures/heroku-primary.lua", "--app", lab.app, "--page", lab.page }
local planned = run { "plan", table.unpack(procedure) }
say "That was the plan: nothing has changed. Now for real; -y answers the routine question, --confirm the two manual steps."
local words = { table.unpack(procedure) }
for _, word in ipairs { "-y", "--confirm", "disable-job", "--confirm", "enable-job" } do words[#words + 1] = word end
local done = run(words)
show(lab:state(), lab.app, lab.page)
run { "runs" }
say("The journal of the run is gone with the lab; elsewhere it stays in ~/.local/state/pgsh/runs. Next: ./pgsh help")

lab:stop()
os.execute("rm -rf " .. runs.quote(work))
os.exit(planned and done and 0 or 1)
