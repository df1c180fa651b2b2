# The administrator's step in MariaDB: the roles that `keepstep init --print-roles` prints, and the
# sidecar's login, which has the rights of one of them and no other. It may run again and again.
set -eu
administrator() {
    mariadb --defaults-extra-file=/tmp/administrator.cnf --host=customers-db --user=root customers
}
(umask 077 && printf '[client]\npassword=%s\n' "$(cat /run/secrets/customers-db-admin)" >/tmp/administrator.cnf)
administrator </roles/roles.sql
administrator <<SQL
CREATE USER IF NOT EXISTS customers_keepstep;
ALTER USER customers_keepstep IDENTIFIED BY '$(cat /run/secrets/customers-db-keepstep)';
GRANT keepstep_run TO customers_keepstep;
SET DEFAULT ROLE keepstep_run FOR customers_keepstep;
SQL
