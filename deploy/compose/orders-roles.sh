# The administrator's step in PostgreSQL: the roles that `keepstep init --print-roles` prints, and the
# sidecar's login, which has the rights of one of them and no other. It may run again and again.
set -eu
export PGPASSFILE=/tmp/pgpass
(umask 077 && echo "*:*:*:*:$(cat /run/secrets/orders-db-admin)" >"$PGPASSFILE")
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --host orders-db --username postgres --dbname orders <<'SQL'
\set password `cat /run/secrets/orders-db-keepstep`
\i /roles/roles.sql
SELECT 'CREATE ROLE orders_keepstep LOGIN'
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'orders_keepstep') \gexec
ALTER ROLE orders_keepstep PASSWORD :'password';
GRANT CONNECT ON DATABASE orders TO orders_keepstep;
GRANT keepstep_run TO orders_keepstep;
SQL
