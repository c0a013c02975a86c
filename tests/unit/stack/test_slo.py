"""The output of `make slo` from Prometheus' records."""

from stack.commands.slo import read, report


def sample(value, name="", **labels):
    return {"metric": {**({"__name__": name} if name else {}), **labels}, "value": [1_700_000_000, str(value)]}


def test_every_window_has_a_value_or_a_dash():
    web, rpc = {"service": "edge", "sli": "web"}, {"service": "orders", "sli": "rpc"}
    text = report(
        read(
            [
                sample(0.9991234, "sli:availability:1h", **web),
                sample(1, "sli:availability:30d", **web),
                sample(0.9999999, "sli:availability:1h", **rpc),
                sample(-0.75, "slo:error_budget_remaining:1h", **web),
                sample(2, "edge:recoveries:1h"),
                sample(75, "edge:time_to_recovery_seconds:1h"),
                sample(0, "edge:outage"),
                sample(7200, watched="s"),
            ]
        )
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["edge", "(web)", "available", "99.912", "%", "-", "-", "100", "%"] in lines
    assert ["orders", "(rpc)", "available", "99.999", "%", "-", "-", "-"] in lines
    assert ["budget", "left", "-75", "%", "-", "-", "-"] in lines
    assert ["completed", "outages", "2", "-", "-", "-"] in lines
    assert ["mean", "time", "to", "recover", "1m15s", "-", "-", "-"] in lines
    assert "Watched for 2h00m of 30 d" in text
