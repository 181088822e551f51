"""Ids made by the hundred thousand are ULIDs like all others: of their form, in order, and each of its own."""

from ulid import ULID

from fleetcontrol.db.ids import Ids, new_id


def test_many_ids_are_ulids_in_order_and_never_the_same() -> None:
    ids = Ids()
    made = [ids.next() for _number in range(5000)]
    assert made == sorted(set(made))
    assert all(str(ULID.from_str(one)) == one for one in made[:50])
    assert abs(ULID.from_str(made[0]).timestamp - ULID.from_str(new_id()).timestamp) < 60
    assert Ids().next()[10:] != made[0][10:]
