"""The settings of a command, from `settings/conf/NAME.yaml` and KEY=VALUE overrides."""

import re
from typing import TypeVar

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from duet_contract.json_data import faults
from duet_training.errors import ConfigError

Kind = TypeVar("Kind", bound=BaseModel)
# Hydra's advice to add an unknown setting with a plus sign: these settings are closed.
_UNKNOWN = re.compile(r"Could not override '(\S+)'\. To append to your config use \S+")


def compose_settings(name: str, overrides: list[str], kind: type[Kind]) -> Kind:
    """Compose the settings from `conf/NAME.yaml` and the overrides.

    Raises:
        ConfigError: The settings are invalid; the message names every fault in one line.
    """
    if options := [each for each in overrides if each.startswith("-")]:
        raise ConfigError(f"there is no option {options[0]}: settings are KEY=VALUE; see --help")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("duet_training.settings.conf", version_base="1.3"):
            config = compose(name, overrides=overrides)
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ConfigError(f"missing: {', '.join(f'{key}=...' for key in missing)}")
        return kind.model_validate(OmegaConf.to_container(config, resolve=True))
    except RecursionError as error:
        raise ConfigError("cannot read the settings: a value is nested too deeply") from error
    except (HydraException, OmegaConfBaseException) as error:
        reason = _UNKNOWN.sub(r"there is no \1; --settings lists all", " ".join(str(error).split()))
        raise ConfigError(f"cannot read the settings: {reason}") from error
    except ValidationError as error:
        raise ConfigError(f"the settings are invalid: {faults(error, 'settings')}") from error
