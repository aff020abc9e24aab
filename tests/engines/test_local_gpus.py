"""The GPUs of a machine, as a recorded nvidia-smi shows them. None of these tests has met a real card."""

from pathlib import Path

import pytest

from studiolo.engines.base import GPU
from studiolo.engines.local import gpus as local_gpus
from studiolo.engines.local.gpus import DeclaredGPU, GPUs, read_output, type_of

GIB = 1024**3
# As nvidia-smi 550 prints it for two cards; the second does not tell its utilisation.
RECORDED = """\
GPU-5a3e7d52-2c5f-0f0e-8b7c-3f1d0a9e4b11, NVIDIA A100-SXM4-40GB, 40960, 1024, 37
GPU-9c0b8a17-71e4-4b6a-a1d2-6e5f40c3d2b0, Tesla V100-SXM2-16GB, 16384, 0, [N/A]
"""
FIRST, SECOND = (line.partition(",")[0] for line in RECORDED.splitlines())


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for nvidia-smi on PATH, which prints what lies beside it."""
    (tmp_path / "output").write_text(RECORDED)
    stand_in = tmp_path / "nvidia-smi"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncat {tmp_path}/output\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return stand_in


def test_a_line_is_a_gpu_with_its_memory_and_what_it_does() -> None:
    first, second = read_output(RECORDED, {"a100": "A100"})
    assert first == GPU(FIRST, "a100", "NVIDIA A100-SXM4-40GB", 40 * GIB, GIB, 0.37)
    assert (second.type, second.memory_used, second.utilisation) == ("tesla-v100-sxm2-16gb", 0, None)


@pytest.mark.parametrize("text", ["", "No devices were found\n", "GPU-1, one\n", "\x00\n", "a, b, c, d, e\n"])
def test_what_is_no_gpu_is_left_out(text: str) -> None:
    assert read_output(text, {}) == []


def test_a_model_without_letters_has_a_type() -> None:
    assert type_of("™", {}) == "gpu"


@pytest.mark.req("S3-04")
async def test_all_that_the_program_shows_are_there(program: Path) -> None:
    seen = await GPUs(types={"v100": "tesla v100"}).look()
    assert [(gpu.id, gpu.type) for gpu in seen] == [(FIRST, "nvidia-a100-sxm4-40gb"), (SECOND, "v100")]
    assert (program.parent / "asked").read_text().startswith("--query-gpu=uuid,name,memory.total")


async def test_those_declared_are_used_and_no_others(program: Path) -> None:
    declared = [DeclaredGPU(id=SECOND, type="big"), DeclaredGPU.model_validate({"id": "MIG-7", "memory": "5g"})]
    seen = await GPUs(declared).look()
    assert [(gpu.id, gpu.type, gpu.memory) for gpu in seen] == [(SECOND, "big", 16 * GIB), ("MIG-7", "gpu", 5 * GIB)]


async def test_a_machine_without_the_program_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await GPUs().look() == ()


async def test_a_driver_that_fails_has_not_lost_its_cards(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_gpus, "_FRESH_SECONDS", -1.0)
    gpus = GPUs()
    await gpus.look()
    program.write_text("#!/bin/sh\necho 'Unable to determine the device handle: Unknown Error'\nexit 255\n")
    # This look begins to ask, and does not wait.
    await gpus.look()
    assert gpus._looking is not None
    await gpus._looking
    seen = await gpus.look()
    await gpus.aclose()
    assert [(gpu.id, gpu.memory_used, gpu.utilisation) for gpu in seen] == [(FIRST, None, None), (SECOND, None, None)]
