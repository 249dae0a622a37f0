-- heroku: apps, their processes, config vars and databases, over Heroku's HTTP interfaces. No CLI is needed; the
-- credential is the one it uses (HEROKU_API_KEY, else ~/.netrc).
local app = require "pgsh.heroku.app"

return {
  app = app.open,
}
