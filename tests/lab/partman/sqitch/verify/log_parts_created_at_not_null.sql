-- Verify logs:log_parts_created_at_not_null on pg
SELECT 1 / attnotnull::int FROM pg_attribute WHERE attrelid = 'public.log_parts'::regclass AND attname = 'created_at';
