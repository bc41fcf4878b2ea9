"""Who may connect: `python -m pipeline.cluster.certificates FILE` writes Dask's configuration
with a new certificate, valid for a year, that scheduler, workers and heads show one another.

Whoever has the file can run anything on all machines of the cluster.
"""

import sys
from pathlib import Path

import yaml
from distributed import Security

from pipeline.base import files
from pipeline.base.errors import PipelineError

ROLES = ("client", "scheduler", "worker")
# How long a machine may be out of reach before its stage is given to another: Dask's 30 s would
# have a training begin anew for a switch that is started again.
SILENCE = "5m"


def write(file: Path) -> None:
    """The configuration, readable by its owner alone; PipelineError when there is such a file."""
    if file.exists():
        raise PipelineError(f"{file}: expected no such file, found one; name another, or delete it")
    made = Security.temporary()
    tls: dict[str, object] = {
        role: {kind: getattr(made, f"tls_{role}_{kind}") for kind in ("cert", "key")}
        for role in ROLES
    }
    tls["ca-file"] = made.tls_ca_file
    comm = {"require-encryption": True, "tls": tls, "timeouts": {"tcp": SILENCE}}
    content = yaml.safe_dump({"distributed": {"comm": comm}})

    def save(temporary: Path) -> None:
        temporary.touch(mode=0o600)
        temporary.write_text(content, encoding="utf-8")

    files.write(file, save)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pipeline.cluster.certificates FILE")
    try:
        write(Path(sys.argv[1]))
    except PipelineError as error:
        sys.exit(f"certificates: {error}")
    print(f"copy {sys.argv[1]} to each machine, and name it there: export DASK_CONFIG=FILE")
    print("keep it safe: whoever has it can run anything there")
