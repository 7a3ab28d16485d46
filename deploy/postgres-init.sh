#!/bin/bash
# Runs once, on an empty volume: creates the database, its owner (the projector), and the role that
# only reads (every other process). The projector creates the tables and grants them to the reader.
set -euo pipefail

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv reader_password POSTGRES_READER_PASSWORD
create role secaplane login password :'owner_password';
create role secaplane_reader login password :'reader_password';
create database secaplane owner secaplane;
revoke all on database secaplane from public;
grant connect on database secaplane to secaplane_reader;
\connect secaplane
-- For `secaplane tenant erase`: bytes that were erased leave the write-ahead log, too.
grant pg_checkpoint to secaplane;
grant execute on function pg_switch_wal() to secaplane;
-- Every role may create large objects unless the superuser forbids it; no process needs any.
select format('revoke execute on function %s from public', oid::regprocedure) from pg_proc
    where pronamespace = 'pg_catalog'::regnamespace
    and (proname like 'lo\_%' or proname in ('loread', 'lowrite'))
\gexec
SQL
