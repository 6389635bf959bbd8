-- Undoes V0001__tenancy.sql. Its rows are lost. Roles and schema stay: they are not a migration's.

drop table companycam_photos.project_members, companycam_photos.projects, companycam_photos.users,
    companycam_photos.organizations;
drop function companycam_photos.protect(regclass, text);
drop function companycam_photos.place(regclass, text);
drop function companycam_photos.current_user_id();
drop function companycam_photos.current_org();
