"""An HTML template for `make plots` that needs no network: `python -m pipeline.tools.plots`.

DVC's own template loads Vega from a content delivery network. vl-convert's wheel holds the same
libraries; this version of Vega-Lite reads DVC's plot templates, which are for version 5.
"""

from pathlib import Path

import vl_convert

from pipeline.core import files

TEMPLATE = Path(".dvc/tmp/plots.html")
VEGA_LITE = "5.21"
PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Plots of the pipeline</title>
<script>(() => {{ {libraries} }})();</script>
<body>{{plot_divs}}</body></html>"""


def main() -> None:
    """Write TEMPLATE, for the option --html-template of `dvc plots show` and `dvc plots diff`."""
    libraries = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    files.write_text(TEMPLATE, PAGE.format(libraries=libraries))


if __name__ == "__main__":
    main()
