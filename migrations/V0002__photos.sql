-- Photos, as the upload service registers them.
-- Old code meanwhile: ignores the new table. Undo: undo/U0002__photos.sql.

set local citus.multi_shard_modify_mode = 'sequential';

create table companycam_photos.photos (
    organization_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    user_id uuid,
    s3_url text not null,
    s3_key text collate "C" not null,
    file_size_bytes bigint,
    mime_type text,
    width integer,
    height integer,
    exif_data jsonb,
    captured_at timestamptz,
    latitude double precision,
    longitude double precision,
    orientation smallint,
    uploaded_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version integer not null default 1,
    content_digest bytea not null,
    constraint photos_pkey primary key (organization_id, id),
    -- The key that detections and tags refer to: it carries the project, so that row security on them needs no join.
    constraint photos_organization_id_project_id_id_key unique (organization_id, project_id, id),
    -- The natural key; unique within the organization on purpose: a global one would tell one tenant what another stores.
    constraint photos_organization_id_s3_key_key unique (organization_id, s3_key),
    constraint photos_s3_url_check check (char_length(s3_url) between 1 and 2000),
    constraint photos_s3_key_check check (char_length(s3_key) between 1 and 500),
    constraint photos_file_size_bytes_check check (file_size_bytes >= 0),
    constraint photos_mime_type_check check (char_length(mime_type) between 1 and 100),
    constraint photos_width_check check (width between 1 and 1000000),
    constraint photos_height_check check (height between 1 and 1000000),
    constraint photos_exif_data_check check (jsonb_typeof(exif_data) = 'object'),
    constraint photos_latitude_check check (latitude between -90 and 90),
    constraint photos_longitude_check check (longitude between -180 and 180),
    constraint photos_latitude_longitude_check check ((latitude is null) = (longitude is null)),
    constraint photos_orientation_check check (orientation between 1 and 8),
    constraint photos_content_digest_check check (octet_length(content_digest) = 16)
);
select companycam_photos.place('companycam_photos.photos', 'none');

-- Validating a foreign key reads both tables, and forced row security would hide their rows from its owner: the
-- bracket makes the validation see them.
alter table companycam_photos.projects no force row level security;
alter table companycam_photos.users no force row level security;
do $$ begin
    alter table companycam_photos.photos
        add constraint photos_project_id_fkey foreign key (organization_id, project_id)
        references companycam_photos.projects (organization_id, id);
end $$;
do $$ begin
    alter table companycam_photos.photos
        add constraint photos_user_id_fkey foreign key (organization_id, user_id)
        references companycam_photos.users (organization_id, id);
end $$;
alter table companycam_photos.projects force row level security;
alter table companycam_photos.users force row level security;

-- ListPhotos of one project, by create_time.
do $$ begin create index photos_project_id_created_at_idx on companycam_photos.photos (organization_id, project_id, created_at desc, id desc); end $$;
-- ListPhotos of one person, by create_time; DeleteUser's check.
do $$ begin create index photos_user_id_created_at_idx on companycam_photos.photos (organization_id, user_id, created_at desc, id desc); end $$;
-- ListPhotos of the organization, by create_time.
do $$ begin create index photos_created_at_idx on companycam_photos.photos (organization_id, created_at desc, id desc); end $$;

comment on table companycam_photos.photos is 'Photos of building sites: where the picture is and what is known of it.';
comment on column companycam_photos.photos.organization_id is 'Tenant.';
comment on column companycam_photos.photos.id is 'Identity within the organization.';
comment on column companycam_photos.photos.project_id is 'The building site; immutable, because detections, tags and row security carry it.';
comment on column companycam_photos.photos.user_id is 'Who took it; null when a service registered it for nobody.';
comment on column companycam_photos.photos.s3_url is 'Where the picture is.';
comment on column companycam_photos.photos.s3_key is 'Key in the object store, unique within the organization.';
comment on column companycam_photos.photos.file_size_bytes is 'Size of the picture.';
comment on column companycam_photos.photos.mime_type is 'Media type.';
comment on column companycam_photos.photos.width is 'Pixels per row of the stored image, before EXIF orientation.';
comment on column companycam_photos.photos.height is 'Rows of the stored image, before EXIF orientation.';
comment on column companycam_photos.photos.exif_data is 'EXIF as the upload service read it, a JSON object.';
comment on column companycam_photos.photos.captured_at is 'When it was taken, given or read from EXIF.';
comment on column companycam_photos.photos.latitude is 'Degrees north, given or read from EXIF.';
comment on column companycam_photos.photos.longitude is 'Degrees east, given or read from EXIF.';
comment on column companycam_photos.photos.orientation is 'EXIF orientation, 1 to 8.';
comment on column companycam_photos.photos.uploaded_at is 'When the upload finished.';
comment on column companycam_photos.photos.created_at is 'When it was registered.';
comment on column companycam_photos.photos.updated_at is 'When it last changed.';
comment on column companycam_photos.photos.version is 'Counts changes; the etag is made of it.';
comment on column companycam_photos.photos.content_digest is 'First 16 bytes of the SHA-256 of the registering message: tells a repeated call from a conflicting one.';

select companycam_photos.protect('companycam_photos.photos');
grant select, insert, update, delete on companycam_photos.photos to org_admin, org_service;
grant select, insert on companycam_photos.photos to org_user;
