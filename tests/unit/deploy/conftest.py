from tests.unit.cloud.conftest import toy_pair
from tests.unit.cloud.identity.conftest import postgres

__all__ = ["postgres", "toy_pair"]
