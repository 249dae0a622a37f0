-- What the services of the lab keep in the database.
set client_min_messages = warning;
create role site login password 'site-secret';
create role metricity login password 'metricity-secret';
create role bitwarden login password 'bitwarden-secret';
create role metabase login password 'metabase-secret';
create role grafana login password 'grafana-secret';
create role readers;
grant readers to grafana;
create database site owner site;
create database metricity owner metricity;
create database bitwarden owner bitwarden;
create database metabase owner metabase;
\c site
create extension pg_trgm;
set role site;
create table users (id bigserial primary key, name text not null, roles bigint[] not null default '{}', in_guild boolean not null default true);
create index users_name on users using gin (name public.gin_trgm_ops);
insert into users (name, roles) select 'user ' || n, array[n, n * 2] from generate_series(1, 2000) n;
create table infractions (id serial primary key, user_id bigint references users, reason text, inserted_at timestamptz default now());
insert into infractions (user_id, reason) select n, repeat('reason ', 5) from generate_series(1, 200) n;
-- No key: importing twice would double its rows.
create table access_log (at timestamptz, path text);
insert into access_log select now(), '/page/' || n from generate_series(1, 500) n;
\c metricity
set role metricity;
create table messages (id bigint primary key, channel text, author bigint, created timestamptz);
insert into messages select n, 'channel-' || n % 20, n % 300, now() from generate_series(1, 5000) n;
create view busy as select channel, count(*) from messages group by channel;
grant usage on schema public to readers;
grant select on all tables in schema public to readers;
create materialized view authors as select author, count(*) from messages group by author;
\c bitwarden
set role bitwarden;
create table ciphers (id uuid primary key default gen_random_uuid(), data bytea);
insert into ciphers (data) select decode(md5(n::text), 'hex') from generate_series(1, 100) n;
\c metabase
set role metabase;
create table report_card (id serial primary key, name text, query jsonb);
insert into report_card (name, query) select 'card ' || n, '{"limit": 10}' from generate_series(1, 50) n;
-- The services' own tables, so that what they write while the lab starts does not change its shape.
\c site
set role site;
create table heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());
\c metricity
set role metricity;
create table heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());
\c bitwarden
set role bitwarden;
create table heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());
\c metabase
set role metabase;
create table heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());
