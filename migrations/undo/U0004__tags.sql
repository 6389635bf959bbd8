-- Undoes V0004__tags.sql. Its rows are lost.

drop table companycam_photos.tags;
