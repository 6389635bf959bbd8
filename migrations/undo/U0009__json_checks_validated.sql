-- Undoes V0009__json_checks_validated.sql: the constraints stay, and count as not validated again. PostgreSQL has no
-- command for that, so each is made anew from its own words.

do $$
declare
    made record;
begin
    for made in
        select conrelid::regclass as "table", conname as name, pg_get_constraintdef(oid) as words from pg_constraint
        where connamespace = 'companycam_photos'::regnamespace
          and conname in ('detections_results_check', 'detections_user_feedback_check', 'feedback_edits_check')
    loop
        execute format('alter table %s drop constraint %I', made."table", made.name);
        execute format('alter table %s add constraint %I %s not valid', made."table", made.name, made.words);
    end loop;
end $$;
