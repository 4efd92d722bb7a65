# Workers and the set-up: everything that trains. TORCH_INDEX picks the CPU or a CUDA build of the same torch version.
FROM python:3.11-slim-trixie AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.lock pyproject.toml ./
# torch first and alone: it is most of the image, and changes least.
RUN --mount=type=cache,target=/root/.cache/pip \
    grep -E '^(torch|torchvision)==' requirements.lock > torch.txt && pip install -r torch.txt --index-url "$TORCH_INDEX"
COPY README.md LICENSE ./
COPY components/__init__.py ./components/
RUN --mount=type=cache,target=/root/.cache/pip \
    grep -vE '^(torch|torchvision|triton|nvidia-|cuda-)' requirements.lock > rest.txt && pip install -c rest.txt -e '.[drift,search,serving,team]'

FROM python:3.11-slim-trixie
# pg_dump of the server's major version, for `ferline backup`.
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 ferline && install -d -o ferline -g ferline /data /backups /service
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1
WORKDIR /app
# What changes daily comes last, with policy and deployments beside it.
COPY pyproject.toml README.md LICENSE ./
COPY components ./components
COPY flows ./flows
COPY serving ./serving
COPY infra ./infra
USER ferline
VOLUME /data
CMD ["prefect", "worker", "start", "--pool", "ferline", "--type", "process"]
