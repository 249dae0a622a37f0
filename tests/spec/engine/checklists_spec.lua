-- The checklists of the six procedures: each can be printed where nothing can be reached, shows every step and every parameter that was
-- given, and no secret.
local run = require "tests.spec.support.run"

local PROCEDURES = {
  ["heroku-primary"] = { app = "some-app", page = "page1", worker = "ingest" },
  ["heroku-follower"] = { app = "some-app" },
  ["gitlab-rolling"] = { hosts = "db1,db2,db3", environment = "gprd", ["chef-repo"] = "%s" },
  ["kubernetes-major-upgrade"] = {
    context = "nowhere", namespace = "data", manifest = "%s/deployment.yaml", ["volume-manifest"] = "%s/deployment.yaml",
    ["scale-down"] = "site,metricity", image = "postgres:17", zone = "example.org",
  },
  ["kubernetes-dump-restore"] = {
    context = "nowhere", namespace = "data", workload = "deployment/db", manifest = "%s/deployment.yaml", image = "postgres:17",
    clients = "deployment/app",
  },
  ["partman-rollout"] = {
    ["scheduler-app"] = "app-s", ["logs-app"] = "app-l", ["api-app"] = "app-a", groups = "asg-1", sqitch = "%s", change = "partman",
  },
}

local SECRETS = {
  HEROKU_API_KEY = "s3cr3t-heroku", STATUSPAGE_API_KEY = "s3cr3t-page", SLACK_TOKEN = "s3cr3t-slack", CLOUDFLARE_API_TOKEN = "s3cr3t-cf",
  LINODE_TOKEN = "s3cr3t-linode", AWS_SECRET_ACCESS_KEY = "s3cr3t-aws", AWS_ACCESS_KEY_ID = "s3cr3t-key", PGPASSWORD = "s3cr3t-pg",
}

describe("the checklist of", function()
  local box

  setup(function()
    box = run.box(SECRETS)
    run.write_file(box.dir .. "/deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db}\n")
  end)
  teardown(function() box:remove() end)

  for name, parameters in pairs(PROCEDURES) do
    it(name .. " has every step and parameter, and no secret", function()
      local words, values = { "procedures/" .. name .. ".lua" }, {}
      for key, value in pairs(parameters) do
        value = value:gsub("%%s", box.dir)
        words[#words + 1], words[#words + 2] = "--" .. key, value
        values[key] = value:gsub(",", ", ")
      end
      local list = box:pgsh(table.move({ "--list" }, 1, 1, #words + 1, { table.unpack(words) }))
      assert.equal(0, list.exit, list.stderr)
      local checklist = box:pgsh(table.move(words, 1, #words, 2, { "checklist" }))
      assert.equal(0, checklist.exit, checklist.stderr)
      local text, from, count = checklist.stdout, 1, 0
      for title in list.stdout:gmatch "%s*%d+  [%w-]+%s+([^\n]+)" do
        title = title:gsub("  .*$", "")
        local at = text:find(title, from, true)
        assert.truthy(at, title .. " is missing or out of order in:\n" .. text)
        from, count = at + #title, count + 1
      end
      assert.is_true(count >= 8)
      local _, boxes = text:gsub("\n%- %[ %] %d+%. ", "")
      assert.equal(count, boxes)
      for key, value in pairs(values) do
        assert.truthy(text:find(("- %s: `%s`"):format(key, value), 1, true), key .. " = " .. value .. " is missing in:\n" .. text)
      end
      assert.is_nil((text .. checklist.stderr .. list.stdout .. list.stderr):find("s3cr3t", 1, true))
    end)
  end
end)
