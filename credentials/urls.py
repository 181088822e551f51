from django.urls import path

import fleetcontrol.converters  # noqa: F401 - registers <ulid:…>
from credentials import views

app_name = "credentials"
urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.choose_brand, name="choose_brand"),
    path("add/<slug:brand>/", views.add, name="add"),
    path("<ulid:id>/", views.detail, name="detail"),
    path("<ulid:id>/change/", views.change, name="change"),
    path("<ulid:id>/secret/", views.rotate, name="rotate"),
    path("<ulid:id>/delete/", views.remove, name="remove"),
]
