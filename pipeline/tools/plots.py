"""A page for DVC's plots that needs no network: `python -m pipeline.tools.plots`, for `make plots`.

DVC's own loads Vega from a content delivery network and is blank without one. vl-convert's wheel
carries the same libraries; the version of Vega-Lite is one of those that draw DVC's templates (v5).
"""

import sys
from pathlib import Path

import vl_convert

from pipeline.base import files
from pipeline.base.errors import PipelineError

TEMPLATE = Path(".dvc/tmp/plots.html")
VEGA_LITE = "5.21"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Plots of the pipeline</title>
<script>(() => {{ {libraries} }})();</script>
</head>
<body>
{{plot_divs}}
</body>
</html>"""


def main() -> None:
    """Write the template; `dvc plots show` and `diff` put their plots where it says so."""
    # Its own snippet would do the same, but its types want one.
    libraries = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    files.write_text(TEMPLATE, PAGE.format(libraries=libraries))


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"plots: {error}")
