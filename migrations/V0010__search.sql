-- What lists are found and sorted by: a photo's create_time on its tags and detections, so that they give photos in the
-- order of the list; labels as rows of their own, because operators on JSON use no index under row security; and
-- indexes for capture time, upload time, place, project, model and review queue.
-- It rewrites detections and tags, and holds them until it ends: about a minute for three million rows.
-- Old code meanwhile: reads as ever, and cannot store detections or tags, because it does not know the new columns: let
-- its replicas end before this version is applied. Undo: undo/U0010__search.sql.

set local citus.multi_shard_modify_mode = 'sequential';

create table companycam_photos.detection_labels (
    organization_id uuid not null,
    label text collate "C" not null,
    photo_created_at timestamptz not null,
    photo_id uuid not null,
    detection_id uuid not null,
    project_id uuid not null,
    constraint detection_labels_pkey primary key (organization_id, label, photo_created_at, photo_id, detection_id) include (project_id)
);
select companycam_photos.place('companycam_photos.detection_labels', 'companycam_photos.photos');
comment on table companycam_photos.detection_labels is 'Which labels the objects of a detection have, each once: where a label is searched. Written and deleted in the statements that write and delete the detection.';
comment on column companycam_photos.detection_labels.organization_id is 'Tenant.';
comment on column companycam_photos.detection_labels.label is 'The label, as the model wrote it.';
comment on column companycam_photos.detection_labels.photo_created_at is 'When the photo was registered, copied for the order of lists.';
comment on column companycam_photos.detection_labels.photo_id is 'The photo, copied for ListPhotos.';
comment on column companycam_photos.detection_labels.detection_id is 'The detection; no foreign key, which would cost an index and twice the time.';
comment on column companycam_photos.detection_labels.project_id is 'The photo''s project, copied for row security.';
comment on index companycam_photos.detection_labels_pkey is 'ListPhotos and ListDetections by label.';

-- The rows that are there. Row security binds the owner too, unless the force is lifted.
alter table companycam_photos.photos no force row level security;
alter table companycam_photos.detections no force row level security;
alter table companycam_photos.tags no force row level security;

alter table companycam_photos.detections add column photo_created_at timestamptz, add column object_count integer;
alter table companycam_photos.tags add column photo_created_at timestamptz;
update companycam_photos.detections d
set photo_created_at = p.created_at, object_count = jsonb_array_length(d.results -> 'objects')
from companycam_photos.photos p where p.organization_id = d.organization_id and p.id = d.photo_id;
update companycam_photos.tags t set photo_created_at = p.created_at
from companycam_photos.photos p where p.organization_id = t.organization_id and p.id = t.photo_id;
insert into companycam_photos.detection_labels as l (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
select distinct d.organization_id, object ->> 'label', d.photo_created_at, d.photo_id, d.id, d.project_id
from companycam_photos.detections d, jsonb_array_elements(d.results -> 'objects') object;
do $$ begin
    alter table companycam_photos.detections alter column photo_created_at set not null, alter column object_count set not null;
end $$;
do $$ begin alter table companycam_photos.tags alter column photo_created_at set not null; end $$;

alter table companycam_photos.photos force row level security;
alter table companycam_photos.detections force row level security;
alter table companycam_photos.tags force row level security;
comment on column companycam_photos.detections.photo_created_at is 'When the photo was registered, copied for the order of lists.';
comment on column companycam_photos.detections.object_count is 'How many objects the model saw.';
comment on column companycam_photos.tags.photo_created_at is 'When the photo was registered, copied for the order of lists.';

select companycam_photos.protect('companycam_photos.detection_labels');
grant select, insert, delete on companycam_photos.detection_labels to org_admin, org_service;
grant select on companycam_photos.detection_labels to org_user;

-- Indexes that include project_id answer what row security asks for ordinary users, without reading the row.
-- Photos without a capture time come last, newest first, and first, oldest first: as if it were -infinity. Not coalesce():
-- that is not leakproof in PostgreSQL's eyes, so no condition on it would use an index under row security.
do $$ begin create index photos_captured_at_idx on companycam_photos.photos (organization_id, (case when captured_at is null then '-infinity' else captured_at end) desc, id desc); end $$;
do $$ begin create index photos_project_id_captured_at_idx on companycam_photos.photos (organization_id, project_id, (case when captured_at is null then '-infinity' else captured_at end) desc, id desc); end $$;
do $$ begin create index photos_uploaded_at_idx on companycam_photos.photos (organization_id, uploaded_at); end $$;
do $$ begin create index photos_latitude_longitude_idx on companycam_photos.photos (organization_id, latitude, longitude) where latitude is not null; end $$;
comment on index companycam_photos.photos_captured_at_idx is 'ListPhotos of the organization by capture_time, and within a range of it.';
comment on index companycam_photos.photos_project_id_captured_at_idx is 'The same of one project.';
comment on index companycam_photos.photos_uploaded_at_idx is 'ListPhotos within a range of upload_time.';
comment on index companycam_photos.photos_latitude_longitude_idx is 'ListPhotos within a box on the map.';

do $$ begin create index detections_project_id_created_at_idx on companycam_photos.detections (organization_id, project_id, created_at desc, id desc); end $$;
do $$ begin create index detections_model_version_created_at_idx on companycam_photos.detections (organization_id, model_version, created_at desc, id desc); end $$;
do $$ begin create index detections_model_photo_created_at_idx on companycam_photos.detections (organization_id, detection_type, model_version, photo_created_at desc, photo_id desc) include (project_id); end $$;
-- A detection waits for review until somebody gives feedback; the queries write the condition literally.
drop index companycam_photos.detections_pending_idx;
do $$ begin create index detections_pending_created_at_idx on companycam_photos.detections (organization_id, project_id, created_at, id) where user_feedback is null; end $$;
do $$ begin create index detections_pending_confidence_idx on companycam_photos.detections (organization_id, project_id, (case when confidence is null then -1 else confidence end), id) where user_feedback is null; end $$;
comment on index companycam_photos.detections_project_id_created_at_idx is 'ListDetections and GetDetectionStats of one project.';
comment on index companycam_photos.detections_model_version_created_at_idx is 'ListDetections and DeleteDetectionsByModel of one model.';
comment on index companycam_photos.detections_model_photo_created_at_idx is 'ListPhotos with, and without, a detection by a model.';
comment on index companycam_photos.detections_pending_created_at_idx is 'ListPendingDetections, oldest first.';
comment on index companycam_photos.detections_pending_confidence_idx is 'ListPendingDetections, least confident first.';

drop index companycam_photos.tags_tag_photo_id_idx;
do $$ begin create index tags_tag_photo_created_at_idx on companycam_photos.tags (organization_id, tag_folded, photo_created_at desc, photo_id desc) include (project_id); end $$;
do $$ begin create index tags_project_id_tag_photo_created_at_idx on companycam_photos.tags (organization_id, project_id, tag_folded, photo_created_at desc, photo_id desc); end $$;
comment on index companycam_photos.tags_tag_photo_created_at_idx is 'ListPhotos by tag; ListTagCounts.';
comment on index companycam_photos.tags_project_id_tag_photo_created_at_idx is 'ListPhotos by tag, and ListTagCounts, of one project.';

do $$ begin create index feedback_user_id_created_at_idx on companycam_photos.feedback (organization_id, user_id, created_at desc, id desc); end $$;
comment on index companycam_photos.feedback_user_id_created_at_idx is 'ListFeedback of one person.';
