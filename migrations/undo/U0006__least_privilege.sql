-- Undoes V0006__least_privilege.sql.

comment on index companycam_photos.organizations_pkey is null;
comment on index companycam_photos.organizations_name_key is null;
comment on index companycam_photos.users_pkey is null;
comment on index companycam_photos.users_email_key is null;
comment on index companycam_photos.users_organization_id_email_idx is null;
comment on index companycam_photos.projects_pkey is null;
comment on index companycam_photos.projects_organization_id_name_key is null;
comment on index companycam_photos.project_members_pkey is null;
comment on index companycam_photos.project_members_project_id_idx is null;
comment on index companycam_photos.photos_pkey is null;
comment on index companycam_photos.photos_created_at_idx is null;
comment on index companycam_photos.photos_organization_id_project_id_id_key is null;
comment on index companycam_photos.photos_organization_id_s3_key_key is null;
comment on index companycam_photos.photos_project_id_created_at_idx is null;
comment on index companycam_photos.photos_user_id_created_at_idx is null;
comment on index companycam_photos.detections_pkey is null;
comment on index companycam_photos.detections_created_at_idx is null;
comment on index companycam_photos.detections_detection_type_created_at_idx is null;
comment on index companycam_photos.detections_pending_idx is null;
comment on index companycam_photos.detections_photo_id_created_at_idx is null;
comment on index companycam_photos.detections_run_key is null;
comment on index companycam_photos.detection_events_pkey is null;
comment on index companycam_photos.detection_events_occurred_at_idx is null;
comment on index companycam_photos.detection_events_photo_id_occurred_at_idx is null;
comment on index companycam_photos.tags_pkey is null;
comment on index companycam_photos.tags_photo_id_tag_source_key is null;
comment on index companycam_photos.tags_tag_photo_id_idx is null;
comment on index companycam_photos.feedback_pkey is null;
comment on index companycam_photos.feedback_created_at_idx is null;
comment on index companycam_photos.feedback_detection_id_created_at_idx is null;

revoke select on companycam_photos.refinery_schema_history from photometa_operator;

revoke execute on function companycam_photos.current_org(), companycam_photos.current_user_id()
    from org_admin, org_user, org_service, photometa_operator;
grant execute on function companycam_photos.current_org() to public;
grant execute on function companycam_photos.current_user_id() to public;
