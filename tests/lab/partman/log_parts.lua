-- The logs' database of the fixture partman as it is before the rollout: logs and log_parts, with rows.
local log_parts = {}

-- CREATE EXTENSION pg_partman needs a superuser here; Heroku lets the application's role create the extensions that it knows.
local SQL = [[
  alter role %s superuser;
  set role %s;
  drop table if exists public.log_parts, public.logs;
  create table public.logs (
    id bigserial primary key, job_id integer, content text, created_at timestamp, updated_at timestamp, aggregated_at timestamp
  );
  create table public.log_parts (
    id bigserial primary key, log_id bigint not null, content text, number integer, final boolean,
    created_at timestamp not null default '2000-01-01 00:00:00'
  );
  create index index_log_parts_on_log_id_and_number on public.log_parts (log_id, number);
  create index index_log_parts_on_created_at on public.log_parts (created_at);
  insert into public.logs (job_id, content, created_at, aggregated_at) values
    (1, 'all of it', now() - interval '2 hours', now() - interval '1 hour'), (2, null, now(), null);
  insert into public.log_parts (log_id, content, number, final, created_at)
    select 1, 'part ' || n, n, n = %d, now() - interval '2 hours' from generate_series(1, %d) n;
  insert into public.log_parts (log_id, content, number, final, created_at)
    select 2, 'part ' || n, n, false, now() from generate_series(1, %d) n;
]]

-- Anew, with as many rows as the options say; the follower has them when it returns.
function log_parts.fill(world)
  local group, options = world.pg, world.options
  if group.fake then return end
  group.touched, group.sql_used = true, true
  local user = group.credentials.user
  group.primary:must_sql(SQL:format(user, user, options.log_parts, options.log_parts, options.log_parts_left))
  local written = group.primary:must_sql("select pg_current_wal_lsn()"):match("%S+")
  group:wait_until("log_parts is on the follower", function()
    return group.follower:must_sql(("select pg_last_wal_replay_lsn() >= '%s'"):format(written)):match("t")
  end)
end

return log_parts
