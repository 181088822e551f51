"""IDs generated in bulk are ULIDs like all others: well formed, in order and unique."""

from ulid import ULID

from fleetcontrol.db.ids import Ids, new_id


def test_many_ids_are_ulids_in_order_and_never_the_same() -> None:
    ids = Ids()
    generated = [ids.next() for _number in range(5000)]
    assert generated == sorted(set(generated))
    assert all(str(ULID.from_str(one)) == one for one in generated[:50])
    assert abs(ULID.from_str(generated[0]).timestamp - ULID.from_str(new_id()).timestamp) < 60
    assert Ids().next()[10:] != generated[0][10:]
