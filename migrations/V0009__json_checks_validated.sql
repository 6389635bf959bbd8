-- Proves that the rows of before V0008__json_checks.sql keep its rules: reads every detection and feedback once, some
-- 5 µs for each, while they are read and written as ever. PostgreSQL validates check constraints past row security, so
-- that there is no bracket: lifting the force would lock everybody out.
-- A row that breaks a rule makes this version fail; it names the constraint, and nothing has changed then. The service
-- has never written such a row. In psql, as somebody who reads past row security, such as photometa_backup, this names
-- every one of them:
--
--     select format('select %L as broken, organization_id, id from %s where not %s',
--                   conname, conrelid::regclass, pg_get_expr(conbin, conrelid))
--     from pg_constraint
--     where not convalidated and contype = 'c' and connamespace = 'companycam_photos'::regnamespace \gexec
--
-- Correct or delete them, and run it again.
-- Old code meanwhile: sees no difference. Undo: undo/U0009__json_checks_validated.sql.

set local citus.multi_shard_modify_mode = 'sequential';

do $$ begin alter table companycam_photos.detections validate constraint detections_results_check; end $$;
do $$ begin alter table companycam_photos.detections validate constraint detections_user_feedback_check; end $$;
do $$ begin alter table companycam_photos.feedback validate constraint feedback_edits_check; end $$;
