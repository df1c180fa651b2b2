#!/usr/bin/env bash
# Starts MariaDB as the official image does. An empty data directory gets root with the password of
# MARIADB_ROOT_PASSWORD_FILE, the database MARIADB_DATABASE, and for it the login MARIADB_USER with the
# password of MARIADB_PASSWORD_FILE.
set -euo pipefail

[ $# -gt 0 ] && [[ $1 != -* ]] || set -- mariadbd "$@"
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --datadir=/var/lib/mysql --auth-root-authentication-method=normal \
        --skip-test-db --skip-name-resolve >/dev/null
    root=$(cat "$MARIADB_ROOT_PASSWORD_FILE")
    user=$(cat "$MARIADB_PASSWORD_FILE")
    mariadbd --bootstrap --skip-networking >/dev/null <<END
FLUSH PRIVILEGES;
DROP USER IF EXISTS ''@localhost;
CREATE USER root@'%' IDENTIFIED BY '$root';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
ALTER USER root@localhost IDENTIFIED BY '$root';
CREATE DATABASE $MARIADB_DATABASE;
CREATE USER $MARIADB_USER@'%' IDENTIFIED BY '$user';
GRANT ALL ON $MARIADB_DATABASE.* TO $MARIADB_USER@'%';
END
fi
exec "$@"
