# The gateway itself; models run in sibling containers through the Docker socket. deploy/compose.yaml runs it for production:
#
#   docker build -t aim-engine .
#
# Two stages: npm and a shell are only there while the dependencies are installed. Node is taken along from the first one, so
# both need the same C library. From a mirror: --build-arg BASE=… --build-arg RUNTIME=… --build-arg NPM_CONFIG_REGISTRY=…
ARG BASE=node:24-bookworm-slim
ARG RUNTIME=gcr.io/distroless/cc-debian12

FROM ${BASE} AS dependencies
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
WORKDIR /opt/aim-engine
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts
# What the gateway writes to, and its name as a command: the runtime image has no shell to make them with.
RUN mkdir -p state logs \
  && printf '#!/usr/local/bin/node --max-semi-space-size=16\nawait import("/opt/aim-engine/src/main.ts");\n' > /usr/local/bin/aim-engine.mjs \
  && chmod 755 /usr/local/bin/aim-engine.mjs

FROM ${RUNTIME}
WORKDIR /opt/aim-engine
COPY --from=dependencies /usr/local/bin/node /usr/local/bin/node
COPY --from=dependencies /usr/local/bin/aim-engine.mjs /usr/local/bin/aim-engine
COPY --from=dependencies /opt/aim-engine/node_modules node_modules
COPY --from=dependencies --chown=1000:1000 /opt/aim-engine/state state
COPY --from=dependencies --chown=1000:1000 /opt/aim-engine/logs logs
COPY package.json ./
COPY src src
COPY recipes recipes
COPY deploy/config.yaml config/config.yaml
ENV AIM_ENGINE_CONFIG=/opt/aim-engine/config/config.yaml
USER 1000:1000
VOLUME ["/opt/aim-engine/state", "/opt/aim-engine/logs"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["/usr/local/bin/node", "-e", "fetch('http://127.0.0.1:8000/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/usr/local/bin/aim-engine"]
CMD ["serve"]
