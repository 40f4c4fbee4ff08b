"""What `make bench` makes of its figures; that it can take them is seen by `make bench-smoke`."""

from __future__ import annotations

from bench.report import DOCUMENT, report
from bench.results import Ratio, Result, ratio
from bench.scenarios import SCENARIOS, Figures


def result(scenario: str, **rounds: list[Figures | None]) -> Result:
    return Result(scenario, rounds, "2026-01-01 12:00", "abcdef0", 0.1, {"Python": "3.11"}, "a machine")


def test_a_ratio_is_above_1_where_the_service_does_better() -> None:
    scenario = SCENARIOS["A"]
    rate, cpu, *_ = scenario.rows
    theirs: list[Figures | None] = [{"rate": 10.0, "cpu_us": 60.0}] * 3
    ours: list[Figures | None] = [{"rate": 20.0 * n, "cpu_us": 30.0 / n} for n in (1, 2, 3)]
    measured = result("A", express=theirs, ours=ours)
    assert ratio(measured, scenario, rate, "ours") == ratio(measured, scenario, cpu, "ours") == Ratio(4, 3, 5)
    assert ratio(measured, scenario, rate, "express") is None


def test_a_cost_is_what_it_takes_more() -> None:
    scenario = SCENARIOS["metrics"]
    without: list[Figures | None] = [{"http_us": 100.0, "socket_us": 100.0}]
    observed: list[Figures | None] = [{"http_us": 105.0, "socket_us": 103.0}]
    measured = result("metrics", **{"ours-without-metrics": without, "ours": observed})
    assert ratio(measured, scenario, scenario.rows[0], "ours") == Ratio(1.05, 1.05, 1.05)


def test_a_round_that_failed_is_left_out() -> None:
    scenario = SCENARIOS["ack"]
    measured = result("ack", node=[{"p50_ms": 10.0}, {"p50_ms": 90.0}], ours=[{"p50_ms": 5.0}, None])
    assert ratio(measured, scenario, scenario.rows[0], "ours") == Ratio(2, 2, 2)
    assert "| 1 of 2 |" in report({"ack": measured}, "")


def test_each_kind_of_clients_has_a_row_where_there_are_several() -> None:
    servers = {"node": 160.0, "ours-deflate": 40.0, "ours-patches": 5.0}
    rounds: dict[str, list[Figures | None]] = {
        server: [{"cpu_us": 1.0, "kb": kb, "p99_ms": 1.0}] for server, kb in servers.items()
    }
    page = report({"H": result("H", **rounds)}, "")
    assert "| KB per vote | Node: 160 | join-session, deflate: 40 | **4.00** (4.00 to 4.00) |" in page
    assert "| KB per vote | Node: 160 | join-session, patches: 5 | **32.00** (32.00 to 32.00) |" in page


def test_the_page_keeps_its_prose() -> None:
    prose = "<!-- prose -->\nBecause of this.\n<!-- end of prose -->\n"
    measured = {"ack": result("ack", node=[{"p50_ms": 10.0}], ours=[{"p50_ms": 5.0}])}
    page = report(measured, report({}, prose))
    assert prose in page
    assert report(measured, page) == page
    assert DOCUMENT.read_text().startswith(page.partition("<!-- prose -->")[0])
