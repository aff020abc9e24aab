"""What engines share of how they come in."""

import pytest
from pydantic import BaseModel

from studiolo.contract.errors import InvalidInput
from studiolo.engines.container.settings import ContainerOptions
from studiolo.engines.kubernetes.settings import KubernetesOptions
from studiolo.engines.plugins import read_options
from studiolo.engines.slurm.settings import BatchOptions


@pytest.mark.parametrize(
    ("engine", "model"),
    [("container", ContainerOptions), ("kubernetes", KubernetesOptions), ("slurm", BatchOptions)],
)
def test_an_option_that_an_engine_does_not_know_is_refused_by_its_name_and_place(
    engine: str, model: type[BaseModel]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_options(engine, model, {"colour": "red"})
    assert refused.value.code == "settings-invalid"
    assert refused.value.message.startswith(f"The profile's options for {engine} cannot be used: colour: ")
    assert f"profiles[].engines.{engine}" in str(refused.value.hint)
