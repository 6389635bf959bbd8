#!/usr/bin/env bash
# Restores a dump of backup.sh into an empty database. See --help, and deploy/README.md.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: restore.sh FILE [CONNECTION]

Restores FILE, a dump made by backup.sh, into an empty database: all of it or nothing. Makes photometa's roles where
they are missing. Then gathers the planner's statistics and prints how many rows each table has.

  FILE          the dump
  CONNECTION    a URL (postgres://postgres@db/photometa_restored) or a connection string; what it leaves out comes
                from libpq's variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGPASSFILE, PGDATABASE, PGSSLMODE …)

The database must exist (createdb photometa_restored). The login must be a superuser, because the tables are given to
photometa_owner. Programs of another PostgreSQL: put their folder into PG_BIN.
EOF
}

fail() {
    echo "restore.sh: $*" >&2
    exit 1
}

case ${1:-} in
    -h | --help) usage && exit 0 ;;
    -*) fail "there is no option $1; see --help" ;;
esac
[ $# -eq 1 ] || [ $# -eq 2 ] || fail "give FILE and, unless libpq's variables say it, CONNECTION; see --help"
file=$1
connection=${2:-}
roles=$(dirname -- "$0")/roles.sql

PATH=${PG_BIN:+$PG_BIN:}$PATH
for program in psql pg_restore; do
    command -v "$program" >/dev/null ||
        fail "$program is missing; install PostgreSQL's client programs (Debian: apt install postgresql-client) or set PG_BIN to their folder"
done
[ -r "$file" ] || fail "cannot read $file"
[ -r "$roles" ] || fail "cannot read $roles, which belongs beside this script"
# The list is at the dump's beginning: only reading all of it shows that its end is there too.
pg_restore --list "$file" | grep --count ' SCHEMA - companycam_photos ' >/dev/null ||
    fail "$file is no dump of the schema companycam_photos in pg_dump's custom format"
pg_restore --file=/dev/null "$file" || fail "$file cannot be read to its end; use another dump"

ask() {
    psql --dbname="$connection" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"
}

problem=$(
    ask <<'SQL'
select case
    when not (select rolsuper from pg_roles where rolname = current_user) then
        format('%s is no superuser, which restoring the owner and the policies needs; use another login', current_user)
    when exists (select from pg_class where relnamespace = to_regnamespace('companycam_photos'))
        or exists (select from pg_proc where pronamespace = to_regnamespace('companycam_photos')) then
        format('the database %s has photometa''s schema already; restore into an empty one: createdb photometa_restored', current_database())
end;
SQL
) || fail "the database cannot be asked; see above, and check CONNECTION and libpq's variables"
[ -z "$problem" ] || fail "$problem"

# The dump brings the schema itself; roles belong to the server and are not in it.
ask --single-transaction --file="$roles" --command='drop schema companycam_photos' ||
    fail "the roles cannot be made; see above. The database is as it was"
pg_restore --dbname="$connection" --exit-on-error --single-transaction "$file" ||
    fail "the dump cannot be restored; see above. Nothing of it is in the database"
ask --command='analyze'

echo "$file: restored"
ask <<'SQL'
select format('select format(''%%s rows in %s'', count(*)) from companycam_photos.%1$I', relname)
from pg_class where relnamespace = 'companycam_photos'::regnamespace and relkind = 'r' order by relname
\gexec
SQL
