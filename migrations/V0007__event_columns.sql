-- detection_events is granted column by column: a hypertable's chunks inherit the grants of their table and not its
-- policies, and column grants they do not inherit. So nobody but the owner can reach a chunk past row security.
-- A later version that adds a column here grants it too, by column.
-- Old code meanwhile: sees no difference. Undo: undo/U0007__event_columns.sql.

set local citus.multi_shard_modify_mode = 'sequential';

revoke select, insert on companycam_photos.detection_events from org_admin, org_service, org_user;
grant select (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload),
      insert (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
    on companycam_photos.detection_events to org_admin, org_service, org_user;
