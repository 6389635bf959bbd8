-- Undoes V0011__answers.sql. Lost: answers that take others back, and the numbers of labels. What was taken back stands
-- again in feedback, and detections show the newest answer as of before.

drop table companycam_photos.categories;
drop table companycam_photos.review_claims;

alter table companycam_photos.detections no force row level security;
alter table companycam_photos.feedback no force row level security;
alter table companycam_photos.detection_events no force row level security;

alter table companycam_photos.detections drop column moved_iou, drop column moved_objects, drop column corrections;
comment on column companycam_photos.detections.user_confirmed is 'Whether the newest verdict is confirm or correct.';
comment on column companycam_photos.detections.user_feedback is 'The newest feedback, copied from feedback.';

-- Detections whose newest answer had been taken back.
update companycam_photos.detections d
set user_confirmed = f.verdict <> 'reject',
    user_feedback = jsonb_build_object('feedback_id', f.id, 'user_id', f.user_id, 'verdict', f.verdict, 'edits', f.edits,
                                       'comment', f.comment, 'create_time', to_char(f.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
from (
    select distinct on (f.organization_id, f.detection_id) f.*
    from companycam_photos.feedback f
    where f.verdict <> 'retract' and exists (
        select from companycam_photos.feedback r
        where r.organization_id = f.organization_id and r.detection_id = f.detection_id and r.verdict = 'retract'
    )
    order by f.organization_id, f.detection_id, f.created_at desc, f.id desc
) f
where d.organization_id = f.organization_id and d.id = f.detection_id;

drop index companycam_photos.feedback_retracts_id_key;
delete from companycam_photos.feedback f where f.verdict = 'retract';
do $$ begin
    alter table companycam_photos.feedback drop constraint feedback_retracts_id_check;
    alter table companycam_photos.feedback drop constraint feedback_verdict_check;
    alter table companycam_photos.feedback add constraint feedback_verdict_check check (verdict in ('confirm', 'reject', 'correct'));
end $$;
alter table companycam_photos.feedback drop column retracts_id;
comment on column companycam_photos.feedback.verdict is 'confirm, reject or correct.';

delete from companycam_photos.detection_events e where e.event_type = 'retracted';
do $$ begin
    alter table companycam_photos.detection_events drop constraint detection_events_event_type_check;
    alter table companycam_photos.detection_events add constraint detection_events_event_type_check
        check (event_type in ('created', 'deleted', 'confirmed', 'rejected', 'corrected'));
end $$;
comment on column companycam_photos.detection_events.event_type is 'created, deleted, confirmed, rejected or corrected.';

alter table companycam_photos.detection_events force row level security;
alter table companycam_photos.detections force row level security;
alter table companycam_photos.feedback force row level security;
