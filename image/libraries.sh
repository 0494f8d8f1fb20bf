#!/bin/sh
# Installs the product's libraries by their hashes into a new environment, the folder $1, and leaves out what no server reads.
# Compiled here because nothing can be written there; by hash, so that times of files say nothing. kubernetes_asyncio is a
# quarter of it, and imported for old kubeconfigs alone.
set -eu
python3.11 -m venv /installer
python3.11 -m venv --without-pip "$1"
/installer/bin/pip install --quiet --require-hashes --requirement /image/installer.lock
/installer/bin/pip install --quiet --no-compile --prefix "$1" --no-build-isolation --only-binary :all: --no-binary nkeys \
  --require-hashes --requirement /image/requirements.lock
cd "$1"
find bin ! -name 'python*' -type f -delete
find lib -depth -type d \( -name tests -o -name f2py -o -name include \) -exec rm -rf {} +
find lib -type f \( -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.pyx' \) -delete
find lib -name '*.so' ! -path '*.libs/*' -exec strip --strip-debug {} +  # those of *.libs do not load when stripped
python3.11 -m compileall -q -x kubernetes_asyncio --invalidation-mode unchecked-hash lib
