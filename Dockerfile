# Debian's Python, libraries by their hashes, and the wheel that `make wheel` built. No shell, no package manager, no root.
#
#   make image                                          without a daemon, as tests and releases do
#   make wheel && docker build --build-arg VERSION=...  over a public base
ARG BASE=debian:12.12-slim

FROM ${BASE} AS build
# Where the package index is behind an authority of one's own.
ARG PIP_CERT=
ENV DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PYTHONHASHSEED=0
COPY image/debian-packages image/debian.sh /image/
RUN apt-get update --quiet --quiet \
 && apt-get install --quiet --quiet --yes --no-install-recommends binutils ca-certificates python3.11-venv \
 && /image/debian.sh /debian

COPY image/installer.lock image/requirements.lock image/libraries.sh /image/
RUN /image/libraries.sh /opt/openmcp-apiserver

ARG VERSION
COPY build/openmcp_apiserver-${VERSION}-py3-none-any.whl LICENSE NOTICE /app/licenses/
RUN cd /app/licenses \
 && /installer/bin/pip --python /opt/openmcp-apiserver/bin/python install --quiet --no-compile --no-deps --root /app *.whl \
 && rm -- *.whl \
 && python3.11 -m compileall -q -s /app --invalidation-mode unchecked-hash /app/opt/openmcp-apiserver/lib

FROM scratch
COPY --from=build /debian /
COPY --from=build /opt/openmcp-apiserver /opt/openmcp-apiserver
COPY --from=build /app /
ARG VERSION
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title=openmcp-apiserver \
      org.opencontainers.image.description="One GraphQL graph and the OpenMCP REST URLs in front of a federation of Kubernetes clusters" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.created=${CREATED}
ENV PATH=/opt/openmcp-apiserver/bin PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/opt/openmcp-apiserver/bin/openmcp-apiserver"]
CMD ["serve"]
