-- Answers that add up and can be taken back; who works on which detection of the review queue; the numbers of labels in
-- training data.
-- It reads all feedback and writes each detection that was corrected, and reads every event, while it holds these tables.
-- Old code meanwhile: reads and writes as ever, but corrections that it records show in no corrected view: let its
-- replicas end before this version is applied. Undo: undo/U0011__answers.sql.

set local citus.multi_shard_modify_mode = 'sequential';

alter table companycam_photos.detections no force row level security;
alter table companycam_photos.feedback no force row level security;

alter table companycam_photos.feedback add column retracts_id uuid;
do $$ begin
    alter table companycam_photos.feedback drop constraint feedback_verdict_check;
    alter table companycam_photos.feedback add constraint feedback_verdict_check check (verdict in ('confirm', 'reject', 'correct', 'retract'));
    alter table companycam_photos.feedback add constraint feedback_retracts_id_check check ((verdict = 'retract') = (retracts_id is not null));
end $$;
-- An answer is taken back once.
do $$ begin create unique index feedback_retracts_id_key on companycam_photos.feedback (organization_id, retracts_id) where retracts_id is not null; end $$;
comment on column companycam_photos.feedback.verdict is 'confirm, reject, correct, or retract: an earlier answer is taken back.';
comment on column companycam_photos.feedback.retracts_id is 'The answer that is taken back, to the same detection; no foreign key, because they go together.';
comment on index companycam_photos.feedback_retracts_id_key is 'Whether an answer was taken back.';

alter table companycam_photos.detections add column corrections jsonb, add column moved_objects integer, add column moved_iou double precision;
-- The last move and label of each object, unless somebody removed it, and the objects that were added. Where people moved
-- objects before this version, the overlap is not computed: it is unknown.
update companycam_photos.detections d set corrections = net.edits
from (
    with edit as (
        select f.organization_id, f.detection_id, f.created_at, f.id, e.position, k.kind, k.value,
               case when k.kind = 'add' then k.value -> 'object' ->> 'object_id' else k.value ->> 'object_id' end as object_id
        from companycam_photos.feedback f, jsonb_array_elements(f.edits) with ordinality e (edit, position), jsonb_each(e.edit) k (kind, value)
        where f.verdict = 'correct'
    ), newest as (
        select distinct on (organization_id, detection_id, object_id, kind) * from edit
        order by organization_id, detection_id, object_id, kind, created_at desc, id desc, position desc
    )
    select n.organization_id, n.detection_id,
           jsonb_agg(jsonb_build_object(n.kind, n.value) order by n.created_at, n.id, n.position) as edits
    from newest n
    where n.kind = 'remove' or not exists (
        select from newest r
        where r.organization_id = n.organization_id and r.detection_id = n.detection_id and r.object_id = n.object_id and r.kind = 'remove'
    )
    group by n.organization_id, n.detection_id
) net
where d.organization_id = net.organization_id and d.id = net.detection_id;
do $$ begin
    alter table companycam_photos.detections add constraint detections_corrections_check
        check (jsonb_typeof(corrections) = 'array' and jsonb_array_length(corrections) > 0);
    alter table companycam_photos.detections add constraint detections_moved_objects_check check (moved_objects > 0);
    alter table companycam_photos.detections add constraint detections_moved_iou_check
        check (moved_iou >= 0 and moved_iou <= moved_objects and (moved_iou is null) = (moved_objects is null));
end $$;
comment on column companycam_photos.detections.corrections is 'The corrections that stand, as edits of results: each object at most one move and one relabel, one remove, or one add. Derived from feedback.';
comment on column companycam_photos.detections.moved_objects is 'How many objects of results stand elsewhere by the corrections; derived.';
comment on column companycam_photos.detections.moved_iou is 'Sum of intersection over union of their boxes, before and after; derived.';
comment on column companycam_photos.detections.user_confirmed is 'Whether the newest verdict that stands is confirm or correct.';
comment on column companycam_photos.detections.user_feedback is 'The newest feedback that stands, copied from feedback.';
grant update (corrections, moved_objects, moved_iou) on companycam_photos.detections to org_user;

alter table companycam_photos.detections force row level security;
alter table companycam_photos.feedback force row level security;

do $$ begin
    alter table companycam_photos.detection_events drop constraint detection_events_event_type_check;
    alter table companycam_photos.detection_events add constraint detection_events_event_type_check
        check (event_type in ('created', 'deleted', 'confirmed', 'rejected', 'corrected', 'retracted'));
end $$;
comment on column companycam_photos.detection_events.event_type is 'created, deleted, confirmed, rejected, corrected or retracted.';

create table companycam_photos.review_claims (
    organization_id uuid not null,
    detection_id uuid not null,
    project_id uuid not null,
    user_id uuid not null,
    expires_at timestamptz not null,
    constraint review_claims_pkey primary key (organization_id, detection_id),
    constraint review_claims_detection_id_fkey foreign key (organization_id, detection_id)
        references companycam_photos.detections (organization_id, id) on delete cascade
);
select companycam_photos.place('companycam_photos.review_claims', 'companycam_photos.photos');
do $$ begin create index review_claims_user_id_idx on companycam_photos.review_claims (organization_id, user_id); end $$;
comment on table companycam_photos.review_claims is 'Who works on which detection of the review queue, until when. Goes with the feedback or the detection.';
comment on column companycam_photos.review_claims.organization_id is 'Tenant.';
comment on column companycam_photos.review_claims.detection_id is 'The detection.';
comment on column companycam_photos.review_claims.project_id is 'The photo''s project, copied for row security.';
comment on column companycam_photos.review_claims.user_id is 'The person; no foreign key, because a claim ends by itself.';
comment on column companycam_photos.review_claims.expires_at is 'When it ends.';
comment on index companycam_photos.review_claims_pkey is 'Who holds a detection; the cascade from detections.';
comment on index companycam_photos.review_claims_user_id_idx is 'ReleaseClaimedDetections of all that a person holds.';
select companycam_photos.protect('companycam_photos.review_claims');
grant select, insert, delete, update (user_id, expires_at) on companycam_photos.review_claims to org_admin, org_user;

create table companycam_photos.categories (
    organization_id uuid not null,
    name text collate "C" not null,
    category_id integer not null,
    supercategory text not null default '',
    created_at timestamptz not null,
    constraint categories_pkey primary key (organization_id, name),
    constraint categories_category_id_key unique (organization_id, category_id),
    constraint categories_organization_id_fkey foreign key (organization_id)
        references companycam_photos.organizations (id) on delete cascade,
    constraint categories_name_check check (char_length(name) between 1 and 200),
    constraint categories_category_id_check check (category_id >= 0),
    constraint categories_supercategory_check check (char_length(supercategory) <= 200)
);
select companycam_photos.place('companycam_photos.categories', 'companycam_photos.photos');
comment on table companycam_photos.categories is 'The numbers of labels in training data. Added only: a label keeps its number. Known to all of the organization.';
comment on column companycam_photos.categories.organization_id is 'Tenant.';
comment on column companycam_photos.categories.name is 'The label.';
comment on column companycam_photos.categories.category_id is 'Its number.';
comment on column companycam_photos.categories.supercategory is 'What it is a kind of, may be empty.';
comment on column companycam_photos.categories.created_at is 'When it got its number.';
comment on index companycam_photos.categories_pkey is 'The number of a label.';
comment on index companycam_photos.categories_category_id_key is 'ListCategories.';
select companycam_photos.protect('companycam_photos.categories', 'true');
grant select, insert on companycam_photos.categories to org_admin, org_user, org_service;
