"""The only door to Great Expectations: run checks on tables, bring findings and Data Docs home.

A table gets two suites, `<table>-blocking` and `<table>-warning`, and one checkpoint.
"""

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from components.validation.checks import Check
from components.validation.records import SHOWN_IDS, Finding, Severity

DOCS, FIRST_PAGE = "data_docs", "index.html"
_SEVERITIES: tuple[tuple[Severity, str], ...] = (("blocking", "critical"), ("warning", "warning"))


def run_suites(tables: Mapping[str, pd.DataFrame], checks: Sequence[Check], out: Path) -> list[Finding]:
    """Findings in the order of `checks`; Data Docs replace `out/data_docs`. 36,000 images take about 3 s."""
    gx = _great_expectations()
    with tempfile.TemporaryDirectory() as project:
        context = gx.get_context(mode="file", project_root_dir=project)
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        source = context.data_sources.add_or_update_pandas("dataset")
        answers: dict[tuple[str, str, str], Any] = {}
        for name, table in tables.items():
            mine = [check for check in checks if check.table == name]
            checkpoint = _checkpoint(gx, context, source, name, mine)
            run = checkpoint.run(batch_parameters={"dataframe": table})
            for result in (result for suite in run.run_results.values() for result in suite.results):
                meta = result.expectation_config.meta
                answers[name, meta["check"], meta["severity"]] = result
        context.build_data_docs()  # once: as an action it draws the whole site again for every suite
        _keep_docs(Path(project) / "gx/uncommitted/data_docs/local_site", out / DOCS)
    return [_finding(check, answers[check.table, check.name, check.severity]) for check in checks]


def _great_expectations() -> ModuleType:
    # It reads this variable once, while it is imported, and would otherwise send usage events from a person's machine.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    return importlib.import_module("great_expectations")


def _checkpoint(gx: ModuleType, context: Any, source: Any, table: str, checks: Iterable[Check]) -> Any:
    """A checkpoint over the table's suites, with every offending id."""
    batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
    definitions = []
    for severity, word in _SEVERITIES:
        expectations = [_expectation(gx, check, word) for check in checks if check.severity == severity]
        if expectations:
            suite = context.suites.add_or_update(gx.ExpectationSuite(f"{table}-{severity}", expectations=expectations))
            definition = gx.ValidationDefinition(name=f"{table}-{severity}", data=batch, suite=suite)
            definitions.append(context.validation_definitions.add_or_update(definition))
    checkpoint = gx.Checkpoint(
        name=table,
        validation_definitions=definitions,
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["id"],
            "return_unexpected_index_query": False,
        },
    )
    return context.checkpoints.add_or_update(checkpoint)


def _expectation(gx: ModuleType, check: Check, severity: str) -> Any:
    meta = {"check": check.name, "severity": check.severity}
    kind = getattr(gx.expectations, check.expectation)
    return kind(**check.arguments, severity=severity, meta=meta, notes=f"{check.name}: how many {check.what}.")


def _keep_docs(site: Path, target: Path) -> None:
    """Move the site, without the 3 MB of animations that its how-to pages would show."""
    for animation in site.glob("static/images/*.gif"):
        animation.unlink()
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(site, target)


def _finding(check: Check, answer: Any) -> Finding:
    """Plain Python values out of one result: ids and figures may be numpy scalars."""
    result: dict[str, Any] = answer.to_json_dict()["result"]
    passed = bool(answer.success)
    if not result:
        return _of(check, passed, f"{check.what}: no answer ({_exception(answer)})")
    if check.expectation == "ExpectColumnKLDivergenceToBeLessThan":
        observed = float(result["observed_value"])
        return _of(check, passed, f"{check.what} is {observed:.4f}; at most {check.threshold:g} may be", observed)
    if "observed_value" in result:
        return _set_finding(check, passed, result)
    return _row_finding(check, passed, result)


def _set_finding(check: Check, passed: bool, result: dict[str, Any]) -> Finding:
    """Of expectations on a set of values, or on a column's type: ids are what is missing or wrong."""
    expected = check.arguments.get("value_set") or check.arguments.get("column_set")
    if not isinstance(expected, list):
        ids = () if passed else (str(check.arguments["column"]),)
        return _of(
            check, passed, f"{check.what} but {result['observed_value']}" if ids else "type as expected", ids=ids
        )
    details = result.get("details", {})
    missing = result.get("partial_missing_list") or details.get("mismatched", {}).get("missing") or []
    detail = f"{len(missing)} of {len(expected)} {check.what}"
    return _of(check, passed, detail, float(len(missing)), tuple(map(str, missing)))


def _row_finding(check: Check, passed: bool, result: dict[str, Any]) -> Finding:
    """Of expectations asked row by row; rows where the question does not arise are not counted."""
    total, count = int(result["element_count"]), int(result.get("unexpected_count", 0))
    if check.expectation != "ExpectColumnValuesToNotBeNull":
        total -= int(result.get("missing_count", 0))
    detail = f"{count:,} of {total:,} {check.what}"
    observed: float | None = count / total if total else 0.0
    if check.expectation == "ExpectColumnValuesToBeBetween":
        observed = _worst(check, result)
    elif check.threshold:
        detail += f" ({observed:.2%}; {check.threshold:.2%} may)"
    ids = tuple(str(row["id"]) for row in result.get("unexpected_index_list") or [])
    return _of(check, passed, detail, observed, ids)


def _worst(check: Check, result: dict[str, Any]) -> float | None:
    values = [float(value) for value in result.get("unexpected_list") or []]
    if not values:
        return None
    return min(values) if "min_value" in check.arguments else max(values)


def _of(check: Check, passed: bool, detail: str, observed: float | None = None, ids: tuple[str, ...] = ()) -> Finding:
    return Finding(
        expectation=check.name,
        check=check.expectation,
        severity=check.severity,
        passed=passed,
        detail=detail,
        observed=observed,
        threshold=check.threshold,
        offending_ids=ids[:SHOWN_IDS],
        offending_count=len(ids),
    )


def _exception(answer: Any) -> str:
    """Last line of what Great Expectations caught."""
    text = str((answer.exception_info or {}).get("exception_message") or answer.exception_info)
    return text.strip().splitlines()[-1][:300] if text.strip() else "no reason given"
