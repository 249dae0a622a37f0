-- A clock tells how long users are affected, against a budget. `at` tells when steps are due, relative to --start-at: try
-- --start-at +3s. Without it nothing is waited for.
procedure {
  name = "clock-and-time",
  summary = "Read-only for a moment",
}

local read_only = clock { "read-only", budget = "5s" }

at "start - 2s"
step "Tell everybody" (function() log.info "in two seconds" end)

at "start"
step "Go read-only" {
  opens = read_only,
  run = function() wait "100ms" end,
}
step "Do it" (function() wait "300ms" end)
step "Go read-write again" {
  closes = read_only,
  run = function() wait "100ms" end,
}
