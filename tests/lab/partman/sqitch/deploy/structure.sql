-- Deploy logs:structure to pg
-- A database that is older than this project has all of it: there it is only written down (--log-only).
BEGIN;
CREATE TABLE public.logs (
  id bigserial PRIMARY KEY, job_id integer, content text, created_at timestamp, updated_at timestamp, aggregated_at timestamp
);
CREATE TABLE public.log_parts (
  id bigserial PRIMARY KEY, log_id bigint NOT NULL, content text, number integer, final boolean,
  created_at timestamp DEFAULT '2000-01-01 00:00:00'
);
CREATE INDEX index_log_parts_on_log_id_and_number ON public.log_parts (log_id, number);
CREATE INDEX index_log_parts_on_created_at ON public.log_parts (created_at);
COMMIT;
