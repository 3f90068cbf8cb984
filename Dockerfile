# The gateway itself; models run in sibling containers through the Docker socket.
#
#   docker build -t aim-engine .
#   docker run -d --name aim-engine -p 8000:8000 -v /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v ./config.yaml:/etc/aim-engine/config.yaml:ro -v ./recipes:/etc/aim-engine/recipes:ro aim-engine
#
# config.yaml has to set listen: 0.0.0.0:8000 and apiKeys.
ARG BASE=node:24-slim
FROM ${BASE}
WORKDIR /opt/aim-engine
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY bin bin
COPY src src
COPY recipes recipes
COPY config.yaml /etc/aim-engine/config.yaml
USER node
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve", "--config", "/etc/aim-engine/config.yaml"]
