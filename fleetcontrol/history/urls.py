from django.urls import path, re_path

from fleetcontrol.history import views

app_name = "history"
urlpatterns = [
    path("", views.index, name="index"),
    re_path(r"^export\.(?P<kind>csv|jsonl)$", views.export, name="export"),
]
