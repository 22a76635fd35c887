#!/usr/bin/env bash
# Installs uWebSockets.js (260 MB: a binary for every platform) into a git-ignored folder, outside the default install.
# Usage: scripts/install-uwebsockets.sh [FOLDER]     default: .venv/uws
# Then:  export MANTA_UWEBSOCKETS=FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-.venv/uws}"
version=3.0.6
mkdir -p "$folder"
if [ ! -f "$folder/node_modules/uwebsockets/package.json" ]; then
  npm --prefix "$folder" install --no-save --no-audit --no-fund "uwebsockets@$version"
fi
MANTA_UWEBSOCKETS="$(cd "$folder" && pwd)"
node -e 'require(process.argv[1] + "/node_modules/uwebsockets")' "$MANTA_UWEBSOCKETS"
echo "uWebSockets.js $version is ready: export MANTA_UWEBSOCKETS=$MANTA_UWEBSOCKETS"
