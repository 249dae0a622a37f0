-- Deploy logs:partman to pg
-- requires: log_parts_created_at_not_null
-- The table must be empty: another, partitioned one takes its place, and its name, its sequence and its indexes.
BEGIN;
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;

DO $$
BEGIN
  IF EXISTS (SELECT FROM public.log_parts) THEN
    RAISE EXCEPTION 'log_parts is not empty';
  END IF;
END $$;

ALTER SEQUENCE public.log_parts_id_seq OWNED BY NONE;
ALTER TABLE public.log_parts RENAME TO log_parts_of_one_piece;
CREATE TABLE public.log_parts (LIKE public.log_parts_of_one_piece INCLUDING DEFAULTS INCLUDING COMMENTS)
  PARTITION BY RANGE (created_at);
DROP TABLE public.log_parts_of_one_piece;
ALTER SEQUENCE public.log_parts_id_seq OWNED BY public.log_parts.id;
ALTER TABLE public.log_parts ADD PRIMARY KEY (id, created_at);
CREATE INDEX index_log_parts_on_log_id_and_number ON public.log_parts (log_id, number);
CREATE INDEX index_log_parts_on_created_at ON public.log_parts (created_at);

SELECT partman.create_parent(p_parent_table := 'public.log_parts', p_control := 'created_at', p_type := 'native',
  p_interval := 'daily', p_premake := 3);
UPDATE partman.part_config SET infinite_time_partitions = true WHERE parent_table = 'public.log_parts';
COMMIT;
