-- Verify logs:vacuum_settings on pg
SELECT 1 / (reloptions::text LIKE '%autovacuum_vacuum_threshold=5000%')::int FROM pg_class WHERE oid = 'public.logs'::regclass;
