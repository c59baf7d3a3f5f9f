"""`duet.v1.ControlService`: describes the pair, and what the service carries."""

from cloud.admission import Admission
from cloud.inference import InferenceService
from cloud.reasoner import PairReasoner
from cloud.status import Context, unavailable
from duet_contract.v1 import control_pb2_grpc
from duet_contract.v1.control_pb2 import (
    DescribePairRequest,
    DescribePairResponse,
    GetCapacityRequest,
    GetCapacityResponse,
)


class ControlService(control_pb2_grpc.ControlServiceServicer):
    """Answers questions about the service; none of them touches the engine."""

    def __init__(
        self, pair: PairReasoner, admission: Admission, inference: InferenceService
    ) -> None:
        self._pair = pair
        self._admission = admission
        self._inference = inference

    async def DescribePair(  # noqa: N802 (gRPC's name)
        self, request: DescribePairRequest, context: Context
    ) -> DescribePairResponse:
        """See control.proto."""
        serving = self._inference.serving
        if serving is None:
            await unavailable("the service is loading its model", 5.0).abort(context)
        manifest = self._pair.manifest
        return DescribePairResponse(
            id=manifest.id,
            version=manifest.version,
            manifest_json=manifest.to_json(),
            vocabulary=bytes.fromhex(manifest.reasoner.vocabulary.sha256),
            max_question_bytes=serving.limits.question_bytes,
            max_question_tokens=serving.limits.question_tokens,
            max_budget=serving.limits.budget,
        )

    async def GetCapacity(  # noqa: N802 (gRPC's name)
        self, request: GetCapacityRequest, context: Context
    ) -> GetCapacityResponse:
        """See control.proto."""
        admission = self._admission
        return GetCapacityResponse(
            state=admission.state,
            running=admission.running,
            max_running=admission.max_running,
            waiting=admission.waiting,
            max_waiting=admission.max_waiting,
        )
