-- Verify logs:structure on pg
BEGIN;
SELECT id, log_id, content, number, final, created_at FROM public.log_parts WHERE false;
SELECT id, job_id, content, aggregated_at FROM public.logs WHERE false;
ROLLBACK;
