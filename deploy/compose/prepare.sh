# Prepares the database of a service, as the owner of its tables. The roles are left to an
# administrator: the SQL that makes them goes into the volume that this one also reads.
set -eu
keepstep init
umask 022
keepstep init --print-roles >/data/roles.sql
