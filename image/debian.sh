#!/bin/sh
# Unpacks the packages of debian-packages into the folder $1: without their scripts, which want a shell, and without what no
# server reads. Scanners find them in var/lib/dpkg/status.d.
set -eu
root=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin" "$root/var/lib/dpkg/status.d" "$root/etc/ssl/certs"
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$root/$name"; done

cd "$(mktemp -d)"
xargs apt-get download --quiet --quiet <"$here/debian-packages"
for file in *.deb; do
  dpkg-deb --fsys-tarfile "$file" | tar --extract --keep-directory-symlink --directory "$root"
  dpkg-deb --field "$file" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$file" Package)"
done

cd "$root"
find usr/share/doc -type f ! -name copyright -delete
rm -rf usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug usr/share/ca-certificates usr/sbin/* \
  usr/lib/*/gconv usr/lib/*/audit usr/lib/*/perl* usr/share/gcc usr/share/binfmts etc/python3.11 \
  usr/lib/python3.11/ensurepip usr/lib/python3.11/idlelib usr/lib/python3.11/lib2to3 usr/lib/python3.11/pydoc_data \
  usr/lib/python3.11/turtledemo usr/lib/python3.11/test usr/lib/python3.11/config-* \
  usr/lib/python3.11/lib-dynload/_curses* usr/lib/python3.11/lib-dynload/_dbm* usr/lib/python3.11/lib-dynload/nis* \
  usr/lib/python3.11/lib-dynload/readline*
find usr/lib/python3.11 -name __pycache__ -prune -exec rm -rf {} +
cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >etc/passwd
echo 'nonroot:x:65532:' >etc/group
echo 'hosts: files dns' >etc/nsswitch.conf
mkdir -p tmp && chmod 1777 tmp
python3.11 -m compileall -q -s "$root" --invalidation-mode unchecked-hash usr/lib/python3.11
