"""The role that each method requires; a new method fails here until it has one."""

import pytest

from duet_cloud.identity.roles import ANY, Role, permitted
from duet_contract.v1 import control_pb2, enrollment_pb2, inference_pb2, pairs_pb2

INFERENCE, CONTROL = frozenset({Role.INFERENCE}), frozenset({Role.CONTROL})
DECIDED = {
    "/duet.v1.InferenceService/Reason": INFERENCE,
    "/duet.v1.ControlService/DescribePair": ANY,
    "/duet.v1.ControlService/GetCapacity": CONTROL,
    "/duet.v1.PairService/GetPair": ANY,
    "/duet.v1.PairService/FetchFile": ANY,
    "/duet.v1.IdentityService/Renew": ANY,
}


def test_every_method_is_decided():
    services = [
        service
        for file in (control_pb2, enrollment_pb2, inference_pb2, pairs_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        if service.name != "EnrollmentService"  # its port asks for no identity
    ]
    methods = {
        f"/{service.full_name}/{method.name}" for service in services for method in service.methods
    }
    assert methods == set(DECIDED)
    assert {method: permitted(method) for method in methods} == DECIDED


@pytest.mark.parametrize(
    "method",
    ["/duet.v1.ControlService/Unheard", "/other.Service/Method", "/", "", "//", "Reason"],
)
def test_what_is_not_known_asks_for_control(method):
    assert permitted(method) == CONTROL
