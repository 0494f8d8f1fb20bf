#!/bin/sh
# Builds static/ from the npm packages that package-lock.json pins. Needs Node 20+ and npm.
# An argument names another folder to build into; the sources' folder is left as it is then.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/static}
case $out in /*) ;; *) out=$PWD/$out ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$here/build.mjs" "$here/src" "$work"
cd "$work"
npm ci --no-audit --no-fund --loglevel=error >/dev/null
node build.mjs "$work/static"
rm -rf "$out"
cp -R "$work/static" "$out"
