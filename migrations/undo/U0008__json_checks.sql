-- Undoes V0008__json_checks.sql.

do $$ begin
    alter table companycam_photos.detections drop constraint detections_results_check;
    alter table companycam_photos.detections add constraint detections_results_check check (jsonb_typeof(results) = 'object');
end $$;
do $$ begin
    alter table companycam_photos.detections drop constraint detections_user_feedback_check;
    alter table companycam_photos.detections add constraint detections_user_feedback_check check (jsonb_typeof(user_feedback) = 'object');
end $$;
do $$ begin
    alter table companycam_photos.feedback drop constraint feedback_edits_check;
    alter table companycam_photos.feedback add constraint feedback_edits_check check (jsonb_typeof(edits) = 'array');
end $$;
