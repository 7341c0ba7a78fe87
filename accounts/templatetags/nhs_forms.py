"""Form fields as NHS components: the classes a widget needs, and where an error links to."""

from __future__ import annotations

from django import forms, template
from django.forms.boundfield import BoundField
from django.utils.safestring import SafeString

register = template.Library()

# The first that fits is taken, so the special ones come first.
_KINDS: tuple[tuple[type[forms.Widget], str], ...] = (
    (forms.CheckboxInput, "checkbox"),
    (forms.CheckboxSelectMultiple, "checkboxes"),
    (forms.RadioSelect, "radios"),
    (forms.Select, "select"),
    (forms.Textarea, "textarea"),
    (forms.PasswordInput, "password"),
    (forms.FileInput, "file"),
    (forms.DateInput, "date"),
)
_CLASSES = {
    "checkbox": "nhsuk-checkboxes__input",
    "select": "nhsuk-select",
    "textarea": "nhsuk-textarea",
    "password": "nhsuk-input nhsuk-password-input__input nhsuk-js-password-input-input",
    "file": "nhsuk-file-upload__input",
    "input": "nhsuk-input",
    "number": "nhsuk-input nhsuk-input--width-5",
    "date": "nhsuk-input nhsuk-input--width-10",
}


@register.filter
def widget_kind(field: BoundField) -> str:
    widget = field.field.widget
    # A decimal number is typed into a text field, so that what is no number is told, not lost.
    if isinstance(widget, forms.NumberInput) or widget.attrs.get("inputmode") == "decimal":
        return "number"
    return next((kind for cls, kind in _KINDS if isinstance(widget, cls)), "input")


@register.simple_tag
def nhs_widget(field: BoundField) -> SafeString:
    """The field's control with its NHS classes; placeholders go, as the label says it all."""
    kind = widget_kind(field)
    classes = _CLASSES[kind]
    if field.errors and kind in {"select", "textarea", "password", "input", "number", "date"}:
        base = "nhsuk-input" if kind in {"password", "number", "date"} else classes
        classes += f" {base}--error"
    attrs: dict[str, object] = {"class": classes, "placeholder": False}
    if isinstance(field.field.widget, forms.NumberInput):
        attrs["inputmode"] = "numeric"
    if kind == "textarea":
        attrs["rows"] = 4
    return field.as_widget(attrs=attrs)  # type: ignore[arg-type]


@register.filter
def first_control(field: BoundField) -> str:
    """The id that an error in the summary links to."""
    several = widget_kind(field) in {"radios", "checkboxes"}
    return f"{field.auto_id}_0" if several else field.auto_id
