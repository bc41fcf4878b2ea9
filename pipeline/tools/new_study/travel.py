"""Which files of the project a new study gets, and what is changed in the few that are changed.

All that git tracks here or would, as it is now, less what belongs to the committed results of
CIFAR-10: the results, what measures and tells of them, and the tests that prove them.
"""

import configparser
import fnmatch
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.tools import git

# As fnmatch has them: a * takes in folders.
LEFT = (
    *("dvc.lock", "params.yaml", "README.md", "CHANGELOG.md", "CITATION.cff", "*.dvc"),
    *(".ci/*", ".github/*", "data/*", "models/*", "reports/*", "benchmarks/*"),
    *(f"docs/{name}.md" for name in ("benchmarks", "data", "limits", "recipes", "results")),
)
# Of those what chooses settings on any data.
KEPT = tuple(f"benchmarks/{name}.py" for name in ("calibrate", "held_out", "recipes"))
# Tests of the committed results, of variants by the names that they have here, of CIFAR-10 from end
# to end, and of this package.
TESTS_LEFT = (
    *("browser", "packaging", "results", "time_to_accuracy"),
    *("dispatch", "evaluate", "fetch", "fit", "litert", "networks", "page", "page_network"),
    *("params", "portable", "predict", "train", "whitening"),
    *("cluster_remote", "damage", "damage_disk", "damage_lock", "end_to_end", "invalidation"),
    *("kills", "machines", "processors", "reads", "remotes", "resuming", "seams"),
    *("verify", "verify_compare", "verify_failing", "verify_real"),
    "new_study",
)


def files(project: Path) -> list[str]:
    """The names of the files of `project` that go into a study, relative to it."""
    tests = tuple(f"tests/test_{name}.py" for name in TESTS_LEFT)
    return [
        name
        for name in git.files(project)
        if (project / name).is_file() and (_is_one(name, KEPT) or not _is_one(name, LEFT + tests))
    ]


def copy(project: Path, folder: Path, title: str) -> None:
    """Bring those files to `folder`, with the changes that a study called `title` needs."""
    for name in files(project):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, folder / name)
    for name, change in CHANGES.items():
        path = folder / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (folder / "docs").glob("*.md"):
        path.write_text(without_dead_links(path, folder), encoding="utf-8")
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(named(pyproject.read_text(encoding="utf-8"), title), encoding="utf-8")


def without_fetch(dvc_yaml: str) -> str:
    """dvc.yaml without the stage `fetch`; all else stays, to the letter."""
    return re.sub(r"(?m)^  fetch:\n(?:(?:    .*)?\n)*", "", dvc_yaml, count=1)


def without_bench(makefile: str) -> str:
    """The Makefile without the target `bench`, whose measurements are those of CIFAR-10."""
    phony = re.sub(r"(?m)^(\.PHONY:.*) bench\b", r"\1", makefile, count=1)
    return re.sub(r"(?m)^bench:.*\n(?:\t.*\n)*\n", "", phony, count=1)


def without_remotes(config: str) -> str:
    """DVC's settings without remotes: those hold this project's data, and perhaps not for all."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(config)
    for section in parser.sections():
        if section != "core":
            parser.remove_section(section)
    parser.remove_option("core", "remote")
    written = io.StringIO()
    parser.write(written)
    return written.getvalue().rstrip() + "\n"


def without_dead_links(page: Path, folder: Path) -> str:
    """The text of a `page` of docs in which links to pages that `folder` lacks are their words."""

    def alive(link: re.Match[str]) -> str:
        target = page.parent / link[2].partition("#")[0]
        stays = "://" in link[2] or target.exists() or "reports" in target.parts
        return link[0] if stays else link[1]

    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", alive, page.read_text(encoding="utf-8"))


def named(pyproject: str, title: str) -> str:
    """pyproject.toml with the name of the study."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "study"
    described = f"Small Keras CNNs on the photos of {title} as a reproducible DVC pipeline"
    changed = re.sub(r"(?m)^name = .*$", f'name = "{name}"', pyproject, count=1)
    line = f"description = {json.dumps(described)}"
    return re.sub(r"(?m)^description = .*$", lambda _: line, changed, count=1)


CHANGES: Mapping[str, Callable[[str], str]] = {
    "dvc.yaml": without_fetch,
    "Makefile": without_bench,
    os.path.join(".dvc", "config"): without_remotes,
}


def _is_one(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
