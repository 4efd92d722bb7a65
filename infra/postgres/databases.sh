#!/bin/sh
# A database and its owner for Prefect and for MLflow; PostgreSQL's image runs this once, on an empty volume.
set -eu

make() {
    psql --username postgres --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
}

make prefect "$PREFECT_DB_PASSWORD"
make mlflow "$MLFLOW_DB_PASSWORD"
