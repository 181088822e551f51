"""Each person's email of a notice gets a row of its own. Notices that were emailed before count as addressed."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("credentials", "0002_rules"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.RemoveIndex("notice", "notice_to_email"),
        migrations.RenameField("notice", "emailed_at", "addressed_at"),
        migrations.AddIndex(
            "notice",
            models.Index(condition=models.Q(("addressed_at", None)), fields=["fleet"], name="notice_to_address"),
        ),
        migrations.CreateModel(
            name="NoticeEmail",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sent_at", models.DateTimeField(null=True)),
                ("given_up_at", models.DateTimeField(null=True)),
                ("refusals", models.PositiveSmallIntegerField(default=0)),
                ("try_after", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "notice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="emails",
                        to="credentials.notice",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notice_emails",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "reminder by email",
                "verbose_name_plural": "reminders by email",
                "indexes": [
                    models.Index(
                        condition=models.Q(("given_up_at", None), ("sent_at", None)),
                        fields=["try_after"],
                        name="notice_email_to_send",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("notice", "user"), name="notice_email_once")],
            },
        ),
    ]
