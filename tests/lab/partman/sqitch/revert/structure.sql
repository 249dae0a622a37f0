-- Revert logs:structure from pg
BEGIN;
DROP TABLE public.log_parts, public.logs;
COMMIT;
