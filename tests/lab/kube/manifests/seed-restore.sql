-- The database of miniflux in the lab.
set client_min_messages = warning;
create extension hstore;
create table users (id serial primary key, username text not null unique, extra hstore);
insert into users (username, extra) values ('admin', 'theme=>dark'), ('reader', '');
create table feeds (id bigserial primary key, user_id int references users, title text not null);
create index feeds_title on feeds (title);
insert into feeds (user_id, title) select 1 + n % 2, 'feed ' || n from generate_series(1, 300) n;
create table entries (id bigserial primary key, feed_id bigint references feeds, title text, content text, published_at timestamptz);
insert into entries (feed_id, title, content, published_at) select 1 + n % 300, 'entry ' || n, repeat('text ', 20), now() from generate_series(1, 4000) n;
create index entries_published on entries (published_at);
create table heartbeat (id bigserial primary key, service text not null, at timestamptz not null default now());
