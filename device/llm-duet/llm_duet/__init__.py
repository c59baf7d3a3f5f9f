"""DUET's pairs as models of `llm`."""

from collections.abc import Callable

import llm

PREFIX = "duet/"


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register each pair that is installed on this device."""
    from duet_contract.errors import ContractError
    from duet_contract.pairs import pairs_home, pairs_in

    try:
        names = list(pairs_in(pairs_home()))
    except ContractError:
        # `llm` must work without a home, too.
        return
    if not names:
        return
    from llm_duet.models import AsyncPairModel, PairModel

    for name in names:
        register(PairModel(name), AsyncPairModel(name))
