"""The same bytes on other generations of processors, which qemu emulates for one process."""

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import study
import workspace
from study import Circumstances, Outputs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="qemu emulates processes on Linux only"),
]

# An Intel of 2013, the first with AVX2, and an AMD. They differ in family, instructions and the
# sizes of caches, after which libraries cut up their sums. qemu knows no AVX-512: the processor of
# this machine stands for those that have it, if it is one of them.
PROCESSORS = ("Haswell", "EPYC")
# An emulated stage takes ten times as long or more, nearly all of it to build TensorFlow's graphs.
STEPS, EPOCHS = 5, 1
VARIANTS = (*workspace.KINDS, "sprint")
STAGES = (
    "preprocess",
    *(f"train@{name}" for name in VARIANTS),
    *("evaluate@deep", "evaluate@fast"),
)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outputs]]]:
    """The outputs of `STAGES` by processor, all emulated side by side."""
    if shutil.which("qemu-x86_64") is None:
        pytest.fail("qemu-x86_64 is missing: install Debian's qemu-user, 7.2 or newer")
    pool = ThreadPoolExecutor(len(PROCESSORS))
    yield {
        name: pool.submit(
            _outputs,
            tmp_path_factory.mktemp(name) / "study",
            Circumstances(prefix=("qemu-x86_64", "-cpu", name)),
        )
        for name in PROCESSORS
    }
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory, emulated: dict[str, object]) -> Outputs:
    """The outputs of `STAGES` on this machine's own processor."""
    return _outputs(tmp_path_factory.mktemp("native") / "study", Circumstances())


def test_these_steps_can_tell_instruction_sets_apart(native: Outputs, tmp_path: Path) -> None:
    older = _outputs(tmp_path / "study", Circumstances(), "SSE41")
    same = {path for path in native if native[path] == older[path]}
    assert same.isdisjoint(f"models/{name}.keras" for name in VARIANTS)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_output_has_the_same_bytes_on(
    processor: str, native: Outputs, emulated: dict[str, Future[Outputs]]
) -> None:
    found = emulated[processor].result()
    assert found.keys() == native.keys()
    assert [path for path in found if found[path] != native[path]] == []


def _outputs(folder: Path, circumstances: Circumstances, cpu_isa: str = "AVX2") -> Outputs:
    study.prepare(folder, steps=STEPS, epochs=EPOCHS, cpu_isa=cpu_isa, variants=VARIANTS)
    return study.run(folder, circumstances, *STAGES)
