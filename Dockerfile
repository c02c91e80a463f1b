# syntax=docker/dockerfile:1
# One image for every role: `serve` (default), `migrate`, `doctor` and every other command of `defarm`.
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ARG UV=0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/defarm
RUN pip install --no-cache-dir "uv==${UV}"
WORKDIR /src
# What others wrote changes seldom: a layer of its own.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --locked --no-dev --no-install-project
COPY domain domain
COPY adapters adapters
COPY application application
COPY entrypoints entrypoints
COPY container.py ./
RUN uv sync --locked --no-dev --no-editable

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="DeFarm Engine" \
      org.opencontainers.image.description="Traceability for farm goods: items, events and circuits that can be trusted." \
      org.opencontainers.image.documentation="docs/operations.md"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin defarm \
    && install -d -m 0700 -o defarm -g defarm /var/lib/defarm
COPY --from=build /opt/defarm /opt/defarm
ENV PATH=/opt/defarm/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=3000 \
    DEFARM_DATA_DIR=/var/lib/defarm
VOLUME /var/lib/defarm
WORKDIR /var/lib/defarm
USER 10001:10001
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["defarm", "health"]
ENTRYPOINT ["defarm"]
CMD ["serve"]
