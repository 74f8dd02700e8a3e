"""Bugs in how frames are put together and taken apart, and in the certificates of links."""

from __future__ import annotations

from tests.planted.bug import Bug

FRAMES = [
    Bug(
        "why a link ended is not told to those who wait for something over it",
        "actorkube/runtime/tcp.py",
        "            link.fate = str(refusal)",
        "            pass",
        "tests/runtime/test_tcp.py::test_a_peer_with_another_key_is_refused_and_the_asker_knows_that_nothing_was_sent",
    ),
    Bug(
        "who asks an actor that is not there is not told which",
        "actorkube/runtime/receiving.py",
        '                error = Terminated(f"{pending.what}: {NOBODY}")',
        "                error = Terminated(NOBODY)",
        "tests/runtime/test_tcp.py::test_whoever_asks_an_actor_that_is_not_there_is_told_which",
    ),
    Bug(
        "a small frame overtakes a large one between the same two actors",
        "actorkube/runtime/fragments.py",
        "or (target, sender) in self._keys:",
        "or False:",
        "tests/runtime/test_tcp.py::test_what_is_told_arrives_in_order_however_large_it_is",
    ),
    Bug(
        "the end of an actor overtakes what it said",
        "actorkube/runtime/fragments.py",
        "if kind not in _FREE_KINDS or corr in",
        "if corr in",
        "tests/runtime/test_fragments.py::test_the_end_of_an_actor_does_not_overtake_what_it_said",
    ),
    Bug(
        "a part goes between a header and its body",
        "actorkube/runtime/wire.py",
        "if not self._parts:  # between whole frames",
        "if self._slow:",
        "tests/runtime/test_fragments.py::test_all_arrive_once_and_none_overtakes_another_that_it_belongs_behind",
    ),
    Bug(
        "small frames hold up a large one for ever",
        "actorkube/runtime/fragments.py",
        "return self._passed > PASS_BYTES_MAX",
        "return False",
        "tests/runtime/test_fragments.py::test_a_large_frame_goes_on_while_small_ones_never_end",
    ),
    Bug(
        "parts may claim any size",
        "actorkube/runtime/fragments.py",
        " or len(self._got) + len(part) + missing > HEADER_SIZE + FRAME_MAX:",
        ":",
        "tests/runtime/test_fragments.py::test_parts_that_make_no_frame_are_refused",
    ),
    Bug(
        "numbers in a batch fit no header",
        "protocols/frame.py",
        "_u32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]",
        "_u32 = int",
        "tests/fuzz/test_hostile_peer.py::test_a_batch_that_is_none_ends_the_connection",
    ),
    Bug(
        "a batch of any size is unfolded",
        "actorkube/runtime/connection.py",
        " or len(body) > BATCH_BYTES_MAX:",
        ":",
        "tests/fuzz/test_hostile_peer.py::test_a_batch_that_is_none_ends_the_connection",
    ),
    Bug(
        "a tell of a batch that nests too deep gets into the loop",
        "actorkube/runtime/receiving.py",
        "except (ValueError, RecursionError):",
        "except ValueError:",
        "tests/fuzz/test_hostile_peer.py::test_what_does_not_decode_in_a_batch_harms_nobody",
    ),
    Bug(
        "a certificate is not renewed in its life",
        "actorkube/runtime/identity.py",
        "RENEW_AFTER_S = VALID_DAYS * 86_400 * 2 / 3",
        "RENEW_AFTER_S = VALID_DAYS * 86_400 * 2",
        "tests/runtime/test_tls.py::test_a_certificate_at_two_thirds_of_its_life_is_renewed_and_nothing_is_lost",
    ),
    Bug(
        "every refusal is a line in the log",
        "actorkube/runtime/tcp.py",
        "self._silent_until[refusal.reason] = now + self.settings.say_every_s",
        "pass",
        "tests/runtime/test_tcp.py::"
        "test_what_is_refused_again_and_again_is_counted_each_time_and_logged_once_in_a_while",
    ),
]
