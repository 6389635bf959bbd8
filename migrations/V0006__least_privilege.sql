-- Rights that PostgreSQL gives to everybody are taken back, each index says what it serves, and operators may read
-- which versions are applied (readiness asks as one of them).
-- Old code meanwhile: sees no difference. Undo: undo/U0006__least_privilege.sql.

set local citus.multi_shard_modify_mode = 'sequential';

-- Functions are executable by PUBLIC unless that is taken back.
revoke all on function companycam_photos.current_org() from public;
revoke all on function companycam_photos.current_user_id() from public;
grant execute on function companycam_photos.current_org(), companycam_photos.current_user_id()
    to org_admin, org_user, org_service, photometa_operator;

-- refinery's own table holds names and checksums of versions, nothing of tenants.
grant select on companycam_photos.refinery_schema_history to photometa_operator;

comment on index companycam_photos.organizations_pkey is 'GetOrganization; target of foreign keys.';
comment on index companycam_photos.organizations_name_key is 'One name once; ListOrganizations.';
comment on index companycam_photos.users_pkey is 'GetUser; target of foreign keys.';
comment on index companycam_photos.users_email_key is 'One email once in the whole service.';
comment on index companycam_photos.users_organization_id_email_idx is 'ListUsers.';
comment on index companycam_photos.projects_pkey is 'GetProject; target of foreign keys.';
comment on index companycam_photos.projects_organization_id_name_key is 'One name once per organization; ListProjects.';
comment on index companycam_photos.project_members_pkey is 'The membership rule: one user''s projects.';
comment on index companycam_photos.project_members_project_id_idx is 'ListProjectMembers; the cascade from projects.';
comment on index companycam_photos.photos_pkey is 'GetPhoto, BatchGetPhotos.';
comment on index companycam_photos.photos_created_at_idx is 'ListPhotos of the organization.';
comment on index companycam_photos.photos_organization_id_project_id_id_key is 'Target of the foreign keys of detections and tags.';
comment on index companycam_photos.photos_organization_id_s3_key_key is 'The natural key.';
comment on index companycam_photos.photos_project_id_created_at_idx is 'ListPhotos of one project.';
comment on index companycam_photos.photos_user_id_created_at_idx is 'ListPhotos of one person; DeleteUser''s check.';
comment on index companycam_photos.detections_pkey is 'GetDetection; target of the foreign key of feedback.';
comment on index companycam_photos.detections_created_at_idx is 'ListDetections of the organization.';
comment on index companycam_photos.detections_detection_type_created_at_idx is 'ListDetections of one type.';
comment on index companycam_photos.detections_pending_idx is 'ListPendingDetections of one project.';
comment on index companycam_photos.detections_photo_id_created_at_idx is 'A photo''s detections; the cascade from photos.';
comment on index companycam_photos.detections_run_key is 'The natural key of a run.';
comment on index companycam_photos.detection_events_pkey is 'An organization''s history over time.';
comment on index companycam_photos.detection_events_occurred_at_idx is 'Ranges of time across organizations.';
comment on index companycam_photos.detection_events_photo_id_occurred_at_idx is 'The history of one photo.';
comment on index companycam_photos.tags_pkey is 'Identity.';
comment on index companycam_photos.tags_photo_id_tag_source_key is 'One tag once per photo and source; ListTags; the cascade from photos.';
comment on index companycam_photos.tags_tag_photo_id_idx is 'ListTagCounts.';
comment on index companycam_photos.feedback_pkey is 'Identity; a repeated CreateFeedback.';
comment on index companycam_photos.feedback_created_at_idx is 'ListFeedback of the organization.';
comment on index companycam_photos.feedback_detection_id_created_at_idx is 'ListFeedback of one detection; the cascade from detections.';
