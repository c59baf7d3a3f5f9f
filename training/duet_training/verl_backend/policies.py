"""Starts the models that a run needs, and no other."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from duet_training.pair.description import Pair
from duet_training.pair.lora import check_adapter
from duet_training.settings.run import Settings
from duet_training.verl_backend.cluster import make_pools, start_ray
from duet_training.verl_backend.config import policy_config
from duet_training.verl_backend.policy import Policy


def start_policies(
    settings: Settings, pair: Pair, names: Sequence[str], *, reference: bool
) -> dict[str, Policy]:
    """Start Ray, then the policies in `names` ("reasoner", "decoder"), engines and servers.

    `reference`: keep the initial reasoner, too, for the KL term.

    Raises:
        ConfigError: VERL refuses a setting, an adapter does not fit its model, or Ray lacks the
            devices that are asked for.
    """
    paths = pair.paths
    for name in names:
        if settings.lora.of(name).rank:
            check_adapter(name, paths[name], settings.lora.of(name))
    configs = {name: policy_config(settings, name, str(paths[name])) for name in names}
    start_ray(settings.hardware)
    pools = make_pools(settings.hardware, names)
    policies = {
        name: Policy(
            name,
            configs[name],
            pools[name],
            reference=reference and name == "reasoner",
            temperature=settings.temperature or 1.0,
            seeded=settings.hardware.seeded_requests,
        )
        for name in names
    }
    if settings.hardware.platform == "cpu":
        # Most of it is waiting for other processes, and there is no memory to take turns in.
        with ThreadPoolExecutor(len(policies)) as threads:
            list(threads.map(lambda policy: policy.start(), policies.values()))
    else:
        for policy in policies.values():
            policy.start()
    return policies
