"""Generates the protobuf stubs next to their .proto files; `--check` says whether they are fresh.

The check generates into a scratch folder and compares byte for byte. It needs `protoc-gen-mypy` on
the PATH (`make stubs` and `make lint` see to that).
"""

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PROTOS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("duet_contract/v1/*.proto"))
_EXPERIMENTAL = re.compile(
    r"\n # This class is part of an EXPERIMENTAL API\.\n.*?(?=\n\nclass |\Z)", re.DOTALL
)
# gRPC's plugin writes these without types of messages; mypy-protobuf's stubs have them.
OUTPUTS = ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")


def generate(target: Path) -> None:
    """Writes all stubs below `target`.

    Raises:
        SystemExit: protoc failed; it has said why.
    """
    flags = [f"--{output}={target}" for output in OUTPUTS]
    code = protoc.main(["protoc", f"-I{ROOT}", *flags, *PROTOS])
    if code != 0:
        raise SystemExit(code)
    for path in target.glob("duet_contract/v1/*_pb2_grpc.py"):
        # Calls without a channel of their own, which gRPC may take away.
        path.write_text(_EXPERIMENTAL.sub("", path.read_text("utf-8")).rstrip() + "\n", "utf-8")


def stale() -> list[str]:
    """Stubs that differ from what the .proto files give."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {path.relative_to(scratch): path for path in Path(scratch).rglob("*.py*")}
        return [
            str(name)
            for name, path in fresh.items()
            if not (ROOT / name).is_file() or (ROOT / name).read_bytes() != path.read_bytes()
        ]


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        differing = stale()
        if differing:
            print(f"stale: {', '.join(differing)}; run: make stubs", file=sys.stderr)
            raise SystemExit(1)
    else:
        generate(ROOT)
