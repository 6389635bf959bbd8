-- Feedback: what people say of detections. Append-only by grant.
-- Old code meanwhile: ignores the new table. Undo: undo/U0005__feedback.sql.

set local citus.multi_shard_modify_mode = 'sequential';

create table companycam_photos.feedback (
    organization_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    photo_id uuid not null,
    detection_id uuid not null,
    user_id uuid not null,
    verdict text not null,
    edits jsonb not null default '[]',
    comment text not null default '',
    created_at timestamptz not null,
    content_digest bytea not null,
    constraint feedback_pkey primary key (organization_id, id),
    constraint feedback_detection_id_fkey foreign key (organization_id, detection_id)
        references companycam_photos.detections (organization_id, id) on delete cascade,
    constraint feedback_verdict_check check (verdict in ('confirm', 'reject', 'correct')),
    constraint feedback_edits_check check (jsonb_typeof(edits) = 'array'),
    constraint feedback_comment_check check (char_length(comment) <= 2000),
    constraint feedback_content_digest_check check (octet_length(content_digest) = 16)
);
select companycam_photos.place('companycam_photos.feedback', 'companycam_photos.photos');
-- ListFeedback of one detection; the cascade from detections; whether a detection was reviewed.
do $$ begin create index feedback_detection_id_created_at_idx on companycam_photos.feedback (organization_id, detection_id, created_at desc, id desc); end $$;
-- ListFeedback of the organization, newest first.
do $$ begin create index feedback_created_at_idx on companycam_photos.feedback (organization_id, created_at desc, id desc); end $$;

comment on table companycam_photos.feedback is 'People''s verdicts on detections; append-only, goes only with its detection.';
comment on column companycam_photos.feedback.organization_id is 'Tenant.';
comment on column companycam_photos.feedback.id is 'Identity within the organization.';
comment on column companycam_photos.feedback.project_id is 'The photo''s project, copied for row security.';
comment on column companycam_photos.feedback.photo_id is 'The photo, copied for ListFeedback.';
comment on column companycam_photos.feedback.detection_id is 'The detection.';
comment on column companycam_photos.feedback.user_id is 'Subject of the credential; no foreign key, because the verdict outlives the account.';
comment on column companycam_photos.feedback.verdict is 'confirm, reject or correct.';
comment on column companycam_photos.feedback.edits is 'The corrections, an array of {move|relabel|remove|add: {…}}.';
comment on column companycam_photos.feedback.comment is 'The person''s words, may be empty.';
comment on column companycam_photos.feedback.created_at is 'When it was given.';
comment on column companycam_photos.feedback.content_digest is 'First 16 bytes of the SHA-256 of the creating message: tells a repeated call from a conflicting one.';

select companycam_photos.protect('companycam_photos.feedback');
grant select, insert on companycam_photos.feedback to org_admin, org_user;
grant select on companycam_photos.feedback to org_service;
