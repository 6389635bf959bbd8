-- Undoes V0010__search.sql. It loses nothing: what it drops was copied from elsewhere.

drop index companycam_photos.feedback_user_id_created_at_idx;

drop index companycam_photos.tags_project_id_tag_photo_created_at_idx;
drop index companycam_photos.tags_tag_photo_created_at_idx;
do $$ begin create index tags_tag_photo_id_idx on companycam_photos.tags (organization_id, tag_folded, photo_id); end $$;
comment on index companycam_photos.tags_tag_photo_id_idx is 'ListTagCounts.';

drop index companycam_photos.detections_pending_confidence_idx;
drop index companycam_photos.detections_pending_created_at_idx;
do $$ begin create index detections_pending_idx on companycam_photos.detections (organization_id, project_id, created_at desc, id desc) where not user_confirmed; end $$;
comment on index companycam_photos.detections_pending_idx is 'ListPendingDetections of one project.';
drop index companycam_photos.detections_model_photo_created_at_idx;
drop index companycam_photos.detections_model_version_created_at_idx;
drop index companycam_photos.detections_project_id_created_at_idx;

drop index companycam_photos.photos_latitude_longitude_idx;
drop index companycam_photos.photos_uploaded_at_idx;
drop index companycam_photos.photos_project_id_captured_at_idx;
drop index companycam_photos.photos_captured_at_idx;

alter table companycam_photos.tags drop column photo_created_at;
alter table companycam_photos.detections drop column object_count;
alter table companycam_photos.detections drop column photo_created_at;
drop table companycam_photos.detection_labels;
