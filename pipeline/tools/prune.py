"""Remove what variants left that params.yaml no longer has: `python -m pipeline.tools.prune`.

DVC's cache keeps their models and git their results, so `git checkout . && dvc checkout` brings
committed ones back.
"""

import sys
from contextlib import suppress
from pathlib import Path

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.tools import dvc_project, environment
from pipeline.tools.plan import variant_of


def main() -> None:
    """Delete and name the outputs and records of stages of no variant, and their lock entries."""
    variants = lookup(read_params(), "variants")
    with dvc_project.opened(wait=False):
        entries = dvc_project.read_entries()
        for stage in [name for name in entries if variant_of(name) not in ("", *variants)]:
            outs = [Path(out["path"]) for out in entries.pop(stage).get("outs", [])]
            variant = variant_of(stage)
            for path in (*outs, environment.path(stage), paths.checkpoint(variant)):
                if path.exists():
                    path.unlink()
                    print(f"deleted {path}")
            with suppress(OSError):  # results of its other stage, or a file of the user's
                (paths.RESULTS / variant).rmdir()
        dvc_project.write_entries(entries)


if __name__ == "__main__":
    try:
        main()
    except (PipelineError, OSError) as error:
        sys.exit(f"prune: {error}")
