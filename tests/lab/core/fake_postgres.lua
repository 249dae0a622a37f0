-- Stands in for core.postgres when the lab runs without servers: the addresses lead nowhere, the switches work.
local postgres = require "core.postgres"

local Server = {}
Server.__index = Server

function Server:is_up() return self.up end
function Server:status() return self.up and "ready" or nil end
function Server:start() self.up = true end
function Server:stop() self.up = false end
function Server:start_in_recovery() self.up = true end
function Server:promote() self.up = true end
function Server:sql() return 1, self.name .. " is not a real server: the lab runs with --no-postgres" end

function Server:exclusive(operation, ...)
  return operation(self, ...)
end

local function new_server(name, port)
  return setmetatable({ name = name, port = port, up = true }, Server)
end

local function new()
  return {
    fake = true, primary = new_server("primary", 1), follower = new_server("follower", 2),
    credentials = postgres.random_credentials(), second = postgres.random_credentials(),
    heal = function(self) self.primary.up, self.follower.up = true, true end,
  }
end

return { new = new }
