# The image: one static program, no shell, no libc, no package; whatever is in it besides is named below.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION="$(git rev-parse HEAD)" -t YOUR/amp-sidecar .
#   scripts/image build     the same with Debian's own tools, where no image can be pulled
#
# The build stage runs on the platform that is built for, natively or emulated, so that every architecture goes through
# the same steps; a cross compiler would be a second way that only some of them take.

FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
# The toolchain is the image's own: rust-toolchain.toml, which is not copied, asks for clippy and rustfmt besides.
WORKDIR /src
COPY . .
ARG REVISION=unknown
# The touch makes cargo, which goes by times, build our own crate afresh whichever clone filled the cache.
RUN --mount=type=cache,target=/src/target,sharing=locked \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    touch src/lib.rs src/main.rs \
    && REVISION="${REVISION}" RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo" scripts/static >/built \
    && install -D "$(cat /built)" /image/amp-sidecar

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="amp-sidecar" \
      org.opencontainers.image.description="Signs and forwards Prometheus remote_write to Amazon Managed Service for Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# No file of CA certificates beside it: Mozilla's roots are built into the program, and nothing else here would read one.
# Private roots come by AWS_CA_BUNDLE.
COPY --from=build /image/ /
# Of us and of all that is linked in, as the licences ask of those who pass the program on.
COPY LICENSE LICENSES.txt /
# By number, since Kubernetes' runAsNonRoot cannot know what a name stands for.
USER 65532:65532
# Loopback's 8005 is for the pod alone and not exposed.
EXPOSE 8006
ENTRYPOINT ["/amp-sidecar"]
