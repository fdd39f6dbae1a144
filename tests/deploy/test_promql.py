from tests.deploy.promql import Selector, grouped, selectors


def test_metrics_matchers_and_groupings_are_found() -> None:
    expression = 'sum by (le, model) (rate(a_bucket{model=~"$m",x!="}"}[5m])) / sum(b) > 0.5 and c_total[5m] >= 100'
    assert selectors(expression) == [
        Selector("a_bucket", (("model", "=~", "$m"), ("x", "!=", "}"))),
        Selector("b", ()),
        Selector("c_total", ()),
    ]
    assert grouped(expression) == {"le", "model"}
    assert selectors("up == 0") == [Selector("up", ())]
    assert selectors("a / b") == [Selector("a", ()), Selector("b", ())]
