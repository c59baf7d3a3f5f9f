"""PgBouncer in front of a PostgreSQL server of the tests, where the machine has it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

# It refuses to run as root.
_USER = "nobody"
_PORT = 6432


def _program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip("PgBouncer is not installed")
    return found


@contextmanager
def pgbouncer(url: str, mode: str) -> Iterator[str]:
    """Pool the connections of `url`, and give the URL that leads through the pool.

    Args:
        url: of `tests.doubles.postgres.Postgres.database`.
        mode: "session" or "transaction".
    """
    program = _program()
    parsed = make_url(url)
    directory = Path(tempfile.mkdtemp(prefix="pgb-"))
    # Clients of transactions share connections; those of sessions keep theirs.
    size = 3 if mode == "transaction" else 40
    users, settings = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{parsed.username}" ""\n')
    settings.write_text(
        f"[databases]\n{parsed.database} = host={parsed.query['host']}\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {_PORT}\nunix_socket_dir = {directory}\n"
        f"auth_type = trust\nauth_file = {users}\npool_mode = {mode}\n"
        f"default_pool_size = {size}\nmax_client_conn = 100\nquery_wait_timeout = 5\n"
    )
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(directory, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_user, program, str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _await(directory / f".s.PGSQL.{_PORT}", process)
        where = quote(str(directory), safe="")
        yield f"postgresql://{parsed.username}@/{parsed.database}?host={where}&port={_PORT}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(directory, ignore_errors=True)


def _await(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    with socket.socket(socket.AF_UNIX) as client:
        while client.connect_ex(str(path)) != 0:
            assert process.poll() is None, "PgBouncer ended"
            assert time.monotonic() < until
            time.sleep(0.05)
