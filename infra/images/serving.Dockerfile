# The service: ONNX Runtime and what serving/ imports; neither torch nor Prefect.
FROM python:3.11-slim-trixie AS build
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.lock pyproject.toml README.md LICENSE ./
# The list that `bentoml build` takes, under the lock's versions.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['tool']['bentoml']['build']['python']['packages']))" > packages.txt \
    && pip install -c requirements.lock -r packages.txt
COPY components ./components
COPY serving ./serving
RUN mkdir -p flows && touch flows/__init__.py && pip install --no-deps .

FROM python:3.11-slim-trixie
RUN useradd --create-home --uid 1000 ferline && install -d -o ferline -g ferline /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FERLINE_HOME=/data
WORKDIR /data
USER ferline
VOLUME /data
EXPOSE 3000
CMD ["bentoml", "serve", "serving.service:FaceService", "--host", "0.0.0.0", "--port", "3000"]
