-- Detections, what models saw, and detection_events, the history of them.
-- Old code meanwhile: ignores the new tables. Undo: undo/U0003__detections.sql.

set local citus.multi_shard_modify_mode = 'sequential';

create table companycam_photos.detections (
    organization_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    photo_id uuid not null,
    detection_type text not null,
    model_version text not null,
    run_id text,
    results jsonb not null,
    confidence double precision,
    processing_time_ms integer,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    user_confirmed boolean not null default false,
    user_feedback jsonb,
    version integer not null default 1,
    content_digest bytea not null,
    constraint detections_pkey primary key (organization_id, id),
    -- Composite on purpose: foreign keys are not subject to row security.
    constraint detections_photo_id_fkey foreign key (organization_id, project_id, photo_id)
        references companycam_photos.photos (organization_id, project_id, id) on delete cascade,
    constraint detections_detection_type_check check (detection_type in ('damage', 'material', 'volume')),
    constraint detections_model_version_check check (char_length(model_version) between 1 and 100),
    constraint detections_run_id_check check (char_length(run_id) between 1 and 200),
    constraint detections_results_check check (jsonb_typeof(results) = 'object'),
    constraint detections_confidence_check check (confidence between 0 and 1),
    constraint detections_processing_time_ms_check check (processing_time_ms > 0),
    constraint detections_user_feedback_check check (jsonb_typeof(user_feedback) = 'object'),
    constraint detections_content_digest_check check (octet_length(content_digest) = 16)
);
select companycam_photos.place('companycam_photos.detections', 'companycam_photos.photos');

-- The natural key of a run: makes a worker's retry safe without an id.
do $$ begin create unique index detections_run_key on companycam_photos.detections (organization_id, photo_id, detection_type, model_version, run_id) where run_id is not null; end $$;
-- A photo's detections, oldest first; the cascade from photos.
do $$ begin create index detections_photo_id_created_at_idx on companycam_photos.detections (organization_id, photo_id, created_at, id); end $$;
-- ListDetections of one type, newest first.
do $$ begin create index detections_detection_type_created_at_idx on companycam_photos.detections (organization_id, detection_type, created_at desc, id desc); end $$;
-- ListDetections of the organization, newest first.
do $$ begin create index detections_created_at_idx on companycam_photos.detections (organization_id, created_at desc, id desc); end $$;
-- ListPendingDetections of one project; the query writes the condition literally.
do $$ begin create index detections_pending_idx on companycam_photos.detections (organization_id, project_id, created_at desc, id desc) where not user_confirmed; end $$;

comment on table companycam_photos.detections is 'One row is one run of one model on one photo.';
comment on column companycam_photos.detections.organization_id is 'Tenant.';
comment on column companycam_photos.detections.id is 'Identity within the organization.';
comment on column companycam_photos.detections.project_id is 'The photo''s project, copied for row security.';
comment on column companycam_photos.detections.photo_id is 'The photo.';
comment on column companycam_photos.detections.detection_type is 'damage, material or volume.';
comment on column companycam_photos.detections.model_version is 'The model and its version, as the worker names it.';
comment on column companycam_photos.detections.run_id is 'The worker''s own name for the run; unique per photo, type and model when given.';
comment on column companycam_photos.detections.results is 'What the model saw: {objects: […], extra: {…}}.';
comment on column companycam_photos.detections.confidence is '0 to 1; the highest of the objects unless given.';
comment on column companycam_photos.detections.processing_time_ms is 'How long the model took, in milliseconds.';
comment on column companycam_photos.detections.created_at is 'When it was stored.';
comment on column companycam_photos.detections.updated_at is 'When it last changed.';
comment on column companycam_photos.detections.user_confirmed is 'Whether the newest verdict is confirm or correct.';
comment on column companycam_photos.detections.user_feedback is 'The newest feedback, copied from feedback.';
comment on column companycam_photos.detections.version is 'Counts changes; the etag is made of it.';
comment on column companycam_photos.detections.content_digest is 'First 16 bytes of the SHA-256 of the creating message: tells a repeated call from a conflicting one.';

select companycam_photos.protect('companycam_photos.detections');
grant select, insert, update, delete on companycam_photos.detections to org_admin, org_service;
grant select, update (user_confirmed, user_feedback, updated_at, version) on companycam_photos.detections to org_user;

-- Legal as a hypertable too: every unique key contains occurred_at, and there is no foreign key.
create table companycam_photos.detection_events (
    organization_id uuid not null,
    occurred_at timestamptz not null,
    id uuid not null,
    project_id uuid not null,
    photo_id uuid not null,
    detection_id uuid not null,
    event_type text not null,
    model_version text not null,
    processing_time_ms integer,
    payload jsonb not null default '{}',
    constraint detection_events_pkey primary key (organization_id, occurred_at, id),
    constraint detection_events_event_type_check check (event_type in ('created', 'deleted', 'confirmed', 'rejected', 'corrected')),
    constraint detection_events_payload_check check (jsonb_typeof(payload) = 'object')
);
select companycam_photos.place('companycam_photos.detection_events', 'companycam_photos.photos');
-- The history of one photo, newest first.
do $$ begin create index detection_events_photo_id_occurred_at_idx on companycam_photos.detection_events (organization_id, photo_id, occurred_at desc); end $$;
-- Retention across tenants: ranges of time.
do $$ begin create index detection_events_occurred_at_idx on companycam_photos.detection_events using brin (occurred_at) with (autosummarize = on); end $$;

comment on table companycam_photos.detection_events is 'History of detections, written in the transaction it records; append-only, and outlives its photo.';
comment on column companycam_photos.detection_events.organization_id is 'Tenant.';
comment on column companycam_photos.detection_events.occurred_at is 'When it happened.';
comment on column companycam_photos.detection_events.id is 'Identity of the event.';
comment on column companycam_photos.detection_events.project_id is 'Project of the photo at that time.';
comment on column companycam_photos.detection_events.photo_id is 'The photo; no foreign key, because history outlives it.';
comment on column companycam_photos.detection_events.detection_id is 'The detection; no foreign key either.';
comment on column companycam_photos.detection_events.event_type is 'created, deleted, confirmed, rejected or corrected.';
comment on column companycam_photos.detection_events.model_version is 'Model of the detection.';
comment on column companycam_photos.detection_events.processing_time_ms is 'Processing time of the detection, in milliseconds.';
comment on column companycam_photos.detection_events.payload is 'What else is worth keeping: detection_type, feedback_id.';

select companycam_photos.protect('companycam_photos.detection_events');
grant select, insert on companycam_photos.detection_events to org_admin, org_service, org_user;
