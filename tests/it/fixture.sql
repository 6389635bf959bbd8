-- Two organizations that every test finds: the same people and projects in both, with ids that end alike.
-- a… is organization A, b… is organization B.

insert into companycam_photos.organizations (id, name, created_at) values
    ('a0000000-0000-4000-8000-000000000001', 'Organization A', now()),
    ('b0000000-0000-4000-8000-000000000001', 'Organization B', now());

insert into companycam_photos.users (organization_id, id, email, first_name, last_name, created_at, updated_at)
select o.id, (left(o.id::text, 1) || u.id)::uuid, u.email || '@' || left(o.id::text, 1) || '.example', u.email, 'Person', now(), now()
from companycam_photos.organizations o,
     (values ('0000000-0000-4000-8000-000000000011', 'admin'),
             ('0000000-0000-4000-8000-000000000012', 'member'),
             ('0000000-0000-4000-8000-000000000013', 'outsider')) as u (id, email);

insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at)
select o.id, (left(o.id::text, 1) || p.id)::uuid, p.name, now(), now()
from companycam_photos.organizations o,
     (values ('0000000-0000-4000-8000-000000000021', 'House'),
             ('0000000-0000-4000-8000-000000000022', 'Bridge')) as p (id, name);

-- The member belongs to House, the outsider to Bridge.
insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
select o.id, (left(o.id::text, 1) || m.user_id)::uuid, (left(o.id::text, 1) || m.project_id)::uuid, now()
from companycam_photos.organizations o,
     (values ('0000000-0000-4000-8000-000000000012', '0000000-0000-4000-8000-000000000021'),
             ('0000000-0000-4000-8000-000000000013', '0000000-0000-4000-8000-000000000022')) as m (user_id, project_id);
