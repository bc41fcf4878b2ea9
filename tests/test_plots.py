"""DVC's plots without a network: the template of `make plots`, filled by DVC itself."""

import json
import re
from pathlib import Path

import pytest
import vl_convert
import workspace

from pipeline.tools import plots


def test_page_holds_what_draws_it_in_a_version_that_takes_dvcs_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    workspace.run(folder, "git", "init", "--quiet")
    workspace.run(folder, "dvc", "init", "--quiet")
    (folder / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    (folder / "dvc.yaml").write_text("plots: [{history.csv: {x: epoch, y: loss}}]\n")
    plots.main()
    workspace.run(folder, "dvc", "plots", "show", "--html-template", str(plots.TEMPLATE))
    text = (folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    (libraries,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert "vegaEmbed" in libraries
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", text.replace(libraries, ""))
    (plot,) = re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", text, re.S)
    assert "vega-lite/v5" in json.loads(plot)["$schema"]
    drawn = vl_convert.vegalite_to_svg(plot, vl_version=plots.VEGA_LITE)
    assert ">epoch<" in drawn
    assert ">loss<" in drawn
