-- Tags: words on photos.
-- Old code meanwhile: ignores the new table. Undo: undo/U0004__tags.sql.

set local citus.multi_shard_modify_mode = 'sequential';

create table companycam_photos.tags (
    organization_id uuid not null,
    id uuid not null,
    project_id uuid not null,
    photo_id uuid not null,
    tag text not null,
    tag_folded text collate "C" not null,
    source text not null default 'ai',
    confidence double precision,
    created_at timestamptz not null,
    constraint tags_pkey primary key (organization_id, id),
    -- A tag stands once per photo and source, whatever its case; also serves ListTags.
    constraint tags_photo_id_tag_source_key unique (organization_id, photo_id, tag_folded, source),
    constraint tags_photo_id_fkey foreign key (organization_id, project_id, photo_id)
        references companycam_photos.photos (organization_id, project_id, id) on delete cascade,
    constraint tags_tag_check check (char_length(tag) between 1 and 100),
    constraint tags_source_check check (source in ('ai', 'user')),
    constraint tags_confidence_check check (confidence between 0 and 1),
    constraint tags_source_confidence_check check (source = 'ai' or confidence is null)
);
select companycam_photos.place('companycam_photos.tags', 'companycam_photos.photos');
-- ListTagCounts, and photos by tag.
do $$ begin create index tags_tag_photo_id_idx on companycam_photos.tags (organization_id, tag_folded, photo_id); end $$;

comment on table companycam_photos.tags is 'Words on photos, from people and from models.';
comment on column companycam_photos.tags.organization_id is 'Tenant.';
comment on column companycam_photos.tags.id is 'Identity within the organization.';
comment on column companycam_photos.tags.project_id is 'The photo''s project, copied for row security.';
comment on column companycam_photos.tags.photo_id is 'The photo.';
comment on column companycam_photos.tags.tag is 'The word or phrase: trimmed, white space folded, Unicode NFC.';
comment on column companycam_photos.tags.tag_folded is 'The tag in lower case: what uniqueness and search compare.';
comment on column companycam_photos.tags.source is 'ai or user.';
comment on column companycam_photos.tags.confidence is '0 to 1; null for tags of people.';
comment on column companycam_photos.tags.created_at is 'When it was first put there.';

select companycam_photos.protect('companycam_photos.tags');
-- Models write AI tags and people USER tags: below the API too.
create policy tags_service_writes_ai on companycam_photos.tags as restrictive
    for insert to org_service with check (source = 'ai');
create policy tags_service_changes_ai on companycam_photos.tags as restrictive
    for update to org_service using (source = 'ai');
create policy tags_service_deletes_ai on companycam_photos.tags as restrictive
    for delete to org_service using (source = 'ai');
create policy tags_member_writes_user on companycam_photos.tags as restrictive
    for insert to org_user with check (source = 'user');
create policy tags_member_changes_user on companycam_photos.tags as restrictive
    for update to org_user using (source = 'user');
create policy tags_member_deletes_user on companycam_photos.tags as restrictive
    for delete to org_user using (source = 'user');
grant select, insert, update, delete on companycam_photos.tags to org_admin, org_service;
grant select, insert, delete, update (confidence) on companycam_photos.tags to org_user;
