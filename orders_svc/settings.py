"""The settings of the orders service, from the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from runtime.settings import Address, SecretPath, ServiceSettings, check_page_key

# A consumer must poll within five minutes, or its partitions move to another.
Delay = Annotated[float, Field(gt=0, le=240)]


def _distinct(delays: tuple[float, ...]) -> tuple[float, ...]:
    # A delay names its topic: with the same one twice a message would return to where it was, for ever.
    if len({f"{delay:g}" for delay in delays}) < len(delays):
        raise ValueError("has the same delay twice")
    return delays


DOMAIN = "orders.shop.example.com"
SERVICES = (
    "shop.orders.v1.OrderService",
    "shop.orders.v1.AllocationService",
    "shop.orders.v1.OperationsService",
)
# Reflection is answered here for callers at the edge, so it lists what the edge serves.
LISTED = (
    "shop.orders.v1.OrderService",
    "shop.orders.v1.OperationsService",
    "shop.inventory.v1.InventoryService",
)


class Settings(ServiceSettings):
    """Each field is the variable of the same name in capitals."""

    database_url: SecretStr = Field(min_length=1)
    """PostgreSQL, all its hosts, with `target_session_attrs=primary`."""
    database_password_file: SecretPath | None = None
    """A file with the password, instead of one in the URL: every line is tried, so two are valid while it changes."""
    database_role: str = Field(default="", pattern=r"^([a-z_][a-z0-9_]{0,62})?$")
    """The role in which it serves, without the owner's rights; `migrate` grants it the rows. None: as it logs in."""
    database_connections: int = Field(default=8, ge=4, le=200)
    """The most connections of this replica, opened as they are needed; two of them listen and relay."""
    inventory_address: Address
    """This pod's sidecar, through which inventory is reached."""
    inventory_authority: str = "inventory.shop.svc.cluster.local:50051"
    """The name under which the sidecar routes to inventory."""
    hold_timeout_s: float = Field(default=1.5, gt=0, le=60)
    """The longest wait of an order for its hold; without one it is PENDING."""
    saga_retry_delays_s: Annotated[tuple[Delay, ...], AfterValidator(_distinct)] = Field(
        default=(5, 30, 120), min_length=1, max_length=5
    )
    """The delays of a pending order's deliveries; at most 240 s each."""
    saga_give_up_s: float = Field(default=3600, gt=0)
    """After this time without inventory an order becomes a dead letter."""
    reconcile_every_s: float = Field(default=300, ge=1)
    """Pause between two runs of the reconciler in one replica."""
    settle_s: float = Field(default=30, ge=1)
    """More recent changes may still be propagating; the reconciler ignores them."""
    orders_kept_days: int = Field(default=400, ge=8, le=36_500)
    """After this time a final order moves to the archive, counted from placing: more than request ids are kept."""
    archive_kept_days: int = Field(default=3650, ge=366, le=36_500)
    """After this time an archived order is forgotten, counted from placing, and dropped with its month."""
    max_batches: int = Field(default=4, ge=1, le=1000)
    """The most batches of customers at a time in one replica: one of 1,000 orders takes a second of work."""
    max_batches_per_caller: int = Field(default=1, ge=1, le=1000)
    """Of those, one customer's."""
    max_batch_message_bytes: int = Field(default=512 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The largest batch: 1,000 orders of 10 lines each."""
    max_watchers: int = Field(default=1000, ge=1, le=100_000)
    """The most streams of WatchOrder at a time in one replica."""

    max_watch_s: float = Field(default=900, gt=0, le=86_400)
    """The longest duration of a stream of WatchOrder; clients resume where it ended."""

    @model_validator(mode="after")
    def _has_a_page_key(self) -> Settings:
        check_page_key(self, self.database_password_file)
        return self

    @model_validator(mode="after")
    def _archives_before_it_forgets(self) -> Settings:
        if self.archive_kept_days <= self.orders_kept_days:
            raise ValueError("ARCHIVE_KEPT_DAYS must be more than ORDERS_KEPT_DAYS")
        return self
