"""Grafana's dashboards: what they show (`panels`), and their JSON, made by `python -m tools.dashboards`."""
