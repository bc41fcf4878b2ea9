"""The same bytes whatever a machine may have otherwise: every output of a study, compared."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import study
import workspace
from conftest import PROJECT
from study import Circumstances, Outputs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="taskset, setpriv and qemu are Linux's"),
]  # Debian's gcc, libc6-dev, locales and qemu-user (7.2 or newer)

STEPS: dict[str, Any] = {"steps": 150, "epochs": 2, "variants": (*workspace.KINDS, "fine_tuned")}
# More at once than the usual machine has cores, so that every study but the first is disturbed.
AT_ONCE = 4
NOBODY = 65534

# Variables that could change bytes or break a run. pipeline.runtime overrides some, the others have
# no effect; pipeline/tools/environment.py refuses those that would.
HOSTILE = {
    "KERAS_BACKEND": "jax",
    "MPLBACKEND": "svg",
    "OMP_NUM_THREADS": "3",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Prescott",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTEROP_THREADS": "3",
    "TF_NUM_INTRAOP_THREADS": "3",
    "TF_USE_LEGACY_KERAS": "1",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
}
KERAS_CONFIG = (
    '{"backend": "jax", "floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first"}'
)
MATPLOTLIBRC = "figure.dpi: 40\nsavefig.dpi: 30\nfont.size: 30\naxes.facecolor: red\n"


def four_cpus(scratch: Path) -> Circumstances:
    shim = scratch / "four_cpus.so"
    source = PROJECT / "tests/four_cpus.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True)
    environment = {"LD_PRELOAD": str(shim)}
    count = "import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))"
    seen = subprocess.check_output([sys.executable, "-c", count], env=environment, text=True)
    assert seen.split() == ["4", "4"]
    return Circumstances(environment=environment)


def another_user(scratch: Path) -> Circumstances:
    """Another path, user, home, umask, locale, time zone, hash seed and configuration.

    The user is nobody; where the tests run as an ordinary user, it stays that. The locale has a
    decimal comma, and Latin-1 where Python would take UTF-8 for granted.
    """
    home, locale = scratch / "home", "de_DE.ISO-8859-1"
    for name, content in (
        ("home/.keras/keras.json", KERAS_CONFIG),
        ("home/.config/matplotlib/matplotlibrc", MATPLOTLIBRC),
    ):
        (scratch / name).parent.mkdir(parents=True)
        (scratch / name).write_text(content)
    localedef = ("localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(scratch / locale))
    subprocess.run(localedef, check=True)
    own: dict[str, Any] = {
        "folder": "a longer path/with spaces, ümläuts and 猫",
        "environment": HOSTILE
        | {
            "HOME": str(home),
            "LOCPATH": str(scratch),
            "LC_ALL": locale,
            "PYTHONHASHSEED": "12345",
            "TZ": "LINT-14",  # POSIX's sign: 14 hours ahead of UTC
        },
        "process": {"umask": 0o077},
    }
    if os.geteuid() != 0:
        return Circumstances(**own)
    for path in (home, *home.rglob("*")):
        shutil.chown(path, NOBODY, NOBODY)
    # Reading is allowed, as project and interpreter may lie in root's own home.
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return Circumstances(**own, prefix=("setpriv", *ids, *reading), owner=NOBODY)


VARIATIONS: Mapping[str, Callable[[Path], Circumstances]] = {
    # First, as it takes longest.
    "a process per stage": lambda _: Circumstances(command_per_stage=True),
    "one CPU": lambda _: Circumstances(prefix=("taskset", "-c", str(min(os.sched_getaffinity(0))))),
    "four CPUs": four_cpus,
    "three threads": lambda _: Circumstances(environment={"THREADS": "3"}),
    "another user": another_user,
}

# An Intel of 2013, the first with AVX2, and an AMD, emulated by qemu for one process. They differ
# in family, instructions and the sizes of caches, after which libraries cut up their sums. qemu
# knows no AVX-512: the processor of this machine stands for those that have it.
PROCESSORS = ("Haswell", "EPYC")
# An emulated stage takes ten times as long or more, nearly all of it to build TensorFlow's graphs.
VARIANTS = (*workspace.KINDS, "sprint", "fine_tuned")
FEW_STEPS: dict[str, Any] = {"steps": 5, "epochs": 1, "variants": VARIANTS}
EMULATED = (
    *("preprocess", "features@efficientnet_lite2_stage_6"),
    *(f"train@{name}" for name in VARIANTS),
    *("evaluate@deep", "evaluate@fast", "evaluate@fine_tuned"),
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder that another user may pass through, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def reference(scratch: Path) -> Outputs:
    """The outputs of a study that ran alone, on every CPU there is."""
    return _outputs(scratch / "reference", lambda _: Circumstances())


@pytest.fixture(scope="module")
def varied(reference: Outputs, scratch: Path) -> Iterator[dict[str, Future[Outputs]]]:
    """The outputs under each variation, several under way at once."""
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {
        name: pool.submit(_outputs, scratch / name.replace(" ", "_"), VARIATIONS[name])
        for name in VARIATIONS
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", VARIATIONS)
def test_every_output_has_the_same_bytes_under(
    name: str, reference: Outputs, varied: dict[str, Future[Outputs]]
) -> None:
    outputs = varied[name].result()
    assert outputs.keys() == reference.keys()
    assert [path for path in outputs if outputs[path] != reference[path]] == []


def test_every_output_has_the_same_bytes_on_other_processors(scratch: Path) -> None:
    def emulated(name: str) -> Outputs:
        study.prepare(scratch / name, **FEW_STEPS)
        prefix = ("qemu-x86_64", "-cpu", name)
        return study.run(scratch / name, Circumstances(prefix=prefix), *EMULATED)

    native = {}
    for isa in ("AVX2", "SSE41"):
        study.prepare(scratch / isa, **FEW_STEPS, cpu_isa=isa)
        native[isa] = study.run(scratch / isa, Circumstances(), *EMULATED)
    with ThreadPoolExecutor(len(PROCESSORS)) as pool:
        for outputs in pool.map(emulated, PROCESSORS):
            assert outputs == native["AVX2"]
    models = {f"models/{name}.keras" for name in VARIANTS}
    same = {path for path in models if native["AVX2"][path] == native["SSE41"][path]}
    assert not same, "these steps can tell instruction sets apart"


def _outputs(folder: Path, vary: Callable[[Path], Circumstances]) -> Outputs:
    """What the whole study gives in the circumstances that `vary` makes with files in `folder`."""
    folder.mkdir()
    circumstances = vary(folder)
    project = folder / circumstances.folder
    study.prepare(project, **STEPS)
    if circumstances.owner is not None:
        for path in (project, *project.rglob("*")):
            shutil.chown(path, circumstances.owner, circumstances.owner)
    return study.run(project, circumstances)
