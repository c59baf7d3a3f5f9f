"""A service that also says which pair it serves, and a server like vLLM's for completions."""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.rpc.error_details_pb2 import ErrorInfo

from duet_contract.v1.control_pb2 import DescribePairRequest, DescribePairResponse
from duet_contract.v1.control_pb2_grpc import (
    ControlServiceServicer,
    add_ControlServiceServicer_to_server,
)
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
)
from tests.doubles.cloud import Script, ScriptedCloud, abort, done, text, tokens
from tests.doubles.http_server import LoopbackServer


class ScriptedService(ScriptedCloud, ControlServiceServicer):
    """A scripted cloud that serves `pair` (id@version) first, and `others` besides."""

    def __init__(
        self,
        script: Script,
        pair: str,
        credentials: grpc.ServerCredentials | None = None,
        others: Sequence[str] = (),
    ) -> None:
        super().__init__(script)
        self.pairs = (pair, *others)
        add_ControlServiceServicer_to_server(self, self._server)
        if credentials:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
            self.address = f"127.0.0.1:{port}"

    def DescribePair(  # noqa: N802
        self, request: DescribePairRequest, context: grpc.ServicerContext
    ) -> DescribePairResponse:
        wanted = request.pair or self.pairs[0]
        if wanted not in self.pairs:
            code = grpc.StatusCode.FAILED_PRECONDITION
            info = ErrorInfo(reason="PAIR_MISMATCH", metadata={"cloud": ",".join(self.pairs)})
            abort(context, code, f"this service serves {', '.join(self.pairs)}", info)
        identity, _, version = wanted.partition("@")
        return DescribePairResponse(id=identity, version=version, pairs=self.pairs)

    def stop(self) -> None:
        """Ends it as if it had died."""
        self._server.stop(grace=None).wait()


def reasons(signal: str = "3 and 4") -> Script:
    """A script: the signal in two chunks, in the encoding that was asked for."""

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        data = signal.encode()[: request.budget or None]
        fields: dict[str, object] = {"queue_ms": 1.0, "prefill_ms": 2.0, "decode_ms": 30.0}
        fields["encoding"] = request.encodings[0]
        if request.encodings[0] == SIGNAL_ENCODING_TOKEN_IDS:
            yield tokens(*data[:1])
            yield tokens(*data[1:])
        else:
            yield text(data.decode())
        if len(data) < len(signal):
            fields["finish_reason"] = FINISH_REASON_BUDGET
        yield done(len(data), **fields)

    return script


def self_signed(directory: Path, host: str | None = None) -> tuple[Path, Path]:
    """Files of a key and of a certificate that is its own authority; for 127.0.0.1, or `host`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    called = x509.DNSName(host) if host else x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([called]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return directory / "key.pem", directory / "certificate.pem"


class ScriptedCompletions:
    """Streams `says(prompt)`, a word an event, as vLLM's OpenAI server does; a context manager.

    `tls`: spoken instead of plain HTTP. `key`: the bearer token that it wants, if any. `hosts`: the
    name that each question was for. `bodies`: what was asked. `status`: the HTTP status
    of every answer. `metrics`: of the last event, as vLLM's `--enable-per-request-metrics` puts
    them there.
    """

    def __init__(
        self, says: Callable[[str], str], finish: str = "stop", tls: ssl.SSLContext | None = None
    ) -> None:
        self.says = says
        self.key: str | None = None
        self.hosts: list[str] = []
        self.finish = finish
        self.status = 200
        self.metrics: dict[str, float] | None = None
        self.bodies: list[dict[str, Any]] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            # Connections are kept, and a stream comes in chunks.
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _admitted(self) -> bool:
                given = self.headers["Authorization"]
                if double.key is None or given == f"Bearer {double.key}":
                    return True
                self._whole(401, b"")
                return False

            def do_GET(self) -> None:
                if not self._admitted():
                    return
                self._whole(200, json.dumps({"data": [{"id": "reasoner"}]}).encode())

            def _whole(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not self._admitted():
                    return
                double.hosts.append(self.headers["Host"])
                double.bodies.append(body)
                if double.status != 200:
                    self._whole(double.status, b'{"error": "full"}')
                    return
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                words = double.says(body["prompt"]).split(" ")[: body["max_tokens"]]
                for place, word in enumerate(words):
                    self._event({"choices": [{"text": " " * (place > 0) + word}]})
                self._event({"choices": [{"text": "", "finish_reason": double.finish}]})
                tokens = len(words) + (double.finish == "stop")
                more = {"metrics": double.metrics} if double.metrics else {}
                self._event({"choices": [], "usage": {"completion_tokens": tokens}, **more})
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")

            def _event(self, data: dict[str, Any]) -> None:
                self._chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

            def _chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

        self._server = LoopbackServer(Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = self._server.address

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()
