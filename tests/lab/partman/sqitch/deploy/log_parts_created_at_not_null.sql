-- Deploy logs:log_parts_created_at_not_null to pg
-- requires: structure
BEGIN;
ALTER TABLE public.log_parts ALTER created_at SET DEFAULT now(), ALTER created_at SET NOT NULL;
COMMIT;
