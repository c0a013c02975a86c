"""The settings of inventory, from the environment."""

from __future__ import annotations

from pydantic import Field, model_validator

from runtime.settings import Address, SecretPath, ServiceSettings, check_page_key

DOMAIN = "inventory.shop.example.com"
SERVICES = ("shop.inventory.v1.InventoryService",)


class Settings(ServiceSettings):
    """Each field is the variable of the same name in capitals."""

    redis_url: str = Field(pattern=r"^(rediss?|unix)://")
    """The stock's Redis, which must run with `appendfsync always`."""
    redis_password_file: SecretPath | None = None
    """A file with the password of the URL's user in its first line, instead of one in the URL."""
    redis_connect_timeout_s: float = Field(default=0.5, gt=0, le=10)
    """For a connection; calls return UNAVAILABLE after it."""
    redis_timeout_s: float = Field(default=1.0, gt=0, le=10)
    """For one command."""
    orders_address: Address
    """Where orders is reached: the sidecar's outbound listener."""
    orders_authority: str = Field(min_length=1)
    """The name under which the mesh knows orders."""
    lease_s: float = Field(default=120.0, gt=0, le=86_400)
    """How long a hold lasts if its order is not confirmed; many times as long as a confirmation takes."""
    lease_grace_s: float = Field(default=30.0, ge=0, le=3600)
    """How much longer than that a lease lasts: more than clocks differ and a transaction takes."""
    hold_keep_s: float = Field(default=8 * 86_400.0, ge=7 * 86_400, le=90 * 86_400)
    """How long final orders are remembered; longer than Kafka keeps order events."""
    max_remembered: int = Field(default=1_200_000, ge=1000, le=1_600_000)
    """The most final orders that are remembered (25 bytes each), except for those of the last half hour."""
    max_events_backlog: int = Field(default=1_000_000, ge=1000)
    """The most stock events that may wait for Kafka (about 300 bytes each); above it nothing more is held."""
    look_s: float = Field(default=1.0, gt=0, le=60)
    """How often Redis's generation is checked, and expired leases are looked for."""
    audit_s: float = Field(default=15.0, gt=0, le=3600)
    """How often the stock is checked to add up."""
    seed_catalogue: bool = True
    """Whether `migrate` lists the ten products of the example shop and their first stock."""

    @model_validator(mode="after")
    def _has_a_page_key(self) -> Settings:
        check_page_key(self, self.redis_password_file)
        return self
