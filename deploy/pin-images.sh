#!/bin/bash
# Pins the images of compose.yaml and the Dockerfile by digest: asks the registry for the digest of
# each tag, and writes it to .env, which compose reads. Run it when an image is to change, and commit
# to nothing that it prints without reading the images' release notes. `--check` fails where an image
# is not pinned.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A images=(
    [NATS_IMAGE]=nats:2.15-alpine
    [POSTGRES_IMAGE]=postgres:18
    [CADDY_IMAGE]=caddy:2.11-alpine
    [PYTHON_IMAGE]=python:3.11-slim
)

if [ "${1:-}" = --check ]; then
    for name in "${!images[@]}"; do
        grep -qE "^$name=[^@]+@sha256:[0-9a-f]{64}$" .env || { echo "$name is not pinned"; exit 1; }
    done
    exit 0
fi

umask 077
touch .env
for name in "${!images[@]}"; do
    image=${images[$name]}
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    sed -i "/^$name=/d" .env
    echo "$name=$image@$digest" >> .env
done
