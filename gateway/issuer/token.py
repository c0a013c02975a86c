"""
Prints a token for a customer, signed by the development issuer's key.

    python -m gateway.issuer.token CUSTOMER [--operator] [--hours N]
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

from gateway.issuer.settings import load
from gateway.issuer.signing import InvalidCustomer, UnusableKey, signer_in


def main(arguments: list[str] | None = None) -> None:
    """
    Print the token and nothing else, for use in shell commands.
    """
    options = _parser().parse_args(arguments)
    settings = load()
    try:
        signer = signer_in(settings.state, settings.url)
        token = signer.token(
            options.customer,
            now=datetime.now(UTC),
            lifetime=timedelta(hours=options.hours),
            operator=options.operator,
        )
    except (InvalidCustomer, UnusableKey) as error:
        sys.exit(f"token: {error}")
    sys.stdout.write(f"{token}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.issuer.token", description="Print a token for a customer.")
    parser.add_argument("customer", help="the customer's id, for example ana")
    parser.add_argument("--operator", action="store_true", help="grant the operator's role")
    parser.add_argument("--hours", type=float, default=12, help="validity in hours; 30 days at most")
    return parser


if __name__ == "__main__":
    main()
