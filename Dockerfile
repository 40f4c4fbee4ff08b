# The dependencies, by the lock file with its hashes.
FROM python:3.13-slim AS dependencies
COPY requirements.lock /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --disable-pip-version-check --no-compile --require-hashes --requirement /tmp/requirements.lock

# Restarts the service when a file of it changes: for `skaffold dev`, which needs a shell and tar.
FROM dependencies AS development
COPY k8s/development/reload.lock /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --disable-pip-version-check --require-hashes --requirement /tmp/reload.lock \
 && python -m compileall -q /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/srv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv
COPY --chown=10001:10001 app /srv/app
USER 10001:10001
CMD ["watchfiles", "--filter", "default", "--sigint-timeout", "5", "python -m app serve", "/srv/app"]

# What the production image consists of, in two layers: what the service runs on, and the service.
FROM dependencies AS runtime
ARG SOURCE_DATE_EPOCH=0
COPY image/runtime.py /tmp/
RUN /opt/venv/bin/python /tmp/runtime.py /image
COPY image/settle /tmp/
RUN /tmp/settle /image

FROM python:3.13-slim AS application
ARG SOURCE_DATE_EPOCH=0
COPY app /image/srv/app
COPY LICENSE /image/licenses/join-session
COPY image/join-session /image/opt/venv/bin/
COPY image/settle /tmp/
# Modes come from the checkout.
RUN chmod -R u=rwX,go=rX /image \
 && /tmp/settle /image

FROM scratch AS production
COPY --from=runtime /image /
COPY --from=application /image /
# Settings come from the environment only; nothing is written, so the root may be read-only.
ENV PATH=/opt/venv/bin \
    PYTHONPATH=/srv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9090/healthz', timeout=2)"]
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
