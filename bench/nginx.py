"""nginx on loopback, one worker: as a cheap upstream with TLS, and as the proxy that ours is measured against."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from getpass import getuser
from pathlib import Path

from bench.load import Ask
from bench.servers import LOOPBACK, open_process, wait_answer
from bench.skipped import Skipped
from realfleet.pki import ClusterFiles
from realfleet.ports import list_free_ports

PROGRAMS = (Path("/usr/sbin/nginx"), Path("/usr/bin/nginx"), Path("/usr/local/sbin/nginx"))

# Nothing is written but errors; connections are kept for as many requests as a round asks.
_MAIN = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {upstream}
  server {{
    listen {host}:{port}{secure}; {certificate}
    {locations}
  }}
}}
"""

# nginx offers TLS 1.3 by itself from 1.23.4 on; ours does always.
_SERVING = """ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {files.serving_certificate};
    ssl_certificate_key {files.serving_key};"""
_PROXY = """
location / {{
  proxy_pass {scheme}://member; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header Host {address}; proxy_set_header Authorization "{authorization}";
  proxy_set_header User-Agent openmcp-apiserver;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name localhost;
}}
"""


@asynccontextmanager
async def open_files_server(folder: Path, files: ClusterFiles, contents: Mapping[str, bytes]) -> AsyncIterator[str]:
    """Serves these contents by path, as JSON, over TLS; all else is `{}`. Yields the base URL. Raises Skipped."""
    locations = ['default_type application/json; location / { return 200 "{}"; }']
    for number, (path, content) in enumerate(contents.items()):
        file = folder / f"{number}.json"
        file.write_bytes(content)
        locations.append(f"location = {path} {{ alias {file}; }}")
    async with _open_nginx(folder, files, locations="\n".join(locations)) as url:
        yield url


@asynccontextmanager
async def open_proxy(
    folder: Path, files: ClusterFiles, url: str, authorization: str, serving: ClusterFiles | None = None
) -> AsyncIterator[str]:
    """Passes everything on to an API server, in verified TLS there. `serving` has TLS here too. Raises Skipped."""
    scheme, _, address = url.partition("://")
    location = _PROXY.format(scheme=scheme, address=address, authorization=authorization, ca=files.ca)
    upstream = f"upstream member {{ server {address}; keepalive 64; keepalive_requests 100000000; }}"
    async with _open_nginx(folder, serving, upstream=upstream, locations=location) as proxy:
        yield proxy


@asynccontextmanager
async def _open_nginx(
    folder: Path, files: ClusterFiles | None, *, locations: str, upstream: str = ""
) -> AsyncIterator[str]:
    program = next((path for path in PROGRAMS if path.exists()), None)
    if program is None:
        raise Skipped("needs nginx (Debian's nginx-light)")
    (port,) = list_free_ports(1)
    config = folder / "nginx.conf"
    config.write_text(
        _MAIN.format(
            # Of root's, it would take another user, who reads nothing in this folder.
            user=f"user {getuser()};" if os.geteuid() == 0 else "",
            folder=folder,
            host=LOOPBACK,
            port=port,
            secure=" ssl" if files else "",
            certificate=_SERVING.format(files=files) if files else "",
            upstream=upstream,
            locations=locations,
        )
    )
    async with open_process(program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")) as process:
        url = f"{'https' if files else 'http'}://{LOOPBACK}:{port}"
        tls = ssl.create_default_context(cafile=str(files.ca)) if files else None
        await wait_answer(process, Ask(f"{url}/version", tls=tls))
        yield url
