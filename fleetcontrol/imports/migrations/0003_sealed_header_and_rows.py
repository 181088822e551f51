from django.db import migrations, models

# What earlier imports kept of their files readably goes. An import that was not done has no sealed header: cancel it.
_FORGET = """
UPDATE imports_importrun SET columns = '{}', constants = '{}', findings = '[]', failure = '';
DELETE FROM imports_importpiece;
UPDATE imports_importrun SET stage = 'cancelled', ended_at = now() WHERE stage NOT IN ('done', 'cancelled');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("imports", "0002_stalled_work"),
    ]

    operations = [
        migrations.RemoveField(model_name="importrun", name="header"),
        migrations.RemoveField(model_name="importrun", name="samples"),
        migrations.AddField(
            model_name="importrun",
            name="created_by_id",
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.RunSQL(_FORGET, migrations.RunSQL.noop),
    ]
