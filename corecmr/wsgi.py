"""The web server's way in."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "corecmr.settings.production")


def warm() -> None:
    """Load what the first reader of a fresh process would else wait for: views and templates."""
    from django.conf import settings
    from django.template.loader import get_template
    from django.urls import get_resolver, reverse

    reverse("home")
    get_resolver().resolve("/")
    if settings.DEBUG:
        return  # templates are read anew then
    folder = settings.BASE_DIR / "templates"
    for path in sorted(folder.rglob("*.html")):
        get_template(str(path.relative_to(folder)))


application = get_wsgi_application()
warm()
