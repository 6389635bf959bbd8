-- Undoes V0003__detections.sql. Its rows are lost.

drop table companycam_photos.detection_events;
drop table companycam_photos.detections;
