-- Verify logs:partman on pg
SELECT 1 / (count(*) = 1)::int FROM partman.part_config WHERE parent_table = 'public.log_parts';
SELECT 1 / (count(*) > 4)::int FROM pg_inherits WHERE inhparent = 'public.log_parts'::regclass;
