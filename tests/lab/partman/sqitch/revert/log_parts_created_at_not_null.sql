-- Revert logs:log_parts_created_at_not_null from pg
BEGIN;
ALTER TABLE public.log_parts ALTER created_at DROP NOT NULL;
COMMIT;
