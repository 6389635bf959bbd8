#!/usr/bin/env bash
# Dumps the schema companycam_photos, with the rights of photometa_backup. See --help, and deploy/README.md.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: backup.sh [--role ROLE] FILE [CONNECTION]

Dumps photometa's schema with all rows of all organizations into FILE, in pg_dump's custom format. FILE appears only
once the dump is complete and has been read back; until then it is FILE.partial.… beside it.

  FILE          where the dump goes; it must not exist yet
  CONNECTION    a URL (postgres://photometa_dump@db/photometa) or a connection string; what it leaves out comes from
                libpq's variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGPASSFILE, PGDATABASE, PGSSLMODE …)
  --role ROLE   the role whose rights are taken [default: photometa_backup]

The login needs nothing but: grant photometa_backup to LOGIN. Keep its password in a password file rather than in the
URL, which other users of this machine can see. Programs of another PostgreSQL: put their folder into PG_BIN.
EOF
}

fail() {
    echo "backup.sh: $*" >&2
    exit 1
}

role=photometa_backup
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --role) [ $# -ge 2 ] || fail "--role needs a role" && role=$2 && shift 2 ;;
        --) shift && break ;;
        -*) fail "there is no option $1; see --help" ;;
        *) break ;;
    esac
done
[ $# -eq 1 ] || [ $# -eq 2 ] || fail "give FILE and, unless libpq's variables say it, CONNECTION; see --help"
file=$1
connection=${2:-}

PATH=${PG_BIN:+$PG_BIN:}$PATH
for program in psql pg_dump pg_restore; do
    command -v "$program" >/dev/null ||
        fail "$program is missing; install PostgreSQL's client programs (Debian: apt install postgresql-client) or set PG_BIN to their folder"
done
folder=$(dirname -- "$file")
[ -d "$folder" ] && [ -w "$folder" ] || fail "cannot write into $folder; make the folder, or choose another FILE"
[ ! -e "$file" ] || fail "$file exists; choose another name, so that an older dump is not lost"

ask() {
    psql --dbname="$connection" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=role="$role"
}

# Each way in which the dump would fail or lack something, in words that say what to change.
problem=$(
    ask <<'SQL'
select case
    when to_regnamespace('companycam_photos') is null then
        format('the database %s has no schema companycam_photos; is it the right one?', current_database())
    when not exists (select from pg_roles where rolname = :'role') then
        format('there is no role %s; run deploy/postgres/roles.sql as a superuser', :'role')
    when not pg_has_role(current_user, (select oid from pg_roles where rolname = :'role'), 'member') then
        format('%s may not act as %s; run: grant %2$s to %1$s', current_user, :'role')
    when not (select rolbypassrls or rolsuper from pg_roles where rolname = :'role') then
        format('%s does not bypass row security, so that its dump would lack rows; use photometa_backup', :'role')
    when not has_schema_privilege(:'role', 'companycam_photos', 'usage') then
        format('%s may not use the schema companycam_photos; run deploy/postgres/roles.sql as a superuser', :'role')
    when exists (select from pg_extension where extname = 'timescaledb')
         and exists (
             select from pg_inherits join pg_class c on c.oid = inhparent
             where c.relname = 'detection_events' and c.relnamespace = to_regnamespace('companycam_photos')) then
        'detection_events is a hypertable, whose rows are in chunks outside of the schema: this dump would lack them; dump the whole database as a superuser, see deploy/README.md'
    else (
        select format('%s may not read %s; run deploy/postgres/roles.sql as a superuser', :'role', string_agg(relname, ', '))
        from pg_class
        where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p', 'v', 'm', 'S')
          and not has_table_privilege(:'role', oid, 'select')
        having count(*) > 0)
end;
SQL
) || fail "the database cannot be asked; see above, and check CONNECTION and libpq's variables"
[ -z "$problem" ] || fail "$problem"

# All rows of all organizations: for the owner of the file alone, which is how mktemp makes it.
partial=$(mktemp -- "$file.partial.XXXXXX")
dumping=
trap 'rm -f -- "$partial"' EXIT
# In the background, so that a signal is heard at once and ends the dump too.
trap '[ -z "$dumping" ] || { kill "$dumping" && wait "$dumping"; } || true; exit 1' HUP INT TERM
pg_dump --dbname="$connection" --role="$role" --schema=companycam_photos --format=custom --lock-wait-timeout=60s \
    --file="$partial" &
dumping=$!
wait "$dumping" || fail "pg_dump failed; see above. There is no dump"
dumping=

# The list is at its beginning: only reading all of it shows that its end is there too.
tables=$(pg_restore --list "$partial" | grep --count ' TABLE DATA companycam_photos ') ||
    fail "the dump cannot be read, or has no tables; is there room left in $folder?"
pg_restore --file=/dev/null "$partial" || fail "the dump cannot be read to its end; is there room left in $folder?"
mv -- "$partial" "$file"
echo "$file: $tables tables, $(($(wc -c <"$file"))) bytes"
