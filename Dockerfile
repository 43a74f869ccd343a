# claude-proxy as a container: docs/container.md says how it is used. No secret is ever in an image.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY claude_proxy claude_proxy/
# There is no compiler: every dependency has a wheel. The cache is mounted and in no layer.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/claude-proxy \
    && /opt/claude-proxy/bin/pip install '.[codecs]'

FROM python:3.13-slim
# Who the daemon is: whoever owns the logins that are mounted, for they have mode 0600.
ARG OWNER=1000
COPY --from=build /opt/claude-proxy /opt/claude-proxy
# A volume that is mounted over a directory of the image gets its owner.
RUN mkdir -p /home/proxy/.local/share/claude-proxy \
    && chown -R "$OWNER:$OWNER" /home/proxy \
    && chmod 0700 /home/proxy/.local/share/claude-proxy
# Nothing outside reaches a container's loopback, so it listens on all of its addresses; it refuses that without
# AUTH_TOKEN. `claude` is not in the image: Claude Code on the host renews its login, and nobody else.
ENV HOME=/home/proxy \
    PATH=/opt/claude-proxy/bin:/usr/local/bin:/usr/bin:/bin \
    CLAUDE_PROXY_LISTEN__HOST=0.0.0.0 \
    CLAUDE_PROXY_LISTEN__PORT=8082 \
    CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH=never
WORKDIR /home/proxy
USER $OWNER:$OWNER
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CLAUDE_PROXY_LISTEN__PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["claude-proxy", "serve"]
