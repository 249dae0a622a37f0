-- Revert logs:partman from pg
BEGIN;
ALTER SEQUENCE public.log_parts_id_seq OWNED BY NONE;
DELETE FROM partman.part_config WHERE parent_table = 'public.log_parts';
DROP TABLE public.log_parts;
CREATE TABLE public.log_parts (
  id bigint PRIMARY KEY DEFAULT nextval('public.log_parts_id_seq'), log_id bigint NOT NULL, content text, number integer,
  final boolean, created_at timestamp NOT NULL DEFAULT now()
);
ALTER SEQUENCE public.log_parts_id_seq OWNED BY public.log_parts.id;
CREATE INDEX index_log_parts_on_log_id_and_number ON public.log_parts (log_id, number);
CREATE INDEX index_log_parts_on_created_at ON public.log_parts (created_at);
DROP EXTENSION pg_partman CASCADE;
DROP SCHEMA partman CASCADE;
COMMIT;
