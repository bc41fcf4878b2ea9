"""Which stages the real DVC runs after each possible change, over the real dvc.yaml.

The stages are stubs (tests/stub_stage.py). No row is derived from dvc.yaml.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import dvc.cli
import dvc.repo
import pytest
import workspace

# Together they have every kind of network, optimizer, augmentation, recipe and numerics:
# baseline by cnn, adam and none; sgd by cnn, sgd and standard; fast, the page's, by airbench, muon
# and airbench.
VARIANTS = ("baseline", "sgd", "fast")
TRAIN = "train@baseline train@sgd train@fast"
EVALUATE = "evaluate@baseline evaluate@sgd evaluate@fast"

# A file to edit, and the stages whose cache key changes.
FILES = {
    "pipeline/core/files.py": "",
    "pipeline/tools/config.py": "",
    "requirements/lock.txt": "",
    "pipeline/datasets/fetch.py": "fetch",
    "pipeline/datasets/cifar10.py": "fetch preprocess page",
    "pipeline/datasets/explore.py": "explore",
    "pipeline/networks/cnn.py": "train@baseline train@sgd",
    "pipeline/networks/airbench.py": "train@fast",
    "pipeline/optimizers/sgd.py": "train@sgd",
    "pipeline/augmentations/standard.py": "train@sgd",
    "pipeline/training/fit.py": TRAIN,
    "pipeline/training/history.py": f"{TRAIN} compare page",
    "pipeline/runtime.py": f"{TRAIN} {EVALUATE} export page",
    "pipeline/evaluation/inference.py": f"{EVALUATE} export",
    "pipeline/plotting.py": "explore compare",
    "pipeline/comparison/tables.py": "compare",
    "pipeline/page/web/network.js": "page",
    "requirements/tensorflow.txt": f"{TRAIN} {EVALUATE} export page",
    "requirements/reports.txt": f"preprocess explore {EVALUATE} compare page",
}
# A key of params.yaml, its new value, and the stages whose cache key changes.
PARAMS = [
    ("dataset.seed", 2, "preprocess page"),
    ("inference.cpu_isa", "AVX", f"{EVALUATE} export"),
    ("numerics.own.precision", "bfloat16", "train@fast page"),
    ("recipes.fast.epochs", 9, "train@fast compare page"),
    ("variants.fast.seed", 9, "train@fast compare page"),
    ("variants.fast.network", "cnn", "train@fast evaluate@fast compare page"),
    ("variants.sgd.augmentation.kind", "none", "train@sgd compare page"),
    ("test_time_augmentation.airbench.shift", 2, "evaluate@fast"),
    ("temperatures.fast", 0.5, "evaluate@fast"),
    ("predict.rejection_threshold", 0.4, EVALUATE),
    ("compare.confidence_level", 0.9, "compare page"),
    ("page.variant", "sgd", "export page"),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stub stages of VARIANTS, up to date and committed, as the current folder."""
    folder = tmp_path_factory.mktemp("stale") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder), *VARIANTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", workspace.environment()["PATH"])
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        assert ran()
        assert (stale(), ran()) == (set(), set())
        yield workspace.commit(folder)


@pytest.fixture
def project(repository: Path) -> Iterator[Path]:
    """The same; what the test changes is undone."""
    yield repository
    workspace.run(repository, "git", "checkout", "--quiet", "--force", "HEAD")
    workspace.run(repository, "git", "clean", "--quiet", "--force", "-d", "pipeline", "reports")
    assert dvc.cli.main(["checkout", "--quiet"]) == 0


def ran() -> set[str]:
    """The stages that `dvc repro` runs."""
    log = Path("ran.txt")
    log.write_text("")
    assert dvc.cli.main(["repro", "--quiet"]) == 0
    stages = log.read_text().split()
    assert len(stages) == len(set(stages)), "a stage ran twice"
    return set(stages)


def stale() -> set[str]:
    """The stages whose recorded parameters or dependencies are not the current ones."""
    with dvc.repo.Repo() as repo:
        return set(repo.status())


def edit(path: Path, addition: str = "changed = True\n") -> None:
    with path.open("a") as file:
        file.write(addition)


def set_param(folder: Path, key: str, value: object) -> None:
    params = workspace.read_params(folder)
    *parents, name = key.split(".")
    section = functools.reduce(lambda tree, parent: tree[parent], parents, params)
    assert section[name] != value
    section[name] = value
    workspace.write_params(folder, params)


@pytest.mark.parametrize("path", FILES)
def test_a_file_makes_stages_stale(project: Path, path: str) -> None:
    edit(project / path)
    assert stale() == set(FILES[path].split())


@pytest.mark.parametrize(("key", "value", "stages"), PARAMS)
def test_a_parameter_makes_stages_stale(
    project: Path, key: str, value: object, stages: str
) -> None:
    set_param(project, key, value)
    assert stale() == set(stages.split())


def test_stages_follow_whose_inputs_are_other_bytes(project: Path) -> None:
    edit(project / "pipeline/networks/airbench.py")
    assert ran() == {"train@fast", "evaluate@fast", "export", "compare", "page"}
    edit(project / "pipeline/networks/cnn.py", "# changes no byte of a stub's output\n")
    assert ran() == {"train@baseline", "train@sgd"}


def test_a_change_taken_back_restores_the_results(project: Path) -> None:
    set_param(project, "variants.sgd.network", "airbench")
    assert ran() == {"train@sgd", "evaluate@sgd", "compare", "page"}
    set_param(project, "variants.sgd.network", "cnn")
    # DVC's run cache restores all but stages whose uncached outputs are neither plots nor metrics.
    assert ran() == {"compare", "page"}


def test_a_new_variant_with_files_of_its_own_runs_alone(project: Path) -> None:
    for folder in ("networks", "optimizers", "augmentations"):
        edit(project / "pipeline" / folder / "new.py")
    params = workspace.read_params(project)
    settings = {"network": "new", "optimizer": "new", "augmentation": {"kind": "new"}}
    params["variants"]["new"] = params["variants"]["sgd"] | settings
    params["test_time_augmentation"]["new"] = params["test_time_augmentation"]["cnn"]
    workspace.write_params(project, params)
    assert ran() == {"train@new", "evaluate@new", "compare", "page"}
    workspace.drop_variants(project, "new")
    assert ran() == {"compare", "page"}


@pytest.mark.parametrize("damage", ["deleted", "corrupted"])
@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("data/raw/data_batch_1.bin", {"fetch"}),
        ("models/sgd.keras", set()),
        ("reports/variants/sgd/history.csv", set()),
        ("reports/fast.tflite", {"export"}),
        ("reports/comparison.csv", {"compare"}),
    ],
)
def test_a_lost_output_comes_back(project: Path, path: str, stages: set[str], damage: str) -> None:
    file = project / path
    before = file.read_bytes()
    file.unlink()  # DVC may have linked it to its cache
    if damage == "corrupted":
        file.write_bytes(b"?" + before[1:])
    assert ran() == stages
    assert file.read_bytes() == before
