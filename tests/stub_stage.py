"""Stands in for pipeline/__main__.py in tests: writes each declared output from its inputs.

Every stage's outputs are a digest of the parameters, dependencies and command that dvc.yaml
declares for it, with comment lines left out, so that bytes stay equal where only a comment
changed. `fetch` ignores its inputs: its real output is fixed by digests. Each run adds a line
to ran.txt.

As on a real machine, more may matter: STUB_DRIFT changes the outputs of a training, STUB_SECONDS is
its time, STUB_OMITS the name of an output that is not written, STUB_FAILS of a stage that fails.
"""

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from pipeline.tools import processes


def value(params: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        params = params[key]
    return params


def content(path: Path) -> bytes:
    if not path.exists():  # the page of variants that have ended, beside DVC
        print("missing", path)
        return b""
    if path.is_dir():
        children = [child for child in path.rglob("*") if child.is_file()]
        return b"".join(content(child) for child in sorted(children) if child.suffix != ".pyc")
    return b"\n".join(line for line in path.read_bytes().splitlines() if not line.startswith(b"#"))


def resolved(text: str, variant: str | None, params: Any) -> str:
    known = params | {"key": variant, "item": params["variants"][variant] if variant else {}}
    return re.sub(r"\$\{([\w.]+)\}", lambda match: value(known, match[1]), text)


def main() -> None:
    processes.watch_parent()
    print("stub", *sys.argv[1:], flush=True)
    stage, *variants = sys.argv[1:]
    if stage == os.environ.get("STUB_FAILS"):
        sys.exit("stub: out of memory")
    variant = variants[0] if stage in ("train", "evaluate") else None
    params = yaml.safe_load(Path("params.yaml").read_text())
    declared = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
    declared = declared.get("do", declared)
    with Path("ran.txt").open("a") as log:
        log.write("@".join(sys.argv[1:2] + ([variant] if variant else [])) + "\n")
    digest = hashlib.sha256()
    if stage == "train":
        time.sleep(float(os.environ.get("STUB_SECONDS", "0")))
        digest.update(os.environ.get("STUB_DRIFT", "").encode())
    if stage != "fetch":
        for key in declared.get("params", ()):
            given = value(params, resolved(key, variant, params))
            digest.update(json.dumps(given, sort_keys=True).encode())
        for dependency in declared["deps"]:
            digest.update(content(Path(resolved(dependency, variant, params))))
    for output in [o for kind in ("outs", "plots", "metrics") for o in declared.get(kind, [])]:
        name = next(iter(output)) if isinstance(output, dict) else output
        path = Path(resolved(name, variant, params))
        text = digest.hexdigest() + path.name
        if path == Path("data/raw"):
            path.mkdir(parents=True, exist_ok=True)
            path /= "data_batch_1.bin"
        elif path.name == os.environ.get("STUB_OMITS"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            share = int(digest.hexdigest()[:6], 16) / 16**6
            text = json.dumps({"accuracy": share, "loss": 1.0, "parameters": 1})
        if stage != "fetch":
            path.write_text(text + "\n")
        elif not path.exists() or path.read_text() != text + "\n":
            print("stub fetch downloads")
            path.write_text(text + "\n")


main()
