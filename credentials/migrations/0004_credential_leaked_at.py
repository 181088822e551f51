from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("credentials", "0003_reminder_emails")]
    operations = [
        migrations.AddField(
            "credential",
            "leaked_at",
            models.DateTimeField(editable=False, null=True, verbose_name="secret leaked"),
        ),
    ]
