"""Settings of an export: quantizations, limits of parity, exit codes of misuse."""

import pytest

from duet_training.errors import ConfigError
from duet_training.export.parity import beyond, limit_for
from duet_training.export.settings import ExportSettings, quantization_types
from duet_training.settings.compose import compose_settings
from tests.doubles.commands import train_export as main


def _settings(*overrides):
    return compose_settings("export", list(overrides), ExportSettings)


def test_quantisations_are_llama_cpps_by_any_case():
    settings = _settings("quantizations=[f16,q6_k,q6_K]", "decoder=q6_k")
    assert settings.quantizations == ("F16", "Q6_K")
    assert settings.decoder == "Q6_K"
    assert {"F32", "F16", "Q8_0", "Q4_K_M", "IQ4_XS"} <= quantization_types().keys()


def test_an_unknown_quantisation_is_named():
    with pytest.raises(ConfigError, match=r"no quantization 'Q9_Z'; it has .*Q4_K_M"):
        _settings("quantizations=[Q9_Z]")


def test_the_decoder_is_among_the_quantisations():
    with pytest.raises(ConfigError, match=r"decoder=Q8_0 is not among"):
        _settings("quantizations=[F16]")


def test_limits_need_a_last_resort():
    with pytest.raises(ConfigError, match="`other`"):
        _settings("~parity.max_kl.other")


@pytest.mark.parametrize(
    ("name", "limit"), [("Q8_0", 2), ("Q4_K_M", 3), ("IQ2_M", 1), ("BF16", 1), ("F16", 4)]
)
def test_the_longest_beginning_counts(name, limit):
    assert limit_for({"other": 1, "Q8": 2, "Q4": 5, "Q4_K": 3, "F": 4}, name) == limit


def _row(**changes):
    return {"mean_kl": 0.0, "top1_agreement": 1.0, **changes}


def _measured(vllm=None, **decoder):
    served = {"measured": vllm is not None, **(vllm or {})}
    return {"reasoner": {"files": _row(), "vllm": served}, "decoder": decoder}


def test_each_figure_beyond_its_limit_is_named():
    parity = _settings().parity
    good = _row(accuracy_drop=0.3, accuracy_drop_95=[0.0, 0.5])
    assert beyond(_measured(Q8_0=good), parity) == []
    bad = _row(mean_kl=0.5, top1_agreement=0.1, accuracy_drop=0.3, accuracy_drop_95=[0.1, 0.5])
    found = beyond(_measured(vllm=_row(mean_kl=float("nan")), Q8_0=bad), parity)
    assert [line.split(":")[0] for line in found] == ["vllm", "Q8_0", "Q8_0", "Q8_0"]
    assert "mean KL 0.5 is above 0.02" in found[1]
    assert "top-1 agreement 0.100 is below 0.95" in found[2]
    assert "accuracy is 0.300 lower" in found[3]


def test_misuse_is_told_from_failure(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "Missing argument 'OUT'" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: there is no run")
    assert len(error.splitlines()) == 1
