"""What can be set about links: how long they wait for what, and how much they hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Times in seconds, sizes in bytes."""

    handshake_s: float = 3.0  # to connect and greet
    greetings_max: int = 256  # accepted connections in greeting at once
    ping_s: float = 3.0
    silence_s: float = 10.0  # a peer that says nothing for so long, not even PONG, is gone
    backoff_first_s: float = 0.02
    backoff_most_s: float = 1.0
    high_water: int = 16 * 1024 * 1024  # above it a link takes no new work
    low_water: int = 8 * 1024 * 1024  # at or below it, who waited for room goes on
    outbox_max: int = 32 * 1024 * 1024  # a peer that is owed more does not read: its link ends
    renew_s: float = 10.0  # to go over to a connection with new certificates
    say_every_s: float = 5.0  # a reason for which connections are refused is logged at most so often
    connect_all: bool = True  # to acquaintances of acquaintances, where names are used (names.py)
    busy_wait_s: float = 0.0003  # a loop looks out so long for the next word, where words come that soon; 0: never
    linger_s: float = 2.0  # a closed connection's last bytes have so long to leave
