#!/bin/bash
# Does what compose.yaml needs of the official entry point: creates the cluster on an empty volume,
# with the password of the superuser, and runs the scripts of the layout against it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086  # several arguments in one variable, as in the official image
    initdb --pgdata "$PGDATA" --username postgres --pwfile <(echo "$POSTGRES_PASSWORD") \
        ${POSTGRES_INITDB_ARGS:-}
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl --pgdata "$PGDATA" --wait start -o "-c listen_addresses="
    for script in /docker-entrypoint-initdb.d/*; do
        echo "running $script"
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
    done
    pg_ctl --pgdata "$PGDATA" --wait --mode fast stop
fi
exec "$@"
