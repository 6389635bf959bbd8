-- Undoes V0005__feedback.sql. Its rows are lost.

drop table companycam_photos.feedback;
