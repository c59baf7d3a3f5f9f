"""Settings of the machine that a run takes place on: `conf/hardware/` has one file for each."""

from typing import Literal

from pydantic import Field

from duet_training.settings.types import Count, NotNegative, Part, Positive


class Hardware(Part):
    """Devices, processes and engine settings."""

    name: str
    """Name of the settings file."""
    platform: Literal["cpu", "cuda"]
    """Kind of the devices."""
    devices: Count
    """On each node; both models share them unless `shared_pool` is false."""
    nodes: Count
    """Number of nodes."""
    threads: Count
    """CPU threads per process."""
    shared_pool: bool
    """Whether both models share the devices."""
    decoder_devices: Count | None = None
    """The decoder's devices per node without a shared pool; None: as many as the reasoner's."""
    seeded_requests: bool = True
    """Each response has its own seed, so a resumed run samples what an uninterrupted one would."""
    device_memory: NotNegative = 0.0
    """Memory of a device in GiB, for the memory estimate."""
    micro_batch_tokens: Count = 16384
    """Maximum tokens of a forward and backward pass; at least the longest sequence."""
    empty_cache: bool
    """Trainers free their cached device memory after log-probs and updates, for other servers."""
    log_prob_of: Literal["largest", "mean"]
    """The default of `checks.log_prob_of`."""
    log_prob_tolerance: Positive
    """The default of `checks.log_prob_tolerance`."""
    verifier_processes: Count
    """The default of `data.verifier_processes`."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of every process."""
    verl: tuple[str, ...]
    """Overrides of VERL's settings."""
    reasoner: tuple[str, ...] = ()
    """Overrides for the reasoner alone."""
    decoder: tuple[str, ...] = ()
    """Overrides for the decoder alone."""

    def devices_of(self, policy: str) -> int:
        """Return the devices per node for a policy, "reasoner" or "decoder"."""
        if policy == "decoder" and not self.shared_pool:
            return self.decoder_devices or self.devices
        return self.devices

    def ranks_of(self, policy: str) -> int:
        """Return the workers of a policy on all nodes, one per device."""
        return self.devices_of(policy) * self.nodes
