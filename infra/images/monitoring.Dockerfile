# The servers that people look at: Prefect's, MLflow's and Evidently's, in the versions of the lock. No code of ours.
FROM python:3.11-slim-trixie AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.lock ./
# The holds of pyproject.toml come with the lock; psycopg2, boto3 and Flask-WTF are MLflow's for
# PostgreSQL, S3 and logins.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c requirements.lock prefect asyncpg mlflow psycopg2-binary boto3 evidently Flask-WTF

FROM python:3.11-slim-trixie
RUN useradd --create-home --uid 1000 ferline && install -d -o ferline -g ferline /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
USER ferline
VOLUME /data
