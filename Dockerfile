# The gateway itself; models run in sibling containers through the Docker socket.
#
#   docker build -t aim-engine .
#   docker run -d --name aim-engine -p 127.0.0.1:8000:8000 -e AIM_ENGINE_KEY=choose-a-key \
#     -v /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" \
#     --device /dev/kfd --device /dev/dri aim-engine
#
# Your own recipes: -v ./recipes:/opt/aim-engine/recipes:ro. Your own configuration: -v ./config.yaml:/opt/aim-engine/config.yaml:ro;
# it has to set apiKeys, since the gateway listens on all addresses of its container.
ARG BASE=node:24-slim
FROM ${BASE}
WORKDIR /opt/aim-engine
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force && mkdir .aim-engine && chown 1000:1000 .aim-engine
COPY bin bin
COPY src src
COPY recipes recipes
RUN printf 'apiKeys: ["${AIM_ENGINE_KEY}"]\n' > config.yaml
ENV AIM_ENGINE_LISTEN=0.0.0.0:8000
USER 1000:1000
VOLUME /opt/aim-engine/.aim-engine
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve", "--config", "config.yaml"]
