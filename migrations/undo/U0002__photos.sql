-- Undoes V0002__photos.sql. Its rows are lost.

drop table companycam_photos.photos;
