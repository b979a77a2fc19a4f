"""A made-up report with everything in it, some of it hostile, some of it Japanese."""

import math
import random

from regroup.report import (
    ClusterMap,
    Curve,
    Frontier,
    Point,
    RegretByCluster,
    Reliability,
    Report,
    Table,
)

HOSTILE = "<script>document.title='owned'</script> & \"sonnet\" 'x'"
LONG = "model-" + "x" * 194
TERMS = (
    "python, function, list, traceback",
    "請求書, 合計, 税率, 支払い",
    "translate, french, sentence",
    "proof, integer, prime, theorem",
    "sql, join, table, index",
    "summary, article, news",
    "要約, 会議, 議事録",
    "regex, pattern, match",
    "chess, move, board",
    "patient, symptom, dose",
    "contract, clause, party",
    "physics, force, mass",
    "poem, rhyme, stanza",
    "json, schema, field",
    "旅行, 京都, 予約, 宿泊",
    "weather, rain, city",
)

_MODELS = (
    ("nova-micro", 0.09, 0.512),
    ("nova-lite", 0.16, 0.571),
    ("llama-8b", 0.21, 0.548),
    ("mistral-small", 0.48, 0.602),
    ("haiku", 1.9, 0.688),
    ("nova-pro", 2.1, 0.671),
    ("llama-70b", 1.7, 0.655),
    ("deepseek", 2.4, 0.703),
    (HOSTILE, 7.4, 0.741),
    ("日本語に強いモデル", 5.2, 0.722),
    (LONG, 14.0, 0.731),
    ("opus", 31.0, 0.752),
)


def a_report(*, route: bool = True) -> Report:
    """Return a report that holds every section."""
    return Report(
        title="support-tickets: router against the best single model",
        made_at="2026-05-04 09:12 UTC",
        verdict="route (gain 4.3 points, 95 % interval 2.2 to 6.6)"
        if route
        else "do not route: use sonnet (gain 0.4 points, 95 % interval -0.9 to 1.7)",
        route=route,
        facts=(
            ("data", "s3://team-bucket/labelled/2026-05-03.jsonl.gz"),
            ("rows", "12,480, of them 11,902 fully scored"),
            ("encoder", "multilingual-e5-small, int8"),
            ("router", "ridge-cluster"),
            ("clusters", "16"),
            ("seed", "0"),
            ("artifact", "9f2c" * 16),
        ),
        tables=(_policies(), _datasets()),
        frontier=_frontier(),
        clusters=_clusters(),
        regret=_regret(),
        reliability=_reliability(),
        curves=_curves(),
    )


def _policies() -> Table:
    return Table(
        "Policies",
        ("policy", "mean reward", "95 % interval", "USD per 1,000", "regret", "best chosen", "AIQ"),
        (
            ("router, quality", "0.795", "0.781 to 0.808", "8.10", "0.061", "58 %", "0.741"),
            ("router, balanced", "0.772", "0.757 to 0.786", "3.02", "0.084", "51 %", "–"),
            ("router, economy", "0.734", "0.719 to 0.749", "1.11", "0.122", "43 %", "–"),
            ("best single: opus", "0.752", "0.738 to 0.766", "31.00", "0.104", "34 %", "0.688"),
            (HOSTILE, "0.741", "0.726 to 0.755", "7.40", "0.115", "31 %", "–"),
            ("random", "0.641", "0.629 to 0.652", "5.55", "0.215", "8 %", "–"),
            ("oracle", "0.856", "0.845 to 0.867", "4.90", "0", "100 %", "–"),
        ),
        note="Rewards are means over queries that no fit had seen. The oracle knows every reward.",
    )


def _datasets() -> Table:
    return Table(
        "By dataset",
        ("dataset", "rows", "router", "best single", "gain"),
        (
            ("質問応答", "4,102", "0.801", "0.764", "+3.7 points"),
            ("code", "3,377", "0.774", "0.709", "+6.5 points"),
            ("maths", "5,001", "0.803", "0.771", "+3.2 points"),
        ),
    )


def _frontier() -> Frontier:
    curve = [
        (0.12 * 1.35**step, 0.5 + 0.302 * (1 - math.exp(-0.17 * (step + 1)))) for step in range(19)
    ]
    return Frontier(
        points=[Point(*one) for one in _MODELS],
        curve=curve,
        blind=[(0.09, 0.512), (0.16, 0.571), (1.9, 0.688), (2.4, 0.703), (7.4, 0.741), (31, 0.752)],
        presets=[
            Point("quality", *curve[13]),
            Point("balanced", *curve[10]),
            Point("economy", *curve[7]),
        ],
    )


def _clusters() -> ClusterMap:
    rng = random.Random(0)
    points = []
    for at in range(1_500):
        cluster = at % len(TERMS)
        angle, reach = cluster * 2.4, 1.1 * math.sqrt(cluster + 0.5)
        x, y = reach * math.cos(angle), reach * math.sin(angle)
        points.append((rng.gauss(x, 0.45), rng.gauss(y, 0.4), cluster))
    return ClusterMap(points, TERMS)


def _regret() -> RegretByCluster:
    rng = random.Random(1)
    return RegretByCluster(
        [
            (f"{at}: {terms}", rng.uniform(0.02, 0.09), rng.uniform(0.03, 0.17))
            for at, terms in enumerate(TERMS)
        ]
    )


def _reliability() -> tuple[Reliability, ...]:
    best = [(0.05 + 0.1 * at, 0.08 + 0.088 * at, 2_000 // (at + 1)) for at in range(9)]
    gain = [
        (-0.04 + 0.03 * at, -0.02 + 0.024 * at, 300 + 200 * (3 - abs(3 - at))) for at in range(7)
    ]
    return (
        Reliability(best, 0.021, "Probability of being best"),
        Reliability(
            gain,
            0.017,
            "Predicted gain over the best single model",
            x_label="Predicted gain (reward per query)",
            y_label="Realised gain (reward per query)",
        ),
    )


def _curves() -> tuple[Curve, ...]:
    rows = (100, 200, 400, 800, 1_600, 3_200, 6_400, 12_480)

    def learnt(top: float, rate: float) -> list[tuple[float, float, float, float]]:
        means = [(n, top - rate / math.sqrt(n)) for n in rows]
        return [
            (n, mean, mean - 0.3 / math.sqrt(n), mean + 0.3 / math.sqrt(n)) for n, mean in means
        ]

    steps = range(0, 5_001, 250)
    return (
        Curve(
            "Learning curve",
            "Labelled queries (rows)",
            "Mean reward (0 to 1)",
            (
                ("ridge-cluster", learnt(0.8, 0.7)),
                ("cluster mean", learnt(0.77, 0.4)),
                ("softmax", learnt(0.76, 0.9)),
            ),
            log_x=True,
        ),
        Curve(
            "Learning while serving",
            "Requests",
            "Regret (reward per request)",
            (
                (
                    "Thompson sampling",
                    [
                        (
                            n,
                            0.05 + 0.15 / (1 + n / 700),
                            0.04 + 0.14 / (1 + n / 700),
                            0.06 + 0.17 / (1 + n / 700),
                        )
                        for n in steps
                    ],
                ),
                ("no exploration", [(n, 0.104, 0.099, 0.109) for n in steps]),
            ),
        ),
    )
