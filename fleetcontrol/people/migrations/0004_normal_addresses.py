"""Addresses in their one normal form, see `fleetcontrol.people.addresses`.

Stops, and changes nothing, for an address that has no normal form or that would become somebody else's.
"""

from collections import defaultdict

from django.core.exceptions import ValidationError
from django.db import migrations, models

from fleetcontrol.people.addresses import AddressField, normal

NORMAL_FORM = "^[!-?[-~]+@[!-?[-~]+$"
# allauth lets people sign in by these too: those that differ from the person's address are left from an earlier one.
FORGET_OTHER_ADDRESSES = """
DELETE FROM account_emailaddress other USING people_user person
WHERE other.user_id = person.id AND other.email <> person.email
"""


def normalize(apps, schema_editor):
    for name in ("User", "Invitation"):
        model = apps.get_model("people", name)
        by_address = defaultdict(list)
        for row in model.objects.order_by("pk"):
            try:
                address = normal(row.email)
            except ValidationError as error:
                stop(name, [row.email], error.messages[0])
            by_address[(getattr(row, "fleet_id", None), address)].append(row)
        for (_fleet, address), rows in by_address.items():
            if len(rows) > 1:
                stop(name, [row.email for row in rows], "These are one address.")
            if rows[0].email != address:
                model.objects.filter(pk=rows[0].pk).update(email=address)


def stop(name, addresses, reason):
    how = "change it in the Django admin" if name == "User" else "revoke it on the fleet's page of members"
    raise RuntimeError(
        f"{name} {', '.join(repr(address) for address in addresses)}: {reason} "
        f"With the version that runs so far, {how}, and migrate again."
    )


class Migration(migrations.Migration):
    dependencies = [
        ("people", "0003_replica_beat"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]
    operations = [
        migrations.RemoveConstraint(model_name="invitation", name="invitation_unique_in_fleet"),
        migrations.RemoveConstraint(model_name="user", name="user_email_unique"),
        migrations.AlterField(
            model_name="invitation",
            name="email",
            field=AddressField(max_length=254, verbose_name="email"),
        ),
        migrations.AlterField(
            model_name="user",
            name="email",
            field=AddressField(max_length=254, verbose_name="email"),
        ),
        migrations.RunPython(normalize, migrations.RunPython.noop),
        migrations.RunSQL(FORGET_OTHER_ADDRESSES, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(
                fields=("fleet", "email"),
                name="invitation_unique_in_fleet",
                violation_error_message="This address is invited to the fleet already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.CheckConstraint(
                condition=models.Q(("email__regex", NORMAL_FORM)),
                name="invitation_email_normal",
                violation_error_message="Enter a valid email address.",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                fields=("email",),
                name="user_email_unique",
                violation_error_message="There is a person with this email already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email__regex", NORMAL_FORM)),
                name="user_email_normal",
                violation_error_message="Enter a valid email address.",
            ),
        ),
    ]
