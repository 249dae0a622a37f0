-- Statuspage.
local harness = require "selftest.harness"

local check, equal = harness.check, harness.equal

local function strictness(client)
  client.reset()
  local post = function(body, headers) return client.statuspage("POST", "/incidents", body, headers) end
  equal(post({ incident = { name = "x" } }, { authorization = "Bearer x" }), 401, "OAuth, not Bearer")
  equal(post { name = "x" }, 422, "the body is wrapped")
  equal(post { incident = {} }, 422, "name is required")
  equal(post { incident = { name = ("x"):rep(256) } }, 422, "name is at most 255 long")
  equal(post { incident = { name = "x", status = "done" } }, 422, "status is one of a set")
  equal(post { incident = { name = "x", message = "old" } }, 422, "unknown fields")
  equal(post("{", { ["content-type"] = "application/json" }), 400, "not JSON")
  local window = { name = "x", status = "scheduled", scheduled_for = "2026-09-01T10:00:00Z" }
  equal(post { incident = window }, 422, "a maintenance has an end")
  window.scheduled_until = "2026-09-01T12:00:00+02:00"
  equal(post { incident = window }, 422, "which is later, whatever the zone")
  window.scheduled_until = "2026-09-01T10:05:00Z"
  equal(post { incident = window }, 201, "and then it is taken")
  equal(post { incident = { name = "x", components = { nothing = "operational" } } }, 404, "unknown component")
  equal(client.statuspage("GET", "/incidents/zzzzzzzzzzzz"), 404, "unknown incident")
  equal(client.statuspage("PUT", "/incidents", { incident = {} }), 405, "wrong method")
end

local function life_of_an_incident(client)
  client.reset()
  local component = client.state().components[1].id
  local status, made = client.statuspage("POST", "/incidents", { incident = {
    name = "Database maintenance", status = "in_progress", body = "Starting", scheduled_for = "2026-09-01T10:00:00Z",
    scheduled_until = "2026-09-01T10:05:00Z", components = { [component] = "under_maintenance" } } })
  equal(status, 201, "created")
  check(#made.id == 12 and made.id:match("^[a-z0-9]+$"), "id of 12", made.id)
  equal(made.impact, "maintenance", "impact")
  equal(made.incident_updates[1].affected_components[1].new_status, "under_maintenance", "affected component")
  local _, list = client.statuspage("GET", "/incidents/active_maintenance")
  equal(#list == 1 and list[1].id, made.id, "active_maintenance")
  _, list = client.statuspage("GET", "/incidents/unresolved.json")
  equal(#list, 0, "not among the unresolved")
  local changed
  status, changed = client.statuspage("PATCH", "/incidents/" .. made.id, { incident = {
    status = "completed", body = "Done", components = { [component] = "operational" } } })
  equal(status, 200, "updated")
  equal(changed.status .. #changed.incident_updates, "completed2", "with a second update")
  equal(changed.incident_updates[1].body, "Done", "newest first")
  equal(client.statuspage("PATCH", "/incidents/" .. made.id, { incident = { status = "resolved" } }), 422, "not mixed")
  local update = changed.incident_updates[1].id
  equal(client.statuspage("PATCH", ("/incidents/%s/incident_updates/%s"):format(made.id, update),
    { incident_update = { body = "Done." } }), 200, "an earlier update is edited")
  equal(client.state().incidents[1].incident_updates[1].body, "Done.", "and changed")
  status = client.statuspage("PATCH", "/components/" .. component, { component = { status = "major_outage" } })
  equal(status, 200, "component")
  equal(client.state().components[1].status, "major_outage", "has its status")
end

local function limits(client)
  client.reset { statuspage_limit = 3 }
  for _ = 1, 3 do equal(client.statuspage("GET", "/incidents"), 200, "within the limit") end
  local status, _, headers = client.statuspage("GET", "/incidents")
  equal(status, 429, "over the limit")
  check(tonumber(headers["retry-after"]) > 50, "with Retry-After", headers["retry-after"])
  client.reset()
  equal(client.statuspage("GET", "/components"), 200, "one list without paging a minute")
  equal(client.statuspage("GET", "/components"), 429, "no second one")
  equal(client.statuspage("GET", "/components?page=1&per_page=2"), 200, "with paging it is free")
end

return function(client)
  strictness(client)
  life_of_an_incident(client)
  limits(client)
end
