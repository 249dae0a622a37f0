-- Deploy logs:vacuum_settings to pg
-- requires: structure
BEGIN;
ALTER TABLE public.logs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE public.log_parts SET (autovacuum_vacuum_scale_factor = 0.001, autovacuum_vacuum_threshold = 10000);
COMMIT;
