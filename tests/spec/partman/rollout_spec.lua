-- partman-rollout as a whole, against the labs of Heroku and AWS, real servers, the real sqitch and pg_partman.
local support = require "tests.spec.support.partman"

describe("partman-rollout", function()
  local rollout

  setup(function() rollout = support.new() end)
  teardown(function() rollout:stop() end)
  before_each(function() rollout:reset() end)

  it("leaves a partitioned, writable table on the upgraded database, and everything else as it was", function()
    local result = rollout:go()
    rollout:is_whole(result)
  end)
end)
