"""Addresses of people, fleets, members and invitations. The namespace of a URL name is its noun."""

from django.urls import include, path

from fleetcontrol.people.views import fleets, join, members, profile

own = [
    path("preferences/", profile.preferences, name="preferences"),
    path("profile/", profile.profile, name="profile"),
    path("second-factor/<slug:fleet>/", profile.second_factor_needed, name="second_factor_needed"),
]
of_fleets = [
    path("fleets/add/", fleets.add, name="add"),
    path("f/<slug:fleet>/settings/", fleets.change, name="change"),
    path("f/<slug:fleet>/settings/delete/", fleets.remove, name="remove"),
]
of_members = [
    path("", members.index, name="index"),
    path("invite/", members.invite, name="invite"),
    path("<int:pk>/role/", members.change, name="change"),
    path("<int:pk>/remove/", members.remove, name="remove"),
]
of_invitations = [
    path("invitations/<str:token>/", join.accept, name="accept"),
    path("f/<slug:fleet>/invitations/<ulid:pk>/resend/", members.resend, name="resend"),
    path("f/<slug:fleet>/invitations/<ulid:pk>/revoke/", members.revoke, name="revoke"),
]
urlpatterns = [
    path("", include((own, "people"))),
    path("", include((of_fleets, "fleets"))),
    path("", include((of_invitations, "invitations"))),
    path("f/<slug:fleet>/members/", include((of_members, "members"))),
]
