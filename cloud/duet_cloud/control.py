"""`duet.v1.ControlService`: describes the pairs, and what the service carries."""

from duet_cloud.routing import Routes
from duet_cloud.status import Context
from duet_contract.v1 import control_pb2_grpc
from duet_contract.v1.control_pb2 import (
    SERVING_STATE_DRAINING,
    SERVING_STATE_FAILED,
    SERVING_STATE_LOADING,
    SERVING_STATE_READY,
    DescribePairRequest,
    DescribePairResponse,
    GetCapacityRequest,
    GetCapacityResponse,
)

# What to say of several pairs together: the service is as ready as the least ready of them.
_LEAST_READY = (
    SERVING_STATE_FAILED,
    SERVING_STATE_DRAINING,
    SERVING_STATE_LOADING,
    SERVING_STATE_READY,
)


class ControlService(control_pb2_grpc.ControlServiceServicer):
    """Answers questions about the service; none of them touches an engine."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def DescribePair(  # noqa: N802 (gRPC's name)
        self, request: DescribePairRequest, context: Context
    ) -> DescribePairResponse:
        """See control.proto."""
        route = self._routes.find(request.pair)
        limits = route.ready().limits
        manifest = route.pair.manifest
        return DescribePairResponse(
            id=manifest.id,
            version=manifest.version,
            manifest_json=manifest.to_json(),
            vocabulary=bytes.fromhex(manifest.reasoner.vocabulary.sha256),
            max_question_bytes=limits.question_bytes,
            max_question_tokens=limits.question_tokens,
            max_budget=limits.budget,
            pairs=[route.name for route in self._routes.all],
        )

    async def GetCapacity(  # noqa: N802 (gRPC's name)
        self, request: GetCapacityRequest, context: Context
    ) -> GetCapacityResponse:
        """See control.proto."""
        routes = (self._routes.find(request.pair),) if request.pair else self._routes.all
        admissions = [route.admission for route in routes]
        return GetCapacityResponse(
            state=min((one.state for one in admissions), key=_LEAST_READY.index),
            running=sum(one.running for one in admissions),
            max_running=sum(one.max_running for one in admissions),
            waiting=sum(one.waiting for one in admissions),
            max_waiting=sum(one.max_waiting for one in admissions),
        )
