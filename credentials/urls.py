from django.urls import path

from credentials import export
from credentials.views import credentials as views
from credentials.views import move as move_views
from credentials.views import secrets as secret_views
from credentials.views import webhook as webhook_views

app_name = "credentials"
urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.choose_brand, name="choose_brand"),
    path("add/<slug:brand>/", views.add, name="add"),
    path("export/", export.export, name="export"),
    path("find/", secret_views.find_secret, name="find_secret"),
    path("reminders/", webhook_views.webhook, name="webhook"),
    path("<ulid:id>/", views.detail, name="detail"),
    path("<ulid:id>/change/", views.change, name="change"),
    path("<ulid:id>/secret/", secret_views.rotate, name="rotate"),
    path("<ulid:id>/revert/", secret_views.revert, name="revert"),
    path("<ulid:id>/verify/", secret_views.verify, name="verify"),
    path("<ulid:id>/move/", move_views.move, name="move"),
    path("<ulid:id>/delete/", views.remove, name="remove"),
]
