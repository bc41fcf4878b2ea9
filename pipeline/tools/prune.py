"""Delete what variants left that params.yaml no longer has: `python -m pipeline.tools.prune`.

`git checkout . && dvc checkout --allow-missing` brings committed ones back.
"""

import sys
from contextlib import suppress

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.tools import dvc_project, environment
from pipeline.tools.plan import variant_of


def main() -> None:
    """Delete and name the files of such variants; delete their entries of dvc.lock."""
    variants = lookup(read_params(), "variants")
    with dvc_project.opened():
        entries = dvc_project.read_entries()
        kept = {stage: entries[stage] for stage in entries if variant_of(stage) in ("", *variants)}
        if kept != entries:
            dvc_project.write_entries(kept)
    names = set(map(variant_of, entries)) | {path.name for path in paths.RESULTS.glob("*")}
    names |= {path.stem for path in paths.checkpoint("").parent.glob("*.npz")}
    for name in sorted(names - {"", *variants}):
        files = [paths.model(name), paths.tflite(name)]
        files += [environment.path(f"{stage}@{name}") for stage in ("train", "evaluate")]
        for path in (*files, paths.checkpoint(name), *(paths.RESULTS / name).glob("*")):
            if path.exists():
                path.unlink()
                print(f"deleted {path}")
        with suppress(OSError):
            (paths.RESULTS / name).rmdir()


if __name__ == "__main__":
    try:
        main()
    except (PipelineError, OSError) as error:
        sys.exit(f"prune: {error}")
