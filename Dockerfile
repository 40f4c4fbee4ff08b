ARG BASE_IMAGE=python:3.13-slim

# The dependencies, by the lock file with its hashes.
# checkov:skip=CKV_DOCKER_7: the tag is in the default of BASE_IMAGE
FROM ${BASE_IMAGE} AS dependencies
COPY requirements.lock /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --disable-pip-version-check --require-hashes --requirement /tmp/requirements.lock

FROM ${BASE_IMAGE} AS base
# Settings come from the environment only; nothing is written, so the root may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/srv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9090/healthz', timeout=2)"]

# Restarts the service when a file of it changes: for `skaffold dev`.
FROM dependencies AS development-dependencies
COPY k8s/development/reload.lock /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --disable-pip-version-check --require-hashes --requirement /tmp/reload.lock

FROM base AS development
COPY --from=development-dependencies /opt/venv /opt/venv
COPY --chown=10001:10001 app /srv/app
USER 10001:10001
CMD ["watchfiles", "--filter", "default", "--sigint-timeout", "5", "python -m app serve", "/srv/app"]

FROM base AS production
COPY --from=dependencies /opt/venv /opt/venv
COPY LICENSE /licenses/join-session
COPY app /srv/app
RUN python -m compileall -q /srv/app \
 && printf '#!/opt/venv/bin/python\nimport sys\n\nfrom app.cli import main\n\nsys.exit(main())\n' > /usr/local/bin/join-session \
 && chmod 755 /usr/local/bin/join-session
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="join-session" \
      org.opencontainers.image.description="Join a shared movie-rating session over HTTP and Socket.IO" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
USER 10001:10001
ENTRYPOINT ["join-session"]
CMD ["serve"]
