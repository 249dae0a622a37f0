-- The dump of a database in a pod to this machine, compressed and hashed, beside the documented commands (pg_dumpall into a file in the
-- pod, gzip, sha512sum, kubectl cp, sha512sum), on the lab's cluster, in paired rounds: ./pgsh lua tests/bench/kube.lua
-- BENCH_MB: size of the dump (1000); BENCH_ROUNDS: 3.
package.path = "./?.lua;" .. package.path
local host = require "pgsh.host"
local runs = require "tests.spec.support.run"
local socket = require "socket"
local upgrades = require "tests.spec.support.upgrade"

local MB = tonumber(host.getenv "BENCH_MB") or 1000
local ROUNDS = tonumber(host.getenv "BENCH_ROUNDS") or 3
local quote = runs.quote

-- Rows as applications have them: numbers, times, words that repeat, tokens that do not.
local FILL = [[
  create unlogged table events as select i as id, timestamptz '2024-01-01 00:00Z' + i * interval '1.7 seconds' as at,
    (random() * 50000)::int as account, (array['login','logout','purchase','refund','view','download'])[1 + (random() * 5)::int] as kind,
    '/api/v1/' || (array['crates','users','teams','versions'])[1 + (random() * 3)::int] || '/' || (random() * 100000)::int as path,
    (random() * 1000)::numeric(12,2) as amount, case when i %% 4 = 0 then md5(i::text) end as token,
    'the quick brown fox jumps over the lazy dog ' || (random() * 1000)::int || ' times' as note
  from generate_series(1, %d) i]]

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function main()
  local upgrade = upgrades.new()
  local work = runs.shell "mktemp -d"
  local finished <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
    upgrade:stop()
    os.execute("rm -rf " .. quote(work))
  end })
  local lab, env = upgrade.lab, {}
  for name, value in pairs(lab.env) do env[#env + 1] = ("export %s=%s;"):format(name, quote(value)) end
  env = table.concat(env, " ")
  print(("a database in a pod whose dump has %d MB, %d rounds; medians"):format(MB, ROUNDS))
  lab:reset()
  upgrade:sql(FILL:format(MB * 7336), "site")

  local function sh(command)
    local text = ("cd %s && %s { %s; } 2>%s/stderr"):format(quote(work), env, command, work)
    local ok = os.execute(text)
    if not ok then error(("%s\n%s"):format(command, runs.read_file(work .. "/stderr")), 0) end
  end
  local function timed(command)
    local start = socket.gettime()
    sh(command)
    return socket.gettime() - start
  end

  local OURS = ([[%s/pgsh -e '
    local db = postgres.remote(kubectl {}, { pod = "deployment/postgres", user = "pythondiscord" })
    postgres.dump { from = db, to = "p.sql.gz" }' && sha512sum -c --quiet p.sql.gz.sha512]]):format(runs.shell "pwd")
  -- kubectl cp is tar in the pod, and tar here.
  local THEIRS = [[
    kubectl exec deployment/postgres -- sh -c "cd /tmp && pg_dumpall -U pythondiscord >backup.sql && gzip backup.sql &&
      sha512sum backup.sql.gz" >f.sha512 &&
    kubectl exec deployment/postgres -- tar cf - -C /tmp backup.sql.gz | tar xf - && sha512sum -c --quiet f.sha512]]
  local CLEAN = 'kubectl exec deployment/postgres -- sh -c "rm -f /tmp/backup.sql*"; rm -f p.* backup.*'

  local STREAM = "kubectl exec deployment/postgres -- pg_dumpall -U pythondiscord >/dev/null"

  local ours, theirs, stream, uncompressed = {}, {}, {}, 0
  for i = 1, ROUNDS do
    sh(CLEAN)
    ours[i] = timed(OURS)
    uncompressed = uncompressed + tonumber(runs.shell(("find %s -name '*.sql' | wc -l"):format(work)))
    sh "gzip -t p.sql.gz"
    theirs[i] = timed(THEIRS)
    stream[i] = timed(STREAM)
  end
  local a, b = median(ours), median(theirs)
  print(("  dump, digest compared %16s pgsh %7.2f s   documented commands %7.2f s   ratio %5.3f   goal <= 0.5"):format("", a, b, a / b))
  print(("  of that, pg_dumpall through kubectl exec into nothing: %.2f s"):format(median(stream)))
  print(("  uncompressed files on this disk: %d   goal 0"):format(uncompressed))
end

main()
