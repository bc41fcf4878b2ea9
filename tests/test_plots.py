"""DVC's plots without a network: the template of `make plots`, filled by DVC itself."""

import json
import re
from pathlib import Path

import pytest
import vl_convert
import workspace

from pipeline.tools import plots


def shown(folder: Path) -> Path:
    """The page of DVC for a project of one plot, by our template."""
    workspace.run(folder, "git", "init", "--quiet")
    workspace.run(folder, "dvc", "init", "--quiet")
    (folder / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    (folder / "dvc.yaml").write_text("plots: [{history.csv: {x: epoch, y: loss}}]\n")
    plots.main()
    workspace.run(folder, "dvc", "plots", "show", "--html-template", str(plots.TEMPLATE))
    return folder / "dvc_plots/index.html"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_page_holds_what_draws_it_in_a_version_that_takes_dvcs_templates(project: Path) -> None:
    text = shown(project).read_text(encoding="utf-8")
    (libraries,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert "vegaEmbed" in libraries
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", text.replace(libraries, ""))
    (plot,) = re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", text, re.S)
    assert "vega-lite/v5" in json.loads(plot)["$schema"]
    drawn = vl_convert.vegalite_to_svg(plot, vl_version=plots.VEGA_LITE)
    assert ">epoch<" in drawn
    assert ">loss<" in drawn


@pytest.mark.slow
def test_plots_are_drawn_in_a_browser_without_a_network(project: Path) -> None:
    import browsing

    page = shown(project)
    with browsing.chromium() as driver:
        driver.get(page.as_uri())
        drawn = browsing.until(lambda: driver.find_elements("css selector", "canvas, svg.marks"))
        assert drawn
        # Vega 6 notes that the specification was made for an older one, and draws it.
        levels = [message["level"] for message in browsing.messages(driver)]
        assert "SEVERE" not in levels
        assert browsing.asked(driver) == [page.as_uri()]
