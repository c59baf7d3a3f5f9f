"""Roles, and which one a method asks for."""

from enum import StrEnum


class Role(StrEnum):
    """What an identity may do."""

    INFERENCE = "inference"
    CONTROL = "control"


ANY = frozenset(Role)
_INFERENCE = frozenset({Role.INFERENCE})
_CONTROL = frozenset({Role.CONTROL})

# A device needs more than its questions: to know the pair, and to fetch it (below).
_METHODS = {"/duet.v1.ControlService/DescribePair": ANY}
_SERVICES = {
    "duet.v1.InferenceService": _INFERENCE,
    "duet.v1.ControlService": _CONTROL,
    "duet.v1.PairService": ANY,
    "duet.v1.IdentityService": ANY,
    "grpc.health.v1.Health": ANY,
}


def permitted(method: str) -> frozenset[Role]:
    """Return the roles that may call a method (`/SERVICE/METHOD`); control for an unknown one."""
    service = method.split("/")[1] if method.count("/") == 2 else ""
    return _METHODS.get(method) or _SERVICES.get(service, _CONTROL)
