from django.urls import path

from vehicles import export, views

app_name = "vehicles"
urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.choose_brand, name="choose_brand"),
    path("add/<slug:brand>/", views.add, name="add"),
    path("export/", export.export, name="export"),
    path("move/", views.move_many, name="move_many"),
    path("<ulid:id>/", views.detail, name="detail"),
    path("<ulid:id>/change/", views.change, name="change"),
    path("<ulid:id>/move/", views.move, name="move"),
    path("<ulid:id>/remove/", views.remove, name="remove"),
]
