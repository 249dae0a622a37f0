-- What an account holds on its first day, by the option `fixture`. The first app is the main one.
--   crates-io  one app with a primary and followers, shaped by options (followers, hand_copied_replica_url, scheduler)
--   partman    logs-app, scheduler-app and api-app, as partman/README.md says
local fixtures = {}

local ADDON_NAMES = { "postgresql-concave-10231", "postgresql-shaped-20477", "postgresql-round-30915" }

local function add_scheduler(self, account, app)
  local scheduler = account.new_scheduler(app)
  self.addons[#self.addons + 1] = scheduler
  account.add_attachment(self, "SCHEDULER", scheduler, app)
end

local function build_crates(self, account)
  local world, app = self.world, self.app
  local options = world.options
  app.config.READ_ONLY_REPLICA_URL = nil
  local primary = account.new_database(world, ADDON_NAMES[1], app, "primary", world.pg.credentials)
  self.addons[1] = primary
  account.add_attachment(self, "DATABASE", primary, app)
  account.add_attachment(self, "HEROKU_POSTGRESQL_COPPER", primary, app)
  local secrets = { world.pg.credentials, world.pg.second }
  for number = 1, options.followers do
    local follower = account.new_database(world, ADDON_NAMES[number + 1], app, "follower", secrets[number])
    follower.leader = primary
    self.addons[#self.addons + 1] = follower
    account.add_attachment(self, number == 1 and "HEROKU_POSTGRESQL_IVORY" or "HEROKU_POSTGRESQL_ROSE", follower, app)
    if number == 1 and options.hand_copied_replica_url then
      app.config.READ_ONLY_REPLICA_URL = follower.url()
    elseif number == 1 then
      account.add_attachment(self, "READ_ONLY_REPLICA", follower, app)
    end
  end
  if options.scheduler then add_scheduler(self, account, app) end
end

-- The old primary has no other attachment than LOGS_DATABASE: whoever gives that name away must keep it attached first.
local function build_partman(self, account)
  local world, app = self.world, self.app
  local primary = account.new_database(world, "postgresql-deep-40411", app, "primary", world.pg.credentials)
  local follower = account.new_database(world, "postgresql-wide-52018", app, "follower", world.pg.credentials)
  follower.leader = primary
  self.addons = { primary, follower }
  account.add_attachment(self, "LOGS_DATABASE", primary, app)
  account.add_attachment(self, "LOGS_READONLY_DATABASE", follower, app)
  if world.options.api_attached then account.add_attachment(self, "LOGS_DATABASE", primary, account.find_app(self, "api-app")) end
  if world.options.scheduler then add_scheduler(self, account, app) end
end

local function process(quantity, size) return { quantity = quantity, size = size } end

fixtures["crates-io"] = {
  build = build_crates,
  apps = {
    { name = "crates-io", formation = { web = process(2, "Standard-2X"), background_worker = process(1, "Standard-1X") } },
  },
}

fixtures.partman = {
  build = build_partman,
  -- Options that have another default here.
  options = { scheduler = false, pg_version = "14.20", upgrade_to = "15" },
  apps = {
    { name = "logs-app", formation = {
      aggregate = process(2, "Standard-2X"), aggregate_sweeper = process(1, "Standard-1X"), archive = process(1, "Standard-1X"),
      drain = process(3, "Standard-2X"), logs = process(15, "Standard-2X"), purge = process(1, "Standard-1X"),
      web = process(2, "Standard-1X"),
    } },
    { name = "scheduler-app", formation = { scheduler = process(2, "Standard-2X") } },
    { name = "api-app", formation = { web = process(4, "Standard-2X") } },
  },
}

return fixtures
