-- Revert logs:vacuum_settings from pg
BEGIN;
ALTER TABLE public.logs RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE public.log_parts RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
COMMIT;
