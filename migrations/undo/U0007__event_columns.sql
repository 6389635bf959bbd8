-- Undoes V0007__event_columns.sql. On a hypertable the chunks become readable past row security: make the table plain
-- first, or undo V0003 too.

revoke select, insert on companycam_photos.detection_events from org_admin, org_service, org_user;
grant select, insert on companycam_photos.detection_events to org_admin, org_service, org_user;
