"""What the documents say is what the program takes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram
from typer.main import get_command

from components.settings import Settings
from components.training.recipes import keys, load_preset
from flows.cli import app
from flows.recipe_keys import markdown, recipe_keys
from serving import metrics

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
COMMAND_LINE = REPOSITORY / "docs" / "cli.md"


def shown(program: str) -> list[str]:
    """Calls of a program in the pages, their `$ ` lines and examples, apart from placeholders in capitals."""
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    found = [re.match(rf"(?:\$ |Example: )({program} .*?)(?:  +#.*)?$", line) for line in lines]
    return sorted({match[1] for match in found if match and "[OPTIONS]" not in match[1]})


@pytest.mark.parametrize("line", shown("ferline"))
def test_every_call_of_ferline_is_one_that_it_takes(line: str) -> None:
    """Parsed to its last option, not run."""
    assert "|" not in shlex.shlex(line, posix=True, punctuation_chars="|"), "a shell would take it for a pipe: quote it"
    command, words = get_command(app), shlex.split(line.split(", or: ")[0])[1:]
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, words)


def test_every_target_of_make_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), flags=re.M))
    called = {line.split()[1] for line in shown("make")}
    assert called >= {"run", "test"}
    assert called <= targets


def test_the_workflow_calls_targets_of_make_and_tests_the_champion_that_it_trained() -> None:
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    steps = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    described = re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), flags=re.M)
    called = {step.removeprefix("make ") for job in steps.values() for step in job if step.startswith("make ")}
    assert called <= set(described)
    assert steps["run"].index("make run") < steps["run"].index("make test-champion")


def test_the_command_line_is_described_as_it_is() -> None:
    command = [str(Path(sys.executable).parent / "typer"), "flows.cli", "utils", "docs", "--name", "ferline"]
    made = subprocess.run(
        [*command, "--title", "The command line"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert COMMAND_LINE.read_text().strip() == made.stdout.strip(), "`make docs` writes it anew"


def test_every_key_of_a_recipe_is_described_as_it_is() -> None:
    assert (REPOSITORY / "docs" / "recipe-keys.md").read_text().strip().endswith(markdown()), "`make docs` writes it"
    described = [key for key, _, _ in recipe_keys()]
    assert sorted(described) == sorted(keys(load_preset("quick")))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_its_table_with_its_default(name: str) -> None:
    rows = (REPOSITORY / "docs" / "settings.md").read_text().splitlines()
    default = Settings.model_fields[name].default
    if isinstance(default, Path):
        default = default.relative_to(REPOSITORY)
    shown = "" if default in (None, "") else f" `{str(default).lower()}`"
    assert f"| `FERLINE_{name.upper()}` | {Settings.model_fields[name].description} |{shown} |" in rows


def test_every_figure_of_the_service_is_in_its_table_under_the_name_that_prometheus_reads() -> None:
    families = [
        metric.describe()[0] for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram)
    ]
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert set(re.findall(r"`(ferline_\w+)", (REPOSITORY / "docs" / "http.md").read_text())) == exposed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
