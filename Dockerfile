# syntax=docker/dockerfile:1

# The whole system, or one part of it: docker run storehouse [serve gateway | serve auth | migrate | …].
# The image stands in production, where a start without JWT_SECRET is refused in one line that says how to make one.
# To look around on one's own machine, where the first account becomes the admin:
#
#   docker build --tag storehouse .
#   docker run --rm --publish 127.0.0.1:8000:8000 --env ENVIRONMENT=development storehouse

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates crates
COPY LICENSE scripts/notices.sh ./
# The caches keep downloads and built dependencies between builds. Cargo tells a changed file by its time alone, and a
# fresh checkout may carry an older one than the cache: touched, our own crates are always built anew.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    find crates -type f -exec touch {} + \
    && cargo build --release --locked \
    && install -D target/release/storehouse /out/storehouse \
    && install -D -m 644 LICENSE /out/doc/LICENSE \
    && install -D notices.sh scripts/notices.sh && scripts/notices.sh >/out/doc/NOTICES.txt \
    && mkdir -p /out/data

# What backs PostgreSQL up: pg_dump and pg_restore as they are beside the server that docker-compose.yml runs, since neither
# reads a newer server than itself, with the libraries that the last stage lacks. Debian's own package would be older than the
# server, and need a package manager: so it is 15 MB.
FROM postgres:16-bookworm AS postgres
RUN mkdir -p /out/bin /out/lib \
    && cp /usr/lib/postgresql/16/bin/pg_dump /usr/lib/postgresql/16/bin/pg_restore /out/bin \
    && ldd /out/bin/* | awk '$2 == "=>" { print $3 }' | sort -u \
        | grep -Ev '/lib(c|m|dl|pthread|rt|resolv|gcc_s)\.so' | xargs cp --dereference --target-directory=/out/lib

# The binary needs glibc and libgcc and nothing else, so the image holds no shell and no package manager to keep up to
# date. It is of the same Debian as the stage above: a binary doesn't run on a glibc older than the one it was built with.
FROM gcr.io/distroless/cc-debian12
LABEL org.opencontainers.image.title="Storehouse" \
      org.opencontainers.image.description="Inventory and order backend: gateway, auth, users, orders and inventory in one program" \
      org.opencontainers.image.licenses="MIT"
COPY --from=postgres /out/bin /usr/local/bin
COPY --from=postgres /out/lib /usr/lib
COPY --from=build /out/storehouse /usr/local/bin/storehouse
COPY --from=build /out/doc /usr/share/doc/storehouse
COPY --from=build --chown=65532:65532 /out/data /data
# A number, because that is how an orchestrator can see that it isn't root.
USER 65532:65532
# Who reaches a container is said by the ports that are published, so it listens on all of its addresses in development too.
ENV ENVIRONMENT=production \
    HOST=0.0.0.0 \
    DATA_DIR=/data
# ./storehouse.toml and ./routes.yaml are looked for here: mount them to use your own.
WORKDIR /etc/storehouse
VOLUME /data
# Gateway, users, orders, auth, inventory. Beside a gateway in one process the services answer on the loopback address alone.
EXPOSE 8000 8081 8082 8083 8084
# For the gateway; a container of one service asks that one, as in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["storehouse", "health"]
ENTRYPOINT ["storehouse"]
CMD ["serve"]
